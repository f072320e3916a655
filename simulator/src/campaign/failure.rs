//! What broke, made as small as it can be.

use std::collections::BTreeSet;

use super::runs::{OfRun, OfScenario};
use crate::batch::{self, Runner};
use crate::outcome::Violation;
use crate::plan::{Fault, Plan};
use crate::scenario::Scenario;
use crate::shrink::{self, Cut};
use crate::token::Token;
use crate::trace::{Entry, Event, Trace};
use crate::words;

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

/// Runs of one failure's shrinking, at most.
const SHRINK_RUNS_MAX: u32 = 120;
/// The same, once the time is up.
const HURRIED_RUNS_MAX: u32 = 30;
/// Failures that are shrunk, at most; the first of every scenario and property come first.
const SHRUNK_MAX: usize = 8;
/// Events before and behind a violation that are shown.
const EXCERPT: (usize, usize) = (30, 5);

// === impl Failure ===

impl Failure {
    /// Whether it was not shrunk, because another one of its scenario that broke the same promise was.
    pub fn is_like_another(&self) -> bool {
        self.shrinking == Shrinking::LikeAnother
    }
}

/// Everything that broke; the first of each kind is shrunk.
pub(super) fn all(
    runner: Runner<'_>,
    scenarios: &[OfScenario],
    stop: &(dyn Fn() -> bool + Sync),
) -> Vec<Failure> {
    let mut kinds = BTreeSet::new();
    let mut failures = Vec::new();
    for (index, of_scenario) in scenarios.iter().enumerate() {
        for run in &of_scenario.runs {
            let Some(violation) = &run.violation else { continue };
            let is_new = kinds.len() < SHRUNK_MAX && kinds.insert((index, violation.property));
            let scenario = &of_scenario.scenario;
            failures.push(if is_new {
                let runs_max = if stop() { HURRIED_RUNS_MAX } else { SHRINK_RUNS_MAX };
                shrunk(runner, scenario, index, (run.seed, violation), runs_max)
            } else {
                unshrunk(scenario, index, run, violation)
            });
        }
    }
    failures
}

/// Makes a failure as small as it can be, and runs the rest once more for its trace.
fn shrunk(
    runner: Runner<'_>,
    scenario: &Scenario,
    index: usize,
    (seed, violation): (u64, &Violation),
    runs_max: u32,
) -> Failure {
    let plan = scenario.plan(seed);
    let breaks_same = |plan: &Plan| {
        let broken = batch::alone(runner, plan).outcome.violation;
        broken.is_some_and(|broken| broken.property == violation.property)
    };
    let (cut, shrinking) = match shrink::shrink(&plan, runs_max, &mut |plan| breaks_same(plan)) {
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

/// The events around this one, without those that only say that everything is as it was.
fn excerpt(trace: &Trace, entry: usize) -> Vec<String> {
    let entries = trace.entries();
    let (before, behind) = EXCERPT;
    let mut holder = None;
    let mut is_news = |event: &Event| match event {
        Event::LeaseWritten { holder: writes, .. } => holder.replace(writes.clone()).as_ref() != Some(writes),
        _ => true,
    };
    let news: Vec<_> = entries
        .iter()
        .enumerate()
        .filter(|(index, shown)| is_news(&shown.event) || *index == entry)
        .collect();
    let hit = news.partition_point(|(index, _)| *index < entry);
    let to = hit.saturating_add(behind + 1).min(news.len());
    let from = hit.saturating_sub(before).min(to);
    let line = |(index, shown): &(usize, &Entry)| {
        format!("{} {}", if *index == entry { ">" } else { " " }, words::entry(shown))
    };
    news[from..to].iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_leaves_renewals_out_and_shows_a_new_holder() {
        let trace = Trace::default();
        for (version, holder) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "b"), (6, "a"), (7, "a")] {
            let (lease, holder, named) = ("l".to_owned(), holder.to_owned(), Some(version - 1));
            trace.record("api-server", Event::LeaseWritten { lease, version, named, holder, created: false });
        }
        let versions = |entry: usize| -> Vec<String> {
            let excerpt = excerpt(&trace, entry);
            let version = |line: &String| line.split("version ").nth(2).expect(line)[..1].to_owned();
            excerpt.iter().map(|line| format!("{}{}", &line[..1], version(line))).collect()
        };
        assert_eq!(versions(3), [" 1", ">4", " 6"]);
        assert_eq!(versions(4), [" 1", " 4", ">5", " 6"], "the event that showed it is there in any case");
        assert_eq!(versions(99), [" 1", " 4", " 6"], "one that was never recorded");
    }
}
