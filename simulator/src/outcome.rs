//! What came of a run, for whoever reads about it: no events and no oracle.

use std::collections::BTreeMap;

/// How a run ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// The first violation of a promise; none is what one wants.
    pub violation: Option<Violation>,
    /// The hash over every event.
    pub hash: String,
    /// How long the run was in the world.
    pub simulated_ms: u64,
    /// From the worst fault's end, or the kill, to the job running again.
    pub worst_recovery_ms: Option<u64>,
    /// Which interesting things were reached, and how often.
    pub reached: BTreeMap<&'static str, u64>,
    /// How many events the oracles judged.
    pub checks: u64,
}

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the property: stable, for people who count them. For example `fenced` or `exactly-once`.
    pub property: &'static str,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// Which event of the trace showed it.
    pub entry: usize,
    /// What was seen and why it must not be.
    pub what: String,
}
