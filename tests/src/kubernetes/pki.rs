//! The keys of one API server, made with the openssl program: a certificate authority, the server, the administrator, and the
//! pair that service accounts' tokens are signed with.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::run;
use crate::process;

/// No machine's own configuration of openssl takes part.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = unnamed
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
[admin]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
";

/// Makes them in `home`.
pub(super) fn make(home: &Path) -> Result<()> {
    fs::write(home.join("openssl.cnf"), CONFIGURATION).context("writing openssl.cnf")?;
    certificate(home, "ca", "authority", "/CN=holdfast-tests", None)?;
    certificate(home, "server", "server", "/CN=kube-apiserver", Some("ca"))?;
    // The group is what makes it the administrator.
    certificate(home, "admin", "admin", "/O=system:masters/CN=admin", Some("ca"))?;
    openssl(home, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "accounts.key"])?;
    openssl(home, &["ec", "-in", "accounts.key", "-pubout", "-out", "accounts.pub"])
}

fn certificate(home: &Path, name: &str, section: &str, subject: &str, signed_by: Option<&str>) -> Result<()> {
    let file = |name: &str, ending: &str| format!("{name}.{ending}");
    let (key, certificate) = (file(name, "key"), file(name, "crt"));
    let mut arguments: Vec<&str> = vec!["req", "-x509", "-config", "openssl.cnf", "-extensions", section];
    arguments.extend(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]);
    arguments.extend(["-days", "30", "-subj", subject, "-keyout", &key, "-out", &certificate]);
    let signer = signed_by.map(|signer| (file(signer, "crt"), file(signer, "key")));
    if let Some((certificate, key)) = &signer {
        arguments.extend(["-CA", certificate, "-CAkey", key]);
    }
    openssl(home, &arguments)
}

fn openssl(home: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = process::command("openssl");
    command.args(arguments).current_dir(home);
    run(command).with_context(|| format!("openssl {}", arguments.join(" ")))
}
