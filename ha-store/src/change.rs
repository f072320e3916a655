//! What can be asked of the state, and what it answers.

use crate::state::{BlobRef, GraphEntry, PointerRecord, Reset, RestorePlan, ResultKind};
use crate::{JobId, ResultId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One intended write. [`Store::commit`](crate::Store::commit) makes it durable.
///
/// A job is created by the first change that gives it something to hold. Nothing is ever deleted: what Flink
/// removes is kept in a bounded history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds a completed snapshot and raises the counter above its id.
    /// Answers `Created`; `Unchanged` if the same pointer stands there; refused if another one does.
    AddCheckpoint {
        /// The job.
        job: JobId,
        /// Flink's checkpoint id.
        id: u64,
        /// The snapshot.
        pointer: PointerRecord,
    },
    /// Takes one snapshot out of the live ones. Answers `Removed(0)` or `Removed(1)`.
    RemoveCheckpoint {
        /// The job.
        job: JobId,
        /// Flink's checkpoint id.
        id: u64,
    },
    /// Takes all of a job's snapshots out of the live ones. Answers `Removed`.
    ClearCheckpoints {
        /// The job.
        job: JobId,
    },
    /// The job reached a globally terminal status. The live snapshots stay live until they are removed; this says
    /// what each one then becomes. Answers `Ended`.
    EndJob {
        /// The job.
        job: JobId,
        /// The status.
        status: JobStatus,
        /// The ids of those whose files Flink is going to delete.
        discarded: Vec<u64>,
    },
    /// Takes the next checkpoint id. Answers `Value` with the id, which is never given out again. The first is 1.
    NextCheckpointId {
        /// The job.
        job: JobId,
    },
    /// Raises the counter. Answers `Value` with the id in force, which is never lower than before.
    SetCheckpointId {
        /// The job.
        job: JobId,
        /// The id that the next checkpoint should get.
        value: u64,
    },
    /// Stores a graph. Answers `Created`, `Changed`, or `Unchanged` if the same bytes stand there.
    PutGraph {
        /// The job.
        job: JobId,
        /// The graph; its blob must have been put by this process.
        graph: GraphEntry,
        /// What must stand there.
        expected: Expected,
    },
    /// Drops a stored graph. Answers `Removed(0)` or `Removed(1)`.
    DropGraph {
        /// The job.
        job: JobId,
    },
    /// Records a terminal result as dirty. Answers `Created`; `Unchanged` if this very write did it before; refused
    /// if any other result stands there.
    CreateResult {
        /// Whose result.
        kind: ResultKind,
        /// Its id.
        id: ResultId,
        /// The terminal status, as Flink names it. At most 64 bytes.
        status: String,
        /// What Flink wants kept; the blob must have been put by this process.
        payload: BlobRef,
    },
    /// Marks a terminal result as clean. Answers `Changed`, or `Unchanged` if it was.
    CleanResult {
        /// Whose result.
        kind: ResultKind,
        /// Its id.
        id: ResultId,
    },
    /// Flink cleans up after a job: the graph is dropped, live snapshots become retained (or what `EndJob` said).
    /// Answers `Changed` or `Unchanged`.
    CleanJob {
        /// The job.
        job: JobId,
    },
    /// The same for every job.
    CleanDeployment,
    /// A savepoint was seen. It never passes through Flink's checkpoint store, so it is never live.
    /// Answers `Created`, `Changed` if it turns out to be rolled back, or `Unchanged`.
    RecordSavepoint {
        /// The job.
        job: JobId,
        /// Flink's checkpoint id.
        id: u64,
        /// The savepoint.
        pointer: PointerRecord,
        /// Whether its job is known to have been restored from something older after it was complete.
        rolled_back: bool,
    },
    /// The job is about to be restored from this checkpoint: newer snapshots of it are rolled back.
    /// Answers `Value` with how many were not marked before.
    RecordRestore {
        /// The job.
        job: JobId,
        /// Flink's checkpoint id; 0 for none, which is where its generation began.
        id: u64,
    },
    /// Sets the restore plan of the present generation, and with it grants a [`Reset`] that was asked for. Answers
    /// `Created`; `Unchanged` if this very plan stands there; refused if another one does.
    SetPlan {
        /// The plan.
        plan: RestorePlan,
    },
    /// Says what the next generation starts from, or (`None`) takes that back. Answers `Changed` or `Unchanged`.
    SetReset {
        /// The wish.
        reset: Option<Reset>,
    },
    /// Keeps a snapshot, or lets it go. Refused for a checkpoint that is live: Flink deletes its files by its own count;
    /// and for every checkpoint while the job of this generation has claimed one, since they share files.
    /// Answers `Changed` or `Unchanged`.
    Pin {
        /// Where the snapshot is, as Flink names it.
        external_pointer: String,
        /// Keep or let go.
        pinned: bool,
    },
}

/// What must stand where a graph is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// Nothing.
    Absent,
    /// The graph with this hash.
    Version(String),
}

/// What a write was answered. Kept with its idempotency key, so that a retry gets the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// It was not there and is now.
    Created,
    /// It was as asked for already.
    Unchanged,
    /// It was there and is different now.
    Changed,
    /// So many were taken away.
    Removed(u64),
    /// A counter's value.
    Value(u64),
    /// How many of a job's live snapshots stay, and how many Flink is going to delete.
    Ended {
        /// Files stay.
        retained: u64,
        /// Flink deletes the files.
        discarded: u64,
    },
}

/// A globally terminal status of a job, as Flink names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum JobStatus {
    /// Restarts are used up.
    Failed,
    /// Canceled by a user.
    Canceled,
    /// Ran to its end, or was stopped with a savepoint.
    Finished,
}

impl fmt::Display for JobStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
            Self::Finished => "FINISHED",
        })
    }
}

impl Change {
    /// Whether it makes the state larger. Only these are held to
    /// [`record_bytes_max`](crate::Limits::record_bytes_max): a full state must still be possible to empty.
    pub(crate) fn grows(&self) -> bool {
        match self {
            Self::AddCheckpoint { .. }
            | Self::NextCheckpointId { .. }
            | Self::SetCheckpointId { .. }
            | Self::PutGraph { .. }
            | Self::RecordSavepoint { .. }
            | Self::SetReset { .. }
            | Self::CreateResult { .. } => true,
            // Without a plan nobody is granted, so it is held to its own limits only.
            Self::SetPlan { .. } => false,
            Self::RemoveCheckpoint { .. }
            | Self::ClearCheckpoints { .. }
            | Self::EndJob { .. }
            | Self::DropGraph { .. }
            | Self::CleanResult { .. }
            | Self::CleanJob { .. }
            | Self::RecordRestore { .. }
            | Self::Pin { .. }
            | Self::CleanDeployment => false,
        }
    }
}
