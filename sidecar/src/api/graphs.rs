//! Stored graphs: bytes that the sidecar does not look into.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ha_store::{Answer, Change, Expected, GraphEntry, JobId};
use http::request::Parts;
use http::{StatusCode, header};
use serde::Serialize;

use super::Api;
use super::checkpoints::Removed;
use super::problem::Problem;
use super::request::{self, Params, UnderEpoch, Write};

const FINGERPRINT_HEADER: &str = "holdfast-fingerprint";

#[derive(Debug, Serialize)]
pub(super) struct Listing {
    graphs: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    job: JobId,
    hash: String,
    bytes: u64,
    flink_version: String,
    fingerprint: Option<String>,
}

/// What the graph was made from, as the adapter saw it: 1 to 256 visible ASCII characters.
struct Fingerprint(String);

impl std::str::FromStr for Fingerprint {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let good = (1..=256).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        good.then(|| Self(text.to_owned())).ok_or("a fingerprint has 1 to 256 visible ASCII characters")
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
) -> Result<Json<Listing>, Problem> {
    let view = api.confirmed(epoch).await?;
    let stored = view.state.jobs.iter().filter_map(|(job, state)| Some((job, state.graph.as_ref()?)));
    let graphs = stored.map(|(job, graph)| Listed {
        job: job.clone(),
        hash: graph.blob.hash.clone(),
        bytes: graph.blob.bytes,
        flink_version: graph.flink_version.clone(),
        fingerprint: graph.fingerprint.clone(),
    });
    Ok(Json(Listing { graphs: graphs.collect() }))
}

pub(super) async fn read(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
) -> Result<Response, Problem> {
    let job: JobId = params.get("job")?;
    let view = api.confirmed(epoch).await?;
    let stored = view.state.jobs.get(&job).and_then(|state| state.graph.as_ref());
    let graph = stored.ok_or_else(|| Problem::no_graph(job.as_str()))?;
    let bytes = api.payload(&graph.blob).await?;
    let etag = format!("\"{}\"", graph.blob.hash);
    Ok(([(header::ETAG, etag), (header::CONTENT_TYPE, "application/octet-stream".into())], bytes)
        .into_response())
}

pub(super) async fn write(
    State(api): State<Api>,
    write: Write,
    params: Params,
    parts: Parts,
    body: Body,
) -> Result<StatusCode, Problem> {
    let job: JobId = params.get("job")?;
    let expected = expected(&parts)?;
    let flink_version: String = request::header(&parts, "flink-version")?;
    let fingerprint: Option<Fingerprint> = request::optional_header(&parts, FINGERPRINT_HEADER)?;
    let max_bytes = api.limits.blob_bytes_max;
    // Refused before megabytes are stored for it; the store decides again when it writes the record.
    let view = api.confirmed(write.epoch).await?;
    if matches!(expected, Expected::Version(_))
        && view.state.jobs.get(&job).is_none_or(|state| state.graph.is_none())
    {
        return Err(Problem::no_graph(job.as_str()));
    }
    let bytes = request::bytes(body, "a stored graph", max_bytes, "--max-graph-bytes").await?;
    let blob = api.put_payload(write.epoch, bytes).await?;
    let graph = GraphEntry { blob, flink_version, fingerprint: fingerprint.map(|it| it.0) };
    match api.commit(write.epoch, write.key, Change::PutGraph { job: job.clone(), graph, expected }).await? {
        Answer::Created => {
            tracing::info!(event = "graph-stored", %job, "the graph of job {job} is durable");
            Ok(StatusCode::CREATED)
        }
        _ => Ok(StatusCode::OK),
    }
}

pub(super) async fn remove(
    State(api): State<Api>,
    write: Write,
    params: Params,
) -> Result<Json<Removed<bool>>, Problem> {
    let change = Change::DropGraph { job: params.get("job")? };
    let answer = api.commit(write.epoch, write.key, change).await?;
    Ok(Json(Removed::new(matches!(answer, Answer::Removed(1..)))))
}

/// What must be there for the write to be right.
fn expected(parts: &Parts) -> Result<Expected, Problem> {
    let add = parts.headers.contains_key(header::IF_NONE_MATCH);
    let replace = parts.headers.contains_key(header::IF_MATCH);
    match (add, replace) {
        (true, false) => match request::header::<String>(parts, "if-none-match")?.as_str() {
            "*" => Ok(Expected::Absent),
            other => Err(Problem::malformed(format!("If-None-Match: {other:?}: only * is allowed"))),
        },
        (false, true) => {
            let etag: String = request::header(parts, "if-match")?;
            let hash = etag.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
            let wrong = || Problem::malformed(format!("If-Match: {etag:?}: an ETag in quotes is allowed"));
            Ok(Expected::Version(hash.ok_or_else(wrong)?.to_owned()))
        }
        (true, true) => Err(Problem::malformed("either If-None-Match or If-Match, not both")),
        (false, false) => Err(Problem::missing_header("If-None-Match (to add) or If-Match (to replace)")),
    }
}
