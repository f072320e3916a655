//! Scenarios times seeds: runs them all, shrinks what fails, and adds everything up.

use std::collections::{BTreeMap, BTreeSet};

use crate::batch::{self, Ran, Runner};
use crate::oracle::Violation;
use crate::plan::{Fault, Plan};
use crate::report::words;
use crate::scenario::Scenario;
use crate::shrink::{self, Cut};
use crate::token::Token;
use crate::trace::Trace;

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

/// A run that broke a promise, as small as it could be made.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The scenario's index in the summary.
    pub scenario: usize,
    /// The seed.
    pub seed: u64,
    /// What broke, in the run that the token names.
    pub violation: Violation,
    /// Names the run that was shrunk.
    pub token: Token,
    /// The faults that are left.
    pub faults: Vec<Fault>,
    /// How many there were.
    pub faults_before: usize,
    /// The trace around the violation, a line for each event.
    pub excerpt: Vec<String>,
    /// What shrinking did.
    pub shrinking: Shrinking,
}

/// What became of the attempt to make a failure smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shrinking {
    /// It took this many runs.
    Done {
        /// How many.
        runs: u32,
        /// The budget ended it.
        gave_up: bool,
    },
    /// Enough like it were shrunk already.
    LikeAnother,
    /// The same plan did not fail again.
    NotRepeated,
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

/// Runs of one failure's shrinking, at most.
const SHRINK_RUNS_MAX: u32 = 120;
/// Failures that are shrunk, at most; the first of every scenario and property come first.
const SHRUNK_MAX: usize = 8;
/// Events before and behind a violation that are shown.
const EXCERPT: (usize, usize) = (30, 5);

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
        let failures = self.failures(runner, &scenarios);
        let hash = hasher.finalize().to_hex()[..16].to_owned();
        let cpu_s = batch::process_cpu_s();
        Summary { scenarios, planned: self.planned(), jobs: self.jobs, cpu_s, failures, hash }
    }

    /// Everything that broke; the first of each kind is shrunk.
    fn failures(&self, runner: Runner<'_>, scenarios: &[OfScenario]) -> Vec<Failure> {
        let mut kinds = BTreeSet::new();
        let mut failures = Vec::new();
        for (index, of_scenario) in scenarios.iter().enumerate() {
            for run in &of_scenario.runs {
                let Some(violation) = &run.violation else { continue };
                let is_new = kinds.len() < SHRUNK_MAX && kinds.insert((index, violation.property));
                let scenario = &self.scenarios[index];
                failures.push(if is_new {
                    shrunk(runner, scenario, index, run.seed, violation)
                } else {
                    unshrunk(scenario, index, run, violation)
                });
            }
        }
        failures
    }
}

/// Makes a failure as small as it can be, and runs the rest once more for its trace.
fn shrunk(
    runner: Runner<'_>,
    scenario: &Scenario,
    index: usize,
    seed: u64,
    violation: &Violation,
) -> Failure {
    let plan = scenario.plan(seed);
    let breaks_same = |plan: &Plan| {
        let broken = batch::alone(runner, plan).outcome.violation;
        broken.is_some_and(|broken| broken.property == violation.property)
    };
    let (cut, shrinking) = match shrink::shrink(&plan, SHRINK_RUNS_MAX, &mut |plan| breaks_same(plan)) {
        Ok(shrunk) => (shrunk.cut, Shrinking::Done { runs: shrunk.runs, gave_up: shrunk.gave_up }),
        Err(shrink::NotRepeated) => (Cut::default(), Shrinking::NotRepeated),
    };
    let left = cut.apply(&plan).expect("the cut was made of this plan");
    let ran = batch::alone(runner, &left);
    let violation = ran.outcome.violation.unwrap_or_else(|| violation.clone());
    Failure {
        scenario: index,
        seed,
        excerpt: excerpt(&ran.trace, violation.entry),
        violation,
        token: Token::new(scenario, seed, cut, &ran.outcome.hash),
        faults: left.faults,
        faults_before: plan.faults.len(),
        shrinking,
    }
}

fn unshrunk(scenario: &Scenario, index: usize, run: &OfRun, violation: &Violation) -> Failure {
    let faults = scenario.plan(run.seed).faults;
    Failure {
        scenario: index,
        seed: run.seed,
        violation: violation.clone(),
        token: Token::new(scenario, run.seed, Cut::default(), &run.hash),
        faults_before: faults.len(),
        faults,
        excerpt: Vec::new(),
        shrinking: Shrinking::LikeAnother,
    }
}

/// The events around this one.
fn excerpt(trace: &Trace, entry: usize) -> Vec<String> {
    let entries = trace.entries();
    let (before, behind) = EXCERPT;
    let to = entry.saturating_add(behind + 1).min(entries.len());
    let from = entry.saturating_sub(before).min(to);
    let line = |(index, event): (usize, _)| {
        format!("{} {}", if from + index == entry { ">" } else { " " }, words::entry(event))
    };
    entries[from..to].iter().enumerate().map(line).collect()
}

// === impl Failure ===

impl Failure {
    /// Whether it was not shrunk, because another one of its scenario that broke the same promise was.
    pub fn is_like_another(&self) -> bool {
        self.shrinking == Shrinking::LikeAnother
    }
}

// === impl OfRun ===

impl OfRun {
    fn of(seed: u64, ran: &Ran) -> Self {
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

#[cfg(test)]
mod tests {
    use super::*;
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
