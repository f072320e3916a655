//! The completed checkpoints of one job in one JobManager: Flink's `DefaultCompletedCheckpointStore` over the adapter's
//! `PointerStore`.

use std::collections::VecDeque;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::answer::UNKNOWN_JOB;
use super::calls::{CallError, REQUEST_TIMEOUT_MS};
use super::http::Call;
use super::process::{Exit, Process};
use super::restore::{Settings, say_restored};
use super::snapshots::{self, Kind};
use super::state::Snapshot;
use super::statistics::Taken;
use crate::plan::Point;
use crate::trace::{AddAnswer, Event, JobStatus, reached};

/// Base64 of serialized `CheckpointProperties`: of a snapshot whose files are the job's, as Flink 2.2.1 wrote them, and of one
/// whose files are the user's (those of a savepoint, with the flags of `forUnclaimedSnapshot`).
const PROPERTIES: &str = include_str!("checkpoints/own.properties");
const UNCLAIMED: &str = include_str!("checkpoints/unclaimed.properties");

/// What this JobManager knows of its job's checkpoints. Its writes carry the epoch under which it was made.
#[derive(Debug)]
pub(super) struct Checkpoints {
    process: Process,
    epoch: u64,
    completed: VecDeque<Completed>,
}

/// A snapshot that is in the store of Flink: its id, where it is, and what is in it.
#[derive(Debug, Clone)]
struct Completed {
    id: u64,
    pointer: String,
    snapshot: Snapshot,
    /// Its files are the user's: it was restored and not claimed.
    unclaimed: bool,
}

/// A pointer, as the adapter's `PointerRecord` writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Pointer {
    external_pointer: String,
    kind: String,
    trigger_timestamp_ms: i64,
    completion_timestamp_ms: i64,
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
    pointer: ListedPointer,
}

#[derive(Debug, Deserialize)]
struct ListedPointer {
    external_pointer: String,
    properties: String,
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
        for Listed { id, pointer } in listed {
            let unclaimed = pointer.properties == UNCLAIMED && !adapter.forgets_ownership;
            let pointer = pointer.external_pointer;
            process.work(5, 40).await;
            match process.cluster.read_files(&pointer) {
                Ok((_, snapshot)) => completed.push_back(Completed { id, pointer, snapshot, unclaimed }),
                Err(_) if adapter.skip_unreadable_newest => {}
                Err(why) => return Err(NotRecovered::Failed(format!("checkpoint {id}: {why}"))),
            }
        }
        if adapter.restores_oldest {
            completed.truncate(1);
        }
        Ok(Self { process: process.clone(), epoch, completed })
    }

    /// The newest one.
    pub(super) fn latest(&self) -> Option<(u64, &Snapshot)> {
        self.completed.back().map(|newest| (newest.id, &newest.snapshot))
    }

    /// The newest one, or none, is about to be restored: says so, before the tasks are.
    pub(super) async fn tell_restored(&self) -> Result<(), Exit> {
        let newest = self.completed.back();
        say_restored(&self.process, self.epoch, newest.map_or(0, |newest| newest.id)).await?;
        let Some(newest) = newest else { return Ok(()) };
        let is_savepoint = snapshots::kind_of(&newest.pointer) == Kind::Savepoint;
        self.process.statistics.restored(newest.id, &newest.pointer, is_savepoint);
        Ok(())
    }

    /// Flink's `CheckpointCoordinator#restoreSavepoint`: the snapshot that the graph names is read, goes into the store, and
    /// ids are counted on from it.
    ///
    /// `Checkpoints#loadAndValidateCheckpoint` makes it with 0 for both of its times. Its properties, and so its kind, say how
    /// the job holds it and not what it is: those of the job's own checkpoints if it is claimed, else
    /// `CheckpointProperties#forUnclaimedSnapshot`, which are a savepoint's.
    pub(super) async fn start_from(&mut self, settings: &Settings) -> Result<(), NotRecovered> {
        let process = self.process.clone();
        let Some(path) = settings.path.clone() else { return Ok(()) };
        process.work(5, 40).await;
        let (id, snapshot) = process.cluster.read_files(&path).map_err(NotRecovered::Failed)?;
        let offsets = snapshot.iter().map(|(partition, state)| (*partition, state.offset)).collect();
        let pointer = Pointer {
            kind: if settings.claims { "checkpoint".to_owned() } else { "savepoint".to_owned() },
            properties: (if settings.claims { PROPERTIES } else { UNCLAIMED }).to_owned(),
            restored_properties: Some(PROPERTIES.to_owned()),
            ..Pointer::of(path.clone(), 0, 0)
        };
        match self.put(id, &pointer).await {
            AddAnswer::Recorded => {}
            AddAnswer::NotRecorded { problem } => return Err(NotRecovered::Failed(problem)),
            AddAnswer::Unknown => return Err(CallError::Halt("ambiguous add".to_owned()).into()),
        }
        let (job, epoch, unclaimed) = (process.env.job_id.clone(), self.epoch, !settings.claims);
        process.record(Event::StartedFrom { job, epoch, id, claimed: settings.claims, offsets });
        self.completed.push_back(Completed { id, pointer: path, snapshot, unclaimed });
        let call = Call::write(Method::PUT, process.job_path("/counter"), self.epoch, process.calls.key());
        process.calls.needed(&call.json(&json!({"value": id + 1})), &[]).await?;
        Ok(())
    }

    /// Records a pointer, and says what is known of that then.
    async fn put(&self, id: u64, pointer: &Pointer) -> AddAnswer {
        let (process, epoch) = (&self.process, self.epoch);
        let job = process.env.job_id.clone();
        process.record(Event::AddAsked { job: job.clone(), id, epoch });
        let url = process.job_path(&format!("/checkpoints/{id}"));
        let call = Call::write(Method::PUT, url, epoch, process.calls.key()).json(pointer);
        let answer = self.answered(process.calls.add(&call).await);
        process.record(Event::AddAnswered { job, id, epoch, answer: answer.clone() });
        answer
    }

    /// Writes the checkpoint's metadata and records it: Flink's commit point. `Ok(Some(cause))`: it has failed.
    pub(super) async fn add(&mut self, id: u64, snapshot: Snapshot) -> Result<Option<String>, Exit> {
        let process = self.process.clone();
        let job = process.env.job_id.clone();
        process.work(10, 50).await;
        let path = snapshots::pointer(&job, id, Kind::Checkpoint);
        if !self.write(&path, id, Kind::Checkpoint, &snapshot) {
            return Ok(Some("its metadata cannot be written".to_owned()));
        }
        process.record(Event::CheckpointWritten { job, id });
        process.env.points.reach(Point::BeforeAdd, &process.env.actor).await;
        let pointer =
            Pointer::of(path.clone(), process.statistics.triggered_ms(id), process.statistics.now_ms());
        match self.put(id, &pointer).await {
            AddAnswer::Recorded => {
                let taken = Taken { id, pointer: &path, is_savepoint: false, stops: false };
                process.statistics.completed(taken);
                self.completed.push_back(Completed { id, pointer: path, snapshot, unclaimed: false });
                self.subsume().await?;
                Ok(None)
            }
            AddAnswer::Unknown if !process.cluster.adapter().unknown_is_failed => {
                process.env.trace.reached(&process.env.actor, reached::AMBIGUOUS_ADD);
                Err(CallError::Halt("ambiguous add".to_owned()).into())
            }
            AddAnswer::Unknown => {
                delete_files(&process, id, &path);
                Ok(Some("its outcome is unknown".to_owned()))
            }
            AddAnswer::NotRecorded { problem } => {
                // CheckpointCoordinator#cleanCheckpointOnFailedStoring
                delete_files(&process, id, &path);
                Ok(Some(problem))
            }
        }
    }

    /// Writes a savepoint's files, to this directory or to where savepoints are written. Nobody records it: it is the user's,
    /// and no part of the job deletes it. Its external pointer.
    ///
    /// # Errors
    /// Why it has failed.
    pub(super) async fn save(
        &self,
        id: u64,
        stops: bool,
        directory: Option<&str>,
        snapshot: &Snapshot,
    ) -> Result<String, String> {
        let process = &self.process;
        let job = process.env.job_id.clone();
        process.work(10, 50).await;
        let pointer = match directory {
            Some(directory) => snapshots::savepoint_in(directory, &job, id),
            None => snapshots::pointer(&job, id, Kind::Savepoint),
        };
        if !self.write(&pointer, id, Kind::Savepoint, snapshot) {
            return Err("its metadata cannot be written".to_owned());
        }
        let offsets = snapshot.iter().map(|(partition, state)| (*partition, state.offset)).collect();
        process.record(Event::SavepointCompleted { job, id, epoch: self.epoch, stops, offsets });
        process.statistics.completed(Taken { id, pointer: &pointer, is_savepoint: true, stops });
        process.cluster.saved(&pointer);
        Ok(pointer)
    }

    /// False: the files cannot be written.
    fn write(&self, pointer: &str, id: u64, kind: Kind, snapshot: &Snapshot) -> bool {
        let cluster = &self.process.cluster;
        !cluster.checkpoint_files_fail() && cluster.write_files(pointer, id, kind, snapshot)
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
            let Some(Completed { id, pointer, unclaimed, .. }) = self.completed.pop_front() else { break };
            if process.cluster.adapter().files_before_pointer {
                delete_files(&process, id, &pointer);
            }
            match self.remove(id).await {
                Ok(()) if unclaimed => {}
                Ok(()) => delete_files_later(&process, id, pointer),
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

    /// The job is over for good: says so, and which files go. Those of a job that FAILED or was CANCELED stay, and their
    /// pointers with them until everything of the job is cleaned up; when it has FINISHED the pointers are removed, then the
    /// files, but for those that are the user's.
    pub(super) async fn shut_down(self, status: JobStatus) -> Result<(), CallError> {
        let process = &self.process;
        let finished = status == JobStatus::Finished;
        let goes = |one: &&Completed| finished && !one.unclaimed;
        let discarded: Vec<u64> = self.completed.iter().filter(goes).map(|one| one.id).collect();
        let silent = process.cluster.adapter().end_is_not_said;
        if !silent {
            let body = json!({"status": status.as_str(), "discarded": discarded});
            let call = Call::write(Method::POST, process.job_path("/end"), self.epoch, process.calls.key());
            process.calls.write(&call.json(&body), &[UNKNOWN_JOB]).await?;
        }
        if !finished && !silent {
            return Ok(());
        }
        for one in &self.completed {
            self.remove(one.id).await?;
            if goes(&one) {
                delete_files_later(process, one.id, one.pointer.clone());
            }
        }
        let call =
            Call::write(Method::DELETE, process.job_path("/checkpoints"), self.epoch, process.calls.key());
        process.calls.short_write(&call, &[UNKNOWN_JOB]).await.map(drop)
    }
}

fn delete_files(process: &Process, id: u64, pointer: &str) {
    let job = process.env.job_id.clone();
    if process.cluster.delete_files(pointer) {
        process.statistics.discarded(id);
        process.record(Event::CheckpointFilesDeleted { job, id });
    }
}

/// On Flink's io executor: nobody waits for it.
fn delete_files_later(process: &Process, id: u64, pointer: String) {
    let process = process.clone();
    process.scope.clone().spawn(async move {
        process.work(5, 50).await;
        delete_files(&process, id, &pointer);
    });
}

// === impl Pointer ===

impl Pointer {
    fn of(external_pointer: String, triggered_ms: i64, completed_ms: i64) -> Self {
        Self {
            external_pointer,
            kind: "checkpoint".to_owned(),
            trigger_timestamp_ms: triggered_ms,
            completion_timestamp_ms: completed_ms,
            properties: PROPERTIES.to_owned(),
            restored_properties: None,
        }
    }
}

// === impl NotRecovered ===

impl From<Exit> for NotRecovered {
    fn from(exit: Exit) -> Self {
        Self::Exit(exit)
    }
}

impl From<CallError> for NotRecovered {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => Self::Failed(problem),
            halt @ CallError::Halt(_) => Self::Exit(halt.into()),
        }
    }
}
