//! How often something may crash before it is left alone, and how long the pauses in between are.

use std::collections::VecDeque;

/// The limits of a [`Budget`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits {
    /// So many crashes within the window are the last one's too many.
    pub crashes_max: usize,
    /// The window.
    pub window_ms: u64,
}

/// What a crash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start again after this pause.
    Again {
        /// 0 for a process that had lived for a while.
        pause_ms: u64,
    },
    /// Too many within the window.
    GiveUp,
}

/// Counts crashes.
#[derive(Debug)]
pub struct Budget {
    limits: BudgetLimits,
    crashes: VecDeque<u64>,
    /// How many of the last ones in a row came soon after their start.
    early: u32,
}

/// What a process has to show before it crashed early: otherwise starting it again at once is not likely to help.
pub const LIVED_MS: u64 = 10_000;
/// Or this, however young it is.
pub const LED_MS: u64 = 2_000;
const PAUSE_FIRST_MS: u64 = 1_000;
const PAUSE_MAX_MS: u64 = 60_000;

// === impl Budget ===

impl Budget {
    /// Nothing has crashed yet.
    pub fn new(limits: BudgetLimits) -> Self {
        Self { limits, crashes: VecDeque::new(), early: 0 }
    }

    /// A process crashed that had lived for `lived_ms`, and led for `led_ms` of it. The first crash costs no pause, and neither
    /// does one of a process that worked for a while; early ones in a row wait longer each time.
    pub fn charge(&mut self, now_ms: u64, lived_ms: u64, led_ms: u64) -> Verdict {
        while self.crashes.front().is_some_and(|at_ms| now_ms - at_ms >= self.limits.window_ms) {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now_ms);
        if self.crashes.len() >= self.limits.crashes_max {
            return Verdict::GiveUp;
        }
        let worked = lived_ms >= LIVED_MS || led_ms >= LED_MS;
        self.early = if worked { 0 } else { self.early + 1 };
        let pause_ms = match self.early {
            0 | 1 => 0,
            again => PAUSE_FIRST_MS.saturating_mul(1 << (again - 2).min(16)).min(PAUSE_MAX_MS),
        };
        Verdict::Again { pause_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: BudgetLimits = BudgetLimits { crashes_max: 5, window_ms: 600_000 };

    fn pauses(budget: &mut Budget, crashes: &[(u64, u64)]) -> Vec<Option<u64>> {
        let verdict = |(now_ms, lived_ms): &(u64, u64)| match budget.charge(*now_ms, *lived_ms, 0) {
            Verdict::Again { pause_ms } => Some(pause_ms),
            Verdict::GiveUp => None,
        };
        crashes.iter().map(verdict).collect()
    }

    #[test]
    fn early_crashes_in_a_row_wait_longer_each_time_until_it_is_given_up() {
        let crashes = [(100, 100), (200, 100), (1_300, 100), (3_400, 100), (7_500, 100)];
        let pauses = pauses(&mut Budget::new(LIMITS), &crashes);
        assert_eq!(pauses, [Some(0), Some(1_000), Some(2_000), Some(4_000), None]);
    }

    #[test]
    fn a_process_that_had_worked_for_a_while_is_started_again_at_once() {
        let pauses =
            pauses(&mut Budget::new(LIMITS), &[(50, 50), (100, 50), (60_000, LIVED_MS), (60_100, 100)]);
        assert_eq!(pauses, [Some(0), Some(1_000), Some(0), Some(0)]);
    }

    #[test]
    fn a_young_one_that_had_led_is_started_again_at_once() {
        let mut budget = Budget::new(LIMITS);
        let verdicts: Vec<_> = (1..5).map(|crash| budget.charge(crash * 5_000, 5_000, LED_MS)).collect();
        assert!(verdicts.iter().all(|verdict| *verdict == Verdict::Again { pause_ms: 0 }), "{verdicts:?}");
    }

    #[test]
    fn a_crash_is_forgotten_after_the_window() {
        let mut budget = Budget::new(LIMITS);
        let hourly: Vec<_> = (1..50).map(|hour| (hour * 3_600_000, 3_600_000)).collect();
        assert!(pauses(&mut budget, &hourly).iter().all(|pause| *pause == Some(0)));
    }
}
