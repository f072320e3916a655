//! What can happen.

use bytes::Bytes;

/// An event. The oracles judge by these, the report draws them and the hash is made of them, so each says what was
/// *seen to happen* at the place where it became so: at the far side of the store, not at whoever asked.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Event {
    // --- the object store's far side ---
    /// A key was created, and is durable from now on.
    StoreCreated { key: String, body: Bytes },
    /// A create was refused: the key exists.
    StoreRefused { key: String },
    /// A key was put without a condition. The product may do so only to its `hint`.
    StoreOverwritten { key: String, body: Bytes },
    /// A key was deleted.
    StoreDeleted { key: String },

    // --- the API server's far side ---
    /// The Lease was written. `named` is the version that the write named, `None` when it named none.
    LeaseWritten { lease: String, version: u64, named: Option<u64>, holder: String, created: bool },
    /// The Lease was deleted.
    LeaseDeleted { lease: String },
    /// A Kubernetes Event was written.
    KubernetesEvent { reason: String, note: String },

    // --- pods and processes ---
    /// A pod's object exists.
    PodCreated { pod: String, uid: String, generation: String },
    /// A pod's object is gone.
    PodDeleted { pod: String, uid: String },
    /// A process starts. `kind` is `sidecar`, `job-manager` or `task-manager`.
    ProcessStarted { kind: &'static str },
    /// It ended by itself: 0 in order, anything else not.
    ProcessEnded { kind: &'static str, code: i32 },
    /// It was killed, without a chance to say anything.
    ProcessKilled { kind: &'static str },
    /// It stands still from now on.
    ProcessPaused,
    /// It goes on.
    ProcessWoken,

    // --- what a JobManager was told, as it saw it ---
    /// It leads under this epoch. `resumed`: it led before and goes on.
    Granted { epoch: u64, resumed: bool },
    /// It does not lead any more.
    Revoked { epoch: u64, reason: String },
    /// It asks its sidecar to record a checkpoint (first attempt).
    AddAsked { job: String, id: u64, epoch: u64 },
    /// What it finally knows of that.
    AddAnswered { job: String, id: u64, epoch: u64, answer: AddAnswer },

    // --- the job ---
    /// The job starts or restarts in this JobManager. `from` is the checkpoint that it restores; `None`: empty.
    /// `failover`: the JobManager itself is new (it asked the sidecar); otherwise only the tasks restart.
    JobRestored { job: String, epoch: u64, from: Option<u64>, failover: bool },
    /// All its tasks run.
    JobRunning { job: String },
    /// Its tasks failed and are started again.
    JobRestarting { job: String, cause: String },
    /// It ended for good, in the eyes of its JobManager.
    JobEnded { job: String, status: JobStatus },
    /// `main()` ran to its end, and made a graph.
    MainRan { generation: String },
    /// A job is made from the graph that the `main()` of this rollout made.
    /// `code`: what it was made from; `own`: what this process has.
    GraphUsed { job: String, epoch: u64, generation: String, code: String, own: String },
    /// Flink's store was empty, so a job is started from the snapshot that its graph names. `claimed`: the files are the job's
    /// from now on. `offsets`: up to where it holds each partition.
    StartedFrom {
        job: String,
        epoch: u64,
        id: u64,
        claimed: bool,
        offsets: std::collections::BTreeMap<u32, u64>,
    },
    /// A checkpoint's files are complete and durable.
    CheckpointWritten { job: String, id: u64 },
    /// A checkpoint was recorded and the sinks are told to commit it.
    CheckpointCompleted { job: String, id: u64, epoch: u64 },
    /// A savepoint's files are complete and durable. `stops`: it is the one with which the job ends, and the sinks are told to
    /// commit it. `offsets`: up to where it holds each partition, that record not included.
    SavepointCompleted {
        job: String,
        id: u64,
        epoch: u64,
        stops: bool,
        offsets: std::collections::BTreeMap<u32, u64>,
    },
    /// The savepoint that was asked for over REST with this trigger id is complete.
    SavepointServed { trigger: String, id: u64 },
    /// A checkpoint or savepoint was given up; its tasks abort what they prepared for it.
    CheckpointFailed { job: String, id: u64, cause: String },
    /// The files of a checkpoint or savepoint were deleted, by whoever the actor is.
    CheckpointFilesDeleted { job: String, id: u64 },
    /// A sink committed the records of one partition in this range, `from` included, `to` not, for this checkpoint.
    SinkCommitted { job: String, partition: u32, from: u64, to: u64, checkpoint: u64 },

    // --- a person ---
    /// A new rollout, whose sidecars differ from the others by these settings. `named`: the snapshot that it is to start from.
    RolledOut { generation: String, settings: std::collections::BTreeMap<String, String>, named: Option<u64> },
    /// A person wants something of the product, and asks for it until there is a definite answer. `wish` tells those who ask
    /// apart.
    Wished { wish: u64, what: Wish },
    /// What they finally know of that.
    WishAnswered { wish: u64, what: Wish, told: Told },
    /// What a person was told of the savepoint that they had asked the product for.
    SavepointTold(SavepointWord),
    /// Somebody who is no part of the job harmed the files of a checkpoint or savepoint.
    SnapshotHarmed { job: String, id: u64 },

    // --- the run ---
    /// A fault of the plan begins (its index in the plan).
    FaultBegins { fault: usize },
    /// It ends.
    FaultEnds { fault: usize },
    /// No more faults from here on, and everything that was broken is mended: the run must converge.
    Healed,
    /// An interesting thing was reached.
    Reached(&'static str),
}

/// What a JobManager knows about a checkpoint that it asked to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AddAnswer {
    /// It is durable.
    Recorded,
    /// It certainly is not, and never will be.
    NotRecorded {
        /// The `type` of the sidecar's problem, without its prefix.
        problem: String,
    },
    /// Nobody can say. The process ends itself.
    Unknown,
}

/// What a person may want of the product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The next generation is to start from the snapshot of this id, which is there.
    Reset {
        /// The id.
        id: u64,
        /// Where it is.
        pointer: String,
    },
    /// The files of the snapshot of this id are to be kept.
    Pin {
        /// The id.
        id: u64,
    },
    /// They need not be kept any more.
    Unpin {
        /// The id.
        id: u64,
    },
}

/// What a person knows of what they wished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It was done.
    Done,
    /// It certainly was not.
    Refused {
        /// The `type` of the problem, without its prefix.
        problem: String,
    },
    /// Nobody can say.
    Unknown,
}

/// How a savepoint ended that a person asked the product for, in the product's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum SavepointEnd {
    Completed,
    Failed,
    Unknown,
}

/// What a person is told of a savepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointWord {
    /// Its trigger id.
    pub trigger: String,
    /// Whether the job was to end with it.
    pub stop: bool,
    /// How it ended.
    pub end: SavepointEnd,
    /// Whether it is in the ledger.
    pub recorded: bool,
    /// Its checkpoint id, if that is known.
    pub id: Option<u64>,
    /// Whether it is said to be somewhere.
    pub placed: bool,
}

/// How a job ended for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    /// Its sources are exhausted, or it was stopped with a savepoint.
    Finished,
    /// Its restarts are used up, or it failed after its last savepoint was there.
    Failed,
    /// The user wanted it.
    Canceled,
}

impl JobStatus {
    /// As Flink names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Canceled => "CANCELED",
        }
    }
}
