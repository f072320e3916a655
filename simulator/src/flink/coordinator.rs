//! Flink's `CheckpointCoordinator`, as far as it is decisions: when checkpoints and savepoints start, when they are complete
//! and when they are given up. Pure.
//!
//! Checkpoints are taken one at a time (`max-concurrent-checkpoints` is 1). A savepoint does not wait for one that is on its
//! way, but the next checkpoint waits for it. All of them have ids from one counter.

use std::collections::{BTreeMap, BTreeSet};

use super::state::{PartitionState, Snapshot};
use crate::plan::Job;

/// How long the user waits before they ask again for what has failed.
const USER_PAUSE_MS: u64 = 2_000;

/// What a snapshot of the job is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To recover from. It is recorded, and sinks commit for it.
    Checkpoint,
    /// The user's own. It is not recorded, nothing is recovered from it, and no sink commits for it.
    Savepoint,
    /// A savepoint with which the job ends: the tasks stop at its barrier, and sinks commit for it.
    Stop,
}

/// The coordinator of one job in one JobManager. It works while all tasks run.
#[derive(Debug)]
pub(super) struct Coordinator {
    interval_ms: u64,
    timeout_ms: u64,
    tasks: BTreeSet<u32>,
    runs: bool,
    /// When the next checkpoint is due; `None` while the tasks do not run, or are being stopped.
    next_ms: Option<u64>,
    /// The savepoint that the user wants and that did not start yet.
    wish: Option<Purpose>,
    /// From when on the user may be heard again.
    hears_at_ms: u64,
    asked: Option<Asked>,
    pending: BTreeMap<u64, Pending>,
    /// Every task has acknowledged this one; it is being recorded.
    completing: Option<(u64, Purpose)>,
}

/// The counter was asked for an id.
#[derive(Debug, Clone, Copy)]
struct Asked {
    purpose: Purpose,
    /// False once the tasks have failed, or are to be stopped: the id is not used.
    wanted: bool,
}

/// Barriers are on their way.
#[derive(Debug)]
struct Pending {
    purpose: Purpose,
    expires_ms: u64,
    acknowledged: Snapshot,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the counter for the next id.
    AskId,
    /// Send barriers.
    Barrier(u64, Purpose),
    /// Record it.
    Complete(u64, Purpose, Snapshot),
    /// It took too long.
    Expired(u64, Purpose),
    /// An acknowledgement came after its snapshot was given up.
    Late(u64),
}

// === impl Coordinator ===

impl Coordinator {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            interval_ms: job.checkpoint_interval_ms,
            timeout_ms: job.checkpoint_timeout_ms,
            tasks: (0..job.parallelism).collect(),
            runs: false,
            next_ms: None,
            wish: None,
            hears_at_ms: 0,
            asked: None,
            pending: BTreeMap::new(),
            completing: None,
        }
    }

    /// All tasks run.
    pub(super) fn start(&mut self, now_ms: u64) {
        self.runs = true;
        self.next_ms = Some(now_ms + self.interval_ms);
    }

    /// The tasks do not run any more. What was pending is given up: their ids.
    pub(super) fn stop(&mut self) -> Vec<u64> {
        self.runs = false;
        self.wish = None;
        self.completing = None;
        self.suspend()
    }

    /// No more checkpoints, and what was pending is given up.
    fn suspend(&mut self) -> Vec<u64> {
        self.next_ms = None;
        if let Some(asked) = &mut self.asked {
            asked.wanted = false;
        }
        std::mem::take(&mut self.pending).into_keys().collect()
    }

    /// Whether the user is heard: all tasks run, and nothing of theirs is on its way.
    pub(super) fn hears(&self, now_ms: u64) -> bool {
        let theirs = |purpose: &Purpose| *purpose != Purpose::Checkpoint;
        let asked = self.asked.iter().filter(|asked| asked.wanted).map(|asked| &asked.purpose);
        let busy = asked.chain(self.pending.values().map(|pending| &pending.purpose)).any(theirs);
        self.runs && self.wish.is_none() && !busy && now_ms >= self.hears_at_ms
    }

    /// The user wants a savepoint.
    pub(super) fn savepoint(&mut self) {
        self.wish = Some(Purpose::Savepoint);
    }

    /// The user wants a savepoint with which the job ends. There are no checkpoints meanwhile; what was pending is given up,
    /// so that nothing but what is in the savepoint is committed.
    pub(super) fn stop_with_savepoint(&mut self) -> Vec<u64> {
        let given_up = self.suspend();
        self.wish = Some(Purpose::Stop);
        given_up
    }

    /// A snapshot came to nothing. When it was to end the job, there are checkpoints again.
    fn came_to_nothing(&mut self, now_ms: u64, purpose: Purpose) {
        if purpose != Purpose::Checkpoint {
            self.hears_at_ms = now_ms + USER_PAUSE_MS;
        }
        if purpose == Purpose::Stop && self.runs {
            self.next_ms = Some(now_ms + self.interval_ms);
        }
    }

    /// What is due by now.
    pub(super) fn poll(&mut self, now_ms: u64) -> Option<Step> {
        let expired = self.pending.iter().find(|(_, pending)| pending.expires_ms <= now_ms);
        if let Some((id, purpose)) = expired.map(|(id, pending)| (*id, pending.purpose)) {
            self.pending.remove(&id);
            self.came_to_nothing(now_ms, purpose);
            return Some(Step::Expired(id, purpose));
        }
        if self.asked.is_some() || self.completing.is_some() {
            return None;
        }
        let is_due = self.pending.is_empty() && self.next_ms.is_some_and(|next_ms| next_ms <= now_ms);
        let purpose = match self.wish.take() {
            Some(purpose) => purpose,
            None if is_due => {
                self.next_ms = Some(now_ms + self.interval_ms);
                Purpose::Checkpoint
            }
            None => return None,
        };
        self.asked = Some(Asked { purpose, wanted: true });
        Some(Step::AskId)
    }

    /// When to call [`Coordinator::poll`] at the latest.
    pub(super) fn wake_ms(&self) -> Option<u64> {
        let expires_ms = self.pending.values().map(|pending| pending.expires_ms).min();
        let idle = self.asked.is_none() && self.completing.is_none();
        let wished_ms = self.wish.filter(|_| idle).map(|_| 0);
        let next_ms = self.next_ms.filter(|_| idle && self.pending.is_empty());
        [expires_ms, wished_ms, next_ms].into_iter().flatten().min()
    }

    /// The counter gave an id, or none: then this snapshot is left out and nothing else happens.
    pub(super) fn id_given(&mut self, now_ms: u64, id: Option<u64>) -> Option<Step> {
        let asked = self.asked.take().filter(|asked| asked.wanted)?;
        let Some(id) = id else {
            self.came_to_nothing(now_ms, asked.purpose);
            return None;
        };
        let (purpose, expires_ms) = (asked.purpose, now_ms + self.timeout_ms);
        self.pending.insert(id, Pending { purpose, expires_ms, acknowledged: Snapshot::new() });
        Some(Step::Barrier(id, purpose))
    }

    /// A task acknowledges. Late ones are of no account.
    pub(super) fn acknowledged(&mut self, id: u64, partition: u32, state: PartitionState) -> Option<Step> {
        if !self.tasks.contains(&partition) {
            return None;
        }
        let Some(pending) = self.pending.get_mut(&id) else { return Some(Step::Late(id)) };
        pending.acknowledged.insert(partition, state);
        if pending.acknowledged.len() < self.tasks.len() {
            return None;
        }
        let Pending { purpose, acknowledged, .. } = self.pending.remove(&id)?;
        self.completing = Some((id, purpose));
        Some(Step::Complete(id, purpose, acknowledged))
    }

    /// A task could not take part. What that was for: it is given up.
    pub(super) fn declined(&mut self, now_ms: u64, id: u64) -> Option<Purpose> {
        let purpose = self.pending.remove(&id)?.purpose;
        self.came_to_nothing(now_ms, purpose);
        Some(purpose)
    }

    /// It was recorded, or was not. What it was for.
    pub(super) fn settled(&mut self, now_ms: u64, id: u64, good: bool) -> Option<Purpose> {
        let (_, purpose) = self.completing.take_if(|(completing, _)| *completing == id)?;
        if !good {
            self.came_to_nothing(now_ms, purpose);
        }
        Some(purpose)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coordinator() -> Coordinator {
        let job =
            Job { parallelism: 2, checkpoint_interval_ms: 100, checkpoint_timeout_ms: 500, ..Job::default() };
        let mut coordinator = Coordinator::new(&job);
        coordinator.start(0);
        coordinator
    }

    fn pending(coordinator: &mut Coordinator, now_ms: u64, id: u64, purpose: Purpose) {
        assert_eq!(coordinator.poll(now_ms), Some(Step::AskId));
        assert_eq!(coordinator.id_given(now_ms, Some(id)), Some(Step::Barrier(id, purpose)));
    }

    fn checkpoint(coordinator: &mut Coordinator, now_ms: u64, id: u64) {
        pending(coordinator, now_ms, id, Purpose::Checkpoint);
    }

    /// Every task acknowledges it, and it is recorded.
    fn completes(coordinator: &mut Coordinator, now_ms: u64, id: u64) -> Option<Step> {
        assert_eq!(coordinator.acknowledged(id, 0, PartitionState::default()), None);
        let step = coordinator.acknowledged(id, 1, PartitionState::default());
        coordinator.settled(now_ms, id, true);
        step
    }

    #[test]
    fn a_checkpoint_is_complete_when_every_task_has_acknowledged_it() {
        let mut coordinator = coordinator();
        assert_eq!(coordinator.poll(99), None);
        checkpoint(&mut coordinator, 100, 7);
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None);
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None, "twice is once");
        let complete = coordinator.acknowledged(7, 1, PartitionState::default());
        assert!(
            matches!(complete, Some(Step::Complete(7, Purpose::Checkpoint, snapshot)) if snapshot.len() == 2)
        );
        assert_eq!(coordinator.poll(900), None, "one at a time");
        assert_eq!(coordinator.settled(900, 7, true), Some(Purpose::Checkpoint));
        assert_eq!(coordinator.poll(900), Some(Step::AskId));
    }

    #[test]
    fn a_checkpoint_that_takes_too_long_is_given_up_and_late_acknowledgements_are_of_no_account() {
        let mut coordinator = coordinator();
        checkpoint(&mut coordinator, 100, 7);
        assert_eq!(coordinator.wake_ms(), Some(600));
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None);
        assert_eq!(coordinator.poll(600), Some(Step::Expired(7, Purpose::Checkpoint)));
        assert_eq!(coordinator.acknowledged(7, 1, PartitionState::default()), Some(Step::Late(7)));
        assert_eq!(coordinator.declined(600, 7), None);
        checkpoint(&mut coordinator, 600, 8);
        assert_eq!(coordinator.acknowledged(7, 1, PartitionState::default()), Some(Step::Late(7)));
        assert_eq!(coordinator.declined(600, 8), Some(Purpose::Checkpoint));
    }

    #[test]
    fn no_checkpoint_outlives_the_tasks_and_an_id_that_comes_after_them_is_not_used() {
        let mut coordinator = coordinator();
        checkpoint(&mut coordinator, 100, 7);
        assert_eq!(coordinator.stop(), [7]);
        coordinator.start(1_000);
        assert_eq!(coordinator.poll(1_100), Some(Step::AskId));
        assert_eq!(coordinator.stop(), Vec::<u64>::new());
        coordinator.start(1_200);
        assert_eq!(coordinator.poll(1_400), None, "the answer is still to come");
        assert_eq!(coordinator.id_given(1_400, Some(8)), None);
        assert_eq!(coordinator.poll(1_400), Some(Step::AskId));
    }

    #[test]
    fn a_counter_that_gives_no_id_costs_one_checkpoint_only() {
        let mut coordinator = coordinator();
        assert_eq!(coordinator.poll(100), Some(Step::AskId));
        assert_eq!(coordinator.id_given(400, None), None);
        assert_eq!(coordinator.poll(400), Some(Step::AskId));
    }

    #[test]
    fn a_savepoint_does_not_wait_for_a_checkpoint_but_the_next_checkpoint_waits_for_it() {
        let mut coordinator = coordinator();
        checkpoint(&mut coordinator, 100, 7);
        coordinator.savepoint();
        assert!(!coordinator.hears(110), "one savepoint at a time");
        assert_eq!(coordinator.wake_ms(), Some(0));
        pending(&mut coordinator, 110, 8, Purpose::Savepoint);
        assert!(matches!(
            completes(&mut coordinator, 150, 7),
            Some(Step::Complete(7, Purpose::Checkpoint, _))
        ));
        assert_eq!(coordinator.poll(300), None, "8 is on its way");
        assert!(matches!(
            completes(&mut coordinator, 310, 8),
            Some(Step::Complete(8, Purpose::Savepoint, _))
        ));
        checkpoint(&mut coordinator, 310, 9);
        assert!(coordinator.hears(310));
    }

    #[test]
    fn there_are_no_checkpoints_while_the_job_is_stopped_with_a_savepoint() {
        let mut coordinator = coordinator();
        checkpoint(&mut coordinator, 100, 7);
        assert_eq!(coordinator.stop_with_savepoint(), [7], "what was pending is given up");
        pending(&mut coordinator, 110, 8, Purpose::Stop);
        assert_eq!(coordinator.poll(400), None);
        assert!(matches!(completes(&mut coordinator, 410, 8), Some(Step::Complete(8, Purpose::Stop, _))));
        assert_eq!(coordinator.poll(9_000), None);
        assert_eq!(coordinator.wake_ms(), None);
    }

    #[test]
    fn checkpoints_go_on_when_stopping_comes_to_nothing_and_the_user_is_heard_again_after_a_pause() {
        let fails: [fn(&mut Coordinator); 3] = [
            |coordinator| {
                assert_eq!(coordinator.poll(100), Some(Step::AskId));
                assert_eq!(coordinator.id_given(100, None), None);
            },
            |coordinator| {
                pending(coordinator, 100, 8, Purpose::Stop);
                assert_eq!(coordinator.declined(100, 8), Some(Purpose::Stop));
            },
            |coordinator| {
                pending(coordinator, 100, 8, Purpose::Stop);
                coordinator.acknowledged(8, 0, PartitionState::default());
                coordinator.acknowledged(8, 1, PartitionState::default());
                assert_eq!(coordinator.settled(100, 8, false), Some(Purpose::Stop));
            },
        ];
        for fail in fails {
            let mut coordinator = coordinator();
            assert_eq!(coordinator.stop_with_savepoint(), Vec::<u64>::new());
            fail(&mut coordinator);
            assert!(!coordinator.hears(101));
            assert!(coordinator.hears(100 + USER_PAUSE_MS));
            assert_eq!(coordinator.wake_ms(), Some(200));
            checkpoint(&mut coordinator, 200, 9);
        }
    }

    #[test]
    fn an_id_that_was_asked_for_a_checkpoint_is_not_used_when_the_job_is_to_be_stopped() {
        let mut coordinator = coordinator();
        assert_eq!(coordinator.poll(100), Some(Step::AskId));
        assert_eq!(coordinator.stop_with_savepoint(), Vec::<u64>::new());
        assert_eq!(coordinator.id_given(110, Some(7)), None);
        pending(&mut coordinator, 110, 8, Purpose::Stop);
    }
}
