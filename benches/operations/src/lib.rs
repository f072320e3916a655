//! Single operations of the product, ready to be measured.
//!
//! The same ones are measured twice: in time (`cargo bench -p benches`) and in instructions (`make instructions`, which CI
//! compares with `benches/instructions.json`). So each one does the same at every call, on every machine: what is random is
//! drawn from a fixed seed, no clock runs, nothing depends on a thread or an address, and nothing leaves the process.

pub mod baseline;
pub mod callgrind;
pub mod elector;
pub mod log;
pub mod metadata;
pub mod planner;
pub mod record;
pub mod same;
pub mod sessions;

/// What is measured: everything before it is preparation. It may be called any number of times, and costs the same each
/// time once it was called for the first time.
pub type Run = Box<dyn FnMut()>;

/// One operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// What it is called in every report and in the baseline. Never reused for something else.
    pub name: &'static str,
    /// Prepares it.
    pub prepare: fn() -> Run,
}

/// Every operation whose instructions are counted.
pub const COUNTED: &[Operation] = &[
    Operation { name: "log/commit", prepare: log::commit },
    Operation { name: "log/commit-64-writers", prepare: log::commit_together },
    Operation { name: "log/checkpoint", prepare: log::checkpoint },
    Operation { name: "log/open-10", prepare: || log::open(10) },
    Operation { name: "log/open-1000", prepare: || log::open(1_000) },
    Operation { name: "record/encode", prepare: record::encode },
    Operation { name: "record/parse", prepare: record::parse },
    Operation { name: "elector/leader", prepare: elector::leads },
    Operation { name: "elector/candidate", prepare: elector::waits },
    Operation { name: "sessions/failover", prepare: sessions::fails_over },
    Operation { name: "planner/latest-state", prepare: planner::latest_state },
    Operation { name: "metadata/heap", prepare: metadata::heap },
    Operation { name: "metadata/rocksdb-incremental", prepare: metadata::rocksdb_incremental },
    Operation { name: "metadata/file-merging", prepare: metadata::file_merging },
];
