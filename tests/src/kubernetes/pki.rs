//! The keys of one API server: a certificate authority, the server, the administrator, and the pair that service accounts' tokens
//! are signed with.

use std::path::Path;

use anyhow::Result;

use crate::pki::{Authority, Key};

/// Makes them in `home`.
pub(super) fn make(home: &Path) -> Result<()> {
    let authority = Authority::new(home)?;
    authority.server("server", "/CN=kube-apiserver", Key::P256)?;
    // The group is what makes it the administrator.
    authority.client("admin", "/O=system:masters/CN=admin", Key::P256)?;
    authority.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key"])?;
    authority.openssl(&["ec", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"])
}
