//! The task behind a [`Leadership`](super::Leadership) handle.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use ha_store::{Clock, Entropy, Epoch, SessionId, Store, StoreError, View};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior};

use super::journal::Journal;
use super::preparing::{NotPrepared, Preparing};
use super::{
    Attached, Candidacy, Command, LeadershipView, OpenError, OpenSession, Opening, Options, PublishError,
    Pulse, SESSION_EVENTS_MAX, SessionEvent, restore,
};
use crate::election::Reason;
use crate::leaders::{Leaders, LeadersView};
use crate::metrics::Metrics;
use crate::sessions::{Action, Attachment, Observation, RevokeReason, Sessions};

pub(super) struct Actor {
    store: Store,
    options: Options,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    metrics: Arc<Metrics>,
    started: Instant,
    sessions: Sessions,
    leaders: Leaders,
    /// The open streams. Dropping a sender ends its stream.
    streams: BTreeMap<SessionId, Stream>,
    attachments: u64,
    owned: Option<Epoch>,
    store_trouble: Option<String>,
    /// Our generation is over.
    over: bool,
    /// Why the last grant was refused, as it was announced.
    refused: Option<String>,
    journal: Journal,
    /// Answers that are on their way: from the store, and from streams that end.
    pending: FuturesUnordered<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    view_out: watch::Sender<LeadershipView>,
    leaders_out: watch::Sender<Option<LeadersView>>,
    stopping: bool,
}

/// Our end of a JobManager's stream.
struct Stream {
    attachment: Attachment,
    events: mpsc::Sender<SessionEvent>,
    process: String,
    pulse: Arc<Pulse>,
}

/// What one of the pending futures found.
enum Answer {
    StreamEnded(SessionId, Attachment),
    Claimed(SessionId, Result<Epoch, NotPrepared>),
    Resumed(SessionId, Epoch, Result<(), StoreError>),
    Checked(Epoch, Result<Arc<View>, StoreError>),
}

impl Actor {
    pub(super) fn new(
        store: Store,
        options: Options,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        metrics: Arc<Metrics>,
        view_out: watch::Sender<LeadershipView>,
        leaders_out: watch::Sender<Option<LeadersView>>,
    ) -> Self {
        let leaders = Leaders::new(0, options.leader_loss_grace_ms);
        Self {
            store,
            options,
            clock,
            entropy,
            metrics,
            started: Instant::now(),
            sessions: Sessions::default(),
            leaders,
            streams: BTreeMap::new(),
            attachments: 0,
            owned: None,
            store_trouble: None,
            over: false,
            refused: None,
            journal: Journal::default(),
            pending: FuturesUnordered::new(),
            view_out,
            leaders_out,
            stopping: false,
        }
    }

    pub(super) async fn run(mut self, mut inbox: mpsc::Receiver<Command>) {
        let mut fence_check = tokio::time::interval(Duration::from_millis(self.options.retry_period_ms));
        fence_check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut checking = false;
        self.publish_views();
        while !(self.stopping && self.streams.is_empty()) {
            let wake_at = self.next_tick();
            tokio::select! {
                biased;
                Some(answer) = self.pending.next(), if !self.pending.is_empty() => {
                    checking &= !matches!(answer, Answer::Checked(..));
                    self.answered(answer);
                }
                command = inbox.recv() => match command {
                    Some(command) => self.obey(command),
                    None => break,
                },
                _ = fence_check.tick(), if !checking => checking = self.check_the_fence(),
                () = tokio::time::sleep_until(wake_at) => self.observe(Observation::Tick),
            }
            self.publish_views();
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Open { opening, reply } => {
                let opened = self.open(opening);
                // The caller may have gone away; then its receiver is dropped and the stream ends at once.
                let _ = reply.send(opened);
            }
            Command::Close { session, reply } => {
                let attachment = self.streams.remove(&session).map(|stream| stream.attachment);
                if let Some(attachment) = attachment {
                    self.stream_ended(session, attachment, "the JobManager closed its session");
                }
                let _ = reply.send(attachment.is_some());
            }
            Command::Publish { epoch, leaders, reply } => {
                let granted = self.sessions.leader().is_some_and(|leader| leader.epoch == epoch);
                let result = if granted { Ok(()) } else { Err(PublishError::NotGranted { epoch }) };
                if granted {
                    self.leaders.publish(epoch, leaders);
                }
                let _ = reply.send(result);
            }
            Command::Election(Candidacy::MayLead) => {
                self.note("may-lead", "this process may lead".into());
                self.observe(Observation::MayLead);
            }
            Command::Election(Candidacy::MayKeep { reason }) => {
                self.note("may-keep", format!("nothing new is granted, what is granted stays: {reason}"));
                self.observe(Observation::MayKeep { reason });
            }
            Command::Election(Candidacy::MustNotLead { reason }) => {
                self.note("must-not-lead", reason.clone());
                self.observe(Observation::MustNotLead { reason });
            }
            Command::LeaseRenewed { sent } => {
                let sent_ms = u64::try_from(sent.saturating_duration_since(self.started).as_millis());
                self.lease_renewed(sent_ms.unwrap_or(u64::MAX));
            }
            Command::Deposed { epoch, detail } => self.deposed(epoch, &detail),
            Command::Stop => {
                self.note("stopping", "asked to stop: no session is granted any more".into());
                self.stopping = true;
                self.observe(Observation::Stopping);
            }
        }
    }

    fn open(&mut self, opening: Opening) -> Result<Attached, OpenError> {
        let Opening { process, answers_pings, resume, waited } = opening;
        if self.stopping {
            return Err(OpenError::Stopping);
        }
        let replaces = resume.as_ref().is_some_and(|(session, _)| self.streams.contains_key(session));
        if self.streams.len() >= self.options.sessions_max && !replaces {
            return Err(OpenError::TooMany { max: self.options.sessions_max });
        }
        let (session, epoch) = match resume {
            Some((session, epoch)) => (session, Some(epoch)),
            None => (SessionId::random(&*self.entropy), None),
        };
        self.attachments += 1;
        let attachment = Attachment(self.attachments);
        let (sender, events) = mpsc::channel(SESSION_EVENTS_MAX);
        let (guard, ended) = oneshot::channel();
        let name = session.clone();
        self.pending.push(Box::pin(async move {
            // Nothing is ever sent: the guard is dropped with the stream.
            drop(ended.await);
            Answer::StreamEnded(name, attachment)
        }));
        let pulse = Arc::new(Pulse::new(answers_pings));
        let stream = Stream { attachment, events: sender, process, pulse: pulse.clone() };
        self.streams.insert(session.clone(), stream);
        let opened = match epoch {
            Some(epoch) => format!("session {session} is back and wants to go on under epoch {epoch}"),
            None => format!("session {session} opened"),
        };
        self.note("session-opened", opened);
        self.observe(Observation::Opened { session: session.clone(), attachment, resume: epoch, waited });
        Ok(Attached { session, pulse, events, _guard: guard })
    }

    fn answered(&mut self, answer: Answer) {
        match answer {
            // Not known any more: it was closed in order, or replaced by a newer connection.
            Answer::StreamEnded(session, attachment) if !self.sessions.knows(&session, attachment) => {}
            Answer::StreamEnded(session, attachment) => {
                self.streams.remove(&session);
                self.stream_ended(session, attachment, "the connection of the JobManager ended");
            }
            Answer::Claimed(session, Ok(epoch)) => {
                self.own(epoch);
                self.refused = None;
                self.observe(Observation::Claimed { session, epoch });
            }
            Answer::Claimed(_, Err(NotPrepared::Refused(reason))) => self.restore_refused(reason),
            Answer::Claimed(_, Err(NotPrepared::Over(reason))) => {
                self.over = true;
                self.restore_refused(reason);
            }
            Answer::Resumed(session, epoch, Ok(())) => {
                self.own(epoch);
                self.observe(Observation::Resumed { session, epoch });
            }
            Answer::Resumed(session, epoch, Err(error @ StoreError::Fenced { .. })) => {
                let detail = error.to_string();
                self.observe(Observation::ResumeRefused { session, epoch, detail });
            }
            Answer::Claimed(_, Err(NotPrepared::Store(error))) | Answer::Resumed(_, _, Err(error)) => {
                let detail = error.to_string();
                self.store_troubled(&detail);
                self.observe(Observation::StoreUnavailable { detail });
            }
            Answer::Checked(epoch, result) => self.fence_checked(epoch, result),
        }
    }

    /// Shown before anybody is told: a JobManager writes as soon as it hears that it leads.
    fn own(&mut self, epoch: Epoch) {
        self.owned = Some(epoch);
        self.store_trouble = None;
        self.publish_views();
    }

    fn stream_ended(&mut self, session: SessionId, attachment: Attachment, how: &str) {
        self.note("session-ended", format!("session {session}: {how}"));
        self.observe(Observation::Closed { session, attachment });
    }

    /// Asks the store whether our epoch is still the newest. Whoever could replace us must claim there first, so
    /// as long as the answer is yes, or there is none, a healthy job is left alone.
    fn check_the_fence(&mut self) -> bool {
        let Some(leader) = self.sessions.leader() else { return false };
        let (store, epoch) = (self.store.clone(), leader.epoch);
        self.pending.push(Box::pin(async move { Answer::Checked(epoch, store.refresh().await) }));
        true
    }

    fn fence_checked(&mut self, epoch: Epoch, result: Result<Arc<View>, StoreError>) {
        match result {
            Ok(view) => {
                self.store_trouble = None;
                let newest = view.header.as_ref().filter(|newest| newest.epoch >= epoch);
                let other = newest.filter(|newest| newest.incarnation != *self.store.incarnation());
                if let Some(other) = other {
                    self.deposed(epoch, &format!("epoch {epoch} was deposed by epoch {}", other.epoch));
                }
            }
            Err(error @ StoreError::Fenced { .. }) => self.deposed(epoch, &error.to_string()),
            Err(error) => self.store_troubled(&error.to_string()),
        }
    }

    /// What the store says of an epoch that is not granted here any more is no news: it may have been followed by our own.
    fn deposed(&mut self, epoch: Epoch, detail: &str) {
        if self.sessions.leader().is_none_or(|leader| leader.epoch != epoch) {
            return;
        }
        let detail = format!(
            "{detail}: another sidecar of this deployment claimed it. If both are to run, stop one of the two. This one \
             claims again when its Lease is renewed; with --election none, when it is restarted"
        );
        self.journal.alarm(self.clock.wall_ms(), "fenced", detail.clone());
        self.observe(Observation::Deposed { detail });
    }

    fn lease_renewed(&mut self, sent_ms: u64) {
        let deposed = self.sessions.is_deposed();
        self.observe(Observation::LeaseRenewed { sent_ms });
        if deposed && !self.sessions.is_deposed() {
            self.note(
                "may-lead",
                "the Lease is still ours: whoever deposed this process does not hold it".into(),
            );
        }
    }

    /// Said once for each reason: it is tried again every few seconds.
    fn restore_refused(&mut self, reason: String) {
        if self.refused.as_ref() != Some(&reason) {
            self.journal.alarm(self.clock.wall_ms(), "restore-refused", reason.clone());
            self.options.announcer.announce(Reason::RestoreRefused, &reason);
            self.refused = Some(reason.clone());
        }
        self.store_trouble = None;
        self.observe(Observation::RestoreRefused { reason });
    }

    fn store_troubled(&mut self, detail: &str) {
        if self.store_trouble.is_none() {
            tracing::warn!(event = "store-unavailable", "{detail}; what is granted goes on");
        }
        self.store_trouble = Some(detail.to_owned());
    }

    fn observe(&mut self, observation: Observation) {
        let now_ms = self.now_ms();
        for action in self.sessions.step(now_ms, observation) {
            self.act(now_ms, action);
        }
        let leader = self.sessions.leader().map(|leader| leader.epoch);
        self.leaders.tick(now_ms, leader);
    }

    fn act(&mut self, now_ms: u64, action: Action) {
        match action {
            Action::Claim { session } => self.claim(session),
            Action::Resume { session, epoch } => {
                let store = self.store.clone();
                self.pending.push(Box::pin(async move {
                    let result = store.resume(&session, epoch).await.map(|_| ());
                    Answer::Resumed(session, epoch, result)
                }));
            }
            Action::Grant { session, epoch, resumed } => {
                let how = if resumed { "goes on" } else { "was granted leadership" };
                self.note("granted", format!("session {session} {how} under epoch {epoch}"));
                self.metrics.granted(resumed);
                if resumed {
                    self.leaders.leader_resumed(epoch);
                } else {
                    let message = format!("a JobManager was granted leadership under epoch {epoch}");
                    self.options.announcer.announce(Reason::LeaderElected, &message);
                    let plan = restore::in_words(&self.store.view().state);
                    self.note("restore-planned", plan.clone());
                    self.options.announcer.announce(Reason::RestorePlanned, &plan);
                }
                self.tell(&session, SessionEvent::Grant { epoch, resumed });
            }
            Action::Revoke { session, epoch, reason, detail } => {
                self.note("revoked", format!("session {session}, epoch {epoch}: {reason}: {detail}"));
                let announced = match reason {
                    RevokeReason::Fenced => Reason::Fenced,
                    RevokeReason::LeaseLost => Reason::LeaseLost,
                };
                self.options.announcer.announce(announced, &format!("epoch {epoch} was revoked: {detail}"));
                self.tell(&session, SessionEvent::Revoke { epoch, reason: reason.as_str(), detail });
            }
            Action::Wait { session, reason } => {
                self.note("waiting", format!("session {session} waits: {reason}"));
                self.tell(&session, SessionEvent::Waiting { reason });
            }
            Action::LeaderLost { session, epoch } => {
                self.note("leader-lost", format!("session {session} of epoch {epoch} is over"));
                self.leaders.leader_lost(now_ms);
            }
        }
    }

    fn claim(&mut self, session: SessionId) {
        let preparing = Preparing {
            store: self.store.clone(),
            snapshots: self.options.snapshots.clone(),
            clock: self.clock.clone(),
            entropy: self.entropy.clone(),
            identity: self.options.identity.clone(),
            generation: self.options.generation.clone(),
            wish: self.options.wish.clone(),
        };
        self.pending.push(Box::pin(async move {
            let result = preparing.prepare(session.clone()).await;
            Answer::Claimed(session, result)
        }));
    }

    /// A stream that does not take its events is as good as gone. Dropping the sender ends it, and its end comes
    /// back as [`Answer::StreamEnded`].
    fn tell(&mut self, session: &SessionId, event: SessionEvent) {
        let Some(stream) = self.streams.get(session) else { return };
        if let Err(mpsc::error::TrySendError::Full(event)) = stream.events.try_send(event) {
            tracing::warn!(
                event = "session-stalled",
                "session {session} does not read; dropping it at {event:?}"
            );
            self.streams.remove(session);
        }
    }

    fn note(&mut self, event: &'static str, detail: String) {
        self.journal.note(self.clock.wall_ms(), event, detail);
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .expect("the process runs for less than 500 million years")
    }

    fn next_tick(&self) -> Instant {
        const AT_LATEST_MS: u64 = 60_000;
        let ticks = [self.sessions.next_tick_ms(), self.leaders.next_tick_ms()];
        let next_ms = ticks.into_iter().flatten().min().unwrap_or(self.now_ms() + AT_LATEST_MS);
        self.started + Duration::from_millis(next_ms)
    }

    fn publish_views(&mut self) {
        let newest = newest_epoch(&self.store.view()).max(self.owned);
        let sessions = self.streams.iter().map(|(session, stream)| OpenSession {
            session: session.clone(),
            process: stream.process.clone(),
            pulse: stream.pulse.clone(),
        });
        let view = LeadershipView {
            leader: self.sessions.leader().cloned(),
            owned: self.owned,
            newest,
            obstacle: self.sessions.obstacle().map(str::to_owned),
            leads_elsewhere: self.sessions.leads_elsewhere(),
            over: self.over,
            store_trouble: self.store_trouble.clone(),
            sessions: sessions.collect(),
            journal: self.journal.snapshot(),
        };
        self.metrics.leadership(view.leader.is_some(), view.owned, view.newest);
        self.metrics.sessions(view.sessions.len());
        self.metrics.store_answers(view.store_trouble.is_none());
        self.view_out.send_replace(view);
        let leaders = self.leaders.view().cloned();
        self.leaders_out.send_if_modified(|published| {
            let changed = *published != leaders;
            *published = leaders;
            changed
        });
    }
}

fn newest_epoch(view: &View) -> Option<Epoch> {
    view.header.as_ref().map(|header| header.epoch)
}
