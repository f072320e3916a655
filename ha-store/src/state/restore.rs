//! What the next JobManager is to restore, and why: decided once for each generation, and durable before anybody is
//! granted leadership in it.

use crate::places::is_same_place;
use crate::state::{DeploymentState, SnapshotKind};
use crate::{Epoch, JobId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The restore plan of one generation. Once durable it never changes, so that every failover within the generation
/// gets the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestorePlan {
    /// The rollout that it is for.
    pub generation: String,
    /// The strategy that it follows, as it was configured (`latest-state`, …), or `reset`.
    pub strategy: String,
    /// What is restored; `None` starts without state.
    pub snapshot: Option<PlannedSnapshot>,
    /// Starting without state was not asked for, it is certain that there is none. The job's own settings may bring a
    /// snapshot from elsewhere then.
    pub first_start: bool,
    /// Who owns the snapshot's files from then on.
    pub claim_mode: ClaimMode,
    /// Whether state that belongs to no operator of the new job may be left behind.
    pub allow_non_restored_state: bool,
    /// For people: why this snapshot and no other.
    pub why: String,
    /// When, by the planner's clock. Unix milliseconds; nothing is decided by it.
    pub planned_at_ms: i64,
    /// The epoch under which it was made.
    pub epoch: Epoch,
    /// The job that stored the first graph of the generation, and was given the plan with it.
    pub taken_by: Option<JobId>,
}

/// The snapshot of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedSnapshot {
    /// Flink's checkpoint id, as its `_metadata` has it.
    pub id: u64,
    /// Checkpoint or savepoint.
    pub kind: SnapshotKind,
    /// Where it is, as Flink names it.
    pub external_pointer: String,
}

/// Flink's claim mode: who owns the files of a snapshot that a job was restored from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ClaimMode {
    /// The job does, and deletes them when it does not need them any more.
    Claim,
    /// Whoever made them does. The job's first checkpoint is a full one.
    NoClaim,
}

/// The wish that the next generation starts from a certain snapshot, whatever is newer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reset {
    /// Where the snapshot is, as Flink names it.
    pub external_pointer: String,
    /// When it was asked for, by that process's clock. Unix milliseconds.
    pub asked_at_ms: i64,
}

impl DeploymentState {
    /// Whether somebody's pin forbids that a job takes over the files of the snapshot there: its own pin, or that of any
    /// checkpoint, since checkpoints share files.
    pub fn pin_forbids_claim(&self, external_pointer: &str) -> bool {
        let mut pinned = self.snapshots().filter(|(_, snapshot)| snapshot.pinned);
        pinned.any(|(_, snapshot)| {
            snapshot.pointer.kind == SnapshotKind::Checkpoint
                || is_same_place(&snapshot.pointer.external_pointer, external_pointer)
        })
    }
}

impl ClaimMode {
    /// Flink's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claim => "CLAIM",
            Self::NoClaim => "NO_CLAIM",
        }
    }
}

impl fmt::Display for ClaimMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
