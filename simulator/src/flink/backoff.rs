//! Growing pauses between attempts, as the adapter's `Backoff`.

use crate::seed::Stream;

/// From the first pause to the longest, doubled each time, a fifth of it at random.
#[derive(Debug)]
pub(super) struct Backoff {
    first_ms: u64,
    longest_ms: u64,
    next_ms: u64,
    stream: Stream,
}

// === impl Backoff ===

impl Backoff {
    pub(super) fn new(first_ms: u64, longest_ms: u64, stream: &Stream) -> Self {
        Self { first_ms, longest_ms, next_ms: first_ms, stream: stream.clone() }
    }

    pub(super) fn next_ms(&mut self) -> u64 {
        let this_ms = self.next_ms;
        self.next_ms = self.longest_ms.min(2 * self.next_ms);
        this_ms - this_ms * self.stream.between(0, 200) / 1_000
    }

    pub(super) fn reset(&mut self) {
        self.next_ms = self.first_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_a_fifth_of_them_is_random() {
        let mut backoff = Backoff::new(100, 350, &Stream::new(1, "backoff"));
        for expected in [100, 200, 350, 350] {
            let pause_ms = backoff.next_ms();
            assert!((expected * 4 / 5..=expected).contains(&pause_ms), "{pause_ms} is not about {expected}");
        }
        backoff.reset();
        assert!(backoff.next_ms() <= 100);
    }
}
