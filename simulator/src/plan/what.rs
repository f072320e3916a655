//! What goes wrong, or what a person does.

use serde::{Deserialize, Serialize};

/// Whose fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Process {
    /// Holdfast.
    Sidecar,
    /// Flink's JobManager.
    JobManager,
    /// All TaskManagers.
    TaskManagers,
}

/// Which pod: the one that leads when the fault begins, or the newest that does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum PodChoice {
    #[default]
    Leader,
    Other,
}

/// What a new generation starts from: the sidecar's `--restore`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restore {
    /// The newest checkpoint or savepoint.
    #[default]
    LatestState,
    /// The newest savepoint.
    LatestSavepoint,
    /// Nothing.
    None,
    /// The oldest snapshot whose files are there, by its path.
    Oldest,
}

/// Which snapshot somebody lays hands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// The newest.
    #[default]
    Newest,
    /// The newest savepoint.
    Savepoint,
}

/// How a snapshot is harmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Harm {
    /// All of it is deleted.
    Dispose,
    /// One of its files is deleted.
    DeleteFile,
    /// One of its files is cut off.
    TruncateFile,
    /// Its `_metadata` is deleted.
    DeleteMetadata,
    /// Its `_metadata` is cut off.
    TruncateMetadata,
}

/// Which of the snapshots that the product lists a person means: of those whose files nobody is going to delete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// The oldest.
    Oldest,
    /// The newest.
    Newest,
    /// Any.
    #[default]
    Any,
}

/// What goes wrong, or what a person does. Those that last end after their fault's `for_ms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum What {
    // --- processes and pods ---
    /// Kill one process; its kubelet starts it again, with back-off.
    Kill {
        #[serde(default)]
        pod: PodChoice,
        process: Process,
    },
    /// Kill everything in the pod; its kubelet starts the containers again.
    KillPod {
        #[serde(default)]
        pod: PodChoice,
    },
    /// Delete the pod's object: its processes are asked to stop, then killed; the Job controller makes a new pod.
    DeletePod {
        #[serde(default)]
        pod: PodChoice,
        /// With no grace at all.
        #[serde(default)]
        force: bool,
    },
    /// The node cannot be reached: the API server and the store are away from it, the pod's object is deleted after a
    /// while and a new pod made, and the old processes run on. With `store: true` only the API server is away.
    PartitionNode {
        #[serde(default)]
        pod: PodChoice,
        #[serde(default)]
        reaches_store: bool,
    },
    /// The processes of a pod stand still.
    Pause {
        #[serde(default)]
        pod: PodChoice,
        /// Only this one; all when absent.
        #[serde(default)]
        process: Option<Process>,
    },
    /// The wall clock of a pod jumps.
    ClockJump {
        #[serde(default)]
        pod: PodChoice,
        by_ms: i64,
    },
    // --- the object store ---
    /// Every request takes this much longer.
    StoreSlow { by_ms: u64 },
    /// Requests are refused with this status and not applied.
    StoreRefuses { status: u16, permille: u64 },
    /// Requests are applied and their answers are lost.
    StoreLosesAnswers { permille: u64 },
    /// Requests are lost on the way.
    StoreLosesRequests { permille: u64 },
    /// Requests are applied this much later, although their sender has given up on them.
    StoreDelaysWrites { by_ms: u64, permille: u64 },
    /// Requests are applied and answered 500 or 503: the client of the real world sends them again by itself.
    StoreAppliesAndFails { permille: u64 },
    // --- the API server ---
    /// Nothing is answered.
    ApiSilent,
    /// Connections are refused.
    ApiDown,
    /// Requests are refused with this status.
    ApiRefuses {
        status: u16,
        permille: u64,
        /// `Retry-After`, seconds; 0: none.
        #[serde(default)]
        retry_after_s: u64,
    },
    /// Writes are applied and not answered.
    ApiLosesAnswers { permille: u64 },
    /// Writes are applied and answered 504.
    ApiAppliesAndFails { permille: u64 },
    /// Answers are not JSON.
    ApiGarbage { permille: u64 },
    /// Reads show what was true this long ago.
    ApiStale { by_ms: u64 },
    /// Every request takes this much longer.
    ApiSlow { by_ms: u64 },
    /// Somebody deletes the Lease.
    DeleteLease,
    // --- the job ---
    /// A task fails once.
    FailTask,
    /// No checkpoint completes: a task never acknowledges.
    StallCheckpoints,
    /// Checkpoint files cannot be written.
    FailCheckpointFiles,
    /// Checkpoint files take this much longer to write: tasks acknowledge late.
    SlowCheckpointFiles { by_ms: u64 },
    // --- a person ---
    /// Cancel the job.
    Cancel,
    /// Trigger a savepoint; the job runs on.
    Savepoint,
    /// Stop the job with a savepoint.
    StopWithSavepoint,
    /// Delete the Kubernetes Job and make one with a new generation, whose sidecar has these settings.
    Upgrade {
        #[serde(default)]
        restore: Restore,
        /// The files of what is restored are the job's from then on.
        #[serde(default)]
        claims: bool,
        /// When the newest snapshot is broken, the one before it will do.
        #[serde(default)]
        previous: bool,
        /// Whoever starts from then on gets past the poison record.
        #[serde(default)]
        mends: bool,
    },
    /// Ask the sidecar, over its API, that the next generation starts from this snapshot.
    Reset {
        #[serde(default)]
        to: Chosen,
    },
    /// Ask the sidecar that the files of a snapshot are kept.
    Pin {
        #[serde(default)]
        which: Chosen,
    },
    /// Ask the sidecar that a pinned snapshot is let go.
    Unpin {
        #[serde(default)]
        which: Chosen,
    },
    /// Ask the sidecar for a savepoint, and again what became of it until it says so; with `stop` the job ends with it.
    HoldfastSavepoint {
        #[serde(default)]
        stop: bool,
    },
    /// Harm a snapshot that is there: the newest of its kind.
    HarmSnapshot {
        #[serde(default)]
        which: Which,
        how: Harm,
    },
    /// `main()` fails.
    FailMain,
    /// `main()` takes this much longer.
    SlowMain { by_ms: u64 },
    /// Other code from now on, in the same Kubernetes Job: whoever starts has another fingerprint.
    ChangeCode,
    /// Suspend the Kubernetes Job: its pods are deleted with grace, and there are none until it is resumed.
    Suspend,
    /// Delete the Kubernetes Job, and make it again only when this ends: a new generation.
    DeleteJob,
}

// === impl What ===

impl What {
    /// Whether it lasts, or happens at once and is over.
    pub fn lasts(&self) -> bool {
        match self {
            Self::Kill { .. }
            | Self::KillPod { .. }
            | Self::DeletePod { .. }
            | Self::ClockJump { .. }
            | Self::DeleteLease
            | Self::FailTask
            | Self::Cancel
            | Self::Savepoint
            | Self::StopWithSavepoint
            | Self::Reset { .. }
            | Self::Pin { .. }
            | Self::Unpin { .. }
            | Self::HoldfastSavepoint { .. }
            | Self::HarmSnapshot { .. }
            | Self::ChangeCode
            | Self::Upgrade { .. } => false,
            Self::PartitionNode { .. }
            | Self::Pause { .. }
            | Self::StoreSlow { .. }
            | Self::StoreRefuses { .. }
            | Self::StoreLosesAnswers { .. }
            | Self::StoreLosesRequests { .. }
            | Self::StoreDelaysWrites { .. }
            | Self::StoreAppliesAndFails { .. }
            | Self::ApiSilent
            | Self::ApiDown
            | Self::ApiRefuses { .. }
            | Self::ApiLosesAnswers { .. }
            | Self::ApiAppliesAndFails { .. }
            | Self::ApiGarbage { .. }
            | Self::ApiStale { .. }
            | Self::ApiSlow { .. }
            | Self::StallCheckpoints
            | Self::FailCheckpointFiles
            | Self::SlowCheckpointFiles { .. }
            | Self::FailMain
            | Self::SlowMain { .. }
            | Self::Suspend
            | Self::DeleteJob => true,
        }
    }
}

// === impl Restore ===

impl Restore {
    /// As on the sidecar's command line; `None`: that needs a path.
    pub fn setting(self) -> Option<&'static str> {
        match self {
            Self::LatestState => Some("latest-state"),
            Self::LatestSavepoint => Some("latest-savepoint"),
            Self::None => Some("none"),
            Self::Oldest => None,
        }
    }
}
