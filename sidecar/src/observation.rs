//! Asks the JobManager what its HA services do not tell, and puts it into the log. Drives the
//! [`observer`](crate::observer), which decides.
//!
//! | file | does |
//! | --- | --- |
//! | `last_look` | looks at a job that ended, before its result is recorded |
//!
//! A JobManager that cannot be asked is no reason to do anything to it: the trouble is logged once and shown in `/status`.

mod last_look;

use std::sync::Arc;
use std::time::Duration;

use ha_store::{Answer, Change, Clock, Entropy, Epoch, IdempotencyKey, JobId, Store, StoreError};
use serde::Serialize;
use snapshot::Stores;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use self::last_look::Ends;
use crate::job_manager::{AskError, Checkpoints, Connect, InvalidRestAddress, JobManager, RestAddress};
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::observer::Observer;

/// What the driver needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// How often the JobManager is asked.
    pub interval_ms: u64,
    /// Where, if not where it publishes.
    pub address: Option<RestAddress>,
}

/// What it works with.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// What is told.
    pub store: Store,
    /// Who is granted, and where it is.
    pub leadership: Leadership,
    /// For people's eyes.
    pub clock: Arc<dyn Clock>,
    /// Where keys come from.
    pub entropy: Arc<dyn Entropy>,
    /// How the JobManager is reached.
    pub connect: Arc<dyn Connect>,
    /// Where the files of snapshots are.
    pub snapshots: Arc<Stores>,
    /// Where writes are counted.
    pub metrics: Arc<Metrics>,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Observation {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: Options,
    around: Surroundings,
    /// Held from a decision until it is recorded, and never while the JobManager is asked.
    observer: Mutex<Observer>,
    ends: Ends,
    view: watch::Sender<ObservationView>,
}

/// How it goes, for `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ObservationView {
    /// Where the JobManager was asked last.
    pub job_manager: Option<String>,
    /// When everything was answered the last time, by the wall clock.
    pub last_success_ms: Option<i64>,
    /// Why it was not since then.
    pub trouble: Option<String>,
    /// Savepoints that this process recorded.
    pub savepoints_recorded: u64,
}

/// Why nothing was observed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No JobManager is granted here, or another one by now.
    #[error("no JobManager is granted here under epoch {epoch}")]
    NotGranted {
        /// The epoch that was asked for.
        epoch: Epoch,
    },
    /// It has not said where its REST API is.
    #[error(
        "the JobManager of epoch {epoch} has not published where its REST API is (yet); set --job-manager-rest if it never \
         does"
    )]
    NotPublished {
        /// The epoch.
        epoch: Epoch,
    },
    /// It cannot be asked there.
    #[error(transparent)]
    Address(#[from] InvalidRestAddress),
    /// It did not answer as it should.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// What it said could not be recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How long one request to a JobManager may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// A JobManager that has just started does not answer yet: that is not worth a warning.
const TROUBLED_ROUNDS: u32 = 3;
/// More than a deployment may hold.
const JOBS_MAX: usize = 1_000;

// === impl Observation ===

impl Observation {
    /// Starts to observe whichever JobManager is granted here. The task never ends by itself.
    pub fn start(options: Options, around: Surroundings) -> (Self, JoinHandle<()>) {
        let inner = Inner {
            options,
            around,
            observer: Mutex::new(Observer::new(Epoch::new(0))),
            ends: Ends::default(),
            view: watch::Sender::new(ObservationView::default()),
        };
        let observation = Self { inner: Arc::new(inner) };
        let task = tokio::spawn(observation.clone().run());
        (observation, task)
    }

    /// How it goes.
    pub fn view(&self) -> ObservationView {
        self.inner.view.borrow().clone()
    }

    /// What it works with.
    pub(crate) fn around(&self) -> &Surroundings {
        &self.inner.around
    }

    /// The JobManager that was granted this epoch here.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn job_manager(&self, epoch: Epoch) -> Result<JobManager, Trouble> {
        let around = self.around();
        let granted = around.leadership.view().leader.is_some_and(|leader| leader.epoch == epoch);
        if !granted {
            return Err(Trouble::NotGranted { epoch });
        }
        let address = match &self.inner.options.address {
            Some(address) => address.clone(),
            None => {
                let leaders = around.leadership.leaders().borrow().clone().unwrap_or_default();
                let rest = leaders.leaders.get("restserver").filter(|rest| rest.epoch == epoch);
                rest.ok_or(Trouble::NotPublished { epoch })?.at.address.parse()?
            }
        };
        self.inner.view.send_modify(|view| view.job_manager = Some(address.to_string()));
        Ok(JobManager::new(address, around.connect.clone(), REQUEST_TIMEOUT))
    }

    /// Looks at one job, and records what is new. Gives back what the JobManager said.
    ///
    /// # Errors
    /// When the JobManager does not tell, or the store does not take it. What was told is told again at the next look.
    pub async fn look_at(
        &self,
        epoch: Epoch,
        asked: &JobManager,
        job: &JobId,
    ) -> Result<Checkpoints, Trouble> {
        let answer = asked.checkpoints(job).await?;
        let mut observer = self.inner.observer.lock().await;
        if observer.epoch() < epoch {
            *observer = Observer::new(epoch);
        }
        if observer.epoch() != epoch {
            return Err(Trouble::NotGranted { epoch });
        }
        let known = self.around().store.view();
        for change in observer.observe(job, &answer, &known.state) {
            self.record(epoch, &change).await?;
            observer.recorded(&change);
        }
        Ok(answer)
    }

    /// Records one change under this epoch.
    ///
    /// # Errors
    /// When the store did not take it, or did not say whether it did.
    pub async fn record(&self, epoch: Epoch, change: &Change) -> Result<Answer, StoreError> {
        const TRIES: u32 = 3;
        let around = self.around();
        let key = IdempotencyKey::random(&*around.entropy);
        let mut tries = 0;
        let result = loop {
            tries += 1;
            let started = Instant::now();
            let result = around.store.commit(epoch, key.clone(), change.clone()).await;
            around.metrics.wrote(started.elapsed().as_secs_f64(), &result);
            if !matches!(result, Err(StoreError::Unknown { .. })) || tries == TRIES {
                break result;
            }
        };
        match &result {
            Ok(answer) => self.tell(change, *answer),
            Err(error @ StoreError::Fenced { ours, .. }) => {
                around.leadership.deposed(*ours, error.to_string()).await;
            }
            Err(_) => {}
        }
        result
    }

    fn tell(&self, change: &Change, answer: Answer) {
        match (change, answer) {
            (Change::RecordSavepoint { job, id, pointer, rolled_back, .. }, Answer::Created) => {
                self.inner.view.send_modify(|view| view.savepoints_recorded += 1);
                let place = &pointer.external_pointer;
                let behind = if *rolled_back { "; its job has rolled back behind it since" } else { "" };
                tracing::info!(event = "savepoint-recorded", %job, id, place, "savepoint {id} is known: {place}{behind}");
            }
            (Change::RecordSavepoint { job, id, .. }, Answer::Changed) => {
                tracing::info!(event = "savepoint-rolled-back", %job, id, "job {job} rolled back behind savepoint {id}");
            }
            (Change::RecordRestore { job, id }, Answer::Value(marked @ 1..)) => {
                tracing::info!(event = "rolled-back", %job, id, marked, "job {job} was restored from checkpoint {id}");
            }
            _ => {}
        }
    }

    async fn run(self) {
        let mut pace = tokio::time::interval(Duration::from_millis(self.inner.options.interval_ms));
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut troubled = 0;
        loop {
            pace.tick().await;
            let Some(leader) = self.around().leadership.view().leader else {
                troubled = 0;
                continue;
            };
            match self.round(leader.epoch).await {
                Ok(()) => {
                    if troubled >= TROUBLED_ROUNDS {
                        tracing::info!(event = "observed-again", "the JobManager can be observed again");
                    }
                    troubled = 0;
                    let now_ms = self.around().clock.wall_ms();
                    self.inner.view.send_modify(|view| {
                        (view.last_success_ms, view.trouble) = (Some(now_ms), None);
                    });
                }
                Err(trouble) => {
                    troubled += 1;
                    self.inner.view.send_modify(|view| view.trouble = Some(trouble.to_string()));
                    if troubled == TROUBLED_ROUNDS {
                        tracing::warn!(
                            event = "not-observed",
                            "{trouble}. Until it can be asked, savepoints that are not taken through Holdfast stay unknown"
                        );
                    }
                }
            }
        }
    }

    /// Looks at every job. One that cannot be looked at does not keep the others from it.
    async fn round(&self, epoch: Epoch) -> Result<(), Trouble> {
        let asked = self.job_manager(epoch)?;
        let overview = asked.jobs().await?;
        let jobs: Vec<JobId> =
            overview.jobs.iter().filter_map(|job| job.jid.parse().ok()).take(JOBS_MAX).collect();
        self.inner.observer.lock().await.keep(&jobs);
        self.learn_cache_age(epoch, &asked).await;
        let mut first_trouble = Ok(());
        // A job that is being initialized has no statistics yet, and Flink logs a stack trace for whoever asks.
        let initializing = |job: &JobId| {
            overview.jobs.iter().any(|known| known.jid == job.as_str() && known.state == "INITIALIZING")
        };
        for job in jobs.iter().filter(|job| !initializing(job)) {
            let looked = self.look_at(epoch, &asked, job).await.map(drop);
            first_trouble = first_trouble.and(looked);
        }
        first_trouble
    }
}
