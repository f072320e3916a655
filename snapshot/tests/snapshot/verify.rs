//! Every file that a snapshot refers to is there and long enough, or the answer says which one is not.

mod buckets;
mod directories;

use crate::support::site::Site;
use snapshot::{Stores, Verification, VerifyOptions, verify};

/// Local files are looked for below the site's root.
fn stores(site: &Site) -> Stores {
    Stores::default().with_local_root(site.root.path())
}

async fn verified(stores: &Stores, snapshot: &str) -> Verification {
    verify(stores, snapshot, &quick()).await.unwrap()
}

/// As always, but without long pauses.
fn quick() -> VerifyOptions {
    VerifyOptions { retry_initial_ms: 1, request_timeout_ms: 2_000, ..VerifyOptions::default() }
}
