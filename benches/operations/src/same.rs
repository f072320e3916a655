//! A world in which every run is the same: its clock stands, and its randomness comes from a fixed seed.

use std::sync::atomic::{AtomicU64, Ordering};

use ha_store::{Clock, Entropy};
use tokio::runtime::{Builder, Runtime};

/// When everything happens. Unix milliseconds.
pub const NOW_MS: i64 = 1_763_668_000_000;

/// A clock that stands at [`NOW_MS`].
#[derive(Debug, Clone, Copy)]
pub struct StandingClock;

/// SplitMix64 from a fixed seed. Never for anything that is to be secret, or that two processes share.
#[derive(Debug, Default)]
pub struct FixedEntropy {
    drawn: AtomicU64,
}

/// One thread, whose timers see a clock that moves only when there is nothing else to do.
///
/// # Panics
/// When the operating system refuses to make one.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime of one thread")
}

// === impl StandingClock ===

impl Clock for StandingClock {
    fn wall_ms(&self) -> i64 {
        NOW_MS
    }
}

// === impl FixedEntropy ===

impl Entropy for FixedEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for part in bytes.chunks_mut(8) {
            let n = self.drawn.fetch_add(1, Ordering::Relaxed) + 1;
            let mut mixed = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^= mixed >> 31;
            part.copy_from_slice(&mixed.to_le_bytes()[..part.len()]);
        }
    }
}
