//! Changes of what is known of a job: snapshots, counter, graph, end.

use super::known::{check_checkpoint_id, check_pointer, ensure_job};
use super::ledger::{self, move_to_history};
use super::{Applying, Outcome, check_text, plan, release};
use crate::state::{DeploymentState, GraphEntry, PointerRecord, Snapshot, SnapshotState};
use crate::{Answer, Expected, JobId, JobStatus, Refusal};

pub(super) fn add_checkpoint(
    state: &mut DeploymentState,
    job: &JobId,
    id: u64,
    pointer: &PointerRecord,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_pointer(&format!("the pointer of checkpoint {id} of job {job}"), pointer, ctx)?;
    check_checkpoint_id(id)?;
    if let Some(known) = state.jobs.get(job) {
        match known.checkpoints.get(&id) {
            Some(live) if live.pointer == ledger::completed(state, pointer, Some(&live.pointer)) => {
                return Ok(Outcome::unchanged(Answer::Unchanged));
            }
            Some(_) => return Err(Refusal::AlreadyExists { what: format!("checkpoint {id} of job {job}") }),
            None => {}
        }
        let max = ctx.limits.live_checkpoints_max;
        if known.checkpoints.len() >= max {
            let what = format!("live checkpoints of job {job}");
            return Err(Refusal::LimitReached { what, limit: "live_checkpoints_max", max: max as u64 });
        }
    }
    ensure_job(state, job, ctx)?;
    state.snapshots_seen = true;
    let recalled = ledger::recall(state, &pointer.external_pointer);
    let snapshot = Snapshot {
        id,
        pointer: ledger::completed(state, pointer, recalled.as_ref().map(|recalled| &recalled.pointer)),
        state: SnapshotState::Active,
        epoch: ctx.epoch,
        added_at_ms: ctx.now_ms,
        left_epoch: None,
        rolled_back: false,
        pinned: recalled.is_some_and(|recalled| recalled.pinned),
    };
    let known = state.jobs.get_mut(job).expect("it was made sure of");
    let before = known.checkpoints.insert(id, snapshot);
    assert!(before.is_none(), "no live checkpoint is overwritten");
    known.next_checkpoint_id = known.next_checkpoint_id.max(id + 1);
    Ok(Outcome::changed(Answer::Created))
}

/// One checkpoint, or all of them.
pub(super) fn remove_checkpoints(
    state: &mut DeploymentState,
    job: &JobId,
    id: Option<u64>,
    ctx: &Applying<'_>,
) -> Outcome {
    let Some(known) = state.jobs.get(job) else { return Outcome::removed(0) };
    let leaving = known.checkpoints.values().filter(|snapshot| id.is_none_or(|id| snapshot.id == id));
    // `EndJob` has said what becomes of it; without that, the job goes on and something newer took its place.
    let fates: Vec<_> =
        leaving.map(|snapshot| (snapshot.id, ledger::fate_of_replaced(state, snapshot))).collect();
    let known = state.jobs.get_mut(job).expect("it was there");
    for (id, fate) in &fates {
        move_to_history(known, *id, *fate, ctx);
    }
    Outcome::removed(fates.len() as u64)
}

pub(super) fn end_job(
    state: &mut DeploymentState,
    job: &JobId,
    status: JobStatus,
    discarded: &[u64],
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    let fate = |id: u64| match discarded.contains(&id) {
        true => SnapshotState::Discarded,
        false => SnapshotState::Retained,
    };
    let live = state.jobs.get(job).map(|known| &known.checkpoints).into_iter().flatten();
    let (mut retained, mut discarded, mut told_before) = (0, 0, true);
    for (id, snapshot) in live {
        match fate(*id) {
            SnapshotState::Discarded => discarded += 1,
            _ => retained += 1,
        }
        told_before &= snapshot.state == fate(*id);
    }
    let answer = Answer::Ended { retained, discarded };
    if told_before && state.jobs.get(job).is_some_and(|known| known.ended == Some(status)) {
        return Ok(Outcome::unchanged(answer));
    }
    let known = ensure_job(state, job, ctx)?;
    for live in known.checkpoints.values_mut() {
        live.state = fate(live.id);
    }
    known.ended = Some(status);
    Ok(Outcome::changed(answer))
}

pub(super) fn next_checkpoint_id(
    state: &mut DeploymentState,
    job: &JobId,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    if let Some(known) = state.jobs.get(job) {
        check_checkpoint_id(known.next_checkpoint_id)?;
    }
    let known = ensure_job(state, job, ctx)?;
    let id = known.next_checkpoint_id;
    known.next_checkpoint_id += 1;
    Ok(Outcome::changed(Answer::Value(id)))
}

pub(super) fn set_checkpoint_id(
    state: &mut DeploymentState,
    job: &JobId,
    value: u64,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_checkpoint_id(value)?;
    let in_force = state.jobs.get(job).map(|known| known.next_checkpoint_id);
    if let Some(in_force) = in_force.filter(|in_force| *in_force >= value) {
        return Ok(Outcome::unchanged(Answer::Value(in_force)));
    }
    let known = ensure_job(state, job, ctx)?;
    known.next_checkpoint_id = known.next_checkpoint_id.max(value);
    Ok(Outcome::changed(Answer::Value(known.next_checkpoint_id)))
}

pub(super) fn put_graph(
    state: &mut DeploymentState,
    job: &JobId,
    graph: &GraphEntry,
    expected: &Expected,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_text("the Flink version", &graph.flink_version)?;
    check_text("the fingerprint", graph.fingerprint.as_deref().unwrap_or_default())?;
    let found = state.jobs.get(job).and_then(|known| known.graph.as_ref());
    let what = || format!("the graph of job {job}");
    match (found, expected) {
        (Some(found), _) if found.blob.hash == graph.blob.hash => {
            return Ok(Outcome::unchanged(Answer::Unchanged));
        }
        (Some(_), Expected::Absent) => return Err(Refusal::AlreadyExists { what: what() }),
        (Some(found), Expected::Version(version)) if found.blob.hash != *version => {
            let found = found.blob.hash.clone();
            return Err(Refusal::StaleVersion { what: what(), expected: version.clone(), found });
        }
        (None, Expected::Version(_)) => return Err(Refusal::NoGraph { job: job.clone() }),
        (None, Expected::Absent) | (Some(_), Expected::Version(_)) => {}
    }
    let known = ensure_job(state, job, ctx)?;
    match known.graph.replace(graph.clone()) {
        Some(before) => {
            release(state, before.blob, ctx);
            Ok(Outcome::changed(Answer::Changed))
        }
        None => {
            plan::take(state, job);
            Ok(Outcome::changed(Answer::Created))
        }
    }
}

pub(super) fn drop_graph(state: &mut DeploymentState, job: &JobId, ctx: &Applying<'_>) -> Outcome {
    let Some(known) = state.jobs.get_mut(job) else { return Outcome::removed(0) };
    let Some(graph) = known.graph.take() else { return Outcome::removed(0) };
    known.touched_at = ctx.at;
    release(state, graph.blob, ctx);
    Outcome::removed(1)
}

pub(super) fn clean_job(state: &mut DeploymentState, job: &JobId, ctx: &Applying<'_>) -> Outcome {
    let dropped = drop_graph(state, job, ctx).changed;
    let Some(known) = state.jobs.get_mut(job) else { return Outcome::unchanged(Answer::Unchanged) };
    let retired = ledger::retire(known, ctx);
    match dropped || retired > 0 {
        true => Outcome::changed(Answer::Changed),
        false => Outcome::unchanged(Answer::Unchanged),
    }
}

pub(super) fn clean_deployment(state: &mut DeploymentState, ctx: &Applying<'_>) -> Outcome {
    let jobs: Vec<JobId> = state.jobs.keys().cloned().collect();
    let changed = jobs.iter().filter(|job| clean_job(state, job, ctx).changed).count();
    match changed {
        0 => Outcome::unchanged(Answer::Unchanged),
        _ => Outcome::changed(Answer::Changed),
    }
}
