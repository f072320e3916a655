//! Wall clocks that are wrong.

use std::sync::{Arc, Mutex, PoisonError};

use crate::seed::Stream;
use crate::trace::Trace;

/// When every run begins: 2026-01-01T00:00:00Z, Unix milliseconds.
pub const EPOCH_MS: i64 = 1_767_225_600_000;

/// The wall clock of a pod: off by something, fast or slow, and somebody may set it. Clones share it.
///
/// Only what people read is made of it. Timers are tokio's, which run alike on every host.
#[derive(Debug, Clone)]
pub struct PodClock {
    trace: Trace,
    drift_permille: i64,
    offset_ms: Arc<Mutex<i64>>,
}

// === impl PodClock ===

impl PodClock {
    /// A clock that is off by up to `offset_max_ms` either way, and gains or loses up to `drift_max_permille`.
    pub fn new(trace: Trace, offset_max_ms: u64, drift_max_permille: u64, stream: &Stream) -> Self {
        let either_way = |max: u64| {
            let max = max.min(i64::MAX as u64 / 2);
            stream.between(0, 2 * max).cast_signed() - max.cast_signed()
        };
        let offset_ms = Arc::new(Mutex::new(either_way(offset_max_ms)));
        Self { trace, drift_permille: either_way(drift_max_permille), offset_ms }
    }

    /// Somebody sets it.
    pub fn jump(&self, by_ms: i64) {
        let mut offset_ms = self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        *offset_ms = offset_ms.saturating_add(by_ms);
    }
}

impl ha_store::Clock for PodClock {
    fn wall_ms(&self) -> i64 {
        let since = turmoil::sim_elapsed().map(|since| since.as_millis());
        let since_ms = since.and_then(|ms| i64::try_from(ms).ok());
        let since_ms = since_ms.unwrap_or_else(|| self.trace.now_ms().cast_signed());
        let offset_ms = *self.offset_ms.lock().unwrap_or_else(PoisonError::into_inner);
        EPOCH_MS + since_ms + since_ms * self.drift_permille / 1_000 + offset_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha_store::Clock;

    #[test]
    fn a_clock_is_off_within_its_bounds_and_jumps_when_it_is_set() {
        let trace = Trace::default();
        for seed in 0..50 {
            let clock = PodClock::new(trace.clone(), 500, 50, &Stream::new(seed, "clock"));
            let off_ms = clock.wall_ms() - EPOCH_MS;
            assert!((-500..=500).contains(&off_ms), "{off_ms}");
            clock.jump(-10_000);
            assert_eq!(clock.wall_ms() - EPOCH_MS, off_ms - 10_000);
        }
    }

    #[test]
    fn a_clock_that_drifts_is_further_off_later() {
        let trace = Trace::default();
        let clock = PodClock { trace: trace.clone(), drift_permille: -50, offset_ms: Arc::default() };
        trace.set_now_ms(100_000);
        assert_eq!(clock.wall_ms(), EPOCH_MS + 95_000);
    }
}
