//! Jobs end for a reason: because their input ended, because the user cancelled or stopped them, or because their restarts are
//! used up.
//! Flink takes an exception at the wrong place for the end of the job and cleans up after it; whoever makes Flink see such an
//! exception because a store was slow has lost the job.

use super::log::Log;
use super::property::ENDS_FOR_A_REASON;
use super::{Oracle, Seen, Verdict, must};
use crate::plan::{Plan, RestartStrategy, What};
use crate::trace::Event;

/// Watches the terminal results that become durable.
#[derive(Debug)]
pub(super) struct Endings {
    may_finish: bool,
    may_be_canceled: bool,
    /// How many restarts there must have been before there is none left; `None`: there are always more.
    restarts: Option<u64>,
    restarted: u64,
    /// Somebody harmed a snapshot: a job that cannot be restored has failed.
    harmed: bool,
    /// The savepoint with which the job ends is there, and the job did not start again since.
    stopped: bool,
}

impl Endings {
    pub(super) fn of(plan: &Plan) -> Self {
        Self {
            may_finish: plan.job.records.is_some(),
            may_be_canceled: plan.faults.iter().any(|fault| fault.what == What::Cancel),
            restarts: match plan.job.restart {
                RestartStrategy::None => Some(0),
                RestartStrategy::FixedDelay { attempts, .. } => Some(attempts.into()),
                RestartStrategy::FailureRate { failures_max, .. } => Some(failures_max.into()),
                RestartStrategy::ExponentialDelay { .. } => None,
            },
            restarted: 0,
            harmed: false,
            stopped: false,
        }
    }

    fn check(&self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        let before = log.previous().map(|previous| &previous.state.results.jobs);
        let known = |job: &String| before.is_some_and(|before| before.contains_key(job));
        for (job, result) in newest.state.results.jobs.iter().filter(|(job, _)| !known(job)) {
            let has_reason = match result.status.as_str() {
                "FINISHED" => self.may_finish || self.stopped,
                "CANCELED" => self.may_be_canceled,
                // Once it was stopped, sinks may have committed what no checkpoint holds: it is not restarted.
                _ => {
                    self.harmed
                        || self.stopped
                        || self.restarts.is_some_and(|restarts| self.restarted >= restarts)
                }
            };
            must(has_reason, ENDS_FOR_A_REASON, || {
                let (status, sequence, restarted) = (&result.status, newest.header.sequence, self.restarted);
                format!(
                    "by record {sequence} job {job} ended as {status} after {restarted} restarts, for no reason"
                )
            })?;
        }
        Ok(())
    }
}

impl Oracle for Endings {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match seen.entry.event {
            Event::JobRestarting { .. } => self.restarted += 1,
            Event::SnapshotHarmed { .. } => self.harmed = true,
            Event::SavepointCompleted { stops: true, .. } => self.stopped = true,
            Event::JobRestored { .. } => self.stopped = false,
            _ => {}
        }
        if seen.appended { self.check(seen.log) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, plan, plan_with};
    use super::*;
    use crate::plan::Job;

    /// What is broken when the job of this plan ends like this after so many restarts.
    fn ends(plan: &Plan, status: &'static str, restarts: u32) -> Option<&'static str> {
        let (mut history, mut oracle) = (History::default(), Endings::of(plan));
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        for _ in 0..restarts {
            let restarting = Event::JobRestarting { job: JOB.to_owned(), cause: "a task failed".to_owned() };
            history.show(&mut oracle, "jm-0", restarting).unwrap();
        }
        let ended = Draft { result: Some(status), ..Draft::commit(1, "a") };
        let verdict = history.record(&mut oracle, &ended);
        // What stands there already is no news.
        let verdict = verdict.and_then(|()| history.record(&mut oracle, &ended));
        verdict.err().map(|broken| broken.property)
    }

    fn with(restart: RestartStrategy) -> Plan {
        Plan { job: Job { restart, ..plan().job }, ..plan() }
    }

    #[test]
    fn a_job_is_canceled_by_its_user_only() {
        assert_eq!(ends(&plan_with(&[What::Cancel]), "CANCELED", 0), None);
        assert_eq!(ends(&plan(), "CANCELED", 0), Some(ENDS_FOR_A_REASON));
    }

    #[test]
    fn a_job_finishes_when_its_input_does() {
        let finite = Plan { job: Job { records: Some(9), ..plan().job }, ..plan() };
        assert_eq!(ends(&finite, "FINISHED", 0), None);
        assert_eq!(ends(&plan(), "FINISHED", 0), Some(ENDS_FOR_A_REASON));
    }

    #[test]
    fn a_job_that_was_stopped_with_a_savepoint_finishes_or_fails_unless_it_was_started_again() {
        let verdict = |status, events: &[Event]| {
            let (mut history, mut oracle) = (History::default(), Endings::of(&plan()));
            history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
            for event in events {
                history.show(&mut oracle, "jm-0", event.clone()).unwrap();
            }
            let ended = Draft { result: Some(status), ..Draft::commit(1, "a") };
            history.record(&mut oracle, &ended).err().map(|broken| broken.property)
        };
        let saved = |stops| {
            let (job, offsets) = (JOB.to_owned(), std::collections::BTreeMap::new());
            Event::SavepointCompleted { job, id: 2, epoch: 1, stops, offsets }
        };
        let again = Event::JobRestored { job: JOB.to_owned(), epoch: 1, from: Some(1), failover: true };
        for status in ["FINISHED", "FAILED"] {
            assert_eq!(verdict(status, &[saved(true)]), None);
            assert_eq!(verdict(status, &[saved(false)]), Some(ENDS_FOR_A_REASON));
            assert_eq!(verdict(status, &[saved(true), again.clone()]), Some(ENDS_FOR_A_REASON));
        }
    }

    #[test]
    fn a_job_fails_when_its_restarts_are_used_up() {
        assert_eq!(ends(&with(RestartStrategy::None), "FAILED", 0), None);
        let twice = with(RestartStrategy::FixedDelay { attempts: 2, delay_ms: 1 });
        assert_eq!(ends(&twice, "FAILED", 2), None);
        assert_eq!(ends(&twice, "FAILED", 1), Some(ENDS_FOR_A_REASON));
        let ever = RestartStrategy::ExponentialDelay {
            initial_ms: 1,
            max_ms: 2,
            multiplier_percent: 200,
            reset_ms: 9,
        };
        assert_eq!(ends(&with(ever), "FAILED", 99), Some(ENDS_FOR_A_REASON));
    }
}
