//! What can go wrong with a request, and where.

use std::time::Duration;

use harness::fault_proxy::{Canned, Disturbance, Pattern};
use http::Method;
use serde_json::{Value, json};

/// Something that goes wrong.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) name: &'static str,
    pub(crate) disturbance: Disturbance,
    /// How often in a row. A request that hangs and one that asks for patience cost more of the Lease than others.
    pub(crate) times: usize,
    /// For how long the server wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Fault {
    /// Whether the server does what it is asked.
    pub(crate) fn is_applied(&self) -> bool {
        matches!(self.disturbance, Disturbance::LoseAnswer | Disturbance::Falsify(_))
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// More than anybody may be granted.
pub(crate) const A_DAY: Duration = Duration::from_secs(86_400);

/// All of them. The slowest comes last.
pub(crate) fn faults() -> Vec<Fault> {
    let mut faults = vec![
        thrice("401", answer(401, &failure(401, "Unauthorized"))),
        thrice("403", answer(403, &failure(403, "Forbidden"))),
        thrice("409", answer(409, &failure(409, "Conflict"))),
        thrice("410", answer(410, &failure(410, "Expired"))),
        thrice("500", answer(500, &failure(500, "InternalError"))),
        thrice("502 with a page", answer(502, PAGE)),
        thrice("504", answer(504, &failure(504, "Timeout"))),
        thrice("404 of a load balancer", answer(404, "404 page not found")),
        thrice("404 of nothing", answer(404, "{}")),
        thrice("reset", Disturbance::Reset),
        thrice("200 with a page", answer(200, PAGE)),
        thrice("200 with an empty object", answer(200, "{}")),
        thrice("200 with half an object", answer(200, "{\"metadata\":{\"name\":\"exa")),
        thrice("200 with something else", answer(200, &json!({"kind": "Status", "status": "Success"}))),
        thrice("applied, and the connection closed", Disturbance::LoseAnswer),
        thrice("applied, and answered 504", falsify(504, &failure(504, "Timeout"))),
        thrice("applied, and answered 409", falsify(409, &failure(409, "Conflict"))),
    ];
    // As the API server's own protection from overload says it, and as its registry does.
    faults.push(patience("429 with Retry-After: 1", SECOND, "Too many requests, please try again later."));
    let mut in_the_body = failure(503, "ServiceUnavailable");
    in_the_body["details"] = json!({"retryAfterSeconds": 1});
    faults.push(Fault {
        retry_after: Some(SECOND),
        times: 1,
        ..thrice("503 that asks for a second", answer(503, &in_the_body))
    });
    faults.push(patience("429 with Retry-After: 86400", A_DAY, &failure(429, "TooManyRequests").to_string()));
    faults.push(Fault { times: 1, ..thrice("no answer", Disturbance::Hang) });
    faults
}

/// The answer to a write names another holder. Nobody wrote that: it is no loss.
pub(crate) fn of_somebody_else(lease: &str) -> Fault {
    let lease = json!({"kind": "Lease", "apiVersion": "coordination.k8s.io/v1",
        "metadata": {"name": lease, "uid": "u", "resourceVersion": "1"},
        "spec": {"holderIdentity": "somebody", "leaseDurationSeconds": 4}});
    thrice("200 with another's Lease", answer(200, &lease))
}

/// It looks like a pod, and says nothing.
pub(crate) fn of_no_pod(name: &str) -> Fault {
    let pod = json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "resourceVersion": "1"}});
    thrice("200 with a pod without UID", answer(200, &pod))
}

pub(crate) fn conflict() -> Disturbance {
    answer(409, &failure(409, "Conflict"))
}

pub(crate) fn lease(method: Method) -> Pattern {
    let own_name = if method == Method::POST { "" } else { "/*" };
    Pattern::new(method, &format!("/apis/coordination.k8s.io/v1/namespaces/*/leases{own_name}"))
}

/// `*` is any pod.
pub(crate) fn pod(name: &str) -> Pattern {
    Pattern::new(Method::GET, &format!("/api/v1/namespaces/*/pods/{name}"))
}

pub(crate) fn events() -> Pattern {
    Pattern::new(Method::POST, "/api/v1/namespaces/*/events")
}

const PAGE: &str = "<html>\n<head><title>Sorry</title></head>\n<body>\n<h1>Sorry</h1>\n</body>\n</html>\n";

fn thrice(name: &'static str, disturbance: Disturbance) -> Fault {
    Fault { name, disturbance, times: 3, retry_after: None }
}

/// In the header only.
fn patience(name: &'static str, retry_after: Duration, body: &str) -> Fault {
    let canned = Canned { status: 429, retry_after_s: Some(retry_after.as_secs()), body: body.to_owned() };
    Fault { name, disturbance: Disturbance::Answer(canned), times: 1, retry_after: Some(retry_after) }
}

fn answer(status: u16, body: &(impl ToString + ?Sized)) -> Disturbance {
    Disturbance::Answer(canned(status, body))
}

fn falsify(status: u16, body: &(impl ToString + ?Sized)) -> Disturbance {
    Disturbance::Falsify(canned(status, body))
}

fn canned(status: u16, body: &(impl ToString + ?Sized)) -> Canned {
    Canned { status, retry_after_s: None, body: body.to_string() }
}

fn failure(code: u16, reason: &str) -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("the test says {reason}"), "reason": reason, "code": code})
}
