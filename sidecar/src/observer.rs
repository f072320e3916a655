//! What Flink's own statistics tell about a job's snapshots: a pure state machine.
//!
//! Savepoints never pass through Flink's checkpoint store, so the ledger learns of them here. Two rules:
//!
//! * **A savepoint is recorded once it is complete**, with its place and its times, by the JobManager's clock.
//! * **A savepoint that its job was restored *behind* is rolled back.** What was seen in an earlier answer than the restore
//!   was certainly complete before it. Only when both are new at once are the JobManager's own times compared, which are of
//!   one clock: its statistics begin with its process.
//!
//! Answers may come in another order than they were given in: several ask at the same time, and Flink answers out of a cache.
//! So a restore is only news if it is not before the one that is known, by the JobManager's clock: what is rolled back stays so,
//! and an old answer must not do that to a savepoint. If that clock is set back, a restore may be missed here; it is recorded
//! all the same, because the adapter tells of it.
//!
//! Nothing here is lost when a write fails: what was not [recorded](Observer::recorded) is told again next time.

use std::collections::BTreeMap;

use ha_store::{Change, DeploymentState, Epoch, JobId, JobState, PointerRecord, SnapshotKind};

use crate::job_manager::{Checkpoint, Checkpoints, Restored};

/// The state machine, for one JobManager process: that of an epoch.
#[derive(Debug)]
pub struct Observer {
    epoch: Epoch,
    jobs: BTreeMap<JobId, Seen>,
}

/// What was seen of a job.
#[derive(Debug, Default)]
struct Seen {
    restored: Option<Restored>,
    savepoints: BTreeMap<u64, Judged>,
}

#[derive(Debug)]
struct Judged {
    pointer: PointerRecord,
    rolled_back: bool,
    /// As what the store knows it.
    recorded: Option<bool>,
}

/// Flink itself shows ten unless configured; whatever is older than these was told long ago.
const SAVEPOINTS_MAX: usize = 256;

// === impl Observer ===

impl Observer {
    /// Nothing seen yet of the JobManager of this epoch.
    pub fn new(epoch: Epoch) -> Self {
        Self { epoch, jobs: BTreeMap::new() }
    }

    /// The epoch whose JobManager is observed.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Takes in an answer, and says what the store does not know yet. `known` is what the store holds.
    pub fn observe(&mut self, job: &JobId, answer: &Checkpoints, known: &DeploymentState) -> Vec<Change> {
        let seen = self.jobs.entry(job.clone()).or_default();
        let restore = answer.latest.restored.filter(|restore| !seen.is_outdated(*restore));
        let news = restore.filter(|restore| seen.restored.as_ref() != Some(restore));
        if let Some(restore) = news {
            let behind = seen.savepoints.iter_mut().filter(|(id, _)| **id > restore.id);
            behind.for_each(|(_, judged)| judged.rolled_back = true);
        }
        for savepoint in answer.savepoints() {
            let Some(place) = savepoint.place() else { continue };
            seen.savepoints.entry(savepoint.id).or_insert_with(|| Judged {
                pointer: pointer(savepoint, place),
                // A restore that an earlier answer told of, without this savepoint, was before it.
                rolled_back: news.is_some_and(|restore| is_behind(savepoint, restore)),
                recorded: None,
            });
        }
        while seen.savepoints.len() > SAVEPOINTS_MAX {
            seen.savepoints.pop_first();
        }
        seen.restored = restore.or(seen.restored);

        let untold = seen.savepoints.iter().filter(|(_, judged)| judged.recorded != Some(judged.rolled_back));
        let mut changes: Vec<Change> = untold
            .map(|(id, judged)| Change::RecordSavepoint {
                job: job.clone(),
                id: *id,
                pointer: judged.pointer.clone(),
                rolled_back: judged.rolled_back,
            })
            .collect();
        let restored = seen.restored.filter(|restore| {
            known.jobs.get(job).is_some_and(|known| rolls_back_known(known, *restore, self.epoch))
        });
        changes.extend(restored.map(|restore| Change::RecordRestore { job: job.clone(), id: restore.id }));
        changes
    }

    /// The store has it.
    pub fn recorded(&mut self, change: &Change) {
        let Change::RecordSavepoint { job, id, rolled_back, .. } = change else { return };
        let judged = self.jobs.get_mut(job).and_then(|seen| seen.savepoints.get_mut(id));
        if let Some(judged) = judged {
            judged.recorded = Some(*rolled_back);
        }
    }

    /// Forgets every job but these: the JobManager does not know the others any more.
    pub fn keep(&mut self, jobs: &[JobId]) {
        self.jobs.retain(|job, _| jobs.contains(job));
    }
}

impl Seen {
    /// Whether another restore is known that came after this one.
    fn is_outdated(&self, restore: Restored) -> bool {
        self.restored.is_some_and(|known| known.restore_timestamp > restore.restore_timestamp)
    }
}

fn pointer(savepoint: &Checkpoint, place: &str) -> PointerRecord {
    PointerRecord {
        external_pointer: place.to_owned(),
        kind: SnapshotKind::Savepoint,
        trigger_timestamp_ms: savepoint.trigger_timestamp,
        completion_timestamp_ms: savepoint.latest_ack_timestamp,
        // Flink makes them anew when it restores from it.
        properties: String::new(),
        restored_properties: None,
        discard_subsumed: None,
    }
}

/// Whether the job was restored from something older after this savepoint was complete. A restore aborts savepoints that are
/// not complete, so one between its trigger and its completion is impossible, and the same millisecond is after.
fn is_behind(savepoint: &Checkpoint, restore: Restored) -> bool {
    restore.id < savepoint.id && restore.restore_timestamp >= savepoint.latest_ack_timestamp
}

/// Whether the ledger holds something that the restore rolled back, and nothing newer than the restore that it did not.
///
/// The change marks all of a job's newer snapshots at once. So it must not be asked for once the job has gone on and completed
/// others. Only those that this same JobManager took are compared: the times of another one are of another clock.
fn rolls_back_known(known: &JobState, restore: Restored, epoch: Epoch) -> bool {
    let newer = |id: u64| id > restore.id;
    let mut behind =
        known.history.iter().filter(|snapshot| newer(snapshot.id) && !snapshot.rolled_back).peekable();
    behind.peek().is_some()
        && !known.checkpoints.keys().any(|id| newer(*id))
        && behind.all(|snapshot| {
            snapshot.epoch == epoch && snapshot.pointer.completion_timestamp_ms <= restore.restore_timestamp
        })
}

#[cfg(test)]
mod tests;
