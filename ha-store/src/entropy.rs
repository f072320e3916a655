//! Randomness, as the store sees it.

use std::fmt::Debug;

/// Fills buffers with bits that nobody else draws.
///
/// Nonces and incarnations come from here. Two processes that draw the same bits could take each other's records
/// for their own, so an implementation must never repeat itself across processes (a simulator seeds one stream per
/// process).
pub trait Entropy: Send + Sync + Debug {
    /// Overwrites every byte.
    fn fill(&self, bytes: &mut [u8]);
}

/// The random number generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the operating system has no randomness to give. Going on with guessable nonces would risk the fence.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the operating system provides randomness");
    }
}
