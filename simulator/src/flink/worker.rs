//! A TaskManager, as far as it is decisions: which tasks run, and what they say and write. Pure.

use std::collections::BTreeMap;

use super::state::{Attempt, PartitionState, Transaction};
use super::task::{Progress, Task};
use super::wire::ToMaster;
use crate::plan::Job;

/// The machine.
#[derive(Debug)]
pub(super) struct Worker {
    job: Job,
    /// Of the job's code before it was mended.
    poison_offset: Option<u64>,
    by: Option<Attempt>,
    slots: BTreeMap<u32, Slot>,
    /// Acknowledgements whose files are being written, and when they are.
    writing: Vec<(u64, ToMaster)>,
}

#[derive(Debug)]
enum Slot {
    /// It runs from that time on.
    Starting {
        at_ms: u64,
        state: PartitionState,
    },
    Running(Task),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub(super) enum Effect {
    /// Tell the JobManager.
    Say(ToMaster),
    /// The sink has prepared this.
    Prepare(Transaction),
    /// Commit what this task prepared, because that checkpoint was recorded.
    Commit { transaction: Transaction, checkpoint: u64 },
    /// Commit what was prepared in the state that was restored.
    CommitRestored { transaction: Transaction, checkpoint: u64 },
    /// Abort whatever else earlier attempts prepared.
    AbortUnknown { partition: u32, by: Attempt },
}

/// How the storage behaves while a barrier comes through.
#[derive(Debug, Clone, Copy)]
pub(super) struct Storage {
    /// One task gets no answer at all.
    pub(super) stalls: bool,
    /// Files cannot be written.
    pub(super) fails: bool,
    /// Files take this long.
    pub(super) takes_ms: u64,
}

/// A barrier: of which checkpoint or savepoint of which attempt.
#[derive(Debug, Clone, Copy)]
pub(super) struct Barrier {
    pub(super) by: Attempt,
    pub(super) id: u64,
    /// It is that of the savepoint with which the job ends: tasks wait behind it.
    pub(super) stops: bool,
}

// === impl Worker ===

impl Worker {
    pub(super) fn new(job: Job) -> Self {
        Self { poison_offset: job.poison_offset, job, by: None, slots: BTreeMap::new(), writing: Vec::new() }
    }

    /// Whether the code of the tasks that are started from now on gets past the poison record.
    pub(super) fn set_mended(&mut self, mended: bool) {
        self.job.poison_offset = self.poison_offset.filter(|_| !mended);
    }

    /// Starts tasks in place of any others. They run after `start_ms`.
    pub(super) fn deploy(
        &mut self,
        now_ms: u64,
        start_ms: u64,
        by: Attempt,
        checkpoint: Option<u64>,
        tasks: BTreeMap<u32, PartitionState>,
    ) -> Vec<Effect> {
        self.dismiss();
        self.by = Some(by);
        let mut effects = Vec::new();
        for (partition, state) in tasks {
            // A state that holds anything comes from a checkpoint.
            let commit = |transaction: &Transaction| {
                let (transaction, checkpoint) = (transaction.clone(), checkpoint.unwrap_or(0));
                Effect::CommitRestored { transaction, checkpoint }
            };
            effects.extend(state.pending.iter().map(commit));
            effects.push(Effect::AbortUnknown { partition, by });
            self.slots.insert(partition, Slot::Starting { at_ms: now_ms + start_ms, state });
        }
        effects
    }

    /// Ends all tasks, without a word.
    pub(super) fn dismiss(&mut self) {
        self.by = None;
        self.slots.clear();
        self.writing.clear();
    }

    /// Ends the tasks of this attempt.
    pub(super) fn cancel(&mut self, by: Attempt) -> Effect {
        if self.by == Some(by) {
            self.dismiss();
        }
        Effect::Say(ToMaster::Canceled { by })
    }

    /// Does a task run?
    pub(super) fn is_running(&self) -> bool {
        self.slots.values().any(|slot| matches!(slot, Slot::Running(_)))
    }

    /// One of the running tasks fails, if there is one.
    pub(super) fn fail_one(&mut self) -> Option<Effect> {
        let running = |slot: &Slot| matches!(slot, Slot::Running(_));
        let partition = *self.slots.iter().find(|(_, slot)| running(slot))?.0;
        self.slots.remove(&partition);
        let by = self.by?;
        Some(Effect::Say(ToMaster::Failed { by, partition, cause: "a task failed".to_owned() }))
    }

    /// Does what is due by now.
    pub(super) fn poll(&mut self, now_ms: u64) -> Vec<Effect> {
        let Some(by) = self.by else { return Vec::new() };
        let mut effects = Vec::new();
        self.writing.retain(|(at_ms, message)| {
            let due = *at_ms <= now_ms;
            if due {
                effects.push(Effect::Say(message.clone()));
            }
            !due
        });
        let partitions: Vec<u32> = self.slots.keys().copied().collect();
        for partition in partitions {
            if let Some(Slot::Starting { at_ms, state }) = self.slots.get(&partition)
                && *at_ms <= now_ms
            {
                let task = Task::start(now_ms, partition, by, &self.job, state);
                self.slots.insert(partition, Slot::Running(task));
                effects.push(Effect::Say(ToMaster::Running { by, partition }));
            }
            effects.extend(self.advance(now_ms, by, partition));
        }
        effects
    }

    /// Lets a task work up to now. It leaves when it fails.
    fn advance(&mut self, now_ms: u64, by: Attempt, partition: u32) -> Option<Effect> {
        let Some(Slot::Running(task)) = self.slots.get_mut(&partition) else { return None };
        if task.advance(now_ms) == Progress::Running {
            return None;
        }
        self.slots.remove(&partition);
        let cause = "a record cannot be processed".to_owned();
        Some(Effect::Say(ToMaster::Failed { by, partition, cause }))
    }

    /// When to call [`Worker::poll`] at the latest.
    pub(super) fn wake_ms(&self) -> Option<u64> {
        let slots = self.slots.values().filter_map(|slot| match slot {
            Slot::Starting { at_ms, .. } => Some(*at_ms),
            Slot::Running(task) => task.fails_at_ms(),
        });
        slots.chain(self.writing.iter().map(|(at_ms, _)| *at_ms)).min()
    }

    /// A barrier comes through all tasks. [`Worker::poll`] was called for this moment.
    pub(super) fn barrier(&mut self, now_ms: u64, barrier: Barrier, storage: Storage) -> Vec<Effect> {
        let Barrier { by, id, stops } = barrier;
        if self.by != Some(by) {
            return Vec::new();
        }
        let mut effects = Vec::new();
        let mut stalls = storage.stalls;
        for (partition, slot) in &mut self.slots {
            let Slot::Running(task) = slot else { continue };
            let state = task.barrier(id);
            if stops {
                task.hold(id);
            }
            effects.extend(state.pending.iter().filter(|t| t.checkpoint == id).cloned().map(Effect::Prepare));
            if std::mem::take(&mut stalls) {
                continue;
            }
            let partition = *partition;
            let message = match storage.fails {
                true => ToMaster::Decline { by, id, cause: "its files cannot be written".to_owned() },
                false => ToMaster::Acknowledge { by, id, partition, state },
            };
            self.writing.push((now_ms + storage.takes_ms, message));
        }
        effects
    }

    /// A checkpoint or savepoint was given up. What was prepared for it is kept: a later one commits it. Tasks that wait
    /// at its barrier fail (`StreamTask#notifyCheckpointAbortAsync`): they could not go on.
    pub(super) fn aborted(&mut self, by: Attempt, id: u64) -> Vec<Effect> {
        if self.by != Some(by) {
            return Vec::new();
        }
        let held = |slot: &Slot| matches!(slot, Slot::Running(task) if task.is_held_at(id));
        let failed: Vec<u32> =
            self.slots.iter().filter(|(_, slot)| held(slot)).map(|(partition, _)| *partition).collect();
        self.slots.retain(|_, slot| !held(slot));
        let cause = "stop-with-savepoint has failed";
        let say = |partition| Effect::Say(ToMaster::Failed { by, partition, cause: cause.to_owned() });
        failed.into_iter().map(say).collect()
    }

    /// A checkpoint was recorded, or the savepoint with which the job ends is there.
    pub(super) fn complete(&mut self, now_ms: u64, by: Attempt, id: u64) -> Vec<Effect> {
        if self.by != Some(by) {
            return Vec::new();
        }
        let mut effects = self.poll(now_ms);
        self.slots.retain(|partition, slot| {
            let Slot::Running(task) = slot else { return true };
            let commit = |transaction| Effect::Commit { transaction, checkpoint: id };
            effects.extend(task.complete(id).into_iter().map(commit));
            let finished = task.is_finished();
            if finished {
                effects.push(Effect::Say(ToMaster::Finished { by, partition: *partition }));
            }
            !finished
        });
        effects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Attempt = Attempt { epoch: 1, number: 1 };
    const GOOD: Storage = Storage { stalls: false, fails: false, takes_ms: 20 };

    fn barrier(id: u64) -> Barrier {
        Barrier { by: BY, id, stops: false }
    }

    fn worker() -> Worker {
        let mut worker = Worker::new(Job { records_per_s: 100, ..Job::default() });
        let tasks = (0..2).map(|partition| (partition, PartitionState::default())).collect();
        let effects = worker.deploy(0, 50, BY, None, tasks);
        assert_eq!(effects.len(), 2, "only aborts: {effects:?}");
        assert_eq!(worker.wake_ms(), Some(50));
        assert_eq!(worker.poll(50).len(), 2);
        worker
    }

    fn says(effects: &[Effect]) -> Vec<&ToMaster> {
        effects
            .iter()
            .filter_map(|effect| if let Effect::Say(said) = effect { Some(said) } else { None })
            .collect()
    }

    #[test]
    fn a_checkpoint_is_prepared_at_the_barrier_acknowledged_when_written_and_committed_when_told() {
        let mut worker = worker();
        worker.poll(1_050);
        let prepared = worker.barrier(1_050, barrier(1), GOOD);
        assert!(
            matches!(&prepared[..], [Effect::Prepare(a), Effect::Prepare(b)] if a.to == 100 && b.to == 100)
        );
        assert_eq!(worker.wake_ms(), Some(1_070));
        assert_eq!(worker.poll(1_069), []);
        assert_eq!(says(&worker.poll(1_070)).len(), 2);
        let committed = worker.complete(1_100, BY, 1);
        assert!(committed.iter().all(|effect| matches!(effect, Effect::Commit { checkpoint: 1, .. })));
        assert_eq!(committed.len(), 2);
        assert_eq!(worker.complete(1_100, Attempt { number: 2, ..BY }, 1), [], "not this attempt's");
    }

    #[test]
    fn a_task_that_restores_commits_what_was_prepared_for_its_checkpoint_and_aborts_the_rest() {
        let mut worker = worker();
        worker.poll(1_050);
        worker.barrier(1_050, barrier(1), GOOD);
        let said = worker.poll(1_100);
        let Some(Effect::Say(ToMaster::Acknowledge { state, .. })) = said.first() else { panic!("{said:?}") };
        let next = Attempt { number: 2, ..BY };
        let effects = worker.deploy(2_000, 10, next, Some(1), BTreeMap::from([(0, state.clone())]));
        assert!(matches!(&effects[..], [
            Effect::CommitRestored { transaction, checkpoint: 1 },
            Effect::AbortUnknown { partition: 0, by },
        ] if transaction.by == BY && *by == next));
        assert_eq!(says(&worker.poll(2_010)), [&ToMaster::Running { by: next, partition: 0 }]);
    }

    #[test]
    fn a_storage_that_stalls_keeps_one_acknowledgement_back_and_one_that_fails_declines() {
        let mut worker = worker();
        worker.poll(1_000);
        worker.barrier(1_000, barrier(1), Storage { stalls: true, ..GOOD });
        assert_eq!(says(&worker.poll(9_000)).len(), 1);
        worker.barrier(9_000, barrier(2), Storage { fails: true, ..GOOD });
        assert!(matches!(says(&worker.poll(9_020))[..], [ToMaster::Decline { id: 2, .. }, _]));
    }

    #[test]
    fn tasks_that_are_stopped_with_a_savepoint_commit_it_and_are_finished() {
        let mut worker = worker();
        worker.poll(1_050);
        worker.barrier(1_050, Barrier { stops: true, ..barrier(1) }, GOOD);
        assert_eq!(says(&worker.poll(1_070)).len(), 2, "both acknowledge");
        let effects = worker.complete(9_000, BY, 1);
        let commits = effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Commit { transaction, .. } if transaction.to == 100));
        assert_eq!(commits.count(), 2, "{effects:?}");
        assert!(matches!(says(&effects)[..], [ToMaster::Finished { .. }, ToMaster::Finished { .. }]));
    }

    #[test]
    fn tasks_that_wait_for_a_savepoint_that_was_given_up_fail_and_others_go_on() {
        let mut worker = worker();
        worker.poll(1_050);
        worker.barrier(1_050, barrier(1), GOOD);
        assert_eq!(worker.aborted(BY, 1), [], "it was an ordinary one");
        worker.barrier(1_050, Barrier { stops: true, ..barrier(2) }, GOOD);
        assert_eq!(worker.aborted(BY, 1), [], "another one");
        assert_eq!(worker.aborted(Attempt { number: 2, ..BY }, 2), [], "not this attempt's");
        let failed = worker.aborted(BY, 2);
        assert!(
            matches!(says(&failed)[..], [ToMaster::Failed { .. }, ToMaster::Failed { .. }]),
            "{failed:?}"
        );
        assert!(!worker.is_running());
    }

    #[test]
    fn a_storage_that_is_slow_lets_tasks_acknowledge_late() {
        let mut worker = worker();
        worker.poll(1_000);
        worker.barrier(1_000, barrier(1), Storage { takes_ms: 12_000, ..GOOD });
        assert_eq!(worker.aborted(BY, 1), []);
        assert_eq!(says(&worker.poll(12_999)), [] as [&ToMaster; 0]);
        assert!(matches!(says(&worker.poll(13_000))[..], [ToMaster::Acknowledge { id: 1, .. }, _]));
    }

    #[test]
    fn cancelled_tasks_say_nothing_more() {
        let mut worker = worker();
        worker.poll(1_000);
        worker.barrier(1_000, barrier(1), GOOD);
        assert_eq!(worker.cancel(BY), Effect::Say(ToMaster::Canceled { by: BY }));
        assert_eq!(worker.poll(5_000), []);
        assert!(!worker.is_running());
        assert_eq!(worker.fail_one(), None);
    }
}
