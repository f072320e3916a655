//! Scenarios times seeds: runs them all, shrinks what fails, and adds everything up.

mod failure;
mod runs;
mod summary;

use std::collections::BTreeMap;

pub use self::failure::{Failure, Shrinking};
pub use self::runs::{OfRun, OfScenario};
pub use self::summary::{Detail, Summary};
use crate::batch::{self, Runner};
use crate::scenario::Scenario;

/// What is to be run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The scenarios; each is run under every seed.
    pub scenarios: Vec<Scenario>,
    /// The seeds.
    pub seeds: std::ops::RangeInclusive<u64>,
    /// How many runs at once.
    pub jobs: usize,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Runs that are over.
    pub runs: u64,
    /// Runs that were asked for.
    pub planned: u64,
    /// How long all of them were in the world.
    pub simulated_ms: u64,
    /// How many broke a promise.
    pub broken: u64,
}

// === impl Campaign ===

impl Campaign {
    /// How many runs it asks for.
    pub fn planned(&self) -> u64 {
        let seeds = (self.seeds.end() - self.seeds.start()).saturating_add(1);
        seeds.saturating_mul(self.scenarios.len() as u64)
    }

    /// Runs everything until `stop` says that the time is up.
    pub fn run(
        &self,
        runner: Runner<'_>,
        stop: &(dyn Fn() -> bool + Sync),
        progress: &mut dyn FnMut(Progress),
    ) -> Summary {
        let new = |scenario: &Scenario| OfScenario {
            scenario: scenario.clone(),
            runs: Vec::new(),
            reached: BTreeMap::new(),
        };
        let mut scenarios: Vec<OfScenario> = self.scenarios.iter().map(new).collect();
        let mut hasher = blake3::Hasher::new();
        let mut so_far = Progress { planned: self.planned(), ..Progress::default() };
        // All scenarios under one seed, then all under the next: when the time is up, each has had its share.
        let place =
            |index: usize| (index % scenarios.len(), self.seeds.start() + (index / scenarios.len()) as u64);
        let plan = |index: usize| {
            let (scenario, seed) = place(index);
            self.scenarios[scenario].plan(seed)
        };
        let count = usize::try_from(self.planned()).unwrap_or(usize::MAX);
        let mut runs = Vec::new();
        batch::all(runner, plan, count, self.jobs, stop, &mut |index, ran| {
            hasher.update(ran.outcome.hash.as_bytes());
            so_far.runs += 1;
            so_far.simulated_ms += ran.outcome.simulated_ms;
            so_far.broken += u64::from(ran.outcome.violation.is_some());
            progress(so_far);
            runs.push((place(index), ran.outcome.reached.clone(), OfRun::of(place(index).1, ran)));
        });
        for ((scenario, _), reached, run) in runs {
            for (what, times) in reached {
                *scenarios[scenario].reached.entry(what).or_default() += times;
            }
            scenarios[scenario].runs.push(run);
        }
        let failures = failure::all(runner, &scenarios, stop);
        let hash = hasher.finalize().to_hex()[..16].to_owned();
        let cpu_s = batch::process_cpu_s();
        Summary { scenarios, planned: self.planned(), jobs: self.jobs, cpu_s, failures, hash }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Violation;
    use crate::plan::Plan;
    use crate::report::testing;

    fn summary(runner: Runner<'_>, seeds: std::ops::RangeInclusive<u64>, jobs: usize) -> Summary {
        let campaign = Campaign { scenarios: vec![testing::scenario(), testing::calm()], seeds, jobs };
        campaign.run(runner, &|| false, &mut |_| {})
    }

    #[test]
    fn the_hash_over_the_whole_campaign_is_the_same_on_any_number_of_threads() {
        assert_eq!(summary(&testing::run, 1..=20, 1).hash, summary(&testing::run, 1..=20, 4).hash);
        assert_ne!(summary(&testing::run, 1..=20, 1).hash, summary(&testing::run, 2..=21, 1).hash);
    }

    #[test]
    fn each_kind_of_failure_is_shrunk_once_and_its_token_names_the_smaller_run() {
        let summary = summary(&testing::run, 1..=40, 2);
        assert!(summary.failures.len() > 1, "the synthetic run fails now and then");
        let (first, others) = summary.failures.split_first().expect("one failed");
        assert!(matches!(first.shrinking, Shrinking::Done { gave_up: false, .. }), "{:?}", first.shrinking);
        assert_eq!(
            first.faults.len(),
            2,
            "it takes two faults to break the synthetic run: {:?}",
            first.faults
        );
        assert!(first.faults_before > 2);
        assert!(first.excerpt.iter().any(|line| line.starts_with('>')), "{:#?}", first.excerpt);
        assert!(others.iter().all(|failure| failure.shrinking == Shrinking::LikeAnother));

        let plan =
            first.token.cut.apply(&testing::scenario().plan(first.seed)).expect("it is a cut of this plan");
        assert_eq!(testing::run(&plan).0.hash, first.token.hash);
    }

    #[test]
    fn a_failure_that_does_not_come_back_is_told() {
        let first = std::sync::atomic::AtomicBool::new(true);
        let leaky = |plan: &Plan| {
            let (mut outcome, trace) = testing::run(plan);
            if !first.swap(false, std::sync::atomic::Ordering::Relaxed) {
                outcome.violation = None;
            } else {
                outcome.violation =
                    Some(Violation { property: "fenced", at_ms: 0, entry: 0, what: "only once".into() });
            }
            (outcome, trace)
        };
        let summary = summary(&leaky, 1..=1, 1);
        assert_eq!(summary.failures[0].shrinking, Shrinking::NotRepeated);
        assert!(summary.failures[0].token.cut.is_whole());
    }

    #[test]
    fn a_scenario_that_never_meets_what_it_is_for_is_told() {
        let summary = summary(&testing::run, 1..=5, 1);
        assert_eq!(summary.scenarios[0].missed(), Vec::<&str>::new());
        assert_eq!(summary.scenarios[1].missed(), [crate::trace::reached::AMBIGUOUS_ADD]);
    }

    #[test]
    fn progress_counts_up_to_what_was_asked_for() {
        let mut seen = Vec::new();
        let campaign = Campaign { scenarios: vec![testing::calm()], seeds: 1..=7, jobs: 2 };
        let summary = campaign.run(&testing::run, &|| false, &mut |progress| seen.push(progress));
        assert_eq!(
            seen.iter().map(|progress| progress.runs).collect::<Vec<_>>(),
            (1..=7).collect::<Vec<_>>()
        );
        let last = seen.last().expect("there were runs");
        assert_eq!((last.planned, last.simulated_ms), (7, summary.simulated_ms()));
    }
}
