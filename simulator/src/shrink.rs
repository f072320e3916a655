//! The smallest plan that still fails in the same way: fewer faults, then a shorter run, then rounder numbers.
//!
//! Faults are data and every component draws from a stream of its own, so a plan with less in it is the same run but for what was
//! taken out. What is left is a [`Cut`]: a difference from the full plan, small enough for a token.

use crate::plan::{Fault, Plan, When};

/// What is left of a plan, and what was made simpler in it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Cut {
    /// The faults that stay; `None`: all, as they are.
    pub kept: Option<Vec<Kept>>,
    /// How long faults may happen, if shorter than in the full plan.
    pub faulty_ms: Option<u64>,
}

/// A fault that stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its index in the full plan.
    pub fault: usize,
    /// Another time for it to begin at.
    pub at_ms: Option<u64>,
    /// Another time for it to last.
    pub for_ms: Option<u64>,
}

/// The result of shrinking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// What is left.
    pub cut: Cut,
    /// How many runs it took.
    pub runs: u32,
    /// Whether the budget ended it before there was nothing left to try.
    pub gave_up: bool,
}

/// The full plan did not fail again: the build is not deterministic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the same plan did not break the same promise when it was run again: the run is not deterministic")]
pub struct NotRepeated;

/// Makes the plan smaller while `fails` says that it still fails in the same way. `runs_max` bounds the calls of `fails`.
pub fn shrink(
    plan: &Plan,
    runs_max: u32,
    fails: &mut dyn FnMut(&Plan) -> bool,
) -> Result<Shrunk, NotRepeated> {
    if !fails(plan) {
        return Err(NotRepeated);
    }
    let all = |fault| Kept { fault, at_ms: None, for_ms: None };
    let cut = Cut { kept: Some((0..plan.faults.len()).map(all).collect()), faulty_ms: None };
    let mut search = Search { plan, cut, runs: 1, runs_max, fails };
    search.drop_faults();
    search.shorten();
    search.simplify();
    // Rounder numbers may have made another fault needless.
    search.drop_faults();
    let Search { mut cut, runs, .. } = search;
    if cut.apply(plan).is_ok_and(|left| left == *plan) {
        cut = Cut::default();
    }
    Ok(Shrunk { cut, runs, gave_up: runs >= runs_max })
}

struct Search<'a> {
    plan: &'a Plan,
    /// The smallest that fails so far.
    cut: Cut,
    runs: u32,
    runs_max: u32,
    fails: &'a mut dyn FnMut(&Plan) -> bool,
}

// === impl Cut ===

impl Cut {
    /// The plan that is left. `Err` names a fault that this plan does not have: the cut is of another one.
    pub fn apply(&self, plan: &Plan) -> Result<Plan, usize> {
        let mut left = plan.clone();
        left.faulty_ms = self.faulty_ms.unwrap_or(plan.faulty_ms);
        if let Some(kept) = &self.kept {
            left.faults = kept
                .iter()
                .map(|kept| plan.faults.get(kept.fault).map(|fault| kept.apply(fault)).ok_or(kept.fault))
                .collect::<Result<_, _>>()?;
        }
        Ok(left)
    }

    /// Whether anything was cut at all.
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Kept ===

impl Kept {
    fn apply(&self, fault: &Fault) -> Fault {
        let mut fault = fault.clone();
        if let (When::AtMs(at_ms), Some(other)) = (&mut fault.when, self.at_ms) {
            *at_ms = other;
        }
        fault.for_ms = self.for_ms.unwrap_or(fault.for_ms);
        fault
    }
}

// === impl Search ===

impl Search<'_> {
    /// Takes the cut if the plan that it leaves still fails.
    fn takes(&mut self, cut: Cut) -> bool {
        if self.runs >= self.runs_max || cut == self.cut {
            return false;
        }
        let left = cut.apply(self.plan).expect("every cut is made of the plan's own faults");
        self.runs += 1;
        let still = (self.fails)(&left);
        if still {
            self.cut = cut;
        }
        still
    }

    fn kept(&self) -> &[Kept] {
        self.cut.kept.as_deref().unwrap_or_default()
    }

    /// Delta debugging: takes out halves, then quarters, down to single faults, until no single one can go.
    fn drop_faults(&mut self) {
        let mut size = self.kept().len().max(1);
        loop {
            let (mut from, mut dropped) = (0, false);
            while from < self.kept().len() {
                let to = (from + size).min(self.kept().len());
                let kept = self.kept();
                let rest = [&kept[..from], &kept[to..]].concat();
                if self.takes(Cut { kept: Some(rest), ..self.cut.clone() }) {
                    dropped = true; // what came behind has moved here
                } else {
                    from = to;
                }
            }
            if size == 1 && !dropped {
                return;
            }
            size = if dropped { size.min(self.kept().len()).max(1) } else { size / 2 }.max(1);
        }
    }

    /// Mends everything earlier: first right behind the last fault that has a time, then by bisection.
    fn shorten(&mut self) {
        let Ok(left) = self.cut.apply(self.plan) else { return };
        let end_ms = |fault: &Fault| match fault.when {
            When::AtMs(at_ms) => at_ms + fault.for_ms,
            When::On { .. } => 0,
        };
        let last_ms = left.faults.iter().map(end_ms).max().unwrap_or_default().min(left.faulty_ms);
        let (mut low_ms, mut high_ms) = (0, left.faulty_ms);
        for candidate_ms in [SECOND_MS, last_ms.next_multiple_of(SECOND_MS)] {
            if (SECOND_MS..high_ms).contains(&candidate_ms) {
                match self.takes(Cut { faulty_ms: Some(candidate_ms), ..self.cut.clone() }) {
                    true => high_ms = candidate_ms,
                    false => low_ms = low_ms.max(candidate_ms),
                }
            }
        }
        while high_ms - low_ms > SECOND_MS {
            let middle_ms = (low_ms + (high_ms - low_ms) / 2).next_multiple_of(SECOND_MS);
            if middle_ms >= high_ms {
                return;
            }
            match self.takes(Cut { faulty_ms: Some(middle_ms), ..self.cut.clone() }) {
                true => high_ms = middle_ms,
                false => low_ms = middle_ms,
            }
        }
    }

    /// Rounds times to whole seconds, and makes what lasts as short as it can be.
    fn simplify(&mut self) {
        for index in 0..self.kept().len() {
            let fault = self.kept()[index].apply(&self.plan.faults[self.kept()[index].fault]);
            for for_ms in [SECOND_MS, 2_000, 5_000, 10_000, 20_000, fault.for_ms / SECOND_MS * SECOND_MS] {
                if for_ms >= SECOND_MS && for_ms < fault.for_ms {
                    let shorter = Kept { for_ms: Some(for_ms), ..self.kept()[index] };
                    if self.takes(self.with(index, shorter)) {
                        break;
                    }
                }
            }
            if let When::AtMs(at_ms) = fault.when {
                for unit_ms in [SECOND_MS, SECOND_MS / 10] {
                    let rounded_ms = at_ms / unit_ms * unit_ms;
                    if rounded_ms == at_ms
                        || self
                            .takes(self.with(index, Kept { at_ms: Some(rounded_ms), ..self.kept()[index] }))
                    {
                        break;
                    }
                }
            }
        }
    }

    /// The cut with one fault changed.
    fn with(&self, index: usize, changed: Kept) -> Cut {
        let mut kept = self.kept().to_vec();
        kept[index] = changed;
        Cut { kept: Some(kept), ..self.cut.clone() }
    }
}

const SECOND_MS: u64 = 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Job, What, World};

    fn plan(faults: Vec<Fault>) -> Plan {
        Plan {
            scenario: "synthetic".into(),
            seed: 1,
            world: World::default(),
            job: Job::default(),
            faults,
            faulty_ms: 60_000,
            healed_ms: 30_000,
        }
    }

    fn slow(at_ms: u64, for_ms: u64) -> Fault {
        Fault { when: When::AtMs(at_ms), what: What::StoreSlow { by_ms: at_ms }, for_ms }
    }

    /// A store that was slow by this much.
    fn has(plan: &Plan, by_ms: u64) -> bool {
        plan.faults.iter().any(|fault| fault.what == What::StoreSlow { by_ms })
    }

    #[test]
    fn only_the_faults_that_matter_are_left() {
        let full = plan((1..=20).map(|n| slow(n * 1_000, 3_000)).collect());
        let mut fails = |plan: &Plan| has(plan, 4_000) && has(plan, 17_000);
        let shrunk = shrink(&full, 200, &mut fails).expect("it fails");
        let left = shrunk.cut.apply(&full).expect("it is a cut of this plan");
        assert_eq!(
            left.faults,
            [slow(4_000, 1_000), slow(17_000, 1_000)],
            "and they last no longer than need be"
        );
        assert_eq!(left.faulty_ms, SECOND_MS);
        assert!(!shrunk.gave_up && shrunk.runs < 60, "{shrunk:?}");
    }

    #[test]
    fn a_plan_that_fails_without_faults_loses_all_of_them() {
        let full = plan((1..=9).map(|n| slow(n * 1_000, 3_000)).collect());
        let shrunk = shrink(&full, 200, &mut |_| true).expect("it fails");
        assert_eq!(shrunk.cut.kept, Some(vec![]));
        assert!(shrunk.runs < 10, "{shrunk:?}");
    }

    #[test]
    fn times_are_rounded_only_as_far_as_the_failure_allows() {
        let full = plan(vec![slow(12_345, 8_765)]);
        let mut fails = |plan: &Plan| {
            let Some(fault) = plan.faults.first() else { return false };
            matches!(fault.when, When::AtMs(12_300..)) && fault.for_ms >= 4_000 && plan.faulty_ms >= 33_000
        };
        let shrunk = shrink(&full, 200, &mut fails).expect("it fails");
        let left = shrunk.cut.apply(&full).expect("it is a cut of this plan");
        let fault = &left.faults[0];
        assert_eq!((&fault.when, fault.for_ms, left.faulty_ms), (&When::AtMs(12_300), 5_000, 33_000));
    }

    #[test]
    fn what_cannot_be_made_smaller_stays_whole() {
        let full = plan(vec![slow(12_345, 8_765), slow(20_001, 999)]);
        let same = full.clone();
        let shrunk = shrink(&full, 200, &mut |plan| *plan == same).expect("it fails");
        assert!(shrunk.cut.is_whole(), "{shrunk:?}");
    }

    #[test]
    fn the_budget_is_kept_and_what_was_found_by_then_is_given() {
        let full = plan((1..=20).map(|n| slow(n * 1_000, 3_000)).collect());
        let mut calls = 0;
        let mut fails = |plan: &Plan| {
            calls += 1;
            has(plan, 4_000) && has(plan, 17_000)
        };
        let shrunk = shrink(&full, 10, &mut fails).expect("it fails");
        assert!(shrunk.gave_up);
        assert_eq!((shrunk.runs, calls), (10, 10));
        let left = shrunk.cut.apply(&full).expect("it is a cut of this plan");
        assert!(has(&left, 4_000) && has(&left, 17_000) && left.faults.len() < 20);
    }

    #[test]
    fn a_failure_that_does_not_come_back_is_said() {
        assert_eq!(shrink(&plan(vec![slow(1, 1)]), 200, &mut |_| false), Err(NotRepeated));
    }

    #[test]
    fn a_cut_of_another_plan_is_refused() {
        let kept = vec![Kept { fault: 3, at_ms: None, for_ms: None }];
        assert_eq!(Cut { kept: Some(kept), faulty_ms: None }.apply(&plan(vec![slow(1, 1)])), Err(3));
    }
}
