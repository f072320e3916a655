//! What every part of one JobManager process has at hand.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::calls::{CallError, Calls};
use super::cluster::Cluster;
use super::http::Client;
use super::publisher::Publisher;
use super::scope::Scope;
use super::statistics::Statistics;
use super::{Env, Event};

/// Exit codes of Flink's JobManager and of the adapter, as the operating system sees them.
pub(super) mod exit {
    /// The application ended in order.
    pub(crate) const ORDER: i32 = 0;
    /// A fatal error.
    pub(crate) const FATAL: i32 = 2;
    /// The adapter ended the process: every answer to Flink would have been wrong.
    pub(crate) const HALT: i32 = 75;
    /// The job has FAILED: 1443, cut off to a byte.
    pub(crate) const FAILED: i32 = 163;
}

/// One JobManager process. Clones are the same one.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) env: Env,
    pub(super) cluster: Cluster,
    pub(super) scope: Scope,
    pub(super) client: Client,
    pub(super) calls: Calls,
    pub(super) publisher: Publisher,
    pub(super) statistics: Statistics,
    /// What the adapter computes from the code and the configuration.
    pub(super) fingerprint: String,
    /// The code gets past the poison record.
    pub(super) mended: bool,
    started: Instant,
}

/// A leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leading {
    /// The fencing token of every write.
    pub(super) epoch: u64,
    /// The fencing token of Flink's own RPC: new with each grant.
    pub(super) session: String,
}

/// The leadership that this process has at the moment.
pub(super) type Leadership = watch::Receiver<Option<Leading>>;

/// How a process ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Exit(pub(super) i32);

// === impl Process ===

impl Process {
    pub(super) fn new(env: Env, cluster: Cluster, scope: Scope) -> Self {
        let client = Client::new(env.sidecar.clone(), scope.clone());
        let (actor, trace, stream) = (env.actor.clone(), env.trace.clone(), env.stream.clone());
        let calls = Calls::new(client.clone(), cluster.adapter(), actor, trace, stream);
        let (publisher, statistics) = (Publisher::default(), Statistics::new(env.clock.clone()));
        cluster.begin(&env.job_id);
        let fingerprint = format!("code-{}", cluster.code());
        let (mended, started) = (cluster.code_is_mended(), Instant::now());
        Self { env, cluster, scope, client, calls, publisher, statistics, fingerprint, mended, started }
    }

    /// Milliseconds since the process started.
    pub(super) fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    pub(super) fn instant(&self, ms: u64) -> Instant {
        self.started + Duration::from_millis(ms)
    }

    pub(super) fn record(&self, event: Event) {
        self.env.trace.record(self.env.actor.clone(), event);
    }

    /// Something takes this long, about.
    pub(super) async fn work(&self, from_ms: u64, to_ms: u64) {
        let ms = self.env.stream.between(from_ms, to_ms);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    pub(super) fn job_path(&self, rest: &str) -> String {
        format!("/v1/jobs/{}{rest}", self.env.job_id)
    }

    /// The component under which the job's own leader is published.
    pub(super) fn job_component(&self) -> String {
        format!("job-{}", self.env.job_id)
    }
}

// === impl Leading ===

impl Leading {
    pub(super) fn is_over(&self, leadership: &Leadership) -> bool {
        leadership.borrow().as_ref() != Some(self)
    }
}

// === impl Exit ===

impl From<CallError> for Exit {
    /// A refusal that nobody expected is a fatal error in Flink.
    fn from(error: CallError) -> Self {
        match error {
            CallError::Refused(problem) => {
                tracing::debug!(problem, "fatal error");
                Self(exit::FATAL)
            }
            CallError::Halt(why) => {
                tracing::debug!(why, "the adapter ends this process");
                Self(exit::HALT)
            }
        }
    }
}
