//! Changes of what is to be restored.

use super::{Applying, Outcome, check_size, ledger};
use crate::state::{ClaimMode, DeploymentState, Reset, RestorePlan};
use crate::{Answer, JobId, Refusal};

/// Longest reason for people.
const WHY_BYTES_MAX: u64 = 4_096;

pub(super) fn set_plan(
    state: &mut DeploymentState,
    plan: &RestorePlan,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_size("the reason of a plan", plan.why.len() as u64, WHY_BYTES_MAX, "why_bytes_max")?;
    if let Some(snapshot) = &plan.snapshot {
        let max_bytes = ctx.limits.pointer_bytes_max;
        let bytes = snapshot.external_pointer.len() as u64;
        check_size("the pointer of a plan", bytes, max_bytes, "pointer_bytes_max")?;
    }
    let present = state.generation.clone().unwrap_or_default();
    if plan.generation != present {
        return Err(Refusal::WrongGeneration { planned: plan.generation.clone(), present });
    }
    // Somebody may have pinned it since the plan was made.
    let restored = plan.snapshot.as_ref().map(|snapshot| snapshot.external_pointer.as_str());
    let claim_mode = match restored.is_some_and(|pointer| state.pin_forbids_claim(pointer)) {
        true => ClaimMode::NoClaim,
        false => plan.claim_mode,
    };
    let plan = &RestorePlan { claim_mode, ..plan.clone() };
    match &state.plan {
        Some(found) if found == plan => return Ok(Outcome::unchanged(Answer::Unchanged)),
        Some(_) => {
            return Err(Refusal::AlreadyExists { what: format!("the plan of generation {present}") });
        }
        None => {}
    }
    state.plan = Some(plan.clone());
    state.reset = None;
    Ok(Outcome::changed(Answer::Created))
}

pub(super) fn set_reset(
    state: &mut DeploymentState,
    reset: Option<&Reset>,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    if let Some(reset) = reset {
        let bytes = reset.external_pointer.len() as u64;
        check_size("the pointer of a reset", bytes, ctx.limits.pointer_bytes_max, "pointer_bytes_max")?;
    }
    let wished = |reset: Option<&Reset>| reset.map(|reset| reset.external_pointer.clone());
    if wished(state.reset.as_ref()) == wished(reset) {
        return Ok(Outcome::unchanged(Answer::Unchanged));
    }
    state.reset = reset.cloned();
    Ok(Outcome::changed(Answer::Changed))
}

/// The first graph of a generation was stored: its job starts from the plan, and leaves behind what is newer.
pub(super) fn take(state: &mut DeploymentState, job: &JobId) {
    let Some(plan) = state.plan.as_mut().filter(|plan| plan.taken_by.is_none()) else { return };
    plan.taken_by = Some(job.clone());
    let restored = plan.snapshot.as_ref().map(|snapshot| snapshot.id);
    for known in state.jobs.values_mut() {
        ledger::roll_back_behind(known, restored);
    }
}
