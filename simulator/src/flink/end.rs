//! The end of a job for good, and of the application: what Flink writes and deletes, in its order.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::future;
use http::Method;
use serde_json::json;
use tokio::time::sleep;

use super::answer::{ALREADY_EXISTS, UNKNOWN_JOB, UNKNOWN_RESULT};
use super::calls::CallError;
use super::checkpoints::Checkpoints;
use super::http::Call;
use super::process::{Exit, Leadership, Leading, Process, exit};
use super::session::Session;
use super::start::drop_graph;
use crate::plan::Point;
use crate::trace::{Event, JobStatus};

/// The first and the longest pause between attempts to clean up (`cleanup-strategy.exponential-delay`).
const CLEANUP_PAUSES_MS: (u64, u64) = (1_000, 60_000);

/// Whether the end was reached before the leadership was lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Wholly,
    LeadershipLost,
}

/// The job reached a terminal status here.
pub(super) async fn end_job(
    process: &Process,
    leading: &Leading,
    leadership: &Leadership,
    checkpoints: Option<Checkpoints>,
    status: JobStatus,
) -> Result<Ended, Exit> {
    process.record(Event::JobEnded { job: process.env.job_id.clone(), status });
    process.env.points.reach(Point::BeforeResult, &process.env.actor).await;
    // JobMasterServiceLeadershipRunner drops the result of a job that it does not lead any more.
    if leading.is_over(leadership) {
        return Ok(Ended::LeadershipLost);
    }
    let path = format!("/v1/results/jobs/{}", process.env.job_id);
    let body = json!({"status": status.as_str(), "payload": BASE64.encode("JobResult")});
    let call = Call::write(Method::PUT, path, leading.epoch, process.calls.key()).json(&body);
    if process.calls.write(&call, &[ALREADY_EXISTS]).await?.problem.is_some() {
        return Err(Exit(exit::FATAL)); // createDirtyResultAsync has failed
    }
    process.cluster.ended();
    clean_up(process, leading, leadership, checkpoints, status).await
}

/// What is to be done after the result is dirty. `checkpoints` is `None` for a job that never had a store.
pub(super) async fn clean_up(
    process: &Process,
    leading: &Leading,
    leadership: &Leadership,
    checkpoints: Option<Checkpoints>,
    status: JobStatus,
) -> Result<Ended, Exit> {
    if let Some(checkpoints) = checkpoints {
        match checkpoints.shut_down(status).await {
            Ok(()) => {}
            // SUSPENDED then: nothing was deleted that was not removed before.
            Err(CallError::Refused(why)) => {
                tracing::debug!(why, "the checkpoints were not shut down in order")
            }
            Err(halt @ CallError::Halt(_)) => return Err(halt.into()),
        }
    }
    process.publisher.withdraw(&process.job_component());
    let mut pause_ms = CLEANUP_PAUSES_MS.0;
    while let Err(why) = clean_globally(process, leading.epoch).await {
        tracing::debug!(?why, "cleaning up has failed, trying again");
        if leading.is_over(leadership) {
            return Ok(Ended::LeadershipLost);
        }
        sleep(Duration::from_millis(pause_ms)).await;
        pause_ms = CLEANUP_PAUSES_MS.1.min(2 * pause_ms);
    }
    if leading.is_over(leadership) {
        return Ok(Ended::LeadershipLost);
    }
    let path = format!("/v1/results/jobs/{}/clean", process.env.job_id);
    let call = Call::write(Method::POST, path, leading.epoch, process.calls.key());
    // Flink logs a failure and goes on: the result stays dirty.
    drop(process.calls.write(&call, &[UNKNOWN_RESULT]).await);
    Ok(Ended::Wholly)
}

/// The graph and the high-availability data of the job, at the same time.
async fn clean_globally(process: &Process, epoch: u64) -> Result<(), CallError> {
    let call = Call::write(Method::POST, process.job_path("/cleanup"), epoch, process.calls.key());
    let cleanup = process.calls.short_write(&call, &[UNKNOWN_JOB]);
    let (graph, job) = future::join(drop_graph(process, epoch), cleanup).await;
    graph.and(job.map(drop))
}

/// The application is over: gives up leadership, and cleans up what is left after that.
pub(super) async fn end_application(process: &Process, session: Session, leading: &Leading) {
    for component in ["restserver", "dispatcher", "resourcemanager"] {
        process.publisher.withdraw(component);
    }
    session.close().await;
    let call = Call::write(Method::POST, "/v1/cleanup", leading.epoch, process.calls.key());
    // Refused by a newer epoch, or unanswered: Flink logs it, and the process ends all the same.
    drop(process.calls.short_write(&call, &[]).await);
}
