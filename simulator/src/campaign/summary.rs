//! What a campaign adds up to.

use std::collections::BTreeMap;

use super::failure::Failure;
use super::runs::{OfRun, OfScenario};
use crate::batch::{self, Ran, Runner};
use crate::plan::Plan;
use crate::shrink::Cut;

/// What became of it.
#[derive(Debug, Clone)]
pub struct Summary {
    /// Each scenario, in the order in which they were given.
    pub scenarios: Vec<OfScenario>,
    /// How many runs were asked for. More than [`Self::runs`] when the time was up before.
    pub planned: u64,
    /// How many runs at once.
    pub jobs: usize,
    /// CPU time of everything, seconds.
    pub cpu_s: f64,
    /// What broke, in the order in which it was met.
    pub failures: Vec<Failure>,
    /// The hash over the hashes of all runs, 16 hex digits.
    pub hash: String,
}

/// A run in full, for the report.
#[derive(Debug)]
pub struct Detail {
    /// The scenario's index in the summary.
    pub scenario: usize,
    /// What was run.
    pub plan: Plan,
    /// What came of it.
    pub ran: Ran,
}

// === impl Summary ===

impl Summary {
    /// How many runs there were.
    pub fn runs(&self) -> u64 {
        self.scenarios.iter().map(|scenario| scenario.runs.len() as u64).sum()
    }

    /// How long all runs together were in the world.
    pub fn simulated_ms(&self) -> u64 {
        self.all_runs().map(|(_, run)| run.simulated_ms).sum()
    }

    /// How many events were judged.
    pub fn checks(&self) -> u64 {
        self.all_runs().map(|(_, run)| run.checks).sum()
    }

    /// What was reached in all scenarios.
    pub fn reached(&self) -> BTreeMap<&'static str, u64> {
        let mut all = BTreeMap::new();
        for scenario in &self.scenarios {
            for (what, times) in &scenario.reached {
                *all.entry(*what).or_default() += times;
            }
        }
        all
    }

    /// The slowest recovery, the first of equals: the scenario's index, and the run.
    pub fn worst_recovery(&self) -> Option<(usize, &OfRun)> {
        let recovered = self.all_runs().filter_map(|(index, run)| run.recovery_ms.map(|ms| (ms, index, run)));
        let slowest = recovered.reduce(|slowest, other| if other.0 > slowest.0 { other } else { slowest });
        slowest.map(|(_, index, run)| (index, run))
    }

    /// Every run with its scenario's index.
    pub fn all_runs(&self) -> impl Iterator<Item = (usize, &OfRun)> {
        self.scenarios
            .iter()
            .enumerate()
            .flat_map(|(index, scenario)| scenario.runs.iter().map(move |run| (index, run)))
    }

    /// Runs once more what a report shows in full: the first failure; when all held, the slowest recovery; otherwise the first run.
    pub fn detail(&self, runner: Runner<'_>) -> Option<Detail> {
        let (scenario, seed, cut) = match (self.failures.first(), self.worst_recovery()) {
            (Some(failure), _) => (failure.scenario, failure.seed, failure.token.cut.clone()),
            (None, Some((index, run))) => (index, run.seed, Cut::default()),
            (None, None) => self.all_runs().next().map(|(index, run)| (index, run.seed, Cut::default()))?,
        };
        let plan = self.scenarios[scenario].scenario.plan(seed);
        let plan = cut.apply(&plan).expect("the cut was made of this plan");
        let ran = batch::alone(runner, &plan);
        Some(Detail { scenario, plan, ran })
    }
}
