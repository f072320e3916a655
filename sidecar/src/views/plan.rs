//! What the present generation restored, and what the next one would.

use ha_store::{ClaimMode, DeploymentState, Epoch, JobId, PlannedSnapshot, RestorePlan, SnapshotKind};
use serde::{Deserialize, Serialize};

/// Both plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanView {
    /// The deployment's name.
    pub deployment: String,
    /// When this view was made. Unix milliseconds.
    pub now_ms: i64,
    /// The present generation; null before the first grant.
    pub generation: Option<String>,
    /// What its jobs restore; null until it is planned.
    pub present: Option<PlanDetails>,
    /// What the next generation would be told if it began now.
    pub next: NextView,
    /// What somebody asked the next generation to start from.
    pub reset: Option<ResetView>,
}

/// One restore plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanDetails {
    /// The generation that it is for.
    pub generation: String,
    /// The strategy that it follows.
    pub strategy: String,
    /// `snapshot` restores one, `empty` starts without state, `given` leaves it to the job's own settings.
    pub restore: Restore,
    /// What is restored.
    pub snapshot: Option<PlannedView>,
    /// Who owns the snapshot's files from then on.
    pub claim_mode: ClaimMode,
    /// Whether state that belongs to no operator of the new job may be left behind.
    pub allow_non_restored_state: bool,
    /// Why this snapshot and no other.
    pub why: String,
    /// When it was made. Unix milliseconds.
    pub planned_at_ms: i64,
    /// The epoch under which it was made.
    pub epoch: Epoch,
    /// The job that was given it.
    pub taken_by: Option<JobId>,
}

/// What a plan does, in one word of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restore {
    /// Restores a snapshot.
    Snapshot,
    /// Starts without state.
    Empty,
    /// Leaves it to the job's own settings: it is the first start.
    Given,
}

/// The snapshot of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedView {
    /// Flink's checkpoint id.
    pub id: u64,
    /// Checkpoint or savepoint.
    pub kind: SnapshotKind,
    /// Where it is, as Flink names it.
    pub external_pointer: String,
}

/// What the next generation would be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum NextView {
    /// This.
    Plan {
        /// The plan.
        plan: Box<PlanDetails>,
    },
    /// Nothing: nobody would be granted leadership.
    Refused {
        /// Why not, and the way out.
        why: String,
    },
    /// It was not found out.
    Unknown {
        /// What stood in the way.
        why: String,
    },
}

/// The wish that the next generation starts from a certain snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetView {
    /// Where the snapshot is, as Flink names it.
    pub external_pointer: String,
    /// When it was asked for. Unix milliseconds.
    pub asked_at_ms: i64,
}

/// Both plans; `next` is the planner's word on the same state.
pub fn plan(deployment: &str, state: &DeploymentState, now_ms: i64, next: NextView) -> PlanView {
    PlanView {
        deployment: deployment.to_owned(),
        now_ms,
        generation: state.generation.clone(),
        present: state.plan.as_ref().map(PlanDetails::from),
        next,
        reset: ResetView::of(state),
    }
}

// === impl ResetView ===

impl ResetView {
    /// The wish that stands.
    pub fn of(state: &DeploymentState) -> Option<Self> {
        let reset = state.reset.as_ref()?;
        Some(Self { external_pointer: reset.external_pointer.clone(), asked_at_ms: reset.asked_at_ms })
    }
}

// === impl Restore ===

impl Restore {
    /// For the job that takes the plan.
    pub fn of(plan: &RestorePlan) -> Self {
        match &plan.snapshot {
            Some(_) => Self::Snapshot,
            None if plan.first_start => Self::Given,
            None => Self::Empty,
        }
    }
}

// === impl PlanDetails ===

impl From<&RestorePlan> for PlanDetails {
    fn from(plan: &RestorePlan) -> Self {
        Self {
            generation: plan.generation.clone(),
            strategy: plan.strategy.clone(),
            restore: Restore::of(plan),
            snapshot: plan.snapshot.as_ref().map(PlannedView::from),
            claim_mode: plan.claim_mode,
            allow_non_restored_state: plan.allow_non_restored_state,
            why: plan.why.clone(),
            planned_at_ms: plan.planned_at_ms,
            epoch: plan.epoch,
            taken_by: plan.taken_by.clone(),
        }
    }
}

// === impl PlannedView ===

impl From<&PlannedSnapshot> for PlannedView {
    fn from(snapshot: &PlannedSnapshot) -> Self {
        let PlannedSnapshot { id, kind, external_pointer } = snapshot;
        Self { id: *id, kind: *kind, external_pointer: external_pointer.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::lineage;
    use super::*;

    #[test]
    fn a_first_start_is_not_called_empty() {
        let mut plan = lineage().plan.expect("a plan");
        assert_eq!(PlanDetails::from(&plan).restore, Restore::Snapshot);
        plan.snapshot = None;
        assert_eq!(PlanDetails::from(&plan).restore, Restore::Empty);
        plan.first_start = true;
        assert_eq!(PlanDetails::from(&plan).restore, Restore::Given);
    }

    #[test]
    fn the_next_plan_says_in_one_word_how_it_came_out() {
        let next = NextView::Refused { why: "its files are gone".into() };
        let json = serde_json::to_value(plan("orders", &lineage(), 5, next)).unwrap();
        assert_eq!(json["next"]["outcome"], "refused", "{json}");
        assert_eq!(json["present"]["snapshot"]["id"], 6, "{json}");
        assert_eq!(json["present"]["claim_mode"], "CLAIM", "{json}");
    }
}
