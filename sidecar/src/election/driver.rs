//! The loop: asks what the elector wants to know, and says where we stand.

use std::sync::Arc;
use std::time::Duration;

use ha_store::Clock;
use tokio::sync::oneshot::error::TryRecvError;
use tokio::sync::{oneshot, watch};
use tokio::time::Instant;

use super::lease::LeaseClient;
use super::{Announcer, ElectionView, LeaseElection, Reason};
use crate::elector::{Action, Elector, Observation, Standing, Taking};
use crate::leadership::{Candidacy, Leadership};
use crate::metrics::Metrics;

/// A running election.
#[derive(Debug)]
pub struct Driver {
    stop: oneshot::Sender<Farewell>,
    task: tokio::task::JoinHandle<()>,
    view: watch::Receiver<ElectionView>,
}

/// What to do with a Lease that is ours when the process stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Farewell {
    /// Our JobManager has ended: the next pod need not wait.
    Release,
    /// It may still run: let the Lease expire.
    Keep,
}

struct Loop {
    elector: Elector,
    lease: LeaseClient,
    leadership: Leadership,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    started: Instant,
    standing: Standing,
    /// The last one that was logged.
    trouble: Option<String>,
    view: watch::Sender<ElectionView>,
}

/// Starts the election; it goes on until [`Driver::stop`].
pub fn start(
    election: LeaseElection,
    client: kube::Client,
    leadership: Leadership,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
) -> Driver {
    let (stop, stopped) = oneshot::channel();
    let (view, seen) = watch::channel(ElectionView { standing: "not-yet", ..ElectionView::default() });
    let election_loop = Loop {
        elector: Elector::new(election.identity.clone(), election.timings),
        lease: LeaseClient::new(client, election, clock),
        leadership,
        announcer,
        metrics,
        started: Instant::now(),
        standing: Standing::NotYet,
        trouble: None,
        view,
    };
    Driver { stop, task: tokio::spawn(election_loop.run(stopped)), view: seen }
}

// === impl Driver ===

impl Driver {
    /// Where it stands, now and whenever that changes.
    pub fn view(&self) -> watch::Receiver<ElectionView> {
        self.view.clone()
    }

    /// Ends the election. `release`: our JobManager has ended, so the Lease is given up; otherwise it expires.
    pub async fn stop(self, release: bool, limit: Duration) {
        let farewell = if release { Farewell::Release } else { Farewell::Keep };
        // An election that ended by itself has nothing to give up.
        if self.stop.send(farewell).is_ok() && tokio::time::timeout(limit, self.task).await.is_err() {
            tracing::warn!(
                event = "lease-not-released",
                "the API server did not answer; the Lease will expire"
            );
        }
    }
}

// === impl Loop ===

impl Loop {
    async fn run(mut self, mut stopped: oneshot::Receiver<Farewell>) {
        let mut next = None;
        let farewell = loop {
            // Between any two requests: a server that keeps us busy must not keep us from stopping.
            match stopped.try_recv() {
                Ok(farewell) => break farewell,
                Err(TryRecvError::Closed) => break Farewell::Keep,
                Err(TryRecvError::Empty) => {}
            }
            if self.leadership.view().over {
                break Farewell::Release;
            }
            next = match next {
                Some(action) => self.ask_and_step(action).await,
                None => {
                    tokio::select! {
                        biased;
                        farewell = &mut stopped => break farewell.unwrap_or(Farewell::Keep),
                        () = self.sleep() => {}
                    }
                    self.step(Observation::Tick).await
                }
            };
        };
        if farewell == Farewell::Release {
            self.release(next).await;
        }
    }

    /// Until it is given up; whoever stops us sets the limit. A request that the elector waits for is still made.
    async fn release(&mut self, mut next: Option<Action>) {
        next = self.step(Observation::Release).await.or(next);
        loop {
            next = match next {
                Some(action) => self.ask_and_step(action).await,
                None if self.elector.released() => return,
                None => {
                    self.sleep().await;
                    self.step(Observation::Tick).await
                }
            };
        }
    }

    async fn sleep(&self) {
        let wake_at = self.elector.next_tick_ms().map(|ms| self.started + Duration::from_millis(ms));
        tokio::time::sleep_until(wake_at.unwrap_or_else(Instant::now)).await;
    }

    async fn step(&mut self, observation: Observation) -> Option<Action> {
        let next = self.elector.step(self.now_ms(), observation);
        self.tell().await;
        next
    }

    async fn ask_and_step(&mut self, action: Action) -> Option<Action> {
        let observation = self.ask(&action).await;
        self.note(&action, &observation).await;
        let next = self.step(observation).await;
        self.note_trouble();
        next
    }

    async fn ask(&mut self, action: &Action) -> Observation {
        let sent_ms = self.now_ms();
        let epoch = self.leadership.view().owned;
        match action {
            Action::Read => self.lease.read(sent_ms).await,
            Action::Create { .. } => self.lease.create(sent_ms, epoch).await,
            Action::Hold { version, .. } => self.lease.update(sent_ms, version, epoch).await,
            Action::Release { version } => self.lease.release(sent_ms, version).await,
            Action::LookAtPod { holder } => self.lease.look_at_pod(holder.clone()).await,
        }
    }

    async fn note(&self, action: &Action, observation: &Observation) {
        match (action, observation) {
            (Action::Create { why } | Action::Hold { why, .. }, Observation::Written { sent_ms, .. }) => {
                let seconds = (self.now_ms() - sent_ms) as f64 / 1_000.0;
                self.metrics.renewed(seconds);
                self.taken(why);
                self.leadership.lease_renewed(self.started + Duration::from_millis(*sent_ms)).await;
            }
            (Action::Release { .. }, Observation::Written { .. }) => {
                tracing::info!(event = "lease-released", "the Lease is given up: the next pod need not wait");
            }
            _ => {}
        }
    }

    /// Said once for as long as it lasts.
    fn note_trouble(&mut self) {
        let trouble = self.elector.trouble();
        if let Some(reason) = trouble.filter(|_| trouble != self.trouble.as_deref()) {
            tracing::warn!(event = "api-server-trouble", "{reason}; what is granted goes on");
        }
        self.trouble = trouble.map(str::to_owned);
    }

    fn taken(&self, why: &Taking) {
        if *why == Taking::Renewal {
            return;
        }
        self.metrics.lease_taken();
        tracing::info!(event = "lease-taken", "the Lease is ours: {why}");
        if let Taking::Evidence { .. } = why {
            self.announcer
                .announce(Reason::TakeoverOnEvidence, &format!("took the Lease before it expired: {why}"));
        }
    }

    /// Tells everybody where we stand, if that has changed.
    async fn tell(&mut self) {
        let now_ms = self.now_ms();
        let standing = self.elector.standing(now_ms);
        let expires_in_ms = self.elector.expires_in_ms(now_ms);
        self.metrics.lease(standing == Standing::Ours, expires_in_ms);
        self.view.send_replace(ElectionView {
            standing: word(&standing),
            holder: match &standing {
                Standing::Others { holder } => Some(holder.clone()),
                _ => None,
            },
            trouble: self.elector.trouble().map(str::to_owned),
            expires_in_ms,
        });
        // Of a generation that is over, that is the reason why nobody is granted, and not where the Lease is.
        let changed = std::mem::discriminant(&standing) != std::mem::discriminant(&self.standing);
        if changed && !self.leadership.view().over {
            let candidacy = match &standing {
                Standing::Ours => Candidacy::MayLead,
                Standing::NotYet => Candidacy::MayKeep { reason: "the Lease is not ours yet".into() },
                Standing::Unconfirmed { reason } => {
                    Candidacy::MayKeep { reason: format!("the Lease could not be renewed in time: {reason}") }
                }
                Standing::Others { holder } => {
                    Candidacy::MustNotLead { reason: format!("the Lease is held by {holder}") }
                }
            };
            self.leadership.elected(candidacy).await;
        }
        self.standing = standing;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .expect("the process runs for less than 500 million years")
    }
}

fn word(standing: &Standing) -> &'static str {
    match standing {
        Standing::NotYet => "not-yet",
        Standing::Ours => "ours",
        Standing::Unconfirmed { .. } => "unconfirmed",
        Standing::Others { .. } => "others",
    }
}
