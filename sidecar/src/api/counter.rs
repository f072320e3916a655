//! The checkpoint-id counter: an id is given out once, whatever happens.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use ha_store::{Answer, Change, JobId};
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::request::{self, Params, SMALL_JSON_BYTES_MAX, UnderEpoch, Write};

/// An id, or the next one.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Value {
    value: u64,
}

pub(super) async fn next(
    State(api): State<Api>,
    write: Write,
    params: Params,
) -> Result<Json<Value>, Problem> {
    let change = Change::NextCheckpointId { job: params.get("job")? };
    valued(api.commit(write.epoch, write.key, change).await?)
}

pub(super) async fn set(
    State(api): State<Api>,
    write: Write,
    params: Params,
    body: Body,
) -> Result<Json<Value>, Problem> {
    let job: JobId = params.get("job")?;
    let Value { value } = request::json(body, "the counter", SMALL_JSON_BYTES_MAX).await?;
    valued(api.commit(write.epoch, write.key, Change::SetCheckpointId { job, value }).await?)
}

pub(super) async fn read(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
) -> Result<Json<Value>, Problem> {
    let job: JobId = params.get("job")?;
    let view = api.confirmed(epoch).await?;
    let found = view.state.jobs.get(&job).ok_or_else(|| Problem::unknown_job(job.as_str()))?;
    Ok(Json(Value { value: found.next_checkpoint_id }))
}

fn valued(answer: Answer) -> Result<Json<Value>, Problem> {
    match answer {
        Answer::Value(value) => Ok(Json(Value { value })),
        // The key was used for another kind of write: the client broke its promise to make a new one for each.
        other => Err(Problem::malformed(format!(
            "this Idempotency-Key belongs to another write, answered {other:?}"
        ))),
    }
}
