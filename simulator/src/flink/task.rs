//! One task: a source partition, keyed state and a two-phase-commit sink in a chain. Records are processed as ranges.

use crate::plan::Job;

use super::state::{Attempt, PartitionState, Transaction};

/// A running task. Times are the TaskManager's own, in milliseconds.
#[derive(Debug)]
pub(super) struct Task {
    partition: u32,
    by: Attempt,
    state: PartitionState,
    /// Where the open transaction of the sink begins.
    open_from: u64,
    started_ms: u64,
    started_at: u64,
    records_per_s: u64,
    poison: Option<u64>,
    records: Option<u64>,
    /// It waits at the barrier of this savepoint, with which the job ends: it reads nothing more.
    held_at: Option<u64>,
}

/// How far a task came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// It works.
    Running,
    /// It came upon a record that cannot be processed: the task has failed.
    Poisoned,
}

// === impl Task ===

impl Task {
    /// Starts from `restored`, whose pending transactions the caller has committed.
    ///
    /// # Panics
    /// When the keyed state is not what the records before the offset make: a defect of this model.
    pub(super) fn start(
        now_ms: u64,
        partition: u32,
        by: Attempt,
        job: &Job,
        restored: &PartitionState,
    ) -> Self {
        assert!(restored.is_consistent(), "partition {partition} restores a torn state: {restored:?}");
        let state = PartitionState { pending: Vec::new(), ..restored.clone() };
        Self {
            partition,
            by,
            open_from: state.offset,
            started_ms: now_ms,
            started_at: state.offset,
            state,
            records_per_s: job.records_per_s,
            poison: job.poison_offset.filter(|_| partition == 0),
            records: job.records,
            held_at: None,
        }
    }

    /// Processes what is due.
    pub(super) fn advance(&mut self, now_ms: u64) -> Progress {
        if self.held_at.is_some() {
            return Progress::Running;
        }
        let due = self.records_per_s * (now_ms - self.started_ms) / 1_000;
        let mut to = self.started_at + due;
        if let Some(records) = self.records {
            to = to.min(records.max(self.started_at));
            self.state.exhausted = to >= records;
        }
        let poison = self.poison.filter(|poison| (self.state.offset..to).contains(poison));
        self.state.process_until(poison.unwrap_or(to).max(self.state.offset));
        match poison {
            Some(_) => Progress::Poisoned,
            None => Progress::Running,
        }
    }

    /// When it will fail on its poison record, unless it is past that.
    pub(super) fn fails_at_ms(&self) -> Option<u64> {
        let poison = self.poison.filter(|poison| *poison >= self.state.offset)?;
        if self.held_at.is_some()
            || self.records_per_s == 0
            || self.records.is_some_and(|records| poison >= records)
        {
            return None;
        }
        let before = poison + 1 - self.started_at;
        Some(self.started_ms + (before * 1_000).div_ceil(self.records_per_s))
    }

    /// The barrier of checkpoint `id` has come through: the sink prepares what it has, and this is the state.
    /// [`Task::advance`] was called for this moment.
    pub(super) fn barrier(&mut self, id: u64) -> PartitionState {
        let (from, to) = (self.open_from, self.state.offset);
        if from < to {
            let transaction =
                Transaction { by: self.by, partition: self.partition, checkpoint: id, from, to };
            self.state.pending.push(transaction);
            self.open_from = to;
        }
        self.state.clone()
    }

    /// Checkpoint `id` was recorded: takes out what is to be committed for it. That includes what was prepared for
    /// earlier checkpoints which failed.
    pub(super) fn complete(&mut self, id: u64) -> Vec<Transaction> {
        let (due, rest) = std::mem::take(&mut self.state.pending)
            .into_iter()
            .partition(|transaction| transaction.checkpoint <= id);
        self.state.pending = rest;
        due
    }

    /// The barrier that has just come through was that of the savepoint with which the job ends.
    pub(super) fn hold(&mut self, id: u64) {
        self.held_at = Some(id);
    }

    /// Whether it waits at the barrier of this one.
    pub(super) fn is_held_at(&self, id: u64) -> bool {
        self.held_at == Some(id)
    }

    /// Its source has come to its end, or was stopped, and everything is committed.
    pub(super) fn is_finished(&self) -> bool {
        let ends = self.state.exhausted || self.held_at.is_some();
        ends && self.open_from == self.state.offset && self.state.pending.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: Attempt = Attempt { epoch: 1, number: 1 };

    fn job() -> Job {
        Job { records_per_s: 100, ..Job::default() }
    }

    fn range(transaction: &Transaction) -> (u64, u64, u64) {
        (transaction.checkpoint, transaction.from, transaction.to)
    }

    #[test]
    fn a_sink_commits_what_was_prepared_up_to_the_checkpoint_and_failed_ones_before_it() {
        let mut task = Task::start(0, 1, BY, &job(), &PartitionState::default());
        assert_eq!(task.advance(1_000), Progress::Running);
        assert_eq!(task.barrier(1).offset, 100);
        task.advance(1_500);
        task.barrier(2); // 1 failed
        task.advance(2_000);
        task.barrier(3);
        let committed: Vec<_> = task.complete(2).iter().map(range).collect();
        assert_eq!(committed, [(1, 0, 100), (2, 100, 150)]);
        assert_eq!(task.complete(3).iter().map(range).collect::<Vec<_>>(), [(3, 150, 200)]);
        assert_eq!(task.complete(3), []);
    }

    #[test]
    fn a_task_that_is_stopped_reads_nothing_behind_the_barrier_and_is_finished_when_that_is_committed() {
        let job = Job { poison_offset: Some(150), ..job() };
        let mut task = Task::start(0, 0, BY, &job, &PartitionState::default());
        task.advance(1_000);
        task.barrier(1);
        task.hold(1);
        assert_eq!(task.fails_at_ms(), None, "it never comes to the poison");
        assert_eq!(task.advance(9_000), Progress::Running);
        assert!(task.is_held_at(1) && !task.is_finished());
        assert_eq!(task.complete(1).iter().map(range).collect::<Vec<_>>(), [(1, 0, 100)]);
        assert!(task.is_finished());
    }

    #[test]
    fn what_was_prepared_for_a_savepoint_is_committed_with_the_next_checkpoint() {
        let mut task = Task::start(0, 1, BY, &job(), &PartitionState::default());
        task.advance(1_000);
        task.barrier(1);
        assert_eq!(task.complete(1).len(), 1);
        task.advance(2_000);
        task.barrier(2); // a savepoint: nobody is told to commit it
        task.advance(3_000);
        let next = task.barrier(3);
        assert_eq!(next.pending.iter().map(range).collect::<Vec<_>>(), [(2, 100, 200), (3, 200, 300)]);
        assert_eq!(task.complete(3).iter().map(range).collect::<Vec<_>>(), [(2, 100, 200), (3, 200, 300)]);
    }

    #[test]
    fn a_task_goes_on_from_the_offset_that_it_restores() {
        let mut task = Task::start(0, 1, BY, &job(), &PartitionState::default());
        task.advance(1_230);
        let state = task.barrier(1);
        let mut next = Task::start(5_000, 1, Attempt { number: 2, ..BY }, &job(), &state);
        next.advance(6_000);
        let state = next.barrier(2);
        assert_eq!(state.pending.iter().map(range).collect::<Vec<_>>(), [(2, 123, 223)]);
        assert!(state.is_consistent());
    }

    #[test]
    fn a_poison_record_fails_each_attempt_at_the_moment_that_was_foretold() {
        let job = Job { poison_offset: Some(150), ..job() };
        let mut task = Task::start(0, 0, BY, &job, &PartitionState::default());
        let fails_at_ms = task.fails_at_ms().expect("it meets the record");
        assert_eq!(task.advance(fails_at_ms - 1), Progress::Running);
        let state = task.barrier(1);
        assert_eq!(task.advance(fails_at_ms), Progress::Poisoned);
        let mut again = Task::start(9_000, 0, BY, &job, &state);
        assert_eq!(again.fails_at_ms(), Some(9_010));
        assert_eq!(again.advance(20_000), Progress::Poisoned);
        assert_eq!(
            Task::start(0, 1, BY, &job, &PartitionState::default()).fails_at_ms(),
            None,
            "partition 0 only"
        );
    }

    #[test]
    fn a_task_is_finished_when_its_last_records_are_committed() {
        let job = Job { records: Some(120), ..job() };
        let mut task = Task::start(0, 0, BY, &job, &PartitionState::default());
        task.advance(1_000);
        assert!(!task.barrier(1).exhausted);
        task.advance(60_000);
        let last = task.barrier(2);
        assert!(last.exhausted);
        assert_eq!(last.offset, 120);
        assert!(!task.is_finished());
        task.complete(2);
        assert!(task.is_finished());
    }
}
