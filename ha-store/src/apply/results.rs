//! Changes of terminal results.

use super::{Applying, Outcome, check_size};
use crate::state::{BlobRef, DeploymentState, ResultEntry, ResultKind};
use crate::{Answer, IdempotencyKey, Refusal, ResultId};

/// Flink's longest status has 12 letters.
const STATUS_BYTES_MAX: u64 = 64;

pub(super) fn create(
    state: &mut DeploymentState,
    kind: ResultKind,
    id: &ResultId,
    status: &str,
    payload: &BlobRef,
    key: &IdempotencyKey,
    ctx: &Applying<'_>,
) -> Result<Outcome, Refusal> {
    check_size("the status", status.len() as u64, STATUS_BYTES_MAX, "status_bytes_max")?;
    let what = format!("the payload of result {id}");
    check_size(&what, payload.bytes, ctx.limits.result_bytes_max, "result_bytes_max")?;
    let results = state.results.of_mut(kind);
    match results.get(id) {
        Some(found) if found.created_by == *key => return Ok(Outcome::unchanged(Answer::Unchanged)),
        Some(_) => return Err(Refusal::AlreadyExists { what: format!("the result {id} of kind {kind}") }),
        None => {}
    }
    let max = ctx.limits.results_max;
    if results.len() >= max {
        let what = format!("results of kind {kind}");
        return Err(Refusal::LimitReached { what, limit: "results_max", max: max as u64 });
    }
    let entry = ResultEntry {
        status: status.to_owned(),
        payload: payload.clone(),
        clean: false,
        created_by: key.clone(),
    };
    results.insert(id.clone(), entry);
    Ok(Outcome::changed(Answer::Created))
}

pub(super) fn clean(
    state: &mut DeploymentState,
    kind: ResultKind,
    id: &ResultId,
) -> Result<Outcome, Refusal> {
    let Some(entry) = state.results.of_mut(kind).get_mut(id) else {
        return Err(Refusal::UnknownResult { kind, id: id.clone() });
    };
    if entry.clean {
        return Ok(Outcome::unchanged(Answer::Unchanged));
    }
    entry.clean = true;
    Ok(Outcome::changed(Answer::Changed))
}
