//! What Prometheus can ask. One registry for each process (or simulated host): there is no global one.

use std::sync::atomic::AtomicU64;

use ha_store::{DeploymentName, Epoch, StoreError};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The metrics, each labelled with the deployment.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    is_leader: Gauge,
    epoch: Gauge<i64>,
    newest_epoch: Gauge<i64>,
    sessions: Gauge,
    lease_held: Gauge,
    lease_expires_seconds: Gauge<f64, AtomicU64>,
    lease_transitions: Counter<u64, AtomicU64>,
    lease_renewal_seconds: Histogram,
    store_up: Gauge,
    grants: Family<GrantLabels, Counter>,
    writes: Family<WriteLabels, Counter>,
    commit_seconds: Histogram,
    checkpoint: Family<JobLabels, Gauge<i64, std::sync::atomic::AtomicI64>>,
    collected_records: Counter<u64, AtomicU64>,
    collected_blobs: Counter<u64, AtomicU64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrantLabels {
    resumed: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WriteLabels {
    outcome: WriteOutcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    job: String,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum WriteOutcome {
    Recorded,
    Refused,
    Fenced,
    Unknown,
    Unavailable,
    Corrupt,
}

/// From a local disk to a slow bucket.
const COMMIT_SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];

// === impl Metrics ===

impl Metrics {
    /// All at zero.
    pub fn new(deployment: &DeploymentName) -> Self {
        let label = ("deployment".into(), deployment.to_string().into());
        let mut registry = Registry::with_prefix_and_labels("holdfast", [label].into_iter());
        let metrics = Self {
            is_leader: Gauge::default(),
            epoch: Gauge::default(),
            newest_epoch: Gauge::default(),
            sessions: Gauge::default(),
            lease_held: Gauge::default(),
            lease_expires_seconds: Gauge::default(),
            lease_transitions: Counter::default(),
            lease_renewal_seconds: Histogram::new(COMMIT_SECONDS),
            store_up: Gauge::default(),
            grants: Family::default(),
            writes: Family::default(),
            commit_seconds: Histogram::new(COMMIT_SECONDS),
            checkpoint: Family::default(),
            collected_records: Counter::default(),
            collected_blobs: Counter::default(),
            registry: Registry::default(),
        };
        let r = &mut registry;
        r.register("build", "The running version", Info::new([("version", env!("CARGO_PKG_VERSION"))]));
        r.register("is_leader", "1 while a JobManager is granted here", metrics.is_leader.clone());
        r.register("epoch", "The epoch that this process owns, 0 if none", metrics.epoch.clone());
        r.register("newest_epoch", "The newest epoch seen in the store", metrics.newest_epoch.clone());
        r.register("sessions", "Open JobManager streams", metrics.sessions.clone());
        r.register("lease_held", "1 while the Lease is confirmed to be ours", metrics.lease_held.clone());
        r.register(
            "lease_expires_seconds",
            "Until our Lease is over if not renewed",
            metrics.lease_expires_seconds.clone(),
        );
        r.register(
            "lease_transitions",
            "How often this process took the Lease",
            metrics.lease_transitions.clone(),
        );
        r.register(
            "lease_renewal_seconds",
            "How long a write of the Lease took",
            metrics.lease_renewal_seconds.clone(),
        );
        r.register("store_up", "1 if the store answered when it was last asked", metrics.store_up.clone());
        r.register("grants", "Leadership grants", metrics.grants.clone());
        r.register("writes", "Writes by outcome", metrics.writes.clone());
        r.register("commit_seconds", "From a write's arrival to its answer", metrics.commit_seconds.clone());
        r.register(
            "checkpoint_id",
            "The newest acknowledged checkpoint of a job",
            metrics.checkpoint.clone(),
        );
        r.register("collected_records", "Records that were collected", metrics.collected_records.clone());
        r.register("collected_blobs", "Blobs that were collected", metrics.collected_blobs.clone());
        Self { registry, ..metrics }
    }

    /// OpenMetrics text.
    pub fn encode(&self) -> String {
        let mut out = String::new();
        text::encode(&mut out, &self.registry).expect("a String takes everything");
        out
    }

    pub(crate) fn leadership(&self, leads: bool, owned: Option<Epoch>, newest: Option<Epoch>) {
        let number = |epoch: Option<Epoch>| epoch.map_or(0, |e| i64::try_from(e.get()).unwrap_or(i64::MAX));
        self.is_leader.set(i64::from(leads));
        self.epoch.set(number(owned));
        self.newest_epoch.set(number(newest));
    }

    pub(crate) fn sessions(&self, open: usize) {
        self.sessions.set(i64::try_from(open).unwrap_or(i64::MAX));
    }

    pub(crate) fn lease(&self, held: bool, expires_in_ms: Option<u64>) {
        self.lease_held.set(i64::from(held));
        self.lease_expires_seconds.set(expires_in_ms.unwrap_or_default() as f64 / 1_000.0);
    }

    pub(crate) fn lease_taken(&self) {
        self.lease_transitions.inc();
    }

    pub(crate) fn renewed(&self, seconds: f64) {
        self.lease_renewal_seconds.observe(seconds);
    }

    pub(crate) fn store_answers(&self, answers: bool) {
        self.store_up.set(i64::from(answers));
    }

    pub(crate) fn granted(&self, resumed: bool) {
        let resumed = if resumed { "true" } else { "false" };
        self.grants.get_or_create(&GrantLabels { resumed }).inc();
    }

    pub(crate) fn wrote<T>(&self, seconds: f64, result: &Result<T, StoreError>) {
        let outcome = match result {
            Ok(_) => WriteOutcome::Recorded,
            Err(StoreError::Refused(_)) => WriteOutcome::Refused,
            Err(StoreError::Fenced { .. }) => WriteOutcome::Fenced,
            Err(StoreError::Unknown { .. }) => WriteOutcome::Unknown,
            Err(StoreError::Unavailable { .. }) => WriteOutcome::Unavailable,
            Err(StoreError::Corrupt { .. } | StoreError::Unfit { .. }) => WriteOutcome::Corrupt,
        };
        self.writes.get_or_create(&WriteLabels { outcome }).inc();
        self.commit_seconds.observe(seconds);
    }

    pub(crate) fn checkpoint(&self, job: &str, id: u64) {
        let id = i64::try_from(id).unwrap_or(i64::MAX);
        self.checkpoint.get_or_create(&JobLabels { job: job.to_owned() }).set(id);
    }

    pub(crate) fn collected(&self, records: u64, blobs: u64) {
        self.collected_records.inc_by(records);
        self.collected_blobs.inc_by(blobs);
    }
}
