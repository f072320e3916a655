//! What happens in a run, as data. A plan and its seed are everything that a run depends on: it can be printed, cut down
//! to what matters, and run again.

mod what;

use serde::{Deserialize, Serialize};

pub use self::what::{Chosen, Harm, PodChoice, Process, Restore, What, Which};

/// Everything that a run is made of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The scenario that it was made from.
    pub scenario: String,
    /// What every random stream is derived from.
    pub seed: u64,
    /// The world around the product.
    pub world: World,
    /// The job.
    pub job: Job,
    /// What goes wrong. Their order does not matter.
    pub faults: Vec<Fault>,
    /// How long faults may happen. Then everything is mended and the run must converge.
    pub faulty_ms: u64,
    /// How long it has for that.
    pub healed_ms: u64,
}

/// The world around the product.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct World {
    /// Pods that the Job controller may have running at once. The Job wants one; two happen when a node is cut off.
    pub pods_max: u32,
    /// Pods that exist from the start. More than one makes them rivals for one Lease.
    pub pods: u32,
    /// How long a request to the store takes, milliseconds, from and to.
    pub store_latency_ms: (u64, u64),
    /// How many times as fast as everything else the store's own times run. Collection goes by them and keeps a day, so a
    /// run of minutes needs some thousands to see it at work.
    pub store_ages_times: u64,
    /// How long a request to the API server takes.
    pub api_latency_ms: (u64, u64),
    /// How long a container takes to start.
    pub start_ms: (u64, u64),
    /// By how much each pod's wall clock is off, at most, either way.
    pub clock_offset_max_ms: u64,
    /// By how much each pod's clocks may run fast or slow, in thousandths.
    pub clock_drift_max_permille: u64,
    /// The sidecar's settings that differ from its defaults: as on its command line, without the dashes.
    pub settings: std::collections::BTreeMap<String, String>,
}

/// The job that runs in the world.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Job {
    /// Source partitions, and tasks that read one each.
    pub parallelism: u32,
    /// Records per second and partition.
    pub records_per_s: u64,
    /// Time between the start of one checkpoint and the next.
    pub checkpoint_interval_ms: u64,
    /// A checkpoint that takes longer is given up.
    pub checkpoint_timeout_ms: u64,
    /// Checkpoints that may fail in a row before the job does.
    pub checkpoint_failures_tolerable: u32,
    /// Checkpoints kept; older ones are subsumed and their files deleted.
    pub checkpoints_retained: u32,
    /// A record of partition 0 that fails whoever processes it, if any.
    pub poison_offset: Option<u64>,
    /// Records per partition after which the source ends; `None`: never.
    pub records: Option<u64>,
    /// What happens when a task fails.
    pub restart: RestartStrategy,
    /// It is started by the launcher, which uses a stored graph in place of `main()`.
    pub launcher: bool,
    /// The job's own settings name the first savepoint that there ever was: somebody left the path there.
    pub stale_path: bool,
}

/// Flink's restart strategies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, tag = "type", rename_all = "kebab-case")]
#[allow(missing_docs)] // the fields are named as Flink's options
pub enum RestartStrategy {
    None,
    FixedDelay { attempts: u32, delay_ms: u64 },
    FailureRate { failures_max: u32, interval_ms: u64, delay_ms: u64 },
    ExponentialDelay { initial_ms: u64, max_ms: u64, multiplier_percent: u64, reset_ms: u64 },
}

/// One thing that goes wrong, or that a person does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When it begins.
    pub when: When,
    /// What it is.
    pub what: What,
    /// How long it lasts; 0 for what happens at once and is over.
    #[serde(default)]
    pub for_ms: u64,
}

/// When a fault begins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum When {
    /// This long after the start.
    AtMs(u64),
    /// When this has happened for the nth time, counted from 1.
    On {
        /// What is counted.
        point: Point,
        /// Which of them.
        nth: u32,
    },
}

/// A point in the run to which a fault can be tied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Point {
    /// A create of a log record has arrived at the store and was not applied yet.
    BeforeCreate,
    /// A create of a log record was applied, and not answered yet.
    BeforeCreateAnswer,
    /// A delete of anything has arrived at the store and was not applied yet.
    BeforeDelete,
    /// A Lease write was applied, and not answered yet.
    BeforeLeaseAnswer,
    /// A JobManager was granted leadership.
    Granted,
    /// A checkpoint's files are durable and it is about to be recorded.
    BeforeAdd,
    /// A checkpoint was recorded, and no sink was told yet.
    BeforeNotify,
    /// A checkpoint completed.
    CheckpointCompleted,
    /// A savepoint's files are durable, and no sink was told yet.
    SavepointCompleted,
    /// A job is about to record that it ended.
    BeforeResult,
    /// The tasks of a job are being restarted.
    JobRestarting,
}

// === impl Point ===

impl Point {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::BeforeCreate,
        Self::BeforeCreateAnswer,
        Self::BeforeDelete,
        Self::BeforeLeaseAnswer,
        Self::Granted,
        Self::BeforeAdd,
        Self::BeforeNotify,
        Self::CheckpointCompleted,
        Self::SavepointCompleted,
        Self::BeforeResult,
        Self::JobRestarting,
    ];
}

// === impl World ===

impl Default for World {
    fn default() -> Self {
        Self {
            pods_max: 3,
            pods: 1,
            store_latency_ms: (5, 40),
            store_ages_times: 1,
            api_latency_ms: (2, 20),
            start_ms: (200, 2_000),
            clock_offset_max_ms: 60_000,
            clock_drift_max_permille: 50,
            settings: std::collections::BTreeMap::new(),
        }
    }
}

// === impl Job ===

impl Default for Job {
    fn default() -> Self {
        Self {
            parallelism: 2,
            records_per_s: 100,
            checkpoint_interval_ms: 1_000,
            checkpoint_timeout_ms: 10_000,
            checkpoint_failures_tolerable: 0,
            checkpoints_retained: 1,
            poison_offset: None,
            records: None,
            restart: RestartStrategy::FixedDelay { attempts: 1_000, delay_ms: 1_000 },
            launcher: false,
            stale_path: false,
        }
    }
}
