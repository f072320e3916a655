//! Pointers to checkpoints.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ha_store::{Answer, Change, JobId, JobStatus, PointerRecord};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use snapshot::metadata::CheckpointProperties;

use super::Api;
use super::problem::Problem;
use super::request::{self, Params, SMALL_JSON_BYTES_MAX, UnderEpoch, Write};

#[derive(Debug, Serialize)]
pub(super) struct Listing {
    checkpoints: Vec<Listed>,
}

#[derive(Debug, Serialize)]
struct Listed {
    id: u64,
    pointer: PointerRecord,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct EndRequest {
    status: JobStatus,
    discarded: Vec<u64>,
}

#[derive(Debug, Serialize)]
pub(super) struct Ended {
    retained: u64,
    discarded: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RestoredRequest {
    id: u64,
}

/// How many snapshots the job has left behind.
#[derive(Debug, Serialize)]
pub(super) struct Restored {
    rolled_back: u64,
}

/// How many pointers are gone, or whether the one was.
#[derive(Debug, Serialize)]
pub(super) struct Removed<T> {
    removed: T,
}

impl<T> Removed<T> {
    pub(super) fn new(removed: T) -> Self {
        Self { removed }
    }
}

pub(super) async fn list(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
) -> Result<Json<Listing>, Problem> {
    let job: JobId = params.get("job")?;
    let view = api.confirmed(epoch).await?;
    let found = view.state.jobs.get(&job).ok_or_else(|| Problem::unknown_job(job.as_str()))?;
    let live =
        found.checkpoints.iter().map(|(id, snapshot)| Listed { id: *id, pointer: snapshot.pointer.clone() });
    Ok(Json(Listing { checkpoints: live.collect() }))
}

pub(super) async fn add(
    State(api): State<Api>,
    write: Write,
    params: Params,
    body: Body,
) -> Result<StatusCode, Problem> {
    let job: JobId = params.get("job")?;
    let id: u64 = params.get("id")?;
    // The JSON around the pointer's own strings is small.
    let max_bytes = api.limits.pointer_bytes_max + 4_096;
    let mut pointer: PointerRecord = request::json(body, "the pointer", max_bytes).await?;
    pointer.discard_subsumed = pointer.discard_subsumed.or_else(|| discard_subsumed(&pointer.properties));
    let answer =
        api.commit(write.epoch, write.key, Change::AddCheckpoint { job: job.clone(), id, pointer }).await?;
    if answer == Answer::Created {
        api.metrics.checkpoint(job.as_str(), id);
        tracing::info!(event = "checkpoint-added", %job, id, epoch = %write.epoch, "checkpoint {id} is durable");
        return Ok(StatusCode::CREATED);
    }
    Ok(StatusCode::OK)
}

/// What Flink's properties say of the time when a newer one takes its place.
fn discard_subsumed(properties: &str) -> Option<bool> {
    let serialized = BASE64.decode(properties).ok()?;
    CheckpointProperties::of_java(&serialized).map(|properties| properties.discard_subsumed)
}

pub(super) async fn remove(
    State(api): State<Api>,
    write: Write,
    params: Params,
) -> Result<Json<Removed<bool>>, Problem> {
    let change = Change::RemoveCheckpoint { job: params.get("job")?, id: params.get("id")? };
    let answer = api.commit(write.epoch, write.key, change).await?;
    Ok(Json(Removed { removed: matches!(answer, Answer::Removed(1..)) }))
}

pub(super) async fn clear(
    State(api): State<Api>,
    write: Write,
    params: Params,
) -> Result<Json<Removed<u64>>, Problem> {
    let change = Change::ClearCheckpoints { job: params.get("job")? };
    match api.commit(write.epoch, write.key, change).await? {
        Answer::Removed(removed) => Ok(Json(Removed { removed })),
        _ => Ok(Json(Removed { removed: 0 })),
    }
}

pub(super) async fn end(
    State(api): State<Api>,
    write: Write,
    params: Params,
    body: Body,
) -> Result<Json<Ended>, Problem> {
    let job: JobId = params.get("job")?;
    let EndRequest { status, discarded } = request::json(body, "the end", SMALL_JSON_BYTES_MAX).await?;
    let change = Change::EndJob { job: job.clone(), status, discarded };
    let Answer::Ended { retained, discarded } = api.commit(write.epoch, write.key, change).await? else {
        return Ok(Json(Ended { retained: 0, discarded: 0 }));
    };
    tracing::info!(event = "job-ended", %job, ?status, retained, discarded, "job {job} ended");
    Ok(Json(Ended { retained, discarded }))
}

/// The job is about to be restored from an older checkpoint, so what is newer will not have happened.
pub(super) async fn restored(
    State(api): State<Api>,
    write: Write,
    params: Params,
    body: Body,
) -> Result<Json<Restored>, Problem> {
    let job: JobId = params.get("job")?;
    let RestoredRequest { id } = request::json(body, "the restore", SMALL_JSON_BYTES_MAX).await?;
    let answer = api.commit(write.epoch, write.key, Change::RecordRestore { job: job.clone(), id }).await?;
    let rolled_back = if let Answer::Value(marked) = answer { marked } else { 0 };
    if rolled_back > 0 {
        tracing::info!(event = "rolled-back", %job, id, rolled_back, "job {job} goes back to checkpoint {id}");
    }
    Ok(Json(Restored { rolled_back }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Those at the end of a file that Flink wrote.
    fn properties_in(fixture: &str) -> String {
        let path = format!("{}/../snapshot/fixtures/{fixture}.metadata", env!("CARGO_MANIFEST_DIR"));
        let file = std::fs::read(path).expect("a fixture");
        let magic = [0xAC, 0xED, 0x00, 0x05];
        let start = file.windows(magic.len()).rposition(|window| window == magic).expect("a Java object");
        BASE64.encode(&file[start..])
    }

    #[test]
    fn flinks_own_properties_tell_whether_it_deletes_the_files() {
        for version in ["1.20.5", "2.2.1"] {
            let of = |kind: &str| discard_subsumed(&properties_in(&format!("{version}-{kind}")));
            assert_eq!(of("rocksdb-incremental"), Some(true), "{version}");
            assert_eq!(of("savepoint-canonical"), Some(false), "{version}");
        }
        assert_eq!(discard_subsumed("rO0ABQ=="), None);
        assert_eq!(discard_subsumed("not base64"), None);
    }
}
