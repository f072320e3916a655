//! Randomness that repeats: one stream for each seed and component.

use std::sync::{Arc, Mutex, PoisonError};

use ha_store::Entropy;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A component's own random stream. Clones share it.
///
/// What one component draws never depends on how much another one drew, so a plan with one fault less is the same run
/// but for that fault. That is what makes shrinking work.
#[derive(Debug, Clone)]
pub struct Stream(Arc<Mutex<ChaCha8Rng>>);

impl Stream {
    /// The stream of `component` under `seed`.
    pub fn new(seed: u64, component: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("holdfast simulator: the stream of a component");
        hasher.update(&seed.to_le_bytes());
        hasher.update(component.as_bytes());
        Self(Arc::new(Mutex::new(ChaCha8Rng::from_seed(*hasher.finalize().as_bytes()))))
    }

    /// Any number.
    pub fn any(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).next_u64()
    }

    /// A number from `low` to `high`, both included.
    ///
    /// # Panics
    /// When `low` is above `high`.
    pub fn between(&self, low: u64, high: u64) -> u64 {
        assert!(low <= high, "from {low} to {high} there is nothing");
        // The bias is below 2^-32 for every range that a simulation draws from.
        low + self.any() % (high - low + 1)
    }

    /// True in `permille` of 1000 draws.
    pub fn chance(&self, permille: u64) -> bool {
        self.between(0, 999) < permille
    }

    /// One of these.
    ///
    /// # Panics
    /// When there are none.
    pub fn pick<'a, T>(&self, from: &'a [T]) -> &'a T {
        assert!(!from.is_empty(), "nothing to pick from");
        let index = self.between(0, from.len() as u64 - 1);
        &from[usize::try_from(index).expect("an index of a slice")]
    }
}

impl Entropy for Stream {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_its_seed_and_its_name_and_on_nothing_else() {
        let draw = |seed, name: &str| Stream::new(seed, name).any();
        assert_eq!(draw(1, "store"), draw(1, "store"));
        assert_ne!(draw(1, "store"), draw(2, "store"));
        assert_ne!(draw(1, "store"), draw(1, "api-server"));
    }

    #[test]
    fn both_ends_of_a_range_are_drawn() {
        let stream = Stream::new(7, "range");
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| stream.between(3, 5)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [3, 4, 5]);
    }
}
