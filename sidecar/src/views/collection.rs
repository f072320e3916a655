//! What the next collection would remove from the store, and which snapshots nothing needs any more.

use ha_store::{Collectable, DeploymentState, place_of};
use serde::{Deserialize, Serialize};

use super::{SnapshotView, Standing, snapshots};

/// The answer of `gc --dry-run`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionView {
    /// The deployment's name.
    pub deployment: String,
    /// When this view was made. Unix milliseconds.
    pub now_ms: i64,
    /// The sequences of the records that the next round would delete, ascending.
    pub records: Vec<u64>,
    /// The blobs that it would delete.
    pub blobs: Vec<BlobView>,
    /// Whether there is more to delete than one round may.
    pub more: bool,
    /// Retained snapshots that nothing needs any more. Holdfast never deletes files of snapshots.
    pub unneeded_snapshots: Vec<SnapshotView>,
}

/// One blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobView {
    /// Its key in the store.
    pub key: String,
    /// Its size.
    pub bytes: u64,
}

/// Both lists.
///
/// A retained snapshot is needed while it is where latest-state stands, pinned, what the present generation restored, or
/// what the next one was asked to restore. One that was rolled back is not.
pub fn collection(
    deployment: &str,
    state: &DeploymentState,
    now_ms: i64,
    collectable: &Collectable,
) -> CollectionView {
    let planned = state.plan.iter().filter_map(|plan| plan.snapshot.as_ref());
    let planned = planned.map(|snapshot| place_of(&snapshot.external_pointer));
    let wished = state.reset.iter().map(|reset| place_of(&reset.external_pointer));
    let named: Vec<String> = planned.chain(wished).collect();
    let unneeded = |snapshot: &SnapshotView| {
        let is_named = named.contains(&place_of(&snapshot.external_pointer));
        snapshot.state == Standing::Retained && !snapshot.newest && !is_named
    };
    let all = snapshots(deployment, state, now_ms).snapshots;
    let blobs = collectable.blobs.iter().map(|(key, bytes)| BlobView { key: key.clone(), bytes: *bytes });
    CollectionView {
        deployment: deployment.to_owned(),
        now_ms,
        records: collectable.records.iter().map(|sequence| sequence.get()).collect(),
        blobs: blobs.collect(),
        more: collectable.more,
        unneeded_snapshots: all.into_iter().filter(unneeded).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::lineage;
    use super::*;

    fn unneeded(state: &DeploymentState) -> Vec<u64> {
        let view = collection("orders", state, 10_000, &Collectable::default());
        view.unneeded_snapshots.iter().map(|snapshot| snapshot.id).collect()
    }

    #[test]
    fn a_rolled_back_savepoint_is_needed_by_nothing_until_somebody_wishes_for_it() {
        let mut state = lineage();
        assert_eq!(unneeded(&state), [9]);
        state.reset = Some(ha_store::Reset { external_pointer: "/cp/chk-9".into(), asked_at_ms: 1 });
        assert!(unneeded(&state).is_empty());
    }

    #[test]
    fn what_was_restored_is_needed_and_so_is_the_newest() {
        let mut state = lineage();
        let job = state.jobs.values_mut().next().expect("a job");
        job.history.iter_mut().for_each(|snapshot| snapshot.pinned = false);
        assert_eq!(unneeded(&state), [9], "6 is what the generation was restored from");
        state.plan = None;
        assert_eq!(unneeded(&state), [9, 6]);
        let job = state.jobs.values_mut().next().expect("a job");
        job.checkpoints.clear();
        job.history.retain(|snapshot| snapshot.id != 7);
        assert_eq!(unneeded(&state), [9], "now 6 is where latest-state stands");
    }
}
