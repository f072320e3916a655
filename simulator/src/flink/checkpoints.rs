//! The completed checkpoints of one job in one JobManager: Flink's `DefaultCompletedCheckpointStore` over the adapter's
//! `PointerStore`.

use std::collections::VecDeque;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::UNKNOWN_JOB;
use super::calls::{CallError, REQUEST_TIMEOUT_MS};
use super::http::Call;
use super::process::{Exit, Process};
use super::state::Snapshot;
use crate::plan::Point;
use crate::trace::{AddAnswer, Event, JobStatus, reached};

/// What this JobManager knows of its job's checkpoints. Its writes carry the epoch under which it was made.
#[derive(Debug)]
pub(super) struct Checkpoints {
    process: Process,
    epoch: u64,
    completed: VecDeque<(u64, Snapshot)>,
}

/// A pointer, as the adapter's `PointerRecord` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    external_pointer: String,
    kind: String,
    trigger_timestamp_ms: u64,
    completion_timestamp_ms: u64,
    properties: String,
    restored_properties: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Listing {
    checkpoints: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    id: u64,
}

/// Why the job's checkpoints could not be recovered.
#[derive(Debug)]
pub(super) enum NotRecovered {
    /// An exception in Flink: what that means depends on how the job was started.
    Failed(String),
    /// The process ends.
    Exit(Exit),
}

// === impl Checkpoints ===

impl Checkpoints {
    /// Reads every live checkpoint with its files; one that cannot be read fails the recovery.
    pub(super) async fn recover(process: &Process, epoch: u64) -> Result<Self, NotRecovered> {
        let adapter = process.cluster.adapter();
        let call = Call::read(process.job_path("/checkpoints"), epoch);
        let answer = match adapter.unreadable_list_is_empty {
            true => process.client.call(&call, REQUEST_TIMEOUT_MS).await.ok(),
            false => Some(process.calls.needed(&call, &[UNKNOWN_JOB]).await?),
        };
        let readable = answer.filter(|answer| answer.problem.is_none());
        let listed = readable.map(|answer| answer.json::<Listing>().checkpoints).unwrap_or_default();
        let mut completed = VecDeque::new();
        for Listed { id } in listed {
            process.work(5, 40).await;
            match process.cluster.read_files(&process.env.job_id, id) {
                Some(snapshot) => completed.push_back((id, snapshot)),
                None if adapter.skip_unreadable_newest => {}
                None => {
                    return Err(NotRecovered::Failed(format!("the files of checkpoint {id} are missing")));
                }
            }
        }
        if adapter.restores_oldest {
            completed.truncate(1);
        }
        Ok(Self { process: process.clone(), epoch, completed })
    }

    /// The newest one.
    pub(super) fn latest(&self) -> Option<(u64, &Snapshot)> {
        self.completed.back().map(|(id, snapshot)| (*id, snapshot))
    }

    /// Writes the checkpoint's metadata and records it: Flink's commit point. `Ok(Some(cause))`: it has failed.
    pub(super) async fn add(&mut self, id: u64, snapshot: Snapshot) -> Result<Option<String>, Exit> {
        let process = self.process.clone();
        let job = process.env.job_id.clone();
        let triggered_ms = process.env.trace.now_ms();
        process.work(10, 50).await;
        if process.cluster.checkpoint_files_fail() || !process.cluster.write_files(&job, id, &snapshot) {
            return Ok(Some("its metadata cannot be written".to_owned()));
        }
        process.record(Event::CheckpointWritten { job: job.clone(), id });
        process.env.points.reach(Point::BeforeAdd, &process.env.actor).await;
        process.record(Event::AddAsked { job: job.clone(), id, epoch: self.epoch });
        let pointer = Pointer::of(&job, id, triggered_ms, process.env.trace.now_ms());
        let path = process.job_path(&format!("/checkpoints/{id}"));
        let call = Call::write(Method::PUT, path, self.epoch, process.calls.key()).json(&pointer);
        let answer = self.answered(process.calls.add(&call).await);
        let epoch = self.epoch;
        process.record(Event::AddAnswered { job, id, epoch, answer: answer.clone() });
        match answer {
            AddAnswer::Recorded => {
                self.completed.push_back((id, snapshot));
                self.subsume().await?;
                Ok(None)
            }
            AddAnswer::Unknown if !process.cluster.adapter().unknown_is_failed => {
                process.env.trace.reached(&process.env.actor, reached::AMBIGUOUS_ADD);
                Err(CallError::Halt("ambiguous add".to_owned()).into())
            }
            AddAnswer::Unknown => {
                delete_files(&process, id);
                Ok(Some("its outcome is unknown".to_owned()))
            }
            AddAnswer::NotRecorded { problem } => {
                // CheckpointCoordinator#cleanCheckpointOnFailedStoring
                delete_files(&process, id);
                Ok(Some(problem))
            }
        }
    }

    /// Writes a savepoint's files. Nobody records it: it is the user's, and no part of the job deletes it. `Some(cause)`: it
    /// has failed.
    pub(super) async fn save(&self, id: u64, stops: bool, snapshot: &Snapshot) -> Option<String> {
        let process = &self.process;
        let job = process.env.job_id.clone();
        process.work(10, 50).await;
        if process.cluster.checkpoint_files_fail() || !process.cluster.write_files(&job, id, snapshot) {
            return Some("its metadata cannot be written".to_owned());
        }
        let offsets = snapshot.iter().map(|(partition, state)| (*partition, state.offset)).collect();
        process.record(Event::SavepointCompleted { job, id, epoch: self.epoch, stops, offsets });
        None
    }

    fn answered(&self, answer: Result<super::answer::Answer, CallError>) -> AddAnswer {
        const STANDS_THERE: u16 = 200;
        let not_recorded = |problem: &str| AddAnswer::NotRecorded { problem: problem.to_owned() };
        match answer {
            Ok(answer) if answer.problem.is_some() => not_recorded("already-exists"),
            Ok(answer)
                if answer.status == STANDS_THERE && self.process.cluster.adapter().conflict_is_loss =>
            {
                not_recorded("already-exists")
            }
            Ok(_) => AddAnswer::Recorded,
            Err(CallError::Refused(problem)) => not_recorded(&problem),
            Err(CallError::Halt(_)) => AddAnswer::Unknown,
        }
    }

    /// Removes what is more than is retained: the pointer first, then the files. A failure is only logged by Flink, and
    /// the files stay.
    async fn subsume(&mut self) -> Result<(), Exit> {
        let process = self.process.clone();
        let retained = process.env.job.checkpoints_retained.max(1) as usize;
        while self.completed.len() > retained {
            let Some((id, _)) = self.completed.pop_front() else { break };
            if process.cluster.adapter().files_before_pointer {
                delete_files(&process, id);
            }
            match self.remove(id).await {
                Ok(()) => delete_files_later(&process, id),
                Err(CallError::Refused(problem)) => {
                    tracing::debug!(problem, id, "fail to subsume the old checkpoint");
                }
                Err(halt @ CallError::Halt(_)) => return Err(halt.into()),
            }
        }
        Ok(())
    }

    async fn remove(&self, id: u64) -> Result<(), CallError> {
        let calls = &self.process.calls;
        let path = self.process.job_path(&format!("/checkpoints/{id}"));
        let call = Call::write(Method::DELETE, path, self.epoch, calls.key());
        calls.short_write(&call, &[UNKNOWN_JOB]).await.map(drop)
    }

    /// The job is over for good: says so, and which files go; then removes the pointers, then the files.
    pub(super) async fn shut_down(self, status: JobStatus) -> Result<(), CallError> {
        let process = &self.process;
        let keeps = process.env.job.retain_on_cancellation && status != JobStatus::Finished;
        let discarded: Vec<u64> = self.completed.iter().map(|(id, _)| *id).filter(|_| !keeps).collect();
        if !process.cluster.adapter().end_is_not_said {
            let body = json!({"status": status_name(status), "discarded": discarded});
            let call = Call::write(Method::POST, process.job_path("/end"), self.epoch, process.calls.key());
            process.calls.write(&call.json(&body), &[UNKNOWN_JOB]).await?;
        }
        for (id, _) in &self.completed {
            self.remove(*id).await?;
            if !keeps {
                delete_files_later(process, *id);
            }
        }
        let call =
            Call::write(Method::DELETE, process.job_path("/checkpoints"), self.epoch, process.calls.key());
        process.calls.short_write(&call, &[UNKNOWN_JOB]).await.map(drop)
    }
}

/// Flink's name of a terminal status.
pub(super) fn status_name(status: JobStatus) -> &'static str {
    match status {
        JobStatus::Finished => "FINISHED",
        JobStatus::Failed => "FAILED",
        JobStatus::Canceled => "CANCELED",
    }
}

fn delete_files(process: &Process, id: u64) {
    let job = process.env.job_id.clone();
    if process.cluster.delete_files(&job, id) {
        process.record(Event::CheckpointFilesDeleted { job, id });
    }
}

/// On Flink's io executor: nobody waits for it.
fn delete_files_later(process: &Process, id: u64) {
    let process = process.clone();
    process.scope.clone().spawn(async move {
        process.work(5, 50).await;
        delete_files(&process, id);
    });
}

// === impl Pointer ===

impl Pointer {
    fn of(job: &str, id: u64, triggered_ms: u64, completed_ms: u64) -> Self {
        Self {
            external_pointer: format!("s3://simulated/{job}/chk-{id}"),
            kind: "checkpoint".to_owned(),
            trigger_timestamp_ms: triggered_ms,
            completion_timestamp_ms: completed_ms,
            properties: BASE64.encode("CheckpointProperties"),
            restored_properties: None,
        }
    }
}

// === impl NotRecovered ===

impl From<CallError> for NotRecovered {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => Self::Failed(problem),
            halt @ CallError::Halt(_) => Self::Exit(halt.into()),
        }
    }
}
