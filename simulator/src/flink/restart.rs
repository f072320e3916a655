//! Flink's restart strategies.

use std::collections::VecDeque;

use crate::plan::RestartStrategy;

/// Decides whether and when a job is started again after its tasks failed. Each JobManager begins with a new one: the
/// count of restarts does not outlive it.
#[derive(Debug)]
pub(super) struct Restarts {
    strategy: RestartStrategy,
    /// Fixed delay: restarts so far.
    used: u32,
    /// Failure rate: when the last failures were.
    recent_ms: VecDeque<u64>,
    /// Exponential delay: the next delay, and when the last failure was.
    backoff_ms: u64,
    last_ms: Option<u64>,
}

// === impl Restarts ===

impl Restarts {
    pub(super) fn new(strategy: RestartStrategy) -> Self {
        Self { strategy, used: 0, recent_ms: VecDeque::new(), backoff_ms: 0, last_ms: None }
    }

    /// The delay before the restart, or `None`: the job has FAILED.
    pub(super) fn after_failure(&mut self, now_ms: u64) -> Option<u64> {
        match self.strategy {
            RestartStrategy::None => None,
            RestartStrategy::FixedDelay { attempts, delay_ms } => {
                self.used += 1;
                (self.used <= attempts).then_some(delay_ms)
            }
            RestartStrategy::FailureRate { failures_max, interval_ms, delay_ms } => {
                // FailureRateRestartBackoffTimeStrategy: it fails when the list is full of failures within the interval.
                if self.recent_ms.len() as u64 > u64::from(failures_max) {
                    self.recent_ms.pop_front();
                }
                self.recent_ms.push_back(now_ms);
                let full = self.recent_ms.len() as u64 > u64::from(failures_max);
                let first_ms = self.recent_ms.front().copied().unwrap_or(now_ms);
                let too_many = full && now_ms - first_ms <= interval_ms;
                (!too_many).then_some(delay_ms)
            }
            RestartStrategy::ExponentialDelay { initial_ms, max_ms, multiplier_percent, reset_ms } => {
                let calm = self.last_ms.is_none_or(|last_ms| now_ms >= last_ms + self.backoff_ms + reset_ms);
                self.backoff_ms = match calm {
                    true => initial_ms,
                    false => max_ms.min(self.backoff_ms * multiplier_percent / 100),
                };
                self.last_ms = Some(now_ms);
                Some(self.backoff_ms)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delays(strategy: RestartStrategy, failures_at_ms: &[u64]) -> Vec<Option<u64>> {
        let mut restarts = Restarts::new(strategy);
        failures_at_ms.iter().map(|at_ms| restarts.after_failure(*at_ms)).collect()
    }

    #[test]
    fn without_restarts_the_first_failure_is_the_last() {
        assert_eq!(delays(RestartStrategy::None, &[5]), [None]);
    }

    #[test]
    fn a_fixed_delay_is_granted_so_many_times() {
        let strategy = RestartStrategy::FixedDelay { attempts: 2, delay_ms: 7 };
        assert_eq!(delays(strategy, &[0, 10_000, 90_000]), [Some(7), Some(7), None]);
    }

    #[test]
    fn a_failure_rate_counts_only_failures_within_the_interval() {
        let strategy = RestartStrategy::FailureRate { failures_max: 2, interval_ms: 100, delay_ms: 7 };
        assert_eq!(delays(strategy.clone(), &[0, 50, 90]), [Some(7), Some(7), None]);
        assert_eq!(delays(strategy, &[0, 50, 101, 151, 160]), [Some(7), Some(7), Some(7), Some(7), None]);
    }

    #[test]
    fn an_exponential_delay_grows_to_its_maximum_and_is_reset_by_calm() {
        let strategy = RestartStrategy::ExponentialDelay {
            initial_ms: 100,
            max_ms: 300,
            multiplier_percent: 200,
            reset_ms: 1_000,
        };
        let expected = [Some(100), Some(200), Some(300), Some(300), Some(100)];
        assert_eq!(delays(strategy, &[0, 150, 400, 800, 2_100]), expected);
    }
}
