//! The ledger: what is known of snapshots that are not, or not any more, in Flink's checkpoint store.

use super::known::{check_checkpoint_id, check_pointer, ensure_job};
use super::{Applying, Outcome};
use crate::places::{is_place_of_checkpoint, is_same_place};
use crate::state::{
    ClaimMode, DeploymentState, JobState, PlannedSnapshot, PointerRecord, RestorePlan, Snapshot,
    SnapshotKind, SnapshotState,
};
use crate::{Answer, JobId, Limits, Refusal};

pub(super) fn record_savepoint(
    state: &mut DeploymentState,
    job: &JobId,
    id: u64,
    pointer: &PointerRecord,
    rolled_back: bool,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_pointer(&format!("the pointer of savepoint {id} of job {job}"), pointer, ctx)?;
    check_checkpoint_id(id)?;
    if let Some(known) = find(state, &pointer.external_pointer) {
        let news = rolled_back && !known.rolled_back && known.left_epoch.is_some();
        known.rolled_back |= news;
        return Ok(if news {
            Outcome::changed(Answer::Changed)
        } else {
            Outcome::unchanged(Answer::Unchanged)
        });
    }
    let known = ensure_job(state, job, ctx)?;
    let snapshot = Snapshot {
        id,
        pointer: pointer.clone(),
        state: SnapshotState::Retained,
        epoch: ctx.epoch,
        added_at_ms: ctx.now_ms,
        left_epoch: Some(ctx.epoch),
        rolled_back,
        pinned: false,
    };
    remember(known, snapshot, ctx.limits);
    state.snapshots_seen = true;
    Ok(Outcome::changed(Answer::Created))
}

pub(super) fn record_restore(state: &mut DeploymentState, job: &JobId, id: u64) -> Outcome {
    let restored = match id {
        0 => planned_for(state, job).flatten(),
        id => Some(id),
    };
    let marked = state.jobs.get_mut(job).map_or(0, |known| roll_back_behind(known, restored));
    Outcome { answer: Answer::Value(marked), changed: marked > 0 }
}

/// Marks what is newer than the snapshot that a job is restored from; with `None`, which starts without state, all.
/// Live ones are left alone: they are what is restored from.
pub(super) fn roll_back_behind(job: &mut JobState, restored: Option<u64>) -> u64 {
    let newer =
        |snapshot: &&mut Snapshot| !snapshot.rolled_back && restored.is_none_or(|id| snapshot.id > id);
    let mut marked = 0;
    for snapshot in job.history.iter_mut().filter(newer) {
        snapshot.rolled_back = true;
        marked += 1;
    }
    marked
}

/// Where a job that took the present plan begins: at a snapshot, or without state. `None` if it did not take it.
fn planned_for(state: &DeploymentState, job: &JobId) -> Option<Option<u64>> {
    let plan = state.plan.as_ref().filter(|plan| plan.taken_by.as_ref() == Some(job))?;
    Some(plan.snapshot.as_ref().map(|snapshot| snapshot.id))
}

/// A JobManager of the same generation follows another one: whatever job goes on does so from its newest live
/// checkpoint, or before the first one from where its generation began; savepoints that are newer are behind it.
///
/// Nothing goes on when the application has ended. Its job need not have a result of its own: on Flink 2.3 a `main()` that
/// throws before it submits the job ends the application, and Flink clears the job's place.
pub(super) fn fail_over(state: &mut DeploymentState) {
    if !state.results.applications.is_empty() {
        return;
    }
    let going_on: Vec<JobId> = state.jobs.keys().filter(|id| !state.has_ended(id)).cloned().collect();
    for id in going_on {
        let planned = planned_for(state, &id);
        let job = state.jobs.get_mut(&id).expect("it was there");
        let newest = job.checkpoints.keys().next_back().copied();
        if let Some(restored) = newest.map(Some).or(planned) {
            roll_back_behind(job, restored);
        }
    }
}

pub(super) fn pin(
    state: &mut DeploymentState,
    external_pointer: &str,
    pinned: bool,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    let pins = |job: &JobState| job.history.iter().filter(|snapshot| snapshot.pinned).count();
    let full = state.jobs.values().map(pins).max().unwrap_or(0) >= ctx.limits.pins_max;
    let claimed = claimed(state).cloned();
    let Some(known) = find(state, external_pointer) else {
        return Err(Refusal::UnknownSnapshot { external_pointer: external_pointer.to_owned() });
    };
    if known.pinned == pinned {
        return Ok(Outcome::unchanged(Answer::Unchanged));
    }
    if pinned && known.left_epoch.is_none() && known.pointer.kind == SnapshotKind::Checkpoint {
        return Err(Refusal::NotPinnable { id: known.id });
    }
    // Flink was told that the files are its own, or is about to be: no pin of ours reaches it any more.
    let place = &known.pointer.external_pointer;
    let is_claimed = claimed.as_ref().is_some_and(|claimed| is_same_place(&claimed.external_pointer, place));
    if pinned && (is_claimed || !known.is_kept()) {
        return Err(Refusal::NotKept { id: known.id });
    }
    // Nor what it shares with another checkpoint: whatever the claimed one refers to is the job's.
    let claimed = claimed.filter(|claimed| claimed.kind == SnapshotKind::Checkpoint);
    if let Some(claimed) = claimed.filter(|_| pinned && known.pointer.kind == SnapshotKind::Checkpoint) {
        return Err(Refusal::SharesClaimed { id: known.id, claimed: claimed.id });
    }
    if pinned && full {
        let max = ctx.limits.pins_max as u64;
        return Err(Refusal::LimitReached { what: "pinned snapshots".to_owned(), limit: "pins_max", max });
    }
    known.pinned = pinned;
    Ok(Outcome::changed(Answer::Changed))
}

/// The snapshot whose files the plan has a job take over. Once that job has ended, what it left is nobody's.
fn claimed(state: &DeploymentState) -> Option<&PlannedSnapshot> {
    let plan = state.plan.as_ref().filter(|plan| plan.claim_mode == ClaimMode::Claim)?;
    let ended = plan.taken_by.as_ref().is_some_and(|job| state.has_ended(job));
    plan.snapshot.as_ref().filter(|_| !ended)
}

/// What becomes of a live snapshot that Flink lets go while its job runs on.
///
/// A newer one took its place, and Flink deletes its files, unless they were never the job's own. The properties under which
/// the job holds it say so; where they are not understood, the plan says it of what it restores.
pub(super) fn fate_of_replaced(state: &DeploymentState, snapshot: &Snapshot) -> SnapshotState {
    let pointer = &snapshot.pointer;
    let planned = |plan: &RestorePlan| {
        let restored = plan.snapshot.as_ref().filter(|_| plan.claim_mode == ClaimMode::NoClaim);
        restored.is_some_and(|planned| is_same_place(&planned.external_pointer, &pointer.external_pointer))
    };
    let unclaimed = match pointer.discard_subsumed {
        Some(discards) => !discards,
        None => state.plan.as_ref().is_some_and(planned),
    };
    match snapshot.state {
        SnapshotState::Active if unclaimed || snapshot.pinned => SnapshotState::Retained,
        SnapshotState::Active => SnapshotState::Subsumed,
        told => told,
    }
}

/// Takes a live snapshot out.
pub(super) fn move_to_history(job: &mut JobState, id: u64, fate: SnapshotState, ctx: &Applying<'_>) {
    assert!(fate != SnapshotState::Active, "what leaves the live ones is not active");
    let mut snapshot = job.checkpoints.remove(&id).expect("only live snapshots are moved");
    snapshot.state = fate;
    snapshot.left_epoch = Some(ctx.epoch);
    remember(job, snapshot, ctx.limits);
    job.touched_at = ctx.at;
}

/// Takes all live snapshots out, and says how many there were: their files stay, unless Flink is going to delete them.
pub(super) fn retire(job: &mut JobState, ctx: &Applying<'_>) -> usize {
    let live: Vec<u64> = job.checkpoints.keys().copied().collect();
    for id in &live {
        let fate = match job.checkpoints[id].state {
            SnapshotState::Discarded => SnapshotState::Discarded,
            SnapshotState::Active | SnapshotState::Subsumed | SnapshotState::Retained => {
                SnapshotState::Retained
            }
        };
        move_to_history(job, *id, fate, ctx);
    }
    live.len()
}

/// Takes a snapshot that becomes live (again) out of the history, whichever job it came from. It is pinned if somebody wants
/// its files kept.
pub(super) fn recall(state: &mut DeploymentState, external_pointer: &str) -> Option<Snapshot> {
    let mut recalled: Option<Snapshot> = None;
    for job in state.jobs.values_mut() {
        job.history.retain(|snapshot| {
            let same = is_same_place(&snapshot.pointer.external_pointer, external_pointer);
            if same {
                let pinned = snapshot.pinned || recalled.as_ref().is_some_and(|recalled| recalled.pinned);
                recalled = Some(Snapshot { pinned, ..snapshot.clone() });
            }
            !same
        });
    }
    recalled
}

/// The pointer of a snapshot that is added, with what Flink does not say of it.
///
/// A snapshot that a job is restored from, Flink makes anew: without its times, and as a savepoint if it is not claimed,
/// whatever it is. The ledger knows better; of one from elsewhere, at least the plan and its name do.
pub(super) fn completed(
    state: &DeploymentState,
    pointer: &PointerRecord,
    recalled: Option<&PointerRecord>,
) -> PointerRecord {
    if pointer.has_times() {
        return pointer.clone();
    }
    let place = &pointer.external_pointer;
    let planned = state.plan.as_ref().and_then(|plan| plan.snapshot.as_ref());
    let planned = planned.filter(|planned| is_same_place(&planned.external_pointer, place));
    let kind = match (recalled, planned) {
        (Some(recalled), _) => recalled.kind,
        (None, Some(planned)) => planned.kind,
        (None, None) if is_place_of_checkpoint(place) => SnapshotKind::Checkpoint,
        (None, None) => pointer.kind,
    };
    PointerRecord {
        kind,
        trigger_timestamp_ms: recalled.map_or(0, |recalled| recalled.trigger_timestamp_ms),
        completion_timestamp_ms: recalled.map_or(0, |recalled| recalled.completion_timestamp_ms),
        ..pointer.clone()
    }
}

/// Adds to the history. What is over a limit goes: those whose files are gone first, pinned ones never.
pub(super) fn remember(job: &mut JobState, snapshot: Snapshot, limits: &Limits) {
    let gone = |s: &Snapshot| matches!(s.state, SnapshotState::Subsumed | SnapshotState::Discarded);
    job.history.push_back(snapshot);
    if job.history.iter().filter(|s| gone(s)).count() > limits.gone_snapshots_max {
        forget(job, gone);
    }
    if job.history.len() > limits.snapshot_history_max && !forget(job, gone) {
        forget(job, |s| !s.pinned);
    }
}

/// Drops the oldest of these.
fn forget(job: &mut JobState, which: impl Fn(&Snapshot) -> bool) -> bool {
    let oldest = job.history.iter().position(which);
    oldest.is_some_and(|index| job.history.remove(index).is_some())
}

fn find<'s>(state: &'s mut DeploymentState, external_pointer: &str) -> Option<&'s mut Snapshot> {
    let all = state.jobs.values_mut().flat_map(|job| job.checkpoints.values_mut().chain(&mut job.history));
    all.into_iter().find(|snapshot| is_same_place(&snapshot.pointer.external_pointer, external_pointer))
}
