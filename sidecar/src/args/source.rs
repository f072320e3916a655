//! Whom a command asks: a running sidecar, or with `--store` the object store itself. Both give the same JSON.
//!
//! With `--store`, what only reads never writes anything, not even a directory. What writes must claim an epoch, and with
//! it deposes whoever leads ([`may_claim`]).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ha_store::{
    Answer, BackendOptions, Change, Claim, Clock, DeploymentName, DeploymentState, IdempotencyKey, SessionId,
    Store, StoreError, StoreOptions, StoreUrl, SystemClock, SystemEntropy,
};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;
use snapshot::Stores;

use super::exit::Failure;
use super::remote::Remote;
use crate::config::store_timeout_ms;
use crate::wishes::Declined;

/// Whom to ask, as it is typed.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Source {
    #[command(flatten)]
    remote: Remote,

    /// Ask this store instead of a sidecar: file:///dir, s3://bucket/prefix, …, as for `holdfast run`
    #[arg(long, value_name = "URL", requires = "deployment")]
    store: Option<String>,

    /// The deployment to look for in the store
    #[arg(long, env = "HOLDFAST_DEPLOYMENT", value_name = "NAME")]
    deployment: Option<String>,

    /// How long one request to the store may take [default: 5s]
    #[arg(long, env = "HOLDFAST_STORE_TIMEOUT", value_name = "DURATION")]
    store_timeout: Option<String>,

    /// With --store: where the root of local snapshot files is here, as for `holdfast run`
    #[arg(long, env = "HOLDFAST_LOCAL_ROOT", value_name = "DIR", default_value = "/")]
    local_root: PathBuf,
}

/// The option of everything that writes.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Depose {
    /// With --store: write also when a job may still run, which deposes whoever leads
    #[arg(long, requires = "store")]
    pub(super) depose: bool,
}

/// Whom to ask, checked.
pub(super) enum Asked {
    Sidecar(Remote),
    Store(Box<Direct>),
}

/// A deployment's store, without a sidecar.
pub(super) struct Direct {
    url: StoreUrl,
    deployment: DeploymentName,
    options: StoreOptions,
    local_root: PathBuf,
}

/// An answer: as JSON, whole, also where a newer sidecar says more than this command knows of; and as this command
/// understands it.
#[derive(Debug)]
pub(super) struct Told<T> {
    json: Value,
    pub(super) view: T,
}

/// A store that was opened for a command that only reads, or before one writes.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) state: Arc<DeploymentState>,
    pub(super) deployment: String,
    /// Where the files of snapshots are.
    pub(super) snapshots: Stores,
    pub(super) now_ms: i64,
    call_timeout_ms: u64,
}

// === impl Source ===

impl Source {
    /// Checks what was typed.
    pub(super) fn checked(self) -> Result<Asked, Failure> {
        let Some(store) = self.store else { return Ok(Asked::Sidecar(self.remote)) };
        let usage = |error: anyhow::Error| Failure::Usage(error);
        let url: StoreUrl = store.parse().context("--store is not allowed").map_err(usage)?;
        if url.is_memory() {
            let why = "only the process that has a memory store can look into it; ask it with --sidecar";
            return Err(Failure::Usage(anyhow!("--store {url} is not allowed: {why}")));
        }
        let deployment = self.deployment.unwrap_or_default();
        let deployment = DeploymentName::try_from(deployment).context("--deployment").map_err(usage)?;
        let call_timeout_ms =
            store_timeout_ms(self.store_timeout).map_err(|error| Failure::Usage(error.into()))?;
        let defaults = StoreOptions::default();
        let commit_deadline_ms = defaults.commit_deadline_ms.max(call_timeout_ms);
        let options = StoreOptions { call_timeout_ms, commit_deadline_ms, ..defaults };
        Ok(Asked::Store(Box::new(Direct { url, deployment, options, local_root: self.local_root })))
    }

    /// Reads: from the sidecar at `path`, or from the store by `view`.
    pub(super) fn read<T: Serialize + DeserializeOwned>(
        self,
        path: &str,
        view: impl AsyncFnOnce(Opened) -> Result<T, Failure>,
    ) -> Result<Told<T>, Failure> {
        match self.checked()? {
            Asked::Sidecar(remote) => remote.get(path).and_then(Told::of_json),
            Asked::Store(direct) => direct.run(view).and_then(Told::of_view),
        }
    }
}

// === impl Told ===

impl<T: Serialize + DeserializeOwned> Told<T> {
    /// A sidecar's answer.
    pub(super) fn of_json(json: Value) -> Result<Self, Failure> {
        let view = serde_json::from_value(json.clone()).map_err(|error| {
            Failure::Unknown(anyhow!(
                "the sidecar's answer is not what this version of holdfast expects ({error}); use its own version"
            ))
        })?;
        Ok(Self { json, view })
    }

    /// What was found out here.
    pub(super) fn of_view(view: T) -> Result<Self, Failure> {
        let json = serde_json::to_value(&view).context("the answer cannot be written as JSON");
        Ok(Self { json: json.map_err(Failure::Unknown)?, view })
    }
}

impl<T> Serialize for Told<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

// === impl Direct ===

impl Direct {
    /// Opens the store, and runs `work` on it.
    pub(super) fn run<T>(&self, work: impl AsyncFnOnce(Opened) -> Result<T, Failure>) -> Result<T, Failure> {
        let tokio = super::tokio().context("the threads cannot be started").map_err(Failure::Unknown)?;
        let done = tokio.block_on(async { work(self.open().await?).await });
        tokio.shutdown_background();
        done
    }

    async fn open(&self) -> Result<Opened, Failure> {
        let Self { url, deployment, options, local_root } = self;
        let nothing = || {
            Failure::Refused(anyhow!(
                "there is no deployment {deployment} in {url}: check --store and --deployment, or start `holdfast run` first"
            ))
        };
        if url.is_missing_directory() {
            return Err(nothing());
        }
        let backend =
            BackendOptions { call_timeout_ms: options.call_timeout_ms, ..BackendOptions::default() };
        let snapshots = Stores::new(backend.clone()).with_local_root(local_root);
        let backend = url.connect(&backend).map_err(|error| failure(&error))?;
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let store =
            Store::open(backend, url.prefix(), deployment.clone(), options.clone(), clock, entropy).await;
        let store = store.map_err(|error| failure(&error))?;
        let view = store.view();
        if view.header.is_none() {
            return Err(nothing());
        }
        Ok(Opened {
            store,
            state: view.state.clone(),
            deployment: deployment.to_string(),
            snapshots,
            now_ms: SystemClock.wall_ms(),
            call_timeout_ms: options.call_timeout_ms,
        })
    }
}

// === impl Opened ===

impl Opened {
    /// Writes one change under an epoch of its own, which deposes whoever leads. `command` is who holds it, for people.
    ///
    /// # Errors
    /// [`Failure::Refused`] when a job may still run and `depose` was not given.
    pub(super) async fn write(
        &self,
        command: &str,
        depose: bool,
        change: Change,
    ) -> Result<(Answer, Arc<DeploymentState>), Failure> {
        let told = |error: StoreError| failure(&error);
        let state = self.store.refresh().await.map_err(told)?.state.clone();
        may_claim(&state, depose).map_err(|why| Failure::Refused(anyhow!("{why}")))?;
        let claim = Claim {
            session: SessionId::random(&SystemEntropy),
            holder: format!("holdfast {command}"),
            generation: state.generation.clone().unwrap_or_default(),
            leads: false,
            epoch_hint: 0,
        };
        let epoch = self.store.claim(claim).await.map_err(told)?.epoch;
        let key = IdempotencyKey::random(&SystemEntropy);
        let answer = self.store.commit(epoch, key, change).await.map_err(told)?;
        let state = self.store.view().state.clone();
        self.store.close(Duration::from_millis(self.call_timeout_ms)).await;
        Ok((answer, state))
    }
}

/// Whether a command may take the epoch away from whoever holds it.
fn may_claim(state: &DeploymentState, depose: bool) -> Result<(), String> {
    let Some(grant) = state.grant.as_ref() else {
        return Err("nobody ever led this deployment, so there is nothing to write to".into());
    };
    if depose || has_ended(state) {
        return Ok(());
    }
    Err(format!(
        "the job of epoch {} (held by {}) has not ended as far as is recorded. To write to the store this command claims \
         an epoch, which deposes whoever leads: a JobManager that still runs restarts and restores its newest \
         checkpoint, and savepoints that are newer than that count as rolled back. If a sidecar runs, leave out --store \
         and ask it with --sidecar; if the job is certainly gone, or may be restarted, add --depose",
        grant.epoch, grant.holder
    ))
}

/// Whether some job ended in this generation, and none holds anything that one which still runs would need.
fn has_ended(state: &DeploymentState) -> bool {
    let mut ended = !state.results.jobs.is_empty();
    for (id, job) in &state.jobs {
        let over = state.has_ended(id);
        if !over && (job.graph.is_some() || !job.checkpoints.is_empty()) {
            return false;
        }
        ended |= over;
    }
    ended
}

/// What it means for a command that a wish is not granted.
pub(super) fn declined(declined: Declined) -> Failure {
    match declined {
        Declined::Unknown(why) | Declined::Refused(why) => Failure::Refused(anyhow!("{why}")),
        Declined::Unanswered(why) => Failure::Unknown(anyhow!("{why}")),
    }
}

/// What a store's error means for a command.
pub(super) fn failure(error: &StoreError) -> Failure {
    let told = anyhow!("{error}");
    match error {
        StoreError::Unknown { .. } | StoreError::Unavailable { .. } => Failure::Unknown(told.context(
            "the store did not answer; check --store, the network and the credentials in the environment",
        )),
        StoreError::Fenced { .. } => {
            Failure::Refused(told.context("another process leads; nothing was written"))
        }
        StoreError::Corrupt { .. } | StoreError::Refused(_) => Failure::Refused(told),
        StoreError::Unfit { .. } => Failure::Usage(told),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::examples::lineage;
    use ha_store::JobStatus;

    #[test]
    fn a_job_that_may_run_is_deposed_only_when_that_was_asked_for() {
        let state = lineage();
        let why = may_claim(&state, false).unwrap_err();
        assert!(why.contains("--depose") && why.contains("pod-3"), "{why}");
        assert_eq!(may_claim(&state, true), Ok(()));
    }

    #[test]
    fn a_job_that_ended_leaves_nobody_to_depose() {
        let mut state = lineage();
        state.jobs.values_mut().for_each(|job| job.ended = Some(JobStatus::Failed));
        assert_eq!(may_claim(&state, false), Ok(()));
    }

    #[test]
    fn a_generation_that_has_not_begun_a_job_has_not_ended_one() {
        let mut state = lineage();
        state.jobs.values_mut().for_each(|job| job.checkpoints.clear());
        assert!(may_claim(&state, false).is_err(), "the JobManager may be starting right now");
    }
}
