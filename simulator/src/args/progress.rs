//! The line that tells how far a campaign has come, while it runs and only in a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

use crate::batch;
use crate::campaign::Progress;
use crate::words;

/// Shown on standard error, written over itself.
pub(super) struct ProgressLine {
    began: Instant,
    /// `None`: nobody looks.
    next: Option<Instant>,
}

const EVERY: Duration = Duration::from_millis(200);

// === impl ProgressLine ===

impl ProgressLine {
    pub(super) fn new(began: Instant) -> Self {
        Self { began, next: io::stderr().is_terminal().then_some(began + EVERY) }
    }

    /// Shows it, if the last time was a while ago.
    #[allow(clippy::disallowed_methods)] // progress is about real time, and no run can see it
    pub(super) fn show(&mut self, progress: Progress) {
        let now = Instant::now();
        if self.next.is_some_and(|next| now >= next) {
            let line = words(progress, batch::process_cpu_s(), now.duration_since(self.began));
            self.write(&format!("\r\x1b[K{line}"), now);
        }
    }

    /// Takes it away.
    pub(super) fn clear(&mut self) {
        if self.next.is_some() {
            self.write("\r\x1b[K", self.began);
        }
    }

    /// A terminal that cannot be written to is not written to again.
    fn write(&mut self, text: &str, now: Instant) {
        let mut stderr = io::stderr().lock();
        let written = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
        self.next = written.is_ok().then(|| now + EVERY);
    }
}

/// Runs, simulated time, rate, how long it may still take, and what broke.
fn words(progress: Progress, cpu_s: f64, elapsed: Duration) -> String {
    let Progress { runs, planned, simulated_ms, broken } = progress;
    // for people
    let rate = (simulated_ms as f64 / 1_000.0 / cpu_s.max(0.001)) as u64;
    let left_ms =
        u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).saturating_mul(planned - runs) / runs.max(1);
    let broken = if broken > 0 { format!(" · {} BROKEN", words::thousands(broken)) } else { String::new() };
    format!(
        "{} of {} runs · {} simulated · {} simulated s per CPU s · about {} left{broken}",
        words::thousands(runs),
        words::thousands(planned),
        words::time(simulated_ms),
        words::thousands(rate),
        words::time(left_ms),
    )
}

#[test]
fn progress_is_told_in_one_line() {
    let progress = Progress { runs: 500, planned: 2_000, simulated_ms: 45_000_000, broken: 2 };
    assert_eq!(
        words(progress, 90.0, Duration::from_secs(50)),
        "500 of 2,000 runs · 12 h 30 min simulated · 500 simulated s per CPU s · about 2 min 30 s left · 2 BROKEN"
    );
}
