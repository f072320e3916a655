//! Drives [`crate::sessions`] and [`crate::leaders`]: asks the store, tells the streams, keeps the time.
//!
//! One task owns both state machines; everybody else talks to it through a [`Leadership`] handle and reads
//! its published [`LeadershipView`]. Decisions are made in the machines only. This file must never decide.

mod actor;
mod journal;
mod preparing;
mod pulse;
mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_store::{Clock, Entropy, Epoch, SessionId, Store};
use serde::Serialize;
use snapshot::Stores;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

pub use self::journal::Entry;
pub use self::pulse::Pulse;
use crate::election::Announcer;
use crate::leaders::{Address, LeadersView};
use crate::metrics::Metrics;
use crate::planner::Wish;
use crate::sessions::Leader;

/// What the driver needs to know.
#[derive(Debug, Clone)]
pub struct Options {
    /// Who claims, in words: a pod's UID or a host name. For people only.
    pub identity: String,
    /// The rollout; see `--generation`.
    pub generation: String,
    /// How long a lost leader's addresses stay published.
    pub leader_loss_grace_ms: u64,
    /// How often the store is asked whether our epoch is still the newest.
    pub retry_period_ms: u64,
    /// How many JobManager streams may be open at once.
    pub sessions_max: usize,
    /// What a new generation restores.
    pub wish: Wish,
    /// Where the files of snapshots are.
    pub snapshots: Arc<Stores>,
    /// Where people are told.
    pub announcer: Announcer,
}

/// A line of a JobManager's stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[allow(missing_docs)] // the fields are described in docs/protocol.md
pub enum SessionEvent {
    Waiting { reason: String },
    Grant { epoch: Epoch, resumed: bool },
    Revoke { epoch: Epoch, reason: &'static str, detail: String },
}

/// What anybody may know about leadership here.
#[derive(Debug, Clone, Default)]
pub struct LeadershipView {
    /// The granted session.
    pub leader: Option<Leader>,
    /// The last epoch that this process claimed or adopted. It outlives the session, because Flink cleans up
    /// after it has given up leadership.
    pub owned: Option<Epoch>,
    /// The newest epoch seen in the store, whoever owns it.
    pub newest: Option<Epoch>,
    /// Why a JobManager that came now would not be granted.
    pub obstacle: Option<String>,
    /// Another process leads, as far as this one knows.
    pub leads_elsewhere: bool,
    /// Another generation has followed this one, so nobody is granted here any more: whoever may be needs the Lease.
    pub over: bool,
    /// Whether the store answered the last time it was asked, and what it said if not.
    pub store_trouble: Option<String>,
    /// Open JobManager streams, one for each session.
    pub sessions: Vec<OpenSession>,
    /// The last decisions, newest last.
    pub journal: Arc<Vec<Entry>>,
}

/// One open JobManager stream.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// The session.
    pub session: SessionId,
    /// What its process calls itself.
    pub process: String,
    /// Whether the process answers.
    pub pulse: Arc<Pulse>,
}

/// What a JobManager says when it opens its stream.
#[derive(Debug, Clone)]
pub struct Opening {
    /// What its process calls itself.
    pub process: String,
    /// It answers pings.
    pub answers_pings: bool,
    /// The session and epoch that it was granted before its last connection broke.
    pub resume: Option<(SessionId, Epoch)>,
    /// It had a stream before, and did not lead when that broke.
    pub waited: bool,
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Leadership {
    commands: mpsc::Sender<Command>,
    view: watch::Receiver<LeadershipView>,
    leaders: watch::Receiver<Option<LeadersView>>,
}

/// The far end of a JobManager's stream. Dropping it ends the session's attachment.
#[derive(Debug)]
pub struct Attached {
    /// The session's id: its old one when it resumed.
    pub session: SessionId,
    /// Told of every ping.
    pub pulse: Arc<Pulse>,
    /// What to send; its end is the end of the stream.
    pub events: mpsc::Receiver<SessionEvent>,
    _guard: oneshot::Sender<std::convert::Infallible>,
}

/// Why a stream was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// `sessions_max` are open.
    #[error("{max} JobManager streams are open already, which is the limit (--max-sessions)")]
    TooMany {
        /// The limit.
        max: usize,
    },
    /// The process is going down.
    #[error("the sidecar is stopping")]
    Stopping,
}

/// Why addresses were not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The epoch is not the granted one.
    #[error("epoch {epoch} is not granted here")]
    NotGranted {
        /// The caller's epoch.
        epoch: Epoch,
    },
    /// The process is going down.
    #[error("the sidecar is stopping")]
    Stopping,
}

#[derive(Debug)]
enum Command {
    Open {
        opening: Opening,
        reply: oneshot::Sender<Result<Attached, OpenError>>,
    },
    Close {
        session: SessionId,
        reply: oneshot::Sender<bool>,
    },
    Publish {
        epoch: Epoch,
        leaders: BTreeMap<String, Address>,
        reply: oneshot::Sender<Result<(), PublishError>>,
    },
    Election(Candidacy),
    LeaseRenewed {
        sent: Instant,
    },
    Deposed {
        epoch: Epoch,
        detail: String,
    },
    Stop,
}

/// What an election says. `--election none` says [`Candidacy::MayLead`] once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidacy {
    /// This process may lead.
    MayLead,
    /// It cannot tell at the moment: what is granted stays, nothing new is granted.
    MayKeep {
        /// Why, for people.
        reason: String,
    },
    /// It must not.
    MustNotLead {
        /// Why, for people.
        reason: String,
    },
}

const COMMANDS_MAX: usize = 256;
const SESSION_EVENTS_MAX: usize = 32;

// === impl Leadership ===

impl Leadership {
    /// Starts the task. It ends after [`Leadership::stop`], when the last JobManager's stream is gone.
    pub fn start(
        store: Store,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
    ) -> (Self, tokio::task::JoinHandle<()>) {
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (view_out, view) = watch::channel(LeadershipView::default());
        let (leaders_out, leaders) = watch::channel(None);
        let actor = actor::Actor::new(store, options, clock, entropy, metrics, view_out, leaders_out);
        let task = tokio::spawn(actor.run(inbox));
        (Self { commands, view, leaders }, task)
    }

    /// What is known now.
    pub fn view(&self) -> LeadershipView {
        self.view.borrow().clone()
    }

    /// The published addresses, now and whenever they change; `None` while they are not known.
    pub fn leaders(&self) -> watch::Receiver<Option<LeadersView>> {
        self.leaders.clone()
    }

    /// A JobManager opened a stream.
    pub async fn open(&self, opening: Opening) -> Result<Attached, OpenError> {
        self.ask(|reply| Command::Open { opening, reply }).await.unwrap_or(Err(OpenError::Stopping))
    }

    /// A JobManager gave up its session. `false`: there is no such session.
    pub async fn close(&self, session: SessionId) -> bool {
        self.ask(|reply| Command::Close { session, reply }).await.unwrap_or(false)
    }

    /// The leader of `epoch` says where its components are.
    pub async fn publish(
        &self,
        epoch: Epoch,
        leaders: BTreeMap<String, Address>,
    ) -> Result<(), PublishError> {
        self.ask(|reply| Command::Publish { epoch, leaders, reply })
            .await
            .unwrap_or(Err(PublishError::Stopping))
    }

    /// The election's word.
    pub async fn elected(&self, candidacy: Candidacy) {
        self.tell(Command::Election(candidacy)).await;
    }

    /// The Lease was renewed by a write that was sent then. Whoever deposed us before that did not hold it.
    pub async fn lease_renewed(&self, sent: Instant) {
        self.tell(Command::LeaseRenewed { sent }).await;
    }

    /// The store answered a write under `epoch` with somebody else's epoch.
    pub async fn deposed(&self, epoch: Epoch, detail: String) {
        self.tell(Command::Deposed { epoch, detail }).await;
    }

    /// Grants nothing any more; what is granted stays until its process ends.
    pub async fn stop(&self) {
        self.tell(Command::Stop).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.ok()?;
        answer.await.ok()
    }

    async fn tell(&self, command: Command) {
        if self.commands.send(command).await.is_err() {
            tracing::debug!("leadership has stopped already");
        }
    }
}
