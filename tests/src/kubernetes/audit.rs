//! Who asked the API server what: its own audit log, which misses nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::json;

/// Every request that was answered, in the order of the answers.
#[derive(Clone, Debug, Default)]
pub struct Audit {
    requests: Vec<Request>,
}

/// One request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who asked: `system:serviceaccount:NAMESPACE:NAME` for a token.
    pub user: String,
    /// `get`, `create`, `update`, …
    pub verb: String,
    /// `leases`, `pods`, …, with its subresource: `pods/status`. Empty for `/readyz` and the like.
    pub resource: String,
    /// Where.
    pub namespace: String,
    /// Which one. Empty when none or several are meant: in a create, or in a list without a field selector.
    pub name: String,
    /// What was answered.
    pub code: u16,
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(rename = "auditID")]
    id: String,
    user: User,
    verb: String,
    object_ref: Option<Object>,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Deserialize)]
struct Object {
    resource: Option<String>,
    subresource: Option<String>,
    namespace: Option<String>,
    name: Option<String>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<u16>,
}

/// What the API server is to log: every request, when it is answered, without bodies.
pub(super) fn policy() -> String {
    json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [{"level": "Metadata"}],
    })
    .to_string()
}

impl Audit {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut known = BTreeSet::new();
        let mut requests = Vec::new();
        // The last line may not be whole yet, and a killed server may have torn one.
        for entry in text.lines().filter_map(|line| serde_json::from_str::<Entry>(line).ok()) {
            // A watch is logged when it begins and when it ends.
            if known.insert(entry.id.clone()) {
                requests.push(entry.into());
            }
        }
        Ok(Self { requests })
    }

    /// All of them.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Those of one user.
    pub fn of(&self, user: &str) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(move |request| request.user == user)
    }

    /// Those that came after `before` was read.
    pub fn since(&self, before: &Self) -> Self {
        Self { requests: self.requests[before.requests.len().min(self.requests.len())..].to_vec() }
    }

    /// How often a user asked what: `update leases` → 30.
    pub fn counts(&self, user: &str) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for request in self.of(user) {
            *counts.entry(format!("{} {}", request.verb, request.resource)).or_default() += 1;
        }
        counts
    }
}

impl From<Vec<Request>> for Audit {
    fn from(requests: Vec<Request>) -> Self {
        Self { requests }
    }
}

impl From<Entry> for Request {
    fn from(entry: Entry) -> Self {
        let object = entry.object_ref;
        let part = |of: fn(&Object) -> &Option<String>| object.as_ref().and_then(|object| of(object).clone());
        let mut resource = part(|object| &object.resource).unwrap_or_default();
        if let Some(subresource) = part(|object| &object.subresource) {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            user: entry.user.username,
            verb: entry.verb,
            resource,
            namespace: part(|object| &object.namespace).unwrap_or_default(),
            name: part(|object| &object.name).unwrap_or_default(),
            code: entry.response_status.and_then(|status| status.code).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: &str, stage: &str, verb: &str) -> String {
        let object = json!({"resource": "pods", "namespace": "flink", "subresource": "status"});
        let entry = json!({"auditID": id, "stage": stage, "verb": verb, "user": {"username": "admin"},
            "objectRef": object, "responseStatus": {"code": 200}});
        format!("{entry}\n")
    }

    #[test]
    fn a_request_counts_once_and_a_torn_line_not_at_all() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let watch = line("1", "ResponseStarted", "watch")
            + "{\"auditID\":\n"
            + &line("1", "ResponseComplete", "watch");
        fs::write(file.path(), watch + &line("2", "ResponseComplete", "patch")).unwrap();
        let audit = Audit::read(file.path()).unwrap();
        let counts: Vec<_> = audit.counts("admin").into_iter().collect();
        assert_eq!(counts, [("patch pods/status".to_owned(), 1), ("watch pods/status".to_owned(), 1)]);
        assert_eq!(audit.counts("somebody else"), BTreeMap::new());
    }
}
