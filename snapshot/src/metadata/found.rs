//! What a `_metadata` file says.

use super::{CheckpointProperties, References};
use serde::Serialize;

/// A snapshot, as its `_metadata` file describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The version of the format: 4 is Flink 1.20, 5 is 2.0, 6 is 2.1 to 2.3.
    pub version: u32,
    /// The id of the checkpoint or savepoint; both are numbered in one sequence.
    pub checkpoint_id: u64,
    /// How many bytes the file has.
    pub metadata_bytes: u64,
    /// The operators with state, in the order of the file.
    pub operators: Vec<Operator>,
    /// The states of the job's master hooks, in the order of the file.
    pub master_states: Vec<MasterState>,
    /// The files that the snapshot needs besides this one.
    pub references: References,
    /// Bytes of state that is in this file itself: small state, coordinators' state, changelogs in memory.
    pub inline_bytes: u64,
    /// What kind of snapshot it is, and when Flink may delete it. None in version 3, which has none, and where the
    /// object is not one that this reader knows: then it begins as a Java object must, and that is all.
    pub properties: Option<CheckpointProperties>,
    /// Bytes after the end of the snapshot. Flink does not read them, and writes none.
    pub trailing_bytes: u64,
}

/// An operator of the job, and the extent of its state.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Operator {
    /// Its id in hexadecimal, as Flink's `OperatorID.toHexString()` shows it: what a restore goes by.
    pub id: String,
    /// The name that the job gave it. None before version 5, and where it has none.
    pub name: Option<String>,
    /// The uid that the job gave it. None before version 5, and where it has none.
    pub uid: Option<String>,
    /// How many subtasks it had.
    pub parallelism: u32,
    /// Into how many key groups its keys are split: more subtasks than this cannot restore it.
    pub max_parallelism: u32,
    /// All subtasks had finished: it has no state and will not run again.
    pub fully_finished: bool,
    /// Subtasks that the file has an entry for; 0 for a fully finished operator.
    pub subtasks: u32,
    /// How many of these had finished.
    pub finished_subtasks: u32,
    /// Whether its coordinator has state (sources have).
    pub coordinator: bool,
    /// State handles that name a file.
    pub file_handles: u64,
    /// Bytes of its state in files, as recorded. Files that it shares with itself count each time.
    pub file_bytes: u64,
    /// Bytes of its state in the `_metadata` file itself.
    pub inline_bytes: u64,
}

/// The state of one master hook (`MasterTriggerRestoreHook`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasterState {
    /// The hook's identifier.
    pub name: String,
    /// The version of the hook's own serializer.
    pub version: i32,
    /// Bytes of the state.
    pub bytes: u64,
}
