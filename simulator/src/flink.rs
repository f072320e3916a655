//! The model of Flink: what its JobManager and TaskManagers do towards Holdfast, the checkpoint files and the sink.

use crate::plan::Job;
use crate::points::Points;
use crate::seed::Stream;
use crate::trace::Trace;

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
}
