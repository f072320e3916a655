//! What every change of a job begins with: the job itself, and what may be said of a snapshot at all.

use super::{Applying, check_size};
use crate::places::is_same_place;
use crate::state::{DeploymentState, JobState, PointerRecord, SnapshotState};
use crate::{JobId, Refusal};

/// Flink's checkpoint ids are Java `long`s.
const CHECKPOINT_ID_MAX: u64 = i64::MAX as u64 - 1;

/// The job, made if it is new. Changes nothing when it refuses.
pub(super) fn ensure_job<'s>(
    state: &'s mut DeploymentState,
    job: &JobId,
    ctx: &Applying<'_>,
) -> Result<&'s mut JobState, Refusal> {
    if !state.jobs.contains_key(job) && state.jobs.len() >= ctx.limits.jobs_max {
        let Some(victim) = least_worth_keeping(state) else {
            let max = ctx.limits.jobs_max as u64;
            return Err(Refusal::LimitReached { what: "jobs".to_owned(), limit: "jobs_max", max });
        };
        state.jobs.remove(&victim);
    }
    let known = state.jobs.entry(job.clone()).or_insert_with(|| JobState::new(ctx.at));
    known.touched_at = ctx.at;
    Ok(known)
}

/// The job to forget when a new one needs its place: it must have ended, or be of an earlier generation, and hold no graph and
/// nothing live. Among those, one that left nothing to restore goes first; among equals, the one that was touched longest ago.
/// Never one that somebody pinned something of, or that holds what the next plan must know of.
fn least_worth_keeping(state: &DeploymentState) -> Option<JobId> {
    let is_past = |job: &JobState| job.ended.is_some() || job.touched_at <= state.generation_began_at;
    let over = |job: &JobState| is_past(job) && job.graph.is_none() && job.checkpoints.is_empty();
    let worth = |job: &JobState| job.history.iter().any(|snapshot| snapshot.state == SnapshotState::Retained);
    let needed = needed(state);
    let is_needed = |job: &JobState| {
        job.history.iter().any(|snapshot| {
            let place = &snapshot.pointer.external_pointer;
            snapshot.pinned || needed.iter().any(|needed| is_same_place(needed, place))
        })
    };
    let candidates = state.jobs.iter().filter(|(_, job)| over(job) && !is_needed(job));
    candidates.min_by_key(|(_, job)| (worth(job), job.touched_at)).map(|(id, _)| id.clone())
}

/// Where the snapshots are without which an older one could be restored: what the present generation restores, what the next
/// one is to, and where the lineage stands, whatever became of its files.
fn needed(state: &DeploymentState) -> Vec<&str> {
    let planned = state.plan.as_ref().and_then(|plan| plan.snapshot.as_ref());
    let wished = state.reset.as_ref().map(|reset| reset.external_pointer.as_str());
    let counts = state.snapshots().map(|(_, snapshot)| snapshot).filter(|snapshot| !snapshot.rolled_back);
    let newest = counts.max_by_key(|snapshot| (snapshot.id, snapshot.epoch, snapshot.is_kept()));
    let places = planned.map(|planned| planned.external_pointer.as_str()).into_iter().chain(wished);
    places.chain(newest.map(|newest| newest.pointer.external_pointer.as_str())).collect()
}

pub(super) fn check_pointer(what: &str, pointer: &PointerRecord, ctx: &Applying<'_>) -> Result<(), Refusal> {
    let bytes = serde_json::to_vec(pointer).map_or(u64::MAX, |json| json.len() as u64);
    check_size(what, bytes, ctx.limits.pointer_bytes_max, "pointer_bytes_max")
}

pub(super) fn check_checkpoint_id(id: u64) -> Result<(), Refusal> {
    if id > CHECKPOINT_ID_MAX {
        let what = format!("checkpoint ids ({id})");
        return Err(Refusal::LimitReached { what, limit: "Long.MAX_VALUE", max: CHECKPOINT_ID_MAX });
    }
    Ok(())
}
