//! Everything outside the process that it does not choose itself.

use std::sync::Arc;

use ha_store::{Clock, Entropy};
use object_store::ObjectStore;
use snapshot::Stores;

use crate::job_manager::Connect;

/// What the process takes from whoever starts it. The simulator hands over its own.
#[derive(Clone)]
pub struct World {
    /// The wall clock, for people's eyes only.
    pub clock: Arc<dyn Clock>,
    /// Where ids and nonces come from.
    pub entropy: Arc<dyn Entropy>,
    /// Where the log is.
    pub backend: Arc<dyn ObjectStore>,
    /// The API server, for an election through a Lease.
    pub kubernetes: Option<kube::Client>,
    /// Where the files of snapshots are, to verify what is restored.
    pub snapshots: Arc<Stores>,
    /// How the JobManager's REST API is reached.
    pub connect: Arc<dyn Connect>,
}
