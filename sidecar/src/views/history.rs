//! What happened to a deployment, generation by generation.

use std::collections::VecDeque;

use ha_store::{DeploymentState, Epoch, Grant, RestorePlan, ResultEntry, ResultId, ResultKind};
use serde::{Deserialize, Serialize};

use super::PlanDetails;

/// As far back as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The deployment's name.
    pub deployment: String,
    /// When this view was made. Unix milliseconds.
    pub now_ms: i64,
    /// Oldest first; the last one is the present one.
    pub generations: Vec<GenerationView>,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationView {
    /// Its name; null for what was recorded before names were.
    pub generation: Option<String>,
    /// Its grants of leadership, oldest first. Empty when they are forgotten.
    pub grants: Vec<GrantView>,
    /// What it was to restore; null when it was not planned, or that is forgotten.
    pub plan: Option<PlanDetails>,
    /// Which of its jobs and applications ended.
    pub results: Vec<ResultView>,
}

/// One grant of leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantView {
    /// The fencing token.
    pub epoch: Epoch,
    /// Who claimed it: a pod, or a command of a person.
    pub holder: String,
    /// The JobManager session that was granted.
    pub session: String,
    /// When. Unix milliseconds.
    pub claimed_at_ms: i64,
}

/// One terminal result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResultView {
    /// Of a job or of an application.
    pub kind: ResultKind,
    /// Its id.
    pub id: ResultId,
    /// The terminal status, as Flink names it.
    pub status: String,
    /// Whether Flink finished cleaning up.
    pub clean: bool,
}

/// Everything that is remembered of generations.
pub fn history(deployment: &str, state: &DeploymentState, now_ms: i64) -> HistoryView {
    let mut generations = by_grants(state.grants.iter().chain(&state.grant));
    for plan in state.plans.iter().chain(&state.plan) {
        place_plan(&mut generations, plan);
    }
    let mut forgotten = VecDeque::new();
    for archived in &state.archived_results {
        let result = shown(archived.kind, &archived.id, &archived.result);
        let present = generations.len().saturating_sub(1);
        let same = |it: &&mut GenerationView| it.generation == archived.generation;
        match generations[..present].iter_mut().rev().find(same) {
            Some(generation) => generation.results.push(result),
            None => forget_grants_of(&mut forgotten, archived.generation.clone(), result),
        }
    }
    let standing = [ResultKind::Jobs, ResultKind::Applications].into_iter();
    let standing = standing.flat_map(|kind| state.results.of(kind).iter().map(move |it| (kind, it)));
    if let Some(present) = generations.last_mut() {
        present.results.extend(standing.map(|(kind, (id, result))| shown(kind, id, result)));
    }
    let generations = forgotten.into_iter().chain(generations).collect();
    HistoryView { deployment: deployment.to_owned(), now_ms, generations }
}

/// Grants that follow one another with the same name are of one generation. A name that comes back later is another one.
fn by_grants<'s>(grants: impl Iterator<Item = &'s Grant>) -> Vec<GenerationView> {
    let mut generations: Vec<GenerationView> = Vec::new();
    for grant in grants {
        let name = Some(grant.generation.clone()).filter(|name| !name.is_empty());
        if generations.last().is_none_or(|last| last.generation != name) {
            generations.push(GenerationView::new(name));
        }
        let generation = generations.last_mut().expect("one was pushed");
        generation.grants.push(GrantView::from(grant));
    }
    generations
}

/// To the generation whose grants its epoch is among; before them all if those are forgotten.
fn place_plan(generations: &mut Vec<GenerationView>, plan: &RestorePlan) {
    let name = Some(plan.generation.clone());
    let granted = |it: &GenerationView| it.grants.iter().any(|grant| grant.epoch == plan.epoch);
    // The oldest generation that is remembered may have lost its first grants, but not all.
    let begun_before = |it: &GenerationView| it.grants.first().is_some_and(|first| plan.epoch < first.epoch);
    let exact = generations.iter().position(|it| it.generation == name && granted(it));
    let oldest =
        generations.iter().position(|it| it.generation == name && begun_before(it) && it.plan.is_none());
    let first_granted = generations.iter().position(|it| !it.grants.is_empty()).unwrap_or(generations.len());
    match exact.or(oldest.filter(|index| *index == first_granted)) {
        Some(index) => generations[index].plan = Some(PlanDetails::from(plan)),
        None => {
            let mut generation = GenerationView::new(name);
            generation.plan = Some(PlanDetails::from(plan));
            generations.insert(first_granted, generation);
        }
    }
}

fn forget_grants_of(forgotten: &mut VecDeque<GenerationView>, name: Option<String>, result: ResultView) {
    if forgotten.back().is_none_or(|last| last.generation != name) {
        forgotten.push_back(GenerationView::new(name));
    }
    forgotten.back_mut().expect("one was pushed").results.push(result);
}

fn shown(kind: ResultKind, id: &ResultId, result: &ResultEntry) -> ResultView {
    ResultView { kind, id: id.clone(), status: result.status.clone(), clean: result.clean }
}

// === impl GrantView ===

impl From<&Grant> for GrantView {
    fn from(grant: &Grant) -> Self {
        Self {
            epoch: grant.epoch,
            holder: grant.holder.clone(),
            session: grant.session.to_string(),
            claimed_at_ms: grant.claimed_at_ms,
        }
    }
}

// === impl GenerationView ===

impl GenerationView {
    fn new(generation: Option<String>) -> Self {
        Self { generation, grants: Vec::new(), plan: None, results: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::lineage;
    use super::*;

    fn names(view: &HistoryView) -> Vec<&str> {
        view.generations.iter().map(|it| it.generation.as_deref().unwrap_or("-")).collect()
    }

    #[test]
    fn each_generation_has_its_grants_its_plan_and_its_results() {
        let view = history("orders", &lineage(), 10_000);
        assert_eq!(names(&view), ["g1", "g2"]);
        let epochs = |index: usize| -> Vec<u64> {
            view.generations[index].grants.iter().map(|grant| grant.epoch.get()).collect()
        };
        assert_eq!((epochs(0), epochs(1)), (vec![1, 2], vec![3]));
        assert!(view.generations.iter().all(|it| it.plan.is_some()));
        assert_eq!(view.generations[0].results[0].status, "FAILED");
        assert!(view.generations[1].results.is_empty());
    }

    #[test]
    fn a_name_that_comes_back_is_another_generation() {
        let mut state = lineage();
        let mut back = state.grant.clone().expect("a grant");
        (back.epoch, back.generation) = (Epoch::new(4), "g1".into());
        state.grants.extend(state.grant.replace(back));
        state.plan = None;
        let view = history("orders", &state, 10_000);
        assert_eq!(names(&view), ["g1", "g2", "g1"]);
        assert_eq!(view.generations[2].plan, None, "the plan of the first one is not its own");
        assert_eq!(view.generations[0].results.len(), 1, "nor are its results");
    }

    #[test]
    fn what_is_left_of_forgotten_generations_is_shown_before_the_others() {
        let mut state = lineage();
        state.grants.clear();
        let view = history("orders", &state, 10_000);
        assert_eq!(names(&view)[view.generations.len() - 1], "g2");
        let old: Vec<_> =
            view.generations.iter().filter(|it| it.generation.as_deref() == Some("g1")).collect();
        assert!(old.iter().any(|it| it.plan.is_some()), "{old:?}");
        assert!(old.iter().any(|it| it.results.len() == 1), "{old:?}");
        assert!(old.iter().all(|it| it.grants.is_empty()), "{old:?}");
    }

    #[test]
    fn a_deployment_that_nobody_led_has_no_history() {
        assert!(history("orders", &DeploymentState::default(), 0).generations.is_empty());
    }
}
