//! What a JobManager does after it was granted: Flink's dispatcher and the recovery of its job, in application mode.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::answer::{NO_GRAPH, UNKNOWN_JOB, UNKNOWN_RESULT};
use super::calls::CallError;
use super::checkpoints::{Checkpoints, NotRecovered};
use super::http::Call;
use super::process::{Exit, Leading, Process, exit};
use super::rest::REST_PORT;
use super::restore::{Graph, Settings, put, run_main};
use crate::trace::{Event, JobStatus, reached};

/// What came of it.
#[derive(Debug)]
pub(super) enum Started {
    /// The job is there and restored.
    Running(Box<Checkpoints>),
    /// It ended before, under an earlier JobManager, and everything was cleaned up.
    EndedBefore,
    /// It ended before, but nobody finished cleaning up.
    EndedDirty(JobStatus),
    /// It was submitted and could not be started: Flink calls that FAILED.
    FailedToStart,
}

#[derive(Debug, Deserialize)]
struct Results {
    results: Vec<ResultEntry>,
}

#[derive(Debug, Deserialize)]
struct ResultEntry {
    id: String,
    status: String,
}

#[derive(Debug, Deserialize)]
struct Graphs {
    graphs: Vec<GraphEntry>,
}

#[derive(Debug, Deserialize)]
struct GraphEntry {
    job: String,
}

/// The order of the calls is Flink's.
pub(super) async fn start(process: &Process, leading: &Leading) -> Result<Started, Exit> {
    process.work(10, 60).await;
    let host = process.env.listen.split(':').next().unwrap_or_default();
    process.publisher.publish("restserver", &leading.session, &format!("http://{host}:{REST_PORT}"));
    let dirty = dirty_result(process, leading.epoch).await?;
    let stored = recover_graph(process, leading.epoch).await?;
    publish(process, leading, "resourcemanager");
    publish(process, leading, "dispatcher");
    let starts_ended = process.cluster.adapter().starts_ended_jobs;
    if !starts_ended {
        if let Some(status) = dirty {
            return Ok(Started::EndedDirty(status));
        }
        if has_result(process, leading.epoch).await? {
            return Ok(Started::EndedBefore);
        }
    }
    let recovered = stored.is_some();
    let graph = match stored {
        Some(graph) => graph,
        None => put(process, leading.epoch, run_main(process).await?).await?,
    };
    process.statistics.begin();
    process.record(Event::GraphUsed {
        job: process.env.job_id.clone(),
        epoch: leading.epoch,
        generation: graph.generation.clone(),
        code: graph.fingerprint.clone(),
        own: process.fingerprint.clone(),
    });
    match restore(process, leading.epoch, &graph.settings).await {
        Ok(checkpoints) => {
            publish(process, leading, &process.job_component());
            Ok(Started::Running(Box::new(checkpoints)))
        }
        Err(NotRecovered::Exit(exit)) => Err(exit),
        // ExecutionType RECOVERY: jobManagerRunnerFailed, fatal. SUBMISSION: the job has FAILED.
        Err(NotRecovered::Failed(why)) => {
            tracing::debug!(actor = process.env.actor, why, recovered, "the job cannot be started");
            if recovered { Err(Exit(exit::FATAL)) } else { Ok(Started::FailedToStart) }
        }
    }
}

fn publish(process: &Process, leading: &Leading, component: &str) {
    process.publisher.publish(component, &leading.session, &process.env.listen);
}

async fn dirty_result(process: &Process, epoch: u64) -> Result<Option<JobStatus>, Exit> {
    let call = Call::read("/v1/results/jobs?state=dirty", epoch);
    let answer = process.calls.needed(&call, &[UNKNOWN_RESULT]).await?;
    let results = answer.json::<Results>().results;
    Ok(results
        .into_iter()
        .find(|result| result.id == process.env.job_id)
        .map(|result| status(&result.status)))
}

fn status(name: &str) -> JobStatus {
    match name {
        "FINISHED" => JobStatus::Finished,
        "CANCELED" => JobStatus::Canceled,
        _ => JobStatus::Failed,
    }
}

/// The stored graph, if there is one that was made from what this process would make it from; another one is dropped. A launcher
/// does without `main()` then.
async fn recover_graph(process: &Process, epoch: u64) -> Result<Option<Graph>, Exit> {
    let answer = process.calls.needed(&Call::read("/v1/graphs", epoch), &[]).await?;
    if !answer.json::<Graphs>().graphs.iter().any(|graph| graph.job == process.env.job_id) {
        return Ok(None);
    }
    let answer = process.calls.needed(&Call::read(process.job_path("/graph"), epoch), &[]).await?;
    let graph = answer.json::<Graph>();
    if graph.fingerprint != process.fingerprint && !process.cluster.adapter().keeps_old_graphs {
        drop_graph(process, epoch).await?;
        return Ok(None);
    }
    match process.env.job.launcher {
        true => process.env.trace.reached(&process.env.actor, reached::STORED_GRAPH),
        // It is run although its result is of no account.
        false => drop(run_main(process).await?),
    }
    Ok(Some(graph))
}

async fn has_result(process: &Process, epoch: u64) -> Result<bool, Exit> {
    let call = Call::read(format!("/v1/results/jobs/{}", process.env.job_id), epoch);
    Ok(process.calls.needed(&call, &[UNKNOWN_RESULT]).await?.problem.is_none())
}

/// The checkpoints, and the counter of their ids. What is in Flink's store wins over what the graph says.
async fn restore(process: &Process, epoch: u64, settings: &Settings) -> Result<Checkpoints, NotRecovered> {
    let mut checkpoints = Checkpoints::recover(process, epoch).await?;
    let call = Call::write(Method::PUT, process.job_path("/counter"), epoch, process.calls.key());
    process.calls.needed(&call.json(&json!({"value": 1})), &[]).await?;
    if checkpoints.latest().is_none() && settings.path.is_some() {
        checkpoints.start_from(settings).await?;
        process.env.trace.reached(&process.env.actor, reached::PLANNED);
    }
    let from = checkpoints.latest().map(|(id, _)| id);
    checkpoints.tell_restored().await?;
    process.record(Event::JobRestored { job: process.env.job_id.clone(), epoch, from, failover: true });
    if process.cluster.take_stop_undone() {
        process.env.trace.reached(&process.env.actor, reached::STOP_UNDONE);
    }
    if from.is_some() {
        process.env.trace.reached(&process.env.actor, reached::RESTORED);
    }
    Ok(checkpoints)
}

/// Drops the graph: part of cleaning up.
pub(super) async fn drop_graph(process: &Process, epoch: u64) -> Result<(), CallError> {
    let call = Call::write(Method::DELETE, process.job_path("/graph"), epoch, process.calls.key());
    process.calls.write(&call, &[NO_GRAPH, UNKNOWN_JOB]).await.map(drop)
}
