//! When a kubelet starts a container that ended again.

/// Kubernetes' back-off of one container: at once, then 10 s, doubling up to 300 s; forgotten after 10 minutes of running.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Restarts {
    count: u32,
    next_ms: u64,
}

const FIRST_MS: u64 = 10_000;
const MAX_MS: u64 = 300_000;
const FORGOTTEN_AFTER_MS: u64 = 600_000;

// === impl Restarts ===

impl Restarts {
    /// How long to wait after it ran for `ran_ms` and ended.
    pub(super) fn wait_ms(&mut self, ran_ms: u64) -> u64 {
        if ran_ms >= FORGOTTEN_AFTER_MS {
            self.forget();
        }
        self.count += 1;
        let wait_ms = self.next_ms;
        self.next_ms = (self.next_ms * 2).clamp(FIRST_MS, MAX_MS);
        wait_ms
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.next_ms = 0;
    }

    /// How often it was started again.
    pub(super) fn count(&self) -> u32 {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_restart_is_at_once_and_the_next_ones_wait_longer_up_to_five_minutes() {
        let mut restarts = Restarts::default();
        let waits: Vec<u64> = (0..8).map(|_| restarts.wait_ms(1_000) / 1_000).collect();
        assert_eq!(waits, [0, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(restarts.count(), 8);
    }

    #[test]
    fn ten_minutes_of_running_are_forgiven() {
        let mut restarts = Restarts::default();
        for _ in 0..4 {
            restarts.wait_ms(1_000);
        }
        assert_eq!(restarts.wait_ms(FORGOTTEN_AFTER_MS), 0);
        assert_eq!(restarts.wait_ms(1_000), FIRST_MS);
    }
}
