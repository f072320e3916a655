//! What people ask to be done about snapshots: which one they mean, and whether it makes sense.
//!
//! The same for the API and for commands that write to the store themselves. Nothing is written here; what may be written is
//! decided by the store.

use ha_store::{Change, Refusal, Reset, SnapshotKind};
use serde::{Deserialize, Serialize};
use snapshot::Stores;

use crate::planner::{Found, first_of};
use crate::planning::verify;
use crate::views::{SnapshotView, SnapshotsView, Standing, find};

/// Why a wish is not granted. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Declined {
    /// No such snapshot is known.
    #[error("{0}")]
    Unknown(String),
    /// It makes no sense, and asking again does not help.
    #[error("{0}")]
    Refused(String),
    /// It could not be found out whether it makes sense: ask again.
    #[error("{0}")]
    Unanswered(String),
}

/// The answer to a pin or its opposite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinAnswer {
    /// Whether it was otherwise before.
    pub changed: bool,
    /// The snapshot as it is now.
    pub snapshot: SnapshotView,
}

/// What the next generation starts from, by somebody's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetAnswer {
    /// Where the snapshot is, as Flink names it; null after a wish was taken back.
    pub external_pointer: Option<String>,
    /// Flink's checkpoint id.
    pub id: Option<u64>,
    /// Checkpoint or savepoint; null when only the snapshot itself could tell.
    pub kind: Option<SnapshotKind>,
    /// Whether it is of this deployment.
    pub known: bool,
    /// Whether all of its files were found. If not, the planner verifies it before anybody is granted.
    pub verified: bool,
    /// For people: what was found out, or why it was not.
    pub why: String,
    /// Whether it was otherwise before.
    pub changed: bool,
}

/// The snapshot that a name means for a pin. Its files must still be there.
///
/// # Errors
/// [`Declined`], with the way out.
pub fn to_pin(view: &SnapshotsView, name: &str, pinned: bool) -> Result<SnapshotView, Declined> {
    let found = chosen(view, name)?.ok_or_else(|| unknown(view, name))?;
    let flinks_own = found.state == Standing::Active && found.kind == SnapshotKind::Checkpoint;
    if pinned && flinks_own {
        return Err(Declined::Refused(Refusal::NotPinnable { id: found.id }.to_string()));
    }
    if pinned && is_gone(&found) {
        return Err(gone(&found));
    }
    Ok(found)
}

/// The change that pins it or lets it go.
pub fn pin(snapshot: &SnapshotView, pinned: bool) -> Change {
    Change::Pin { external_pointer: snapshot.external_pointer.clone(), pinned }
}

/// Finds out whether the next generation can start from the snapshot of that name: a checkpoint id, or a path that may lead
/// out of the deployment. Reads the snapshot's `_metadata` and asks for its files.
///
/// One that is known is taken also when its files could not be asked for, because it is verified again before anybody is
/// granted; one from elsewhere is not.
///
/// # Errors
/// [`Declined`], with what is missing and the way out.
pub async fn to_reset(view: &SnapshotsView, name: &str, stores: &Stores) -> Result<ResetAnswer, Declined> {
    let known = chosen(view, name)?;
    if let Some(found) = known.as_ref().filter(|found| is_gone(found)) {
        return Err(gone(found));
    }
    if known.is_none() && name.parse::<u64>().is_ok() {
        return Err(unknown(view, name));
    }
    let pointer = known.as_ref().map_or(name, |found| found.external_pointer.as_str());
    judged(known.as_ref(), pointer, verify(stores, pointer).await)
}

/// The change that records the wish.
pub fn reset(answer: &ResetAnswer, now_ms: i64) -> Change {
    let pointer = answer.external_pointer.clone();
    Change::SetReset {
        reset: pointer.map(|external_pointer| Reset { external_pointer, asked_at_ms: now_ms }),
    }
}

impl ResetAnswer {
    /// A wish was taken back.
    pub fn cancelled(changed: bool) -> Self {
        let why = if changed { "taken back" } else { "there was none" };
        Self {
            external_pointer: None,
            id: None,
            kind: None,
            known: false,
            verified: false,
            why: format!("{why}: the next generation starts as its strategy says"),
            changed,
        }
    }
}

fn judged(known: Option<&SnapshotView>, pointer: &str, found: Found) -> Result<ResetAnswer, Declined> {
    let taken = |id: Option<u64>, verified: bool, why: String| ResetAnswer {
        external_pointer: Some(pointer.to_owned()),
        id,
        kind: known.map(|known| known.kind),
        known: known.is_some(),
        verified,
        why,
        changed: true,
    };
    match (found, known) {
        (Found::Restorable { id, .. }, Some(known)) if id != known.id => Err(Declined::Refused(format!(
            "{pointer} was recorded as {} and holds {id}: other files were put there; name another snapshot",
            known.id
        ))),
        (Found::Restorable { id, files }, _) => {
            Ok(taken(Some(id), true, format!("verified, all of its {files} files are there")))
        }
        (Found::Broken { what }, _) => Err(Declined::Refused(format!(
            "{pointer} cannot be restored: {what}; bring that back, or name another snapshot"
        ))),
        (Found::Unverifiable { why } | Found::Unknown { why }, Some(known)) => {
            Ok(taken(Some(known.id), false, format!("not verified: {why}")))
        }
        (Found::Unverifiable { why }, None) => Err(Declined::Refused(format!(
            "{pointer} is not known to this deployment, and cannot be verified: {why}; name one that `holdfast \
             snapshots list` shows, or copy it to where it can be read"
        ))),
        (Found::Unknown { why }, None) => Err(Declined::Unanswered(format!(
            "{pointer} is not known to this deployment, and whether it can be restored was not found out: {why}; ask \
             again"
        ))),
    }
}

/// The one that is meant: of several with the same id, the one whose files are there.
fn chosen(view: &SnapshotsView, name: &str) -> Result<Option<SnapshotView>, Declined> {
    let found = find(view, name);
    let kept: Vec<_> = found.iter().filter(|snapshot| !is_gone(snapshot)).collect();
    match (kept.as_slice(), found.as_slice()) {
        ([one], _) => Ok(Some((**one).clone())),
        ([], []) => Ok(None),
        ([], [first, ..]) => Ok(Some((*first).clone())),
        (several, _) => {
            let places: Vec<String> =
                several.iter().map(|snapshot| snapshot.external_pointer.clone()).collect();
            Err(Declined::Refused(format!(
                "{} snapshots have the id {name}: name one by its path: {}",
                places.len(),
                first_of(&places)
            )))
        }
    }
}

fn is_gone(snapshot: &SnapshotView) -> bool {
    matches!(snapshot.state, Standing::Subsumed | Standing::Discarded)
}

fn gone(snapshot: &SnapshotView) -> Declined {
    let why = snapshot.not_eligible.as_deref().unwrap_or("its files are gone");
    Declined::Refused(format!(
        "snapshot {} ({}) is {}: {why}; `holdfast snapshots list` shows those that are kept",
        snapshot.id,
        snapshot.external_pointer,
        snapshot.state.as_str()
    ))
}

fn unknown(view: &SnapshotsView, name: &str) -> Declined {
    let deployment = &view.deployment;
    Declined::Unknown(format!(
        "no snapshot {name:?} is known to deployment {deployment}; `holdfast snapshots list` shows those that are"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::examples::lineage;
    use crate::views::snapshots;

    fn view() -> SnapshotsView {
        snapshots("orders", &lineage(), 10_000)
    }

    fn declined(result: Result<SnapshotView, Declined>) -> String {
        result.expect_err("must be declined").to_string()
    }

    #[test]
    fn what_cannot_be_kept_is_not_pinned() {
        assert!(declined(to_pin(&view(), "8", true)).contains("holdfast savepoint"), "live");
        assert!(declined(to_pin(&view(), "7", true)).contains("files are gone"), "subsumed");
        assert!(declined(to_pin(&view(), "70", true)).contains("snapshots list"), "unknown");
        assert_eq!(to_pin(&view(), "9", true).map(|found| found.id), Ok(9));
        assert_eq!(to_pin(&view(), "6", false).map(|found| found.id), Ok(6));
    }

    #[test]
    fn an_id_that_means_two_snapshots_is_refused_with_both_places() {
        let mut view = view();
        let mut other = to_pin(&view, "9", true).unwrap();
        other.external_pointer = "s3://b/savepoint-9".into();
        view.snapshots.push(other);
        let said = declined(to_pin(&view, "9", true));
        assert!(said.contains("file:/cp/chk-9; s3://b/savepoint-9"), "{said}");
        assert_eq!(to_pin(&view, "s3://b/savepoint-9", true).map(|found| found.id), Ok(9));
    }

    #[tokio::test]
    async fn a_reset_to_what_is_gone_or_was_never_there_is_refused() {
        let stores = Stores::default();
        let ask = async |name: &str| to_reset(&view(), name, &stores).await;
        assert!(matches!(ask("5").await, Err(Declined::Refused(why)) if why.contains("discarded")));
        assert!(matches!(ask("70").await, Err(Declined::Unknown(_))));
        assert!(matches!(ask("hdfs://n/chk-1").await, Err(Declined::Refused(why)) if why.contains("hdfs")));
        let dir = tempfile::tempdir().unwrap();
        let nothing = dir.path().join("chk-1");
        let refused = ask(nothing.to_str().unwrap()).await;
        assert!(matches!(refused, Err(Declined::Refused(why)) if why.contains("_metadata is not there")));
    }
}
