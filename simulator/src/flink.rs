//! The model of Flink: what its JobManager and TaskManagers do towards Holdfast, the checkpoint files and the sink.
//!
//! The JobManager behaves towards the sidecar as the adapter jar does, and towards its job as Flink does; both speak TCP
//! inside the simulated network. Decisions are pure state machines, and around them is as little as possible:
//!
//! | pure | driver | is |
//! | --- | --- | --- |
//! | `election`, `answer` | `session`, `calls`, `publisher`, `http` | the adapter |
//! |  | `rest`, `statistics` | the JobManager's REST server |
//! | `master`, `coordinator`, `tolerance`, `restart` | `job`, `checkpoints`, `start`, `restore`, `end`, `job_manager` | the JobManager |
//! | `worker`, `task`, `state` | `task_manager` | a TaskManager |
//! |  | `cluster`, `files`, `snapshots` | what outlives the processes |
//!
//! # What it leaves out
//! Records are processed as ranges; there is one chain of source, keyed state and sink per partition, so that a barrier
//! has nothing to be aligned with. `main()` and class loading are a pause. Checkpoint files and the system behind the
//! sink are memory that every process reaches, without a network in between.
//! Savepoints are triggered by the user through the [`Cluster`], and by the product over REST.

mod answer;
mod backoff;
mod calls;
mod checkpoints;
mod cluster;
mod coordinator;
mod election;
mod end;
mod files;
mod http;
mod job;
mod job_manager;
mod master;
mod process;
mod publisher;
mod rest;
mod restart;
mod restore;
mod scope;
mod session;
mod snapshots;
mod start;
mod state;
mod statistics;
mod task;
mod task_manager;
#[cfg(test)]
mod tests;
mod tolerance;
mod wire;
mod worker;

pub use self::cluster::{Adapter, Cluster};
pub(crate) use self::files::found;
pub use self::files::{BUCKET, ROOT, StateFile, StateFiles};
use std::sync::Arc;

use crate::plan::Job;
use crate::points::Points;
use crate::seed::Stream;
use crate::trace::{Event, Trace};

/// What one process of Flink is started with. The world's kubelet makes it anew at each start.
#[derive(Debug, Clone)]
pub struct Env {
    /// Who it is in the trace: `job-manager-0`, `task-manager-1`.
    pub actor: String,
    /// The sidecar's private listener (JobManager) or public one (TaskManager), as `host:port` for turmoil's DNS.
    /// A TaskManager's is a Service: the world points it at the pod that is the newest.
    pub sidecar: String,
    /// Where this JobManager listens for its TaskManagers: the address that it publishes as a leader.
    pub listen: String,
    /// The Flink job id: equal for every process of a deployment.
    pub job_id: String,
    /// Which rollout this is.
    pub generation: String,
    /// The job.
    pub job: Job,
    /// Where everything is recorded.
    pub trace: Trace,
    /// Where faults are tied to.
    pub points: Points,
    /// This process's own randomness.
    pub stream: Stream,
    /// The wall clock of the pod.
    pub clock: Arc<dyn ha_store::Clock>,
}

/// One JobManager process. It ends as Flink's do: 0 when the application is over, 163 when the job has FAILED, 2 after a
/// fatal error, 75 when the adapter ended it because every answer to Flink would have been wrong.
pub async fn job_manager(env: Env, cluster: Cluster) -> i32 {
    scope::Scope::run(|scope| job_manager::run(process::Process::new(env, cluster, scope))).await
}

/// One TaskManager process. It runs until it is killed.
pub async fn task_manager(env: Env, cluster: Cluster) -> i32 {
    scope::Scope::run(|scope| task_manager::run(env, cluster, scope)).await
}
