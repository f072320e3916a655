//! Errors as the protocol states them: `application/problem+json` with a stable `type`, and `outcome`, which says
//! what became of a write.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use ha_store::{Epoch, Refusal, StoreError};
use http::{HeaderValue, Method, StatusCode, Uri, header};
use serde::Serialize;

use crate::wishes::Declined;

/// An answer of 400 and above.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    outcome: Outcome,
    detail: String,
}

/// What became of the write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Nothing was stored, and nothing of this request will be.
    NotRecorded,
    /// It may have been stored, or may be later.
    Unknown,
}

/// A row of the table in `docs/protocol.md`: slug, status, title.
type Kind = (&'static str, StatusCode, &'static str);

const MALFORMED: Kind = ("malformed", StatusCode::BAD_REQUEST, "the request does not parse");
const MISSING_HEADER: Kind = ("missing-header", StatusCode::BAD_REQUEST, "a required header is absent");
const NOT_FOUND: Kind = ("not-found", StatusCode::NOT_FOUND, "no such path");
const UNKNOWN_JOB: Kind = ("unknown-job", StatusCode::NOT_FOUND, "the deployment has never seen this job");
const NO_GRAPH: Kind = ("no-graph", StatusCode::NOT_FOUND, "no graph is stored");
const NO_PLAN: Kind = ("no-plan", StatusCode::NOT_FOUND, "nothing is planned for this generation");
const UNKNOWN_RESULT: Kind = ("unknown-result", StatusCode::NOT_FOUND, "no result is recorded");
const UNKNOWN_SESSION: Kind = ("unknown-session", StatusCode::NOT_FOUND, "no such session");
const UNKNOWN_SNAPSHOT: Kind =
    ("unknown-snapshot", StatusCode::NOT_FOUND, "the deployment knows no such snapshot");
const UNKNOWN_SAVEPOINT: Kind =
    ("unknown-savepoint", StatusCode::NOT_FOUND, "no savepoint of this id was asked for here");
const METHOD_NOT_ALLOWED: Kind =
    ("method-not-allowed", StatusCode::METHOD_NOT_ALLOWED, "the path has no such method");
const ALREADY_EXISTS: Kind = ("already-exists", StatusCode::CONFLICT, "it is there with another content");
const CONFLICT: Kind = ("conflict", StatusCode::CONFLICT, "the state of the deployment does not allow it");
const STALE_VERSION: Kind = ("stale-version", StatusCode::CONFLICT, "it has another version by now");
const FENCED: Kind = ("fenced", StatusCode::PRECONDITION_FAILED, "a newer epoch exists");
const TOO_LARGE: Kind = ("too-large", StatusCode::PAYLOAD_TOO_LARGE, "the body is over its limit");
const LIMIT_REACHED: Kind = ("limit-reached", StatusCode::UNPROCESSABLE_ENTITY, "a bounded list is full");
const CORRUPT: Kind = ("corrupt", StatusCode::INTERNAL_SERVER_ERROR, "what the store holds is damaged");
const NOT_READY: Kind = ("not-ready", StatusCode::SERVICE_UNAVAILABLE, "the sidecar holds no epoch yet");
const UNAVAILABLE: Kind = ("unavailable", StatusCode::SERVICE_UNAVAILABLE, "the store did not take it");
const JOB_MANAGER_UNAVAILABLE: Kind =
    ("job-manager-unavailable", StatusCode::SERVICE_UNAVAILABLE, "the JobManager could not be asked");
const TOO_MANY_STREAMS: Kind =
    ("too-many-streams", StatusCode::SERVICE_UNAVAILABLE, "the limit of open streams is reached");
const UNKNOWN_OUTCOME: Kind =
    ("unknown-outcome", StatusCode::GATEWAY_TIMEOUT, "the store did not answer in time");

const RETRY_AFTER_SECONDS: &str = "1";

// === impl Problem ===

impl Problem {
    fn new((slug, status, title): Kind, detail: impl Into<String>) -> Self {
        let kind = format!("urn:holdfast:problem:{slug}");
        let outcome = if slug == UNKNOWN_OUTCOME.0 { Outcome::Unknown } else { Outcome::NotRecorded };
        Self { kind, title, status, outcome, detail: detail.into() }
    }

    /// Something of the request does not parse; `detail` names the place.
    pub fn malformed(detail: impl Into<String>) -> Self {
        Self::new(MALFORMED, detail)
    }

    /// A required header is absent.
    pub fn missing_header(name: &str) -> Self {
        Self::new(MISSING_HEADER, format!("the header {name} is required here"))
    }

    /// The caller's epoch is over.
    pub fn fenced(ours: Epoch, newest: Epoch) -> Self {
        let detail = format!(
            "epoch {ours} was deposed by epoch {newest}; this process must not act as the leader any more"
        );
        Self::new(FENCED, detail)
    }

    /// The epoch is not held here (yet), so what became of an earlier attempt cannot be known.
    pub fn not_resumed(epoch: Epoch) -> Self {
        let detail =
            format!("this sidecar has not resumed epoch {epoch}; open or resume its session, and ask again");
        Self::new(UNKNOWN_OUTCOME, detail)
    }

    /// This sidecar cannot say it yet.
    pub fn not_ready(detail: impl Into<String>) -> Self {
        Self::new(NOT_READY, detail)
    }

    /// The body is over its limit.
    pub fn too_large(what: &str, max_bytes: u64, option: &str) -> Self {
        Self::new(TOO_LARGE, format!("{what} may have {max_bytes} bytes at most ({option})"))
    }

    /// The limit of open streams is reached.
    pub fn too_many_streams(detail: impl Into<String>) -> Self {
        Self::new(TOO_MANY_STREAMS, detail)
    }

    /// No such session.
    pub fn unknown_session(session: &str) -> Self {
        Self::new(UNKNOWN_SESSION, format!("no session {session} is open here"))
    }

    /// No such job.
    pub fn unknown_job(job: &str) -> Self {
        Self::new(UNKNOWN_JOB, format!("the deployment has never seen job {job}"))
    }

    /// No stored graph.
    pub fn no_graph(job: &str) -> Self {
        Self::new(NO_GRAPH, format!("no graph is stored for job {job}"))
    }

    /// No restore plan.
    pub fn no_plan() -> Self {
        Self::new(NO_PLAN, "no restore plan is recorded for the present generation")
    }

    /// No result.
    pub fn unknown_result(id: &str) -> Self {
        Self::new(UNKNOWN_RESULT, format!("no result is recorded for {id}"))
    }

    /// No such snapshot.
    pub fn unknown_snapshot(name: &str) -> Self {
        let way_out = "`holdfast snapshots list` shows those that are known";
        Self::new(UNKNOWN_SNAPSHOT, format!("no snapshot {name:?} is known to this deployment; {way_out}"))
    }

    /// No such savepoint was asked for.
    pub fn unknown_savepoint(id: &str) -> Self {
        let way_out = "a sidecar remembers the last 100 that it was asked for since it started; `holdfast snapshots list` \
                       shows those that were recorded";
        Self::new(UNKNOWN_SAVEPOINT, format!("no savepoint {id:?} was asked for here; {way_out}"))
    }

    /// The JobManager does not know this job.
    pub fn unknown_job_of_flink(detail: impl Into<String>) -> Self {
        Self::new(UNKNOWN_JOB, detail)
    }

    /// The JobManager cannot be asked, so nothing was done.
    pub fn job_manager_unavailable(detail: impl Into<String>) -> Self {
        Self::new(JOB_MANAGER_UNAVAILABLE, detail)
    }

    /// What is there does not allow it.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(CONFLICT, detail)
    }

    /// The answer did not come in time. A write that was under way may have been recorded.
    pub fn unanswered(limit: Duration) -> Self {
        Self::new(UNKNOWN_OUTCOME, format!("no answer within {} ms", limit.as_millis()))
    }

    /// A list inside a request is over its limit.
    pub fn limit_reached(detail: impl Into<String>) -> Self {
        Self::new(LIMIT_REACHED, detail)
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let detail = error.to_string();
        match error {
            StoreError::Fenced { .. } => Self::new(FENCED, detail),
            StoreError::Unknown { .. } => Self::new(UNKNOWN_OUTCOME, detail),
            StoreError::Unavailable { .. } => Self::new(UNAVAILABLE, detail),
            StoreError::Corrupt { .. } | StoreError::Unfit { .. } => Self::new(CORRUPT, detail),
            StoreError::Refused(refusal) => Self::from(refusal),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match &refusal {
            Refusal::UnknownJob { .. } => UNKNOWN_JOB,
            Refusal::NoGraph { .. } => NO_GRAPH,
            Refusal::UnknownResult { .. } => UNKNOWN_RESULT,
            Refusal::UnknownSnapshot { .. } => UNKNOWN_SNAPSHOT,
            Refusal::AlreadyExists { .. } => ALREADY_EXISTS,
            Refusal::StaleVersion { .. } => STALE_VERSION,
            Refusal::LimitReached { .. } => LIMIT_REACHED,
            Refusal::TooLarge { .. } => TOO_LARGE,
            _ => CONFLICT,
        };
        Self::new(kind, refusal.to_string())
    }
}

impl From<Declined> for Problem {
    fn from(declined: Declined) -> Self {
        let kind = match &declined {
            Declined::Unknown(_) => UNKNOWN_SNAPSHOT,
            Declined::Refused(_) => CONFLICT,
            Declined::Unanswered(_) => UNAVAILABLE,
        };
        Self::new(kind, declined.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER_SECONDS));
        }
        response
    }
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    Problem::new(NOT_FOUND, format!("{} is no path of this listener", uri.path()))
}

pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(METHOD_NOT_ALLOWED, format!("{} does not take {method}", uri.path()))
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}
