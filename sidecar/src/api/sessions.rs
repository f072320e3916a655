//! JobManager sessions: a session lives as long as its stream.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures::{StreamExt, stream};
use ha_store::{Epoch, SessionId};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::request::{self, Params, SMALL_JSON_BYTES_MAX};
use super::{Api, streams};
use crate::leadership::{OpenError, Opening};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenRequest {
    process: String,
    flink_version: String,
    cluster_id: String,
    resume: Option<ResumeRequest>,
    #[serde(default)]
    answers_pings: bool,
    #[serde(default)]
    waited: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResumeRequest {
    session: String,
    epoch: u64,
}

#[derive(Debug, Serialize)]
struct Opened<'a> {
    event: &'static str,
    session: &'a str,
    deployment: &'a str,
    generation: &'a str,
    incarnation: &'a str,
    version: &'static str,
}

#[derive(Debug, Serialize)]
pub(super) struct OpenSessions {
    sessions: Vec<OpenSession>,
}

/// What `holdfast exec` needs to know of the processes that it started.
#[derive(Debug, Serialize)]
struct OpenSession {
    session: String,
    process: String,
    granted: bool,
    unanswered_pings: Option<u32>,
}

impl ResumeRequest {
    fn parse(self) -> Result<(SessionId, Epoch), Problem> {
        let session = self.session.parse::<SessionId>();
        let session = session.map_err(|error| Problem::malformed(format!("resume.session: {error}")))?;
        Ok((session, Epoch::new(self.epoch)))
    }
}

pub(super) async fn open(State(api): State<Api>, body: Body) -> Result<Response, Problem> {
    let asked: OpenRequest = request::json(body, "the session request", SMALL_JSON_BYTES_MAX).await?;
    check_token("process", &asked.process)?;
    check_token("flink_version", &asked.flink_version)?;
    let resume = asked.resume.map(ResumeRequest::parse).transpose()?;
    let process = asked.process;
    let opening = Opening {
        process: process.clone(),
        answers_pings: asked.answers_pings,
        resume,
        waited: asked.waited,
    };
    let attached = api.leadership.open(opening).await.map_err(|error| match error {
        OpenError::TooMany { .. } => Problem::too_many_streams(error.to_string()),
        OpenError::Stopping => Problem::not_ready(error.to_string()),
    })?;
    tracing::debug!(event = "job-manager", process, flink = asked.flink_version,
        cluster = asked.cluster_id, session = %attached.session, "a JobManager opened a stream");
    let first = streams::line(&Opened {
        event: "session",
        session: attached.session.as_str(),
        deployment: &api.deployment,
        generation: &api.generation,
        incarnation: api.store.incarnation().as_str(),
        version: env!("CARGO_PKG_VERSION"),
    });
    let pulse = attached.pulse.clone();
    let events = stream::unfold(attached, |mut attached| async move {
        let event = attached.events.recv().await?;
        Some((streams::line(&event), attached))
    });
    Ok(streams::held(stream::once(async { first }).chain(events), move || pulse.ping()))
}

pub(super) async fn list(State(api): State<Api>) -> Json<OpenSessions> {
    let view = api.leadership.view();
    let granted = view.leader.map(|leader| leader.session);
    let sessions = view.sessions.into_iter().map(|open| OpenSession {
        granted: granted.as_ref() == Some(&open.session),
        session: open.session.to_string(),
        process: open.process,
        unanswered_pings: open.pulse.unanswered_pings(),
    });
    Json(OpenSessions { sessions: sessions.collect() })
}

pub(super) async fn pong(State(api): State<Api>, params: Params) -> Result<StatusCode, Problem> {
    let session: SessionId = params.get("session")?;
    let view = api.leadership.view();
    let open = view.sessions.iter().find(|open| open.session == session);
    open.ok_or_else(|| Problem::unknown_session(session.as_str()))?.pulse.pong();
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn close(State(api): State<Api>, params: Params) -> Result<StatusCode, Problem> {
    let session: SessionId = params.get("session")?;
    let name = session.to_string();
    match api.leadership.close(session).await {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::unknown_session(&name)),
    }
}

fn check_token(field: &str, value: &str) -> Result<(), Problem> {
    let good = (1..=64).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    let detail = || format!("{field} {value:?}: 1 to 64 visible ASCII characters are allowed");
    good.then_some(()).ok_or_else(|| Problem::malformed(detail()))
}
