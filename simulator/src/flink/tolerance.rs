//! Flink's `CheckpointFailureManager`: which failure of a checkpoint or savepoint fails the job. Pure.

use super::coordinator::Purpose;

/// Where a checkpoint or savepoint failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It expired, or could not be completed or recorded.
    JobManager,
    /// A task could not take part.
    Task,
}

/// Counts failures in a row.
#[derive(Debug)]
pub(super) struct Tolerance {
    in_a_row: u32,
    tolerable: u32,
}

// === impl Tolerance ===

impl Tolerance {
    /// For so many failures in a row: `tolerable-failed-checkpoints`.
    pub(super) fn new(tolerable: u32) -> Self {
        Self { in_a_row: 0, tolerable }
    }

    /// One completed, whatever it was for.
    pub(super) fn completed(&mut self) {
        self.in_a_row = 0;
    }

    /// One failed. True: it fails the job.
    ///
    /// A savepoint that failed in the JobManager is the user's to try again, and no failover would help. In a task it counts
    /// like a checkpoint, and when it was to end the job it fails it at once: tasks that wait at its barrier would wait for ever.
    pub(super) fn fails_the_job(&mut self, purpose: Purpose, place: Place) -> bool {
        let fails = match (purpose, place) {
            (Purpose::Savepoint | Purpose::Stop, Place::JobManager) => return false,
            (Purpose::Stop, Place::Task) => true,
            (Purpose::Checkpoint, _) | (Purpose::Savepoint, Place::Task) => {
                self.in_a_row += 1;
                self.in_a_row > self.tolerable
            }
        };
        if fails {
            self.in_a_row = 0;
        }
        fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checkpoints_may_fail_in_a_row_as_often_as_is_tolerable() {
        let mut tolerance = Tolerance::new(2);
        let mut fails = |count: usize| -> Vec<bool> {
            let failure = |_| tolerance.fails_the_job(Purpose::Checkpoint, Place::JobManager);
            (0..count).map(failure).collect()
        };
        assert_eq!(fails(4), [false, false, true, false], "and then the count begins anew");
        assert_eq!(fails(1), [false]);
        tolerance.completed();
        assert!(!tolerance.fails_the_job(Purpose::Checkpoint, Place::Task));
    }

    #[test]
    fn a_savepoint_counts_when_it_failed_in_a_task_and_one_that_ends_the_job_is_never_tolerable_there() {
        let mut tolerance = Tolerance::new(0);
        for purpose in [Purpose::Savepoint, Purpose::Stop] {
            assert!(!tolerance.fails_the_job(purpose, Place::JobManager));
            assert!(tolerance.fails_the_job(purpose, Place::Task));
        }
        assert!(!Tolerance::new(1).fails_the_job(Purpose::Savepoint, Place::Task));
        assert!(Tolerance::new(9).fails_the_job(Purpose::Stop, Place::Task));
    }
}
