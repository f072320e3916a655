//! A record of the log, read without the product's types: a change of the product's form that keeps its own reader and
//! writer in agreement must not go unnoticed here. Fields that no property speaks of are left out.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// A record.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Record {
    pub(super) header: Header,
    pub(super) state: State,
}

/// Where a record stands, and whose it is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Header {
    pub(super) sequence: u64,
    /// The nonce of the record before it.
    pub(super) follows: Option<String>,
    pub(super) epoch: u64,
    /// The process that wrote it.
    pub(super) incarnation: String,
    pub(super) nonce: String,
    pub(super) kind: Kind,
}

/// Why a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Claim,
    Adopt,
    Commit,
}

/// What a deployment knows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct State {
    pub(super) generation: Option<String>,
    pub(super) grant: Option<Grant>,
    pub(super) jobs: BTreeMap<String, Job>,
    /// What the jobs of this generation restore.
    #[serde(default)]
    pub(super) plan: Option<RestorePlan>,
    /// The plans of earlier generations.
    #[serde(default)]
    pub(super) plans: Vec<RestorePlan>,
    /// Where the next generation is to start, by somebody's wish.
    #[serde(default)]
    pub(super) reset: Option<Reset>,
    pub(super) results: Results,
    archived_results: Vec<Archived>,
    /// Records below this sequence may be gone.
    pub(super) collected_before: u64,
}

/// The newest grant.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Grant {
    pub(super) holder: String,
    pub(super) epoch: u64,
}

/// What is known of a job.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Job {
    /// What Flink's store holds.
    pub(super) checkpoints: BTreeMap<u64, Snapshot>,
    /// What it held.
    pub(super) history: Vec<Snapshot>,
    pub(super) next_checkpoint_id: u64,
    graph: Option<Graph>,
}

/// An acknowledged checkpoint.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Snapshot {
    pub(super) id: u64,
    /// Absent where no test speaks of it.
    #[serde(default)]
    pub(super) pointer: Pointer,
    pub(super) state: Fate,
    /// The epoch under which it was added.
    pub(super) epoch: u64,
    /// The job was restored from something older since.
    #[serde(default)]
    pub(super) rolled_back: bool,
    /// Somebody wants its files kept.
    #[serde(default)]
    pub(super) pinned: bool,
}

/// What is told of a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Pointer {
    /// 0 if nobody knows.
    #[serde(default)]
    pub(super) completion_timestamp_ms: i64,
}

/// A person's wish for the next generation.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Reset {
    pub(super) external_pointer: String,
}

/// What a generation restores.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct RestorePlan {
    pub(super) generation: String,
    pub(super) strategy: String,
    pub(super) snapshot: Option<Planned>,
    pub(super) claim_mode: String,
    /// The job that was given it.
    pub(super) taken_by: Option<String>,
}

/// The snapshot of a plan.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Planned {
    pub(super) id: u64,
    pub(super) external_pointer: String,
}

/// What became, or is going to become, of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fate {
    Active,
    Subsumed,
    Retained,
    Discarded,
}

/// Terminal results by id.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Results {
    pub(super) jobs: BTreeMap<String, TerminalResult>,
    applications: BTreeMap<String, TerminalResult>,
}

/// A terminal result.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct TerminalResult {
    pub(super) status: String,
    payload: Blob,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Archived {
    result: TerminalResult,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Graph {
    blob: Blob,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Blob {
    hash: String,
    copy: String,
}

// === impl Record ===

impl Record {
    /// Reads the bytes that a key of the log holds.
    pub(super) fn read(body: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(body).map_err(|error| error.to_string())
    }
}

// === impl State ===

impl State {
    /// The file names of all blobs that it names.
    pub(super) fn blobs(&self) -> BTreeSet<String> {
        let graphs = self.jobs.values().filter_map(|job| job.graph.as_ref()).map(|graph| &graph.blob);
        let results = self.results.jobs.values().chain(self.results.applications.values());
        let archived = self.archived_results.iter().map(|archived| &archived.result);
        graphs
            .chain(results.chain(archived).map(|result| &result.payload))
            .map(|blob| format!("{}.{}", blob.hash, blob.copy))
            .collect()
    }

    /// Every snapshot that it knows of.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.jobs.values().flat_map(Job::snapshots)
    }

    /// Whether a plan that was taken leaves this snapshot behind.
    pub(super) fn leaves_behind(&self, id: u64) -> bool {
        let taken = self.plans.iter().chain(&self.plan).filter(|plan| plan.taken_by.is_some());
        taken.into_iter().any(|plan| plan.snapshot.as_ref().is_none_or(|planned| id > planned.id))
    }

    /// The newest checkpoint that a JobManager would be given for this job.
    pub(super) fn newest_live(&self, job: &str) -> Option<u64> {
        self.jobs.get(job).and_then(|job| job.checkpoints.keys().next_back().copied())
    }
}

// === impl RestorePlan ===

impl RestorePlan {
    /// Whether it is the same plan as before; a job may have taken it since.
    pub(super) fn is_still(&self, before: &Self) -> bool {
        let taken_by = before.taken_by.clone().or_else(|| self.taken_by.clone());
        *self == Self { taken_by, ..before.clone() }
    }
}

// === impl Job ===

impl Job {
    /// Every checkpoint that it knows of, live or not.
    pub(super) fn snapshots(&self) -> impl Iterator<Item = &Snapshot> {
        self.checkpoints.values().chain(&self.history)
    }
}
