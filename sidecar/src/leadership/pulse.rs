//! Whether a JobManager still answers the pings on its own stream.

use std::sync::atomic::{AtomicU32, Ordering};

/// Counts the pings that a session has been sent and not answered.
///
/// A process that is frozen keeps its connection, so that its end is no sign of it. What is counted are pings and not
/// time: a sidecar that was itself frozen has sent none. It is only ever shown; nothing is decided by it here.
#[derive(Debug)]
pub struct Pulse {
    answers: bool,
    unanswered: AtomicU32,
}

// === impl Pulse ===

impl Pulse {
    /// Of a session that says whether it answers pings. Older adapters do not.
    pub(super) fn new(answers: bool) -> Self {
        Self { answers, unanswered: AtomicU32::new(0) }
    }

    /// A ping is on its way.
    pub(crate) fn ping(&self) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }

    /// It answered.
    pub(crate) fn pong(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Pings since its last answer; `None` for a session that answers none.
    pub fn unanswered_pings(&self) -> Option<u32> {
        self.answers.then(|| self.unanswered.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_for_every_ping_before_it() {
        let pulse = Pulse::new(true);
        pulse.ping();
        pulse.ping();
        assert_eq!(pulse.unanswered_pings(), Some(2));
        pulse.pong();
        assert_eq!(pulse.unanswered_pings(), Some(0));
    }

    #[test]
    fn silence_of_one_that_never_answers_says_nothing() {
        let pulse = Pulse::new(false);
        pulse.ping();
        assert_eq!(pulse.unanswered_pings(), None);
    }
}
