//! What a grant of leadership does to the state.

use super::{Applying, check_text, jobs, push_bounded, release};
use crate::state::{ArchivedResult, DeploymentState, Grant, JobState, ResultKind, SnapshotState};
use crate::{Claim, Refusal};
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

/// Records the grant of `ctx.epoch`.
///
/// Within a generation nothing else changes: what ended stays ended (P5). A new generation is a new rollout of the
/// deployment: it runs its own graph, so stored ones are dropped; results of the old one are set aside; and what
/// its jobs left behind is live again, for the new ones to continue from.
pub(crate) fn apply_claim(state: &mut DeploymentState, claim: &Claim, ctx: &Applying<'_>) {
    assert!(ctx.epoch > state.epoch(), "a claim raises the epoch");
    let grant = Grant {
        session: claim.session.clone(),
        holder: claim.holder.clone(),
        epoch: ctx.epoch,
        claimed_at_ms: ctx.now_ms,
    };
    if let Some(before) = state.grant.replace(grant) {
        push_bounded(&mut state.grants, before, ctx.limits.grant_history_max);
        state.applied_before = mem::take(&mut state.applied);
    }
    if state.generation.as_ref() != Some(&claim.generation) {
        begin_generation(state, ctx);
        state.generation = Some(claim.generation.clone());
    }
}

fn begin_generation(state: &mut DeploymentState, ctx: &Applying<'_>) {
    let graphs = state.jobs.values_mut().filter_map(|job| job.graph.take()).collect::<Vec<_>>();
    for graph in graphs {
        release(state, graph.blob, ctx);
    }
    archive_results(state, ctx);
    for job in state.jobs.values_mut() {
        job.ended = None;
        revive(job, ctx);
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

/// Makes live again what the job's last end left behind.
///
/// Snapshots that stayed at an *earlier* end stay history: the job went on from there and left newer ones.
fn revive(job: &mut JobState, ctx: &Applying<'_>) {
    // An end that was announced but whose removals never came: its word counts all the same.
    let doomed = |state| state == SnapshotState::Discarded;
    let ids: Vec<u64> = job.checkpoints.iter().filter(|(_, s)| doomed(s.state)).map(|(id, _)| *id).collect();
    for id in ids {
        jobs::move_to_history(job, id, SnapshotState::Discarded, ctx);
    }
    for snapshot in job.checkpoints.values_mut() {
        snapshot.state = SnapshotState::Active;
    }

    let retained = |s: &crate::Snapshot| s.state == SnapshotState::Retained;
    let last_end = job.history.iter().filter(|s| retained(s)).filter_map(|s| s.left_epoch).max();
    let (back, stay): (Vec<_>, Vec<_>) = mem::take(&mut job.history)
        .into_iter()
        .partition(|s| retained(s) && s.left_epoch == last_end && !job.checkpoints.contains_key(&s.id));
    job.history = stay.into();
    // Newest first, so that a full list keeps those that matter.
    for mut snapshot in back.into_iter().rev() {
        let full = job.checkpoints.len() >= ctx.limits.live_checkpoints_max;
        if full || job.checkpoints.contains_key(&snapshot.id) {
            push_bounded(&mut job.history, snapshot, ctx.limits.snapshot_history_max);
            continue;
        }
        snapshot.state = SnapshotState::Active;
        snapshot.left_epoch = None;
        job.checkpoints.insert(snapshot.id, snapshot);
    }
    job.touched_at = ctx.at;
}
