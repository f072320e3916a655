//! How a change changes the state: pure, and the only way to.
//!
//! Nothing here knows of records, stores or time. A refused change must leave the state exactly as it was, because
//! the writer applies a whole batch to one copy and writes it if only one of them was applied.

mod claim;
mod jobs;
mod known;
mod ledger;
mod plan;
mod results;

pub(crate) use claim::{apply_claim, check_claim};

use crate::state::{Applied, BlobRef, DeploymentState, ReleasedBlob};
use crate::{Answer, Change, Epoch, IdempotencyKey, Limits, Refusal, Sequence};
use std::collections::VecDeque;

/// Longest text that a caller may put into the state unchecked: versions, fingerprints, names for people.
const TEXT_BYTES_MAX: u64 = 256;

/// Under which circumstances something is applied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Applying<'a> {
    /// The record that will show it.
    pub(crate) at: Sequence,
    /// The epoch under which that record is written.
    pub(crate) epoch: Epoch,
    /// The writer's clock.
    pub(crate) now_ms: i64,
    pub(crate) limits: &'a Limits,
}

/// What a change did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) answer: Answer,
    /// Whether the state is different now, and a record is needed.
    pub(crate) changed: bool,
}

impl Outcome {
    fn changed(answer: Answer) -> Self {
        Self { answer, changed: true }
    }

    fn unchanged(answer: Answer) -> Self {
        Self { answer, changed: false }
    }

    /// `Removed(n)`, which needs a record if it removed something.
    fn removed(count: u64) -> Self {
        Self { answer: Answer::Removed(count), changed: count > 0 }
    }
}

/// Applies a change once, whatever number of times it is asked for under the same key.
pub(crate) fn apply(
    state: &mut DeploymentState,
    key: &IdempotencyKey,
    change: &Change,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    if let Some(answer) = state.answer_of(key) {
        return Ok(Outcome::unchanged(*answer));
    }
    let outcome = match change {
        Change::AddCheckpoint { job, id, pointer } => jobs::add_checkpoint(state, job, *id, pointer, ctx)?,
        Change::RemoveCheckpoint { job, id } => jobs::remove_checkpoints(state, job, Some(*id), ctx),
        Change::ClearCheckpoints { job } => jobs::remove_checkpoints(state, job, None, ctx),
        Change::EndJob { job, status, discarded } => jobs::end_job(state, job, *status, discarded, ctx)?,
        Change::NextCheckpointId { job } => jobs::next_checkpoint_id(state, job, ctx)?,
        Change::SetCheckpointId { job, value } => jobs::set_checkpoint_id(state, job, *value, ctx)?,
        Change::PutGraph { job, graph, expected } => jobs::put_graph(state, job, graph, expected, ctx)?,
        Change::DropGraph { job } => jobs::drop_graph(state, job, ctx),
        Change::CleanJob { job } => jobs::clean_job(state, job, ctx),
        Change::CleanDeployment => jobs::clean_deployment(state, ctx),
        Change::CreateResult { kind, id, status, payload } => {
            results::create(state, *kind, id, status, payload, key, ctx)?
        }
        Change::CleanResult { kind, id } => results::clean(state, *kind, id)?,
        Change::RecordSavepoint { job, id, pointer, rolled_back } => {
            ledger::record_savepoint(state, job, *id, pointer, *rolled_back, ctx)?
        }
        Change::RecordRestore { job, id } => ledger::record_restore(state, job, *id),
        Change::SetPlan { plan } => plan::set_plan(state, plan, ctx)?,
        Change::SetReset { reset } => plan::set_reset(state, reset.as_ref(), ctx)?,
        Change::Pin { external_pointer, pinned } => ledger::pin(state, external_pointer, *pinned, ctx)?,
    };
    if outcome.changed {
        push_bounded(
            &mut state.applied,
            Applied { key: key.clone(), answer: outcome.answer },
            ctx.limits.idempotency_keys_max,
        );
    }
    Ok(outcome)
}

/// Moves the boundary below which records may be deleted, and forgets the releases that it passes.
pub(crate) fn collect_before(state: &mut DeploymentState, boundary: Sequence) -> bool {
    if boundary <= state.collected_before {
        return false;
    }
    state.collected_before = boundary;
    // A record that still names the blob is older than its release: the boundary has passed all of them.
    state.released_blobs.retain(|released| released.at > boundary);
    true
}

/// Remembers that the state does not name this blob any more from `ctx.at` on.
fn release(state: &mut DeploymentState, blob: BlobRef, ctx: &Applying<'_>) {
    let forgotten = push_bounded(
        &mut state.released_blobs,
        ReleasedBlob { blob, at: ctx.at },
        ctx.limits.released_blobs_max,
    );
    for released in forgotten {
        state.released_forgotten_at = state.released_forgotten_at.max(released.at);
    }
}

/// Appends and drops what is over the limit from the front; gives back what it dropped.
fn push_bounded<T>(list: &mut VecDeque<T>, entry: T, max: usize) -> Vec<T> {
    list.push_back(entry);
    let excess = list.len().saturating_sub(max);
    list.drain(..excess).collect()
}

fn check_text(what: &str, text: &str) -> Result<(), Refusal> {
    check_size(what, text.len() as u64, TEXT_BYTES_MAX, "text_bytes_max")
}

fn check_size(what: &str, bytes: u64, max_bytes: u64, limit: &'static str) -> Result<(), Refusal> {
    if bytes > max_bytes {
        return Err(Refusal::TooLarge { what: what.to_owned(), bytes, max_bytes, limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
