//! What `deploy/` gives a pod: the tests and figures run with exactly these rights.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use k8s_openapi::api::rbac::v1::PolicyRule;
use serde_json::Value;

/// The deployment, and its Lease: the one name that the Role in `deploy/` is restricted to.
pub const LEASE: &str = "example";

/// The service account that the Role is given to.
pub const ACCOUNT: &str = "holdfast";

/// The Role in `deploy/`.
pub fn rules() -> Result<Vec<PolicyRule>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/kustomize/base/rbac.yaml");
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let objects: Vec<Value> = serde_saphyr::from_multiple(&text)?;
    let role = objects.into_iter().find(|object| object["kind"] == "Role").context("no Role")?;
    Ok(serde_json::from_value(role["rules"].clone())?)
}
