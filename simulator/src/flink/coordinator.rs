//! Flink's `CheckpointCoordinator`, as far as it is decisions: when checkpoints start, when they are complete and when
//! they are given up. One at a time. Pure.

use std::collections::BTreeSet;

use super::state::{PartitionState, Snapshot};
use crate::plan::Job;

/// The coordinator of one job in one JobManager. It works while all tasks run.
#[derive(Debug)]
pub(super) struct Coordinator {
    interval_ms: u64,
    timeout_ms: u64,
    tasks: BTreeSet<u32>,
    /// When the next checkpoint is due; `None` while the tasks do not run.
    next_ms: Option<u64>,
    current: Current,
}

#[derive(Debug)]
enum Current {
    None,
    /// The counter was asked for an id.
    Asked,
    /// As `Asked`, but the tasks have failed since: the id is not used.
    AskedInVain,
    /// Barriers are on their way.
    Pending {
        id: u64,
        expires_ms: u64,
        acknowledged: Snapshot,
    },
    /// Every task has acknowledged; it is being recorded.
    Completing {
        id: u64,
    },
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Ask the counter for the next id.
    AskId,
    /// Send barriers.
    Barrier(u64),
    /// Record it.
    Complete(u64, Snapshot),
    /// It took too long.
    Expired(u64),
}

// === impl Coordinator ===

impl Coordinator {
    pub(super) fn new(job: &Job) -> Self {
        Self {
            interval_ms: job.checkpoint_interval_ms,
            timeout_ms: job.checkpoint_timeout_ms,
            tasks: (0..job.parallelism).collect(),
            next_ms: None,
            current: Current::None,
        }
    }

    /// All tasks run.
    pub(super) fn start(&mut self, now_ms: u64) {
        self.next_ms = Some(now_ms + self.interval_ms);
    }

    /// The tasks do not run any more. A checkpoint that was pending is given up: its id.
    pub(super) fn stop(&mut self) -> Option<u64> {
        self.next_ms = None;
        match std::mem::replace(&mut self.current, Current::None) {
            Current::Asked | Current::AskedInVain => {
                self.current = Current::AskedInVain;
                None
            }
            Current::Pending { id, .. } => Some(id),
            Current::None | Current::Completing { .. } => None,
        }
    }

    /// What is due by now.
    pub(super) fn poll(&mut self, now_ms: u64) -> Option<Step> {
        match &self.current {
            Current::None if self.next_ms.is_some_and(|next_ms| next_ms <= now_ms) => {
                self.current = Current::Asked;
                self.next_ms = Some(now_ms + self.interval_ms);
                Some(Step::AskId)
            }
            Current::Pending { id, expires_ms, .. } if *expires_ms <= now_ms => {
                let id = *id;
                self.current = Current::None;
                Some(Step::Expired(id))
            }
            _ => None,
        }
    }

    /// When to call [`Coordinator::poll`] at the latest.
    pub(super) fn wake_ms(&self) -> Option<u64> {
        match &self.current {
            Current::None => self.next_ms,
            Current::Pending { expires_ms, .. } => Some(*expires_ms),
            _ => None,
        }
    }

    /// The counter gave an id, or none: then this checkpoint is left out and nothing else happens.
    pub(super) fn id_given(&mut self, now_ms: u64, id: Option<u64>) -> Option<Step> {
        let wanted = matches!(self.current, Current::Asked);
        self.current = Current::None;
        let id = id.filter(|_| wanted)?;
        let expires_ms = now_ms + self.timeout_ms;
        self.current = Current::Pending { id, expires_ms, acknowledged: Snapshot::new() };
        Some(Step::Barrier(id))
    }

    /// A task acknowledges. Late ones are of no account.
    pub(super) fn acknowledged(&mut self, id: u64, partition: u32, state: PartitionState) -> Option<Step> {
        let Current::Pending { id: pending, acknowledged, .. } = &mut self.current else { return None };
        if *pending != id || !self.tasks.contains(&partition) {
            return None;
        }
        acknowledged.insert(partition, state);
        if acknowledged.len() < self.tasks.len() {
            return None;
        }
        let snapshot = std::mem::take(acknowledged);
        self.current = Current::Completing { id };
        Some(Step::Complete(id, snapshot))
    }

    /// A task could not take part. True: that checkpoint is given up.
    pub(super) fn declined(&mut self, id: u64) -> bool {
        let pending = matches!(self.current, Current::Pending { id: pending, .. } if pending == id);
        if pending {
            self.current = Current::None;
        }
        pending
    }

    /// It was recorded, or was not.
    pub(super) fn settled(&mut self, id: u64) {
        if matches!(self.current, Current::Completing { id: completing } if completing == id) {
            self.current = Current::None;
        }
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

    fn pending(coordinator: &mut Coordinator, now_ms: u64, id: u64) {
        assert_eq!(coordinator.poll(now_ms), Some(Step::AskId));
        assert_eq!(coordinator.id_given(now_ms, Some(id)), Some(Step::Barrier(id)));
    }

    #[test]
    fn a_checkpoint_is_complete_when_every_task_has_acknowledged_it() {
        let mut coordinator = coordinator();
        assert_eq!(coordinator.poll(99), None);
        pending(&mut coordinator, 100, 7);
        assert_eq!(coordinator.acknowledged(6, 1, PartitionState::default()), None, "another one");
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None);
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None, "twice is once");
        let complete = coordinator.acknowledged(7, 1, PartitionState::default());
        assert!(matches!(complete, Some(Step::Complete(7, snapshot)) if snapshot.len() == 2));
        assert_eq!(coordinator.poll(900), None, "one at a time");
        coordinator.settled(7);
        assert_eq!(coordinator.poll(900), Some(Step::AskId));
    }

    #[test]
    fn a_checkpoint_that_takes_too_long_is_given_up_and_late_acknowledgements_are_of_no_account() {
        let mut coordinator = coordinator();
        pending(&mut coordinator, 100, 7);
        assert_eq!(coordinator.wake_ms(), Some(600));
        assert_eq!(coordinator.poll(600), Some(Step::Expired(7)));
        assert_eq!(coordinator.acknowledged(7, 0, PartitionState::default()), None);
        assert!(!coordinator.declined(7));
        pending(&mut coordinator, 600, 8);
        assert!(coordinator.declined(8));
    }

    #[test]
    fn no_checkpoint_outlives_the_tasks_and_an_id_that_comes_after_them_is_not_used() {
        let mut coordinator = coordinator();
        pending(&mut coordinator, 100, 7);
        assert_eq!(coordinator.stop(), Some(7));
        coordinator.start(1_000);
        assert_eq!(coordinator.poll(1_100), Some(Step::AskId));
        assert_eq!(coordinator.stop(), None);
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
}
