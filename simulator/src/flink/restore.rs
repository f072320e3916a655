//! What a job is restored from when Flink's checkpoint store is empty: the plan, as the adapter brings it to Flink.
//!
//! Flink puts a new graph into the store of graphs before it makes the JobMaster from the very same object; there the adapter
//! asks the sidecar for the plan and sets it on that object. So a stored graph carries it, too.

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::{ALREADY_EXISTS, NO_PLAN};
use super::calls::CallError;
use super::http::Call;
use super::process::{Exit, Process, exit};
use crate::trace::{Event, reached};

/// Flink's `SavepointRestoreSettings`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settings {
    /// Where the snapshot is; `None`: the job starts empty.
    pub(super) path: Option<String>,
    /// The files are the job's from then on.
    pub(super) claims: bool,
}

/// A graph, as `main()` makes it and the store of graphs holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Graph {
    /// The rollout whose `main()` made it.
    pub(super) generation: String,
    /// What it was made from.
    pub(super) fingerprint: String,
    pub(super) settings: Settings,
}

#[derive(Debug, Deserialize)]
struct Plan {
    restore: Restore,
    snapshot: Option<Planned>,
    claim_mode: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Restore {
    Snapshot,
    Empty,
    Given,
}

#[derive(Debug, Deserialize)]
struct Planned {
    external_pointer: String,
}

/// Runs `main()`: it may take its time, and it may fail, which ends the process and leaves everything as it is.
pub(super) async fn run_main(process: &Process) -> Result<Graph, Exit> {
    process.work(50, 300).await;
    process.cluster.main_takes().await;
    if process.cluster.main_fails() {
        process.env.trace.reached(&process.env.actor, reached::MAIN_FAILED);
        return Err(Exit(exit::FATAL));
    }
    process.record(Event::MainRan { generation: process.env.generation.clone() });
    let (generation, fingerprint) = (process.env.generation.clone(), process.fingerprint.clone());
    let settings = Settings { path: process.cluster.configured_path(&process.env.job), claims: false };
    Ok(Graph { generation, fingerprint, settings })
}

/// Puts the graph into the store of graphs, with what the plan says.
pub(super) async fn put(process: &Process, epoch: u64, mut graph: Graph) -> Result<Graph, Exit> {
    if !process.cluster.adapter().ignores_plan {
        plan(process, epoch, &mut graph.settings).await?;
    }
    let mut call = Call::write(Method::PUT, process.job_path("/graph"), epoch, process.calls.key())
        .header("If-None-Match", "*")
        .header("Flink-Version", "2.2.1")
        .header("Holdfast-Fingerprint", graph.fingerprint.clone())
        .header("Content-Type", "application/octet-stream");
    call.body = serde_json::to_vec(&graph).expect("a graph is plain data").into();
    let answer = process.calls.add_graph(&call, &[ALREADY_EXISTS]).await?;
    match answer.problem {
        None => Ok(graph),
        // There was none when it was asked for, under this very epoch.
        Some(_) => Err(Exit(exit::FATAL)),
    }
}

async fn plan(process: &Process, epoch: u64, settings: &mut Settings) -> Result<(), Exit> {
    let answer = process.calls.needed(&Call::read(process.job_path("/plan"), epoch), &[NO_PLAN]).await?;
    if answer.problem.is_some() {
        return Ok(());
    }
    let (plan, adapter) = (answer.json::<Plan>(), process.cluster.adapter());
    let planned = plan.snapshot.map(|snapshot| snapshot.external_pointer);
    let path = match adapter.newest_in_the_folder {
        true => process.cluster.newest_checkpoint().or(planned),
        false => planned,
    };
    let claims = plan.claim_mode == "CLAIM" || adapter.claims_anyway;
    match plan.restore {
        Restore::Given => {}
        Restore::Empty => *settings = Settings::default(),
        Restore::Snapshot => *settings = Settings { path, claims },
    }
    Ok(())
}

/// Says what the job is about to be restored from. Without a definite answer the process ends: a job that runs on while nobody
/// knows that it was rolled back could be continued from what it rolled back behind.
pub(super) async fn say_restored(process: &Process, epoch: u64, id: u64) -> Result<(), CallError> {
    if process.cluster.adapter().restores_unsaid {
        return Ok(());
    }
    let call = Call::write(Method::POST, process.job_path("/restored"), epoch, process.calls.key());
    process.calls.add_graph(&call.json(&json!({ "id": id })), &[]).await.map(drop)
}
