//! Which jobs and applications ended. What ended stays ended (promise P5).

use std::str::FromStr;

use axum::Json;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use ha_store::{Answer, Change, DeploymentState, JobId, Refusal, ResultEntry, ResultId, ResultKind};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::request::{self, Params, UnderEpoch, Write};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct CreateRequest {
    status: String,
    payload: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Listing {
    results: Vec<Shown>,
}

#[derive(Debug, Serialize)]
pub(super) struct Shown {
    id: String,
    state: &'static str,
    status: String,
    payload: String,
}

/// `jobs` or `applications`, as the path says it.
struct Kind(ResultKind);

impl FromStr for Kind {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jobs" => Ok(Self(ResultKind::Jobs)),
            "applications" => Ok(Self(ResultKind::Applications)),
            _ => Err("jobs or applications is allowed"),
        }
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
    RawQuery(query): RawQuery,
) -> Result<Json<Listing>, Problem> {
    let Kind(kind) = params.get("kind")?;
    let wanted = match query.as_deref() {
        None | Some("") => None,
        Some("state=dirty") => Some(false),
        Some("state=clean") => Some(true),
        Some(other) => {
            return Err(Problem::malformed(format!(
                "query {other:?}: state=dirty or state=clean is allowed"
            )));
        }
    };
    let view = api.confirmed(epoch).await?;
    let mut results = Vec::new();
    for (id, entry) in view.state.results.of(kind) {
        if wanted.is_none_or(|clean| clean == entry.clean) {
            results.push(show(&api, id, entry).await?);
        }
    }
    Ok(Json(Listing { results }))
}

pub(super) async fn read(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
) -> Result<Json<Shown>, Problem> {
    let (Kind(kind), id) = (params.get("kind")?, params.get::<ResultId>("id")?);
    let view = api.confirmed(epoch).await?;
    let entry = find(&view.state, kind, &id)?;
    Ok(Json(show(&api, &id, entry).await?))
}

pub(super) async fn create(
    State(api): State<Api>,
    write: Write,
    params: Params,
    body: Body,
) -> Result<StatusCode, Problem> {
    let (Kind(kind), id) = (params.get("kind")?, params.get::<ResultId>("id")?);
    let max_bytes = api.limits.result_bytes_max;
    // Base64 makes four bytes of three; the rest of the JSON is small.
    let asked: CreateRequest = request::json(body, "the result", max_bytes / 3 * 4 + 4_096).await?;
    let payload = BASE64.decode(&asked.payload);
    let payload = payload.map_err(|error| Problem::malformed(format!("payload: {error}")))?;
    if payload.len() as u64 > max_bytes {
        return Err(Problem::too_large("a result", max_bytes, "fixed"));
    }
    if kind == ResultKind::Jobs && !is_recorded(&api, &id) {
        // While this is unanswered, Flink still tells of the job's savepoints; afterwards it ends its process.
        let job: JobId = params.get("id")?;
        api.observation.last_look(write.epoch, &job, &asked.status).await;
    }
    let payload = api.put_payload(write.epoch, Bytes::from(payload)).await?;
    let change = Change::CreateResult { kind, id: id.clone(), status: asked.status.clone(), payload };
    match api.commit(write.epoch, write.key, change).await? {
        Answer::Created => {
            tracing::info!(event = "result-recorded", %id, status = asked.status, "the result of {id} is durable");
            Ok(StatusCode::CREATED)
        }
        _ => Ok(StatusCode::OK),
    }
}

pub(super) async fn clean(
    State(api): State<Api>,
    write: Write,
    params: Params,
) -> Result<StatusCode, Problem> {
    let (Kind(kind), id) = (params.get("kind")?, params.get("id")?);
    api.commit(write.epoch, write.key, Change::CleanResult { kind, id }).await?;
    Ok(StatusCode::OK)
}

/// A retry of what was recorded needs no last look.
fn is_recorded(api: &Api, id: &ResultId) -> bool {
    api.store.view().state.results.of(ResultKind::Jobs).contains_key(id)
}

fn find<'a>(state: &'a DeploymentState, kind: ResultKind, id: &ResultId) -> Result<&'a ResultEntry, Problem> {
    let found = state.results.of(kind).get(id);
    found.ok_or_else(|| Refusal::UnknownResult { kind, id: id.clone() }.into())
}

async fn show(api: &Api, id: &ResultId, entry: &ResultEntry) -> Result<Shown, Problem> {
    let payload = api.payload(&entry.payload).await?;
    Ok(Shown {
        id: id.to_string(),
        state: if entry.clean { "clean" } else { "dirty" },
        status: entry.status.clone(),
        payload: BASE64.encode(payload),
    })
}
