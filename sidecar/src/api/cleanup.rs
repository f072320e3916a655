//! Flink's wishes to delete everything: they leave tombstones (promise P4).

use axum::extract::State;
use ha_store::{Change, JobId};
use http::StatusCode;

use super::Api;
use super::problem::Problem;
use super::request::{Params, Write};

pub(super) async fn job(State(api): State<Api>, write: Write, params: Params) -> Result<StatusCode, Problem> {
    let job: JobId = params.get("job")?;
    api.commit(write.epoch, write.key, Change::CleanJob { job: job.clone() }).await?;
    tracing::info!(event = "job-cleaned", %job, "job {job} was cleaned up by Flink; its pointers are retained");
    Ok(StatusCode::OK)
}

pub(super) async fn deployment(State(api): State<Api>, write: Write) -> Result<StatusCode, Problem> {
    api.commit(write.epoch, write.key, Change::CleanDeployment).await?;
    tracing::info!(event = "deployment-cleaned", "Flink cleaned up everything; its pointers are retained");
    Ok(StatusCode::OK)
}
