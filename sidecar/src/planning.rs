//! Drives the [`planner`](crate::planner): finds out about the snapshots that it asks for.

use std::collections::BTreeMap;

use ha_store::{DeploymentState, RestorePlan};
use snapshot::{Stores, Verdict, VerifyError, VerifyOptions};

use crate::planner::{self, Circumstances, Found, Step, Wish, first_of};

/// Asks the planner until it has what it needs. Each snapshot is verified once; `found` keeps the answers for another time.
///
/// # Errors
/// Why nothing is restored, for people.
pub(crate) async fn decide(
    state: &DeploymentState,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
    snapshots: &Stores,
    found: &mut BTreeMap<String, Found>,
) -> Result<RestorePlan, String> {
    loop {
        match planner::plan(state, wish, circumstances, found) {
            Step::Plan(plan) => return Ok(*plan),
            Step::Refuse(reason) => return Err(reason),
            Step::Verify(pointer) => {
                tracing::info!(event = "verifying", "verifying {pointer} before it is restored");
                let answer = verify(snapshots, &pointer).await;
                found.insert(pointer, answer);
            }
        }
    }
}

/// What the snapshot there is good for.
pub(crate) async fn verify(snapshots: &Stores, pointer: &str) -> Found {
    let found = match snapshot::verify(snapshots, pointer, &VerifyOptions::default()).await {
        Ok(found) => found,
        Err(error @ VerifyError::Place(snapshot::PlaceError::NoClient { .. })) => {
            return Found::Unverifiable { why: error.to_string() };
        }
        Err(error) => return Found::Unknown { why: error.to_string() },
    };
    let missing = found.missing.iter().map(|path| format!("{path} is not there"));
    let short = found.too_short.iter().map(|path| format!("{path} is shorter than recorded"));
    let unanswered = found.unknown.iter().map(|file| format!("{}: {}", file.path, file.error));
    let metadata = &found.metadata_path;
    let unreadable = found.unreadable.iter().map(|unreadable| format!("{metadata}: {}", unreadable.message));
    match (found.verdict, found.checkpoint_id) {
        (Verdict::Ok, Some(id)) => Found::Restorable { id, files: found.references.len() },
        (Verdict::Broken, _) => {
            Found::Broken { what: first_of(&missing.chain(short).chain(unreadable).collect::<Vec<_>>()) }
        }
        (Verdict::Ok, None) | (Verdict::Unknown, _) => {
            Found::Unknown { why: first_of(&unanswered.chain(unreadable).collect::<Vec<_>>()) }
        }
    }
}
