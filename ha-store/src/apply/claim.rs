//! What a grant of leadership does to the state.

use super::{Applying, check_text, ledger, push_bounded, release};
use crate::state::{ArchivedResult, DeploymentState, Grant, ResultKind};
use crate::{Claim, Epoch, Refusal};
use std::mem;

/// A hint beyond this would leave too few epochs for the rest of time.
const EPOCH_HINT_MAX: u64 = 1 << 53;

/// What can be refused about a claim before anything is read or written.
pub(crate) fn check_claim(claim: &Claim) -> Result<(), Refusal> {
    check_text("the holder", &claim.holder)?;
    check_text("the generation", &claim.generation)?;
    if claim.epoch_hint > EPOCH_HINT_MAX {
        let what = format!("epochs (hint {})", claim.epoch_hint);
        return Err(Refusal::LimitReached { what, limit: "epoch_hint_max", max: EPOCH_HINT_MAX });
    }
    Ok(())
}

/// Records the grant of `ctx.epoch`. Refused, and nothing changed, for a generation that another one has followed.
///
/// Within a generation nothing else changes but that savepoints newer than where a job goes on from are behind it: what
/// ended stays ended (P5). A new generation is a new rollout of the deployment: it runs its own graph, so stored ones are
/// dropped; results of the old one are set aside; and Flink finds nothing in its checkpoint store, because what it
/// restores is the plan's to say.
pub(crate) fn apply_claim(
    state: &mut DeploymentState,
    claim: &Claim,
    ctx: &Applying<'_>,
) -> Result<(), Refusal> {
    assert!(ctx.epoch > state.epoch(), "a claim raises the epoch");
    state.check_generation(&claim.generation)?;
    let grant = Grant {
        session: claim.session.clone(),
        holder: claim.holder.clone(),
        generation: claim.generation.clone(),
        epoch: ctx.epoch,
        claimed_at_ms: ctx.now_ms,
    };
    let epoch_before = state.epoch();
    if let Some(before) = state.grant.replace(grant) {
        push_bounded(&mut state.grants, before, ctx.limits.grant_history_max);
        state.applied_before = mem::take(&mut state.applied);
    }
    match state.generation.as_ref() {
        Some(present) if *present == claim.generation => {
            if claim.leads {
                ledger::fail_over(state);
            }
        }
        _ => {
            begin_generation(state, epoch_before, ctx);
            state.generation = Some(claim.generation.clone());
            state.generation_began_at = ctx.at;
        }
    }
    Ok(())
}

fn begin_generation(state: &mut DeploymentState, epoch_before: Epoch, ctx: &Applying<'_>) {
    let graphs = state.jobs.values_mut().filter_map(|job| job.graph.take()).collect::<Vec<_>>();
    for graph in graphs {
        release(state, graph.blob, ctx);
    }
    archive_results(state, ctx);
    if let Some(plan) = state.plan.take() {
        push_bounded(&mut state.plans, plan, ctx.limits.plan_history_max);
    }
    for job in state.jobs.values_mut() {
        job.ended = None;
        // An end that was announced but whose removals never came counts all the same. What is live was so to the end of the
        // epoch before, and never in this one: its job does not run beside those that begin now.
        ledger::retire(job, &Applying { epoch: epoch_before, ..*ctx });
    }
}

fn archive_results(state: &mut DeploymentState, ctx: &Applying<'_>) {
    let generation = state.generation.clone();
    for kind in [ResultKind::Jobs, ResultKind::Applications] {
        for (id, result) in mem::take(state.results.of_mut(kind)) {
            let archived = ArchivedResult { generation: generation.clone(), kind, id, result };
            let max = ctx.limits.archived_results_max;
            for dropped in push_bounded(&mut state.archived_results, archived, max) {
                release(state, dropped.result.payload, ctx);
            }
        }
    }
}
