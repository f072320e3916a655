//! Runs as a campaign remembers them: by scenario, and without their events.

use std::collections::BTreeMap;

use crate::batch::Ran;
use crate::outcome::Violation;
use crate::scenario::Scenario;

/// One scenario's part.
#[derive(Debug, Clone)]
pub struct OfScenario {
    /// The scenario.
    pub scenario: Scenario,
    /// Its runs, by seed.
    pub runs: Vec<OfRun>,
    /// What it reached, and how often.
    pub reached: BTreeMap<&'static str, u64>,
}

/// One run, without its events.
#[derive(Debug, Clone)]
pub struct OfRun {
    /// Its seed.
    pub seed: u64,
    /// How long it was in the world.
    pub simulated_ms: u64,
    /// How many events were judged.
    pub checks: u64,
    /// The worst recovery.
    pub recovery_ms: Option<u64>,
    /// CPU time of its thread, seconds.
    pub cpu_s: f64,
    /// The hash over its events.
    pub hash: String,
    /// What broke.
    pub violation: Option<Violation>,
}

// === impl OfRun ===

impl OfRun {
    pub(super) fn of(seed: u64, ran: &Ran) -> Self {
        let outcome = &ran.outcome;
        Self {
            seed,
            simulated_ms: outcome.simulated_ms,
            checks: outcome.checks,
            recovery_ms: outcome.worst_recovery_ms,
            cpu_s: ran.cpu_s,
            hash: outcome.hash.clone(),
            violation: outcome.violation.clone(),
        }
    }
}

// === impl OfScenario ===

impl OfScenario {
    /// What it is for and never met.
    pub fn missed(&self) -> Vec<&'static str> {
        let is_missed = |what: &&&'static str| !self.reached.contains_key(**what);
        self.scenario.reaches.iter().filter(is_missed).copied().collect()
    }
}
