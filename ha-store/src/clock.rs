//! The wall clock, as the store sees it.

use std::fmt::Debug;

/// Tells the time of day, for people.
///
/// The store writes it into records (`written_at_ms`, `claimed_at_ms`) and must never decide anything by it: clocks
/// of two machines differ, and one machine's can be set back.
pub trait Clock: Send + Sync + Debug {
    /// Unix time in milliseconds.
    fn wall_ms(&self) -> i64;
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "this is the one place where the real clock enters")]
    fn wall_ms(&self) -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // A machine whose clock stands before 1970 has not been set yet; zero says so.
        since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_counts_milliseconds_since_1970() {
        let year_2020_ms = 1_577_836_800_000;
        let year_2200_ms = 7_258_118_400_000;
        assert!((year_2020_ms..year_2200_ms).contains(&SystemClock.wall_ms()));
    }
}
