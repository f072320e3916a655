//! The snapshots of a deployment, across its jobs and generations.

use std::cmp::Reverse;

use ha_store::{DeploymentState, Epoch, JobId, Snapshot, SnapshotKind, SnapshotState, place_of};
use serde::{Deserialize, Serialize};

/// All that are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotsView {
    /// The deployment's name.
    pub deployment: String,
    /// When this view was made. Unix milliseconds.
    pub now_ms: i64,
    /// The greatest id first, which is the newest of the lineage.
    pub snapshots: Vec<SnapshotView>,
}

/// One checkpoint or savepoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotView {
    /// Flink's checkpoint id.
    pub id: u64,
    /// Checkpoint or savepoint.
    pub kind: SnapshotKind,
    /// What became of it.
    pub state: Standing,
    /// Its job was restored from something older after it was complete.
    pub rolled_back: bool,
    /// It is where latest-state stands: the newest that is not rolled back, whatever became of its files.
    pub newest: bool,
    /// Why latest-state does not restore it; null if it could. An older one that could is still not the newest.
    pub not_eligible: Option<String>,
    /// Where it is, as Flink names it.
    pub external_pointer: String,
    /// The job that made it, or that was restored from it last.
    pub job: JobId,
    /// The generation in which it was added; null when its grant is forgotten.
    pub generation: Option<String>,
    /// The epoch under which it was added.
    pub epoch: Epoch,
    /// When it was triggered, by the JobManager's clock. Unix milliseconds; 0 if nobody knows, as of one from elsewhere.
    pub triggered_at_ms: i64,
    /// When it was complete, by the JobManager's clock. Unix milliseconds; 0 if nobody knows.
    pub completed_at_ms: i64,
    /// When it was recorded, by the sidecar's clock. Unix milliseconds.
    pub added_at_ms: i64,
}

/// What became of a snapshot, with the wish of whoever pinned it before all else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Flink's checkpoint store holds it.
    Active,
    /// A newer one took its place, and Flink deletes its files.
    Subsumed,
    /// Its files stay.
    Retained,
    /// Its job ended and Flink deletes its files.
    Discarded,
    /// Somebody wants its files kept.
    Pinned,
}

/// Every snapshot that is remembered.
pub fn snapshots(deployment: &str, state: &DeploymentState, now_ms: i64) -> SnapshotsView {
    let mut all: Vec<_> = state.snapshots().collect();
    all.sort_by_key(|(_, snapshot)| Reverse((snapshot.id, snapshot.epoch)));
    let newest = all.iter().position(|(_, snapshot)| !snapshot.rolled_back);
    let shown = all.iter().enumerate();
    let shown = shown.map(|(rank, (job, snapshot))| one(state, job, snapshot, newest == Some(rank)));
    SnapshotsView { deployment: deployment.to_owned(), now_ms, snapshots: shown.collect() }
}

/// Those with this checkpoint id, or at this place. Ids can repeat across jobs that are not of one lineage.
pub fn find<'v>(view: &'v SnapshotsView, name: &str) -> Vec<&'v SnapshotView> {
    let (id, place) = (name.parse::<u64>().ok(), place_of(name));
    let named = |snapshot: &&SnapshotView| match id {
        Some(id) => snapshot.id == id,
        None => place_of(&snapshot.external_pointer) == place,
    };
    view.snapshots.iter().filter(named).collect()
}

fn one(state: &DeploymentState, job: &JobId, snapshot: &Snapshot, newest: bool) -> SnapshotView {
    let grants = state.grants.iter().chain(&state.grant);
    let grant = grants.into_iter().find(|grant| grant.epoch == snapshot.epoch);
    let generation = grant.map(|grant| grant.generation.clone()).filter(|generation| !generation.is_empty());
    let pointer = &snapshot.pointer;
    SnapshotView {
        id: snapshot.id,
        kind: pointer.kind,
        state: Standing::of(snapshot),
        rolled_back: snapshot.rolled_back,
        newest,
        not_eligible: not_eligible(snapshot).map(str::to_owned),
        external_pointer: pointer.external_pointer.clone(),
        job: job.clone(),
        generation,
        epoch: snapshot.epoch,
        triggered_at_ms: pointer.trigger_timestamp_ms,
        completed_at_ms: pointer.completion_timestamp_ms,
        added_at_ms: snapshot.added_at_ms,
    }
}

fn not_eligible(snapshot: &Snapshot) -> Option<&'static str> {
    match snapshot.state {
        SnapshotState::Subsumed => {
            Some("its files are gone: Flink deletes them when a newer one takes its place")
        }
        SnapshotState::Discarded => Some("its files are gone: Flink deletes them when the job ends"),
        SnapshotState::Active | SnapshotState::Retained if snapshot.rolled_back => {
            Some("rolled back: the job was restored from something older after it was complete")
        }
        SnapshotState::Active | SnapshotState::Retained => None,
    }
}

// === impl Standing ===

impl Standing {
    fn of(snapshot: &Snapshot) -> Self {
        match snapshot.state {
            _ if snapshot.pinned => Self::Pinned,
            SnapshotState::Active => Self::Active,
            SnapshotState::Subsumed => Self::Subsumed,
            SnapshotState::Retained => Self::Retained,
            SnapshotState::Discarded => Self::Discarded,
        }
    }

    /// The word that JSON has, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Subsumed => "subsumed",
            Self::Retained => "retained",
            Self::Discarded => "discarded",
            Self::Pinned => "pinned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{JOB, lineage};
    use super::*;

    fn by_id(view: &SnapshotsView, id: u64) -> &SnapshotView {
        match find(view, &id.to_string()).as_slice() {
            [one] => one,
            several => panic!("one snapshot {id}, not {several:?}"),
        }
    }

    #[test]
    fn the_newest_comes_first_and_only_one_is_where_latest_state_stands() {
        let view = snapshots("orders", &lineage(), 10_000);
        let ids: Vec<u64> = view.snapshots.iter().map(|snapshot| snapshot.id).collect();
        assert_eq!(ids, [9, 8, 7, 6, 5]);
        let newest: Vec<u64> = view.snapshots.iter().filter(|s| s.newest).map(|s| s.id).collect();
        assert_eq!(newest, [8], "9 was rolled back");
    }

    #[test]
    fn what_latest_state_does_not_restore_says_why() {
        let view = snapshots("orders", &lineage(), 10_000);
        let why = |id: u64| by_id(&view, id).not_eligible.as_deref().unwrap_or("eligible");
        assert!(why(9).starts_with("rolled back"), "{}", why(9));
        assert_eq!(why(8), "eligible");
        assert!(why(7).contains("newer one takes its place"), "{}", why(7));
        assert_eq!(why(6), "eligible");
        assert!(why(5).contains("when the job ends"), "{}", why(5));
    }

    #[test]
    fn pinned_wins_over_what_flink_says() {
        let view = snapshots("orders", &lineage(), 10_000);
        assert_eq!(by_id(&view, 6).state, Standing::Pinned);
        assert_eq!(by_id(&view, 8).state, Standing::Active);
        assert_eq!(by_id(&view, 7).state, Standing::Subsumed);
    }

    #[test]
    fn a_snapshot_belongs_to_the_generation_that_added_it() {
        let view = snapshots("orders", &lineage(), 10_000);
        assert_eq!(by_id(&view, 8).generation.as_deref(), Some("g2"));
        assert_eq!(by_id(&view, 6).generation.as_deref(), Some("g1"));
        let mut forgetful = lineage();
        forgetful.grants.clear();
        let view = snapshots("orders", &forgetful, 10_000);
        assert_eq!(by_id(&view, 6).generation, None, "never a guess");
    }

    #[test]
    fn a_snapshot_is_found_by_every_way_to_write_its_place() {
        let view = snapshots("orders", &lineage(), 10_000);
        for name in ["8", "file:/cp/chk-8", "file:///cp/chk-8/", "/cp/chk-8", "/cp/chk-8/_metadata"] {
            let found = find(&view, name);
            assert_eq!(found.iter().map(|s| s.id).collect::<Vec<_>>(), [8], "{name}");
            assert_eq!(found[0].job.as_str(), JOB);
        }
        assert!(find(&view, "/cp/chk-80").is_empty());
    }
}
