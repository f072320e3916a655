//! What the API server holds, and what it answers about it. It outlives the server.

use std::collections::{BTreeMap, VecDeque};

use http::StatusCode;
use serde_json::{Value, json};

use crate::trace::Event;

/// The namespace that everything is in.
pub const NAMESPACE: &str = "flink";

/// How far back stale reads can go.
const HISTORY_MS: u64 = 120_000;

/// The objects of the cluster.
#[derive(Debug, Clone, Default)]
pub struct Objects {
    version: u64,
    now: Snapshot,
    /// What was true, from when on, oldest first.
    history: VecDeque<(u64, Snapshot)>,
}

#[derive(Debug, Clone, Default)]
struct Snapshot {
    leases: BTreeMap<String, Value>,
    pods: BTreeMap<String, Value>,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // they are named as in the API
pub enum Request {
    GetLease { name: String },
    CreateLease { object: Value },
    ReplaceLease { name: String, object: Value },
    PatchLease { name: String, patch: Value },
    DeleteLease { name: String },
    GetPod { name: String },
    CreateEvent { object: Value },
}

/// The answer, and what happened by it.
pub(super) type Answered = (StatusCode, Value, Option<Event>);

// === impl Objects ===

impl Objects {
    /// Makes a pod's object what the kubelet says.
    pub fn set_pod(&mut self, now_ms: u64, name: &str, mut object: Value) {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.now.pods.insert(name.to_owned(), object);
        self.remember(now_ms);
    }

    /// Removes a pod's object.
    pub fn remove_pod(&mut self, now_ms: u64, name: &str) {
        self.version += 1;
        self.now.pods.remove(name);
        self.remember(now_ms);
    }

    /// Somebody deletes every Lease. The names of those that were there.
    pub fn delete_leases(&mut self, now_ms: u64) -> Vec<String> {
        self.version += 1;
        let gone = std::mem::take(&mut self.now.leases).into_keys().collect();
        self.remember(now_ms);
        gone
    }

    /// Answers a read with what was true at that time.
    pub fn read(&self, request: &Request, at_ms: u64) -> Option<Answered> {
        // The newest that was true then; with none, the oldest that is remembered.
        let then = self.history.iter().rev().find(|(from_ms, _)| *from_ms <= at_ms);
        let snapshot = then.or(self.history.front()).map_or(&self.now, |(_, snapshot)| snapshot);
        let (found, kind, name) = match request {
            Request::GetLease { name } => (snapshot.leases.get(name), LEASES, name),
            Request::GetPod { name } => (snapshot.pods.get(name), PODS, name),
            _ => return None,
        };
        Some(match found {
            Some(object) => (StatusCode::OK, object.clone(), None),
            None => not_found(kind, name),
        })
    }

    /// Carries a request out.
    pub fn apply(&mut self, now_ms: u64, request: Request) -> Answered {
        if let Some(answered) = self.read(&request, now_ms) {
            return answered;
        }
        match request {
            Request::CreateLease { object } => self.create(now_ms, object),
            Request::ReplaceLease { name, object } => self.replace(now_ms, &name, object),
            Request::PatchLease { name, patch } => self.patch(now_ms, &name, &patch),
            Request::DeleteLease { name } => match self.now.leases.remove(&name) {
                None => not_found(LEASES, &name),
                Some(object) => {
                    self.version += 1;
                    self.remember(now_ms);
                    (StatusCode::OK, object, Some(Event::LeaseDeleted { lease: name }))
                }
            },
            Request::CreateEvent { object } => self.event(object),
            Request::GetLease { .. } | Request::GetPod { .. } => unreachable!("reads were answered above"),
        }
    }

    fn create(&mut self, now_ms: u64, object: Value) -> Answered {
        let Some(name) = object["metadata"]["name"].as_str().map(str::to_owned) else {
            return status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", LEASES, "", "name is required");
        };
        if self.now.leases.contains_key(&name) {
            let message = format!("leases.coordination.k8s.io {name:?} already exists");
            return status(StatusCode::CONFLICT, "AlreadyExists", LEASES, &name, &message);
        }
        let (object, event) = self.write(now_ms, &name, object, None, true);
        (StatusCode::CREATED, object, Some(event))
    }

    fn replace(&mut self, now_ms: u64, name: &str, object: Value) -> Answered {
        let Some(stored) = self.now.leases.get(name) else { return not_found(LEASES, name) };
        // As the real one: a Lease cannot be replaced without naming the version that was read.
        let Some(named) = version_of(&object) else {
            let message = "metadata.resourceVersion: Invalid value: 0: must be specified for an update";
            return status(StatusCode::UNPROCESSABLE_ENTITY, "Invalid", LEASES, name, message);
        };
        if Some(named) != version_of(stored) {
            return conflict(name);
        }
        let (object, event) = self.write(now_ms, name, object, Some(named), false);
        (StatusCode::OK, object, Some(event))
    }

    /// A merge patch: with a version it is a comparison, without one it is blind.
    fn patch(&mut self, now_ms: u64, name: &str, patch: &Value) -> Answered {
        let Some(stored) = self.now.leases.get(name) else { return not_found(LEASES, name) };
        let named = version_of(patch);
        if named.is_some() && named != version_of(stored) {
            return conflict(name);
        }
        let mut object = stored.clone();
        merge(&mut object, patch);
        let (object, event) = self.write(now_ms, name, object, named, false);
        (StatusCode::OK, object, Some(event))
    }

    fn write(
        &mut self,
        now_ms: u64,
        name: &str,
        mut object: Value,
        named: Option<u64>,
        created: bool,
    ) -> (Value, Event) {
        self.version += 1;
        object["apiVersion"] = json!("coordination.k8s.io/v1");
        object["kind"] = json!("Lease");
        object["metadata"]["namespace"] = json!(NAMESPACE);
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        if object["metadata"]["uid"].is_null() {
            object["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.version));
        }
        let holder = object["spec"]["holderIdentity"].as_str().unwrap_or_default().to_owned();
        self.now.leases.insert(name.to_owned(), object.clone());
        self.remember(now_ms);
        let lease = name.to_owned();
        (object, Event::LeaseWritten { lease, version: self.version, named, holder, created })
    }

    /// Events are written and never read here, so only the trace keeps them.
    fn event(&mut self, mut object: Value) -> Answered {
        self.version += 1;
        if let Some(prefix) = object["metadata"]["generateName"].as_str() {
            object["metadata"]["name"] = json!(format!("{prefix}{:x}", self.version));
        }
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let text = |field: &str| object[field].as_str().unwrap_or_default().to_owned();
        let event = Event::KubernetesEvent { reason: text("reason"), note: text("message") };
        (StatusCode::CREATED, object, Some(event))
    }

    fn remember(&mut self, now_ms: u64) {
        self.history.push_back((now_ms, self.now.clone()));
        // One older than the window stays: it was true when the window began.
        while self.history.get(1).is_some_and(|(from_ms, _)| from_ms + HISTORY_MS <= now_ms) {
            self.history.pop_front();
        }
    }
}

const LEASES: (&str, &str) = ("leases", "coordination.k8s.io");
const PODS: (&str, &str) = ("pods", "");

/// A `Status` object: how the API server says that something is wrong.
pub(super) fn status(
    code: StatusCode,
    reason: &str,
    (kind, group): (&str, &str),
    name: &str,
    message: &str,
) -> Answered {
    let mut details = json!({"name": name, "kind": kind});
    if !group.is_empty() {
        details["group"] = json!(group);
    }
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "details": details, "code": code.as_u16(),
    });
    (code, object, None)
}

fn not_found((kind, group): (&str, &str), name: &str) -> Answered {
    let full = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
    let message = format!("{full} {name:?} not found");
    status(StatusCode::NOT_FOUND, "NotFound", (kind, group), name, &message)
}

fn conflict(name: &str) -> Answered {
    let message = format!(
        "Operation cannot be fulfilled on leases.coordination.k8s.io {name:?}: the object has been modified; please \
         apply your changes to the latest version and try again"
    );
    status(StatusCode::CONFLICT, "Conflict", LEASES, name, &message)
}

fn version_of(object: &Value) -> Option<u64> {
    object["metadata"]["resourceVersion"].as_str()?.parse().ok()
}

/// RFC 7396.
fn merge(into: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *into = patch.clone();
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    for (key, value) in patch {
        match value {
            Value::Null => drop(into.as_object_mut().map(|object| object.remove(key))),
            value => merge(&mut into[key], value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(holder: &str, version: Option<&str>) -> Value {
        let mut lease = json!({"metadata": {"name": "orders"}, "spec": {"holderIdentity": holder}});
        if let Some(version) = version {
            lease["metadata"]["resourceVersion"] = json!(version);
        }
        lease
    }

    fn replace(objects: &mut Objects, holder: &str, version: Option<&str>) -> Answered {
        let request = Request::ReplaceLease { name: "orders".into(), object: lease(holder, version) };
        objects.apply(9, request)
    }

    #[test]
    fn a_lease_can_be_created_once() {
        let mut objects = Objects::default();
        let (code, _, event) = objects.apply(1, Request::CreateLease { object: lease("a", None) });
        assert_eq!(code, 201);
        assert!(matches!(event, Some(Event::LeaseWritten { named: None, created: true, .. })), "{event:?}");
        let (code, object, event) = objects.apply(2, Request::CreateLease { object: lease("b", None) });
        assert_eq!((code.as_u16(), object["reason"].as_str(), event), (409, Some("AlreadyExists"), None));
    }

    #[test]
    fn a_replace_must_name_the_version_that_stands_there() {
        let mut objects = Objects::default();
        let (_, created, _) = objects.apply(1, Request::CreateLease { object: lease("a", None) });
        let version = created["metadata"]["resourceVersion"].as_str();
        assert_eq!(replace(&mut objects, "b", None).0, 422);
        assert_eq!(replace(&mut objects, "b", Some("77")).0, 409);
        assert_eq!(replace(&mut objects, "b", version).0, 200);
        assert_eq!(replace(&mut objects, "c", version).0, 409, "the version has changed");
    }

    #[test]
    fn a_patch_without_a_version_is_blind_and_the_trace_says_so() {
        let mut objects = Objects::default();
        objects.apply(1, Request::CreateLease { object: lease("a", None) });
        let patch = json!({"spec": {"holderIdentity": "b"}});
        let (code, object, event) = objects.apply(2, Request::PatchLease { name: "orders".into(), patch });
        assert_eq!((code.as_u16(), object["spec"]["holderIdentity"].as_str()), (200, Some("b")));
        assert!(matches!(event, Some(Event::LeaseWritten { named: None, created: false, .. })), "{event:?}");
    }

    #[test]
    fn a_stale_read_shows_what_was_true_then() {
        let mut objects = Objects::default();
        objects.apply(1_000, Request::CreateLease { object: lease("a", None) });
        objects.apply(5_000, Request::ReplaceLease { name: "orders".into(), object: lease("b", Some("1")) });
        let holder = |at_ms| {
            let request = Request::GetLease { name: "orders".into() };
            let (_, object, _) = objects.read(&request, at_ms).expect("a read");
            object["spec"]["holderIdentity"].as_str().map(str::to_owned)
        };
        assert_eq!(holder(6_000).as_deref(), Some("b"));
        assert_eq!(holder(4_999).as_deref(), Some("a"));
    }
}
