//! Who is granted leadership: a pure state machine.
//!
//! It hears what happened ([`Observation`]) and answers what to do ([`Action`]); it never waits, never
//! asks a clock and never touches the store. The driver is [`crate::leadership`].
//!
//! Its rules:
//!
//! * At most one session is granted at a time, and only under an epoch that the store has confirmed.
//! * One question to the store is open at a time, so its answers cannot overtake each other.
//! * A session that led before the sidecar restarted goes first and keeps its epoch: a healthy job
//!   must not notice the restart (promise P6). So one that waited before has to wait a moment for whoever led then.
//! * Between two grants of one session there is a revocation. Flink's `DefaultLeaderElectionService`
//!   ends the process otherwise (`onGrantLeadershipInternal` checks it).
//! * Once deposed, nothing is granted until the election says again that this process may lead, or the Lease turns out
//!   to be still ours: whoever deposed us then claimed without it, and will not lead. Two that depose each other
//!   although both hold a Lease (two clusters, one store) do so ever more rarely.
//! * Nobody is granted before it is known, and durable, what is restored under the grant.
//! * An election that cannot tell takes nothing away: only another's leadership does.

use std::fmt;

use ha_store::{Epoch, SessionId};

/// What happened since the last step.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Observation {
    /// A JobManager opened a stream. `resume` is the epoch under which it says that it leads; `waited`, that it had a stream
    /// before and did not lead.
    Opened { session: SessionId, attachment: Attachment, resume: Option<Epoch>, waited: bool },
    /// A stream ended: the process is gone, or its connection is.
    Closed { session: SessionId, attachment: Attachment },
    /// The election says that this process may lead.
    MayLead,
    /// The election cannot tell at the moment, and why: what is granted stays, nothing new is granted.
    MayKeep { reason: String },
    /// The election says that this process must not lead, and why.
    MustNotLead { reason: String },
    /// The Lease was renewed by a write that was sent then.
    LeaseRenewed { sent_ms: u64 },
    /// The store recorded the claim.
    Claimed { session: SessionId, epoch: Epoch },
    /// The store confirmed that the epoch is still the newest, and this process adopted it.
    Resumed { session: SessionId, epoch: Epoch },
    /// The store says that the epoch to be resumed is not the newest any more.
    ResumeRefused { session: SessionId, epoch: Epoch, detail: String },
    /// The store did not answer a claim or a resumption. Nothing is decided by that.
    StoreUnavailable { detail: String },
    /// Nothing can be restored as it is wished, and why: nobody is granted. It is tried again, because a missing file may
    /// come back.
    RestoreRefused { reason: String },
    /// The store holds a newer epoch than ours.
    Deposed { detail: String },
    /// The process was asked to stop: nothing new is granted, what is granted stays.
    Stopping,
    /// Time passed.
    Tick,
}

/// What the driver must do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Action {
    /// Make sure of what is to be restored, and ask the store for a new epoch on behalf of this session.
    Claim { session: SessionId },
    /// Ask the store whether this session's epoch is still the newest, and adopt it.
    Resume { session: SessionId, epoch: Epoch },
    /// Tell the session that it leads.
    Grant { session: SessionId, epoch: Epoch, resumed: bool },
    /// Tell the session that it does not lead any more.
    Revoke { session: SessionId, epoch: Epoch, reason: RevokeReason, detail: String },
    /// Tell the session why it is not granted yet.
    Wait { session: SessionId, reason: String },
    /// The leader's session is over: its published addresses are on borrowed time.
    LeaderLost { session: SessionId, epoch: Epoch },
}

/// Tells one stream of a session from the next one, because the end of the first may be noticed after
/// the second was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment(pub u64);

/// Why leadership was taken away, as the protocol names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeReason {
    /// A newer epoch is in the store.
    Fenced,
    /// The election went to somebody else.
    LeaseLost,
}

/// The leader, as far as this process knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The granted session.
    pub session: SessionId,
    /// The epoch under which it was granted.
    pub epoch: Epoch,
}

/// The state machine. `now_ms` is monotonic and has no meaning but its differences.
#[derive(Debug)]
pub struct Sessions {
    candidacy: Candidacy,
    /// Another process leads, or is about to: the election or the store said so, and neither took it back.
    elsewhere: bool,
    open: Vec<Session>,
    leader: Option<Leader>,
    asked: Option<Asked>,
    retry: Retry,
    /// Why nothing could be restored the last time, until it can.
    refusal: Option<String>,
    quarrel: Quarrel,
}

#[derive(Debug)]
struct Session {
    id: SessionId,
    attachment: Attachment,
    /// The epoch that it wants to go on under; cleared once that was decided.
    resume: Option<Epoch>,
    /// Nothing is claimed for it before.
    not_before_ms: u64,
    /// The last reason that it was given for waiting, so that it is told once.
    told: Option<String>,
}

#[derive(Debug)]
enum Candidacy {
    NotYet(String),
    MayLead,
    Deposed {
        detail: String,
        since_ms: u64,
        /// Even with the Lease, nothing is claimed before.
        not_before_ms: u64,
    },
    Stopping,
}

/// The one question that the store has not answered yet.
#[derive(Debug)]
enum Asked {
    Claim(SessionId),
    Resume(SessionId, Epoch),
}

/// When to ask the store again after it did not answer.
#[derive(Debug)]
struct Retry {
    not_before_ms: u64,
    delay_ms: u64,
}

/// How often this process was deposed by one that did not hold the Lease, and when it last was.
#[derive(Debug, Default)]
struct Quarrel {
    delay_ms: u64,
    last_ms: Option<u64>,
}

/// How long the second claim of a quarrel waits; it doubles up to the maximum, and begins anew after that much peace.
const QUARREL_FIRST_MS: u64 = 60_000;
const QUARREL_MAX_MS: u64 = 600_000;
/// How long a refused restore waits before it is planned again.
const REFUSED_RETRY_MS: u64 = 5_000;
/// How long a process that waited for leadership before its stream broke leaves the one that led to come back first. An adapter
/// has a new stream within 2 s.
const HEAD_START_MS: u64 = 3_000;
const RETRY_FIRST_MS: u64 = 250;
const RETRY_MAX_MS: u64 = 4_000;

// === impl Sessions ===

impl Default for Sessions {
    fn default() -> Self {
        Self {
            candidacy: Candidacy::NotYet("the election has not been decided yet".into()),
            elsewhere: false,
            open: Vec::new(),
            leader: None,
            asked: None,
            retry: Retry::default(),
            refusal: None,
            quarrel: Quarrel::default(),
        }
    }
}

impl Sessions {
    /// Takes one observation and answers with what follows from it, in order.
    pub fn step(&mut self, now_ms: u64, observation: Observation) -> Vec<Action> {
        let mut actions = Vec::new();
        self.observe(now_ms, observation, &mut actions);
        self.ask_the_store(now_ms, &mut actions);
        self.explain_waiting(&mut actions);
        actions
    }

    /// The granted session, if there is one.
    pub fn leader(&self) -> Option<&Leader> {
        self.leader.as_ref()
    }

    /// Whether this very stream is the session's present one.
    pub fn knows(&self, session: &SessionId, attachment: Attachment) -> bool {
        self.open.iter().any(|s| s.id == *session && s.attachment == attachment)
    }

    /// Why nothing would be granted to a JobManager that came now; `None` if it would be.
    pub fn obstacle(&self) -> Option<&str> {
        match &self.candidacy {
            Candidacy::MayLead => self.refusal.as_deref(),
            Candidacy::NotYet(reason) | Candidacy::Deposed { detail: reason, .. } => Some(reason),
            Candidacy::Stopping => Some("this sidecar is stopping"),
        }
    }

    /// Whether the store said that a newer epoch than ours exists, and nothing was granted since.
    pub fn is_deposed(&self) -> bool {
        matches!(self.candidacy, Candidacy::Deposed { .. })
    }

    /// Whether whoever looks for the leader should look elsewhere: another process was elected or has claimed.
    pub fn leads_elsewhere(&self) -> bool {
        self.elsewhere && self.leader.is_none()
    }

    /// When to call [`Sessions::step`] with [`Observation::Tick`] at the latest.
    pub fn next_tick_ms(&self) -> Option<u64> {
        let earliest_ms = self.candidates().map(|session| session.not_before_ms).min()?;
        let wants_store = self.leader.is_none() && self.asked.is_none();
        wants_store.then_some(self.retry.not_before_ms.max(earliest_ms))
    }

    fn observe(&mut self, now_ms: u64, observation: Observation, actions: &mut Vec<Action>) {
        match observation {
            Observation::Opened { session, attachment, resume, waited } => {
                let not_before_ms = if waited { now_ms + HEAD_START_MS } else { 0 };
                let newcomer = Session { id: session, attachment, resume, not_before_ms, told: None };
                self.opened(newcomer, actions);
            }
            Observation::Closed { session, attachment } => self.closed(&session, attachment, actions),
            Observation::MayLead if matches!(self.candidacy, Candidacy::Stopping) => {}
            Observation::MayLead => {
                self.candidacy = Candidacy::MayLead;
                self.elsewhere = false;
            }
            Observation::MayKeep { reason }
                if matches!(self.candidacy, Candidacy::MayLead | Candidacy::NotYet(_)) =>
            {
                self.candidacy = Candidacy::NotYet(reason);
            }
            Observation::MayKeep { .. } => {}
            Observation::MustNotLead { reason } => {
                self.depose(RevokeReason::LeaseLost, &reason, actions);
                self.candidacy = Candidacy::NotYet(reason);
                self.elsewhere = true;
            }
            Observation::Deposed { detail } => {
                self.depose(RevokeReason::Fenced, &detail, actions);
                let not_before_ms = now_ms + self.quarrel.next_delay_ms(now_ms);
                self.candidacy = Candidacy::Deposed { detail, since_ms: now_ms, not_before_ms };
                self.elsewhere = true;
            }
            Observation::LeaseRenewed { sent_ms } => {
                if let Candidacy::Deposed { since_ms, not_before_ms, .. } = self.candidacy
                    && sent_ms > since_ms
                    && now_ms >= not_before_ms
                {
                    self.candidacy = Candidacy::MayLead;
                    self.elsewhere = false;
                }
            }
            Observation::Claimed { session, epoch } => {
                assert!(matches!(&self.asked, Some(Asked::Claim(s)) if *s == session), "an unasked claim");
                self.store_answered();
                self.grant(session, epoch, false, actions);
            }
            Observation::Resumed { session, epoch } => {
                assert!(
                    matches!(&self.asked, Some(Asked::Resume(s, e)) if *s == session && *e == epoch),
                    "an unasked resumption"
                );
                self.store_answered();
                self.grant(session, epoch, true, actions);
            }
            Observation::ResumeRefused { session, epoch, detail } => {
                self.store_answered();
                self.refuse_resumption(&session, epoch, detail, actions);
            }
            Observation::StoreUnavailable { .. } => {
                self.asked = None;
                self.retry.later(now_ms);
            }
            Observation::RestoreRefused { reason } => {
                self.asked = None;
                self.refusal = Some(reason);
                self.retry.not_before_ms = now_ms + REFUSED_RETRY_MS;
            }
            Observation::Stopping => self.candidacy = Candidacy::Stopping,
            Observation::Tick => {}
        }
    }

    fn opened(&mut self, mut newcomer: Session, actions: &mut Vec<Action>) {
        let session = newcomer.id.clone();
        self.open.retain(|other| other.id != session);
        match (self.leader.clone(), newcomer.resume) {
            // Its old stream broke a moment ago and nobody has been granted since: it still leads.
            (Some(leader), Some(epoch)) if leader.session == session && leader.epoch == epoch => {
                newcomer.resume = None;
                actions.push(Action::Grant { session, epoch, resumed: true });
            }
            // Somebody else leads under a newer epoch: decided without asking the store.
            (Some(leader), Some(epoch)) => {
                newcomer.resume = None;
                let detail = format!("epoch {epoch} was followed by epoch {}", leader.epoch);
                actions.push(Action::Revoke { session, epoch, reason: RevokeReason::Fenced, detail });
            }
            _ => {}
        }
        self.open.push(newcomer);
    }

    fn closed(&mut self, session: &SessionId, attachment: Attachment, actions: &mut Vec<Action>) {
        let before = self.open.len();
        self.open.retain(|s| !(s.id == *session && s.attachment == attachment));
        let is_leader = self.leader.as_ref().is_some_and(|leader| leader.session == *session);
        // An older stream of a session that has a newer one says nothing.
        if self.open.len() < before && is_leader {
            self.lose_leader(actions);
        }
    }

    fn depose(&mut self, reason: RevokeReason, detail: &str, actions: &mut Vec<Action>) {
        if let Some(Leader { session, epoch }) = self.leader.clone() {
            actions.push(Action::Revoke { session, epoch, reason, detail: detail.to_owned() });
            self.lose_leader(actions);
        }
    }

    fn lose_leader(&mut self, actions: &mut Vec<Action>) {
        if let Some(Leader { session, epoch }) = self.leader.take() {
            actions.push(Action::LeaderLost { session, epoch });
        }
    }

    fn refuse_resumption(
        &mut self,
        session: &SessionId,
        epoch: Epoch,
        detail: String,
        actions: &mut Vec<Action>,
    ) {
        if let Some(waiting) = self.open.iter_mut().find(|s| s.id == *session) {
            waiting.resume = None;
            let reason = RevokeReason::Fenced;
            actions.push(Action::Revoke { session: session.clone(), epoch, reason, detail });
        }
    }

    /// The store has confirmed `epoch` for `session`. The session may be gone by now, or the election lost:
    /// then the epoch belongs to nobody, and the next session gets another one. Whoever leads elsewhere is deposed by it,
    /// and claims again once its Lease is renewed.
    fn grant(&mut self, session: SessionId, epoch: Epoch, resumed: bool, actions: &mut Vec<Action>) {
        assert!(self.leader.is_none(), "two sessions granted at once");
        // Going on under an epoch that the store has just confirmed takes nothing from anybody.
        let allowed = resumed || matches!(self.candidacy, Candidacy::MayLead);
        let Some(waiting) = self.open.iter_mut().find(|s| s.id == session).filter(|_| allowed) else {
            return;
        };
        waiting.resume = None;
        waiting.told = None;
        self.leader = Some(Leader { session: session.clone(), epoch });
        actions.push(Action::Grant { session, epoch, resumed });
    }

    fn store_answered(&mut self) {
        self.asked = None;
        self.refusal = None;
        self.retry = Retry::default();
    }

    fn ask_the_store(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.leader.is_some() || self.asked.is_some() || now_ms < self.retry.not_before_ms {
            return;
        }
        let Some(next) = self.next_to_serve(now_ms) else { return };
        let session = next.id.clone();
        match next.resume {
            Some(epoch) => {
                self.asked = Some(Asked::Resume(session.clone(), epoch));
                actions.push(Action::Resume { session, epoch });
            }
            None => {
                self.asked = Some(Asked::Claim(session.clone()));
                actions.push(Action::Claim { session });
            }
        }
    }

    /// Whoever led before goes first.
    fn next_to_serve(&self, now_ms: u64) -> Option<&Session> {
        let resuming = self.candidates().find(|session| session.resume.is_some());
        resuming.or_else(|| self.candidates().find(|session| session.not_before_ms <= now_ms))
    }

    /// For whom the store may be asked. For those that led before it is, whatever the election says: only the store can tell
    /// whether they still lead.
    fn candidates(&self) -> impl Iterator<Item = &Session> {
        self.open.iter().filter(|session| match self.candidacy {
            Candidacy::MayLead => true,
            Candidacy::NotYet(_) | Candidacy::Deposed { .. } => session.resume.is_some(),
            Candidacy::Stopping => false,
        })
    }

    fn explain_waiting(&mut self, actions: &mut Vec<Action>) {
        let leader = self.leader.as_ref().map(|leader| leader.session.clone());
        let asked_for = match &self.asked {
            Some(Asked::Claim(session) | Asked::Resume(session, _)) => Some(session.clone()),
            None => None,
        };
        let obstacle = self.obstacle().map(str::to_owned);
        for session in &mut self.open {
            let is_served = [&leader, &asked_for].iter().any(|id| id.as_ref() == Some(&session.id));
            if is_served {
                continue;
            }
            let reason = match (&obstacle, &leader) {
                (Some(obstacle), _) => obstacle.clone(),
                (None, Some(_)) => "another JobManager is granted; this one is a standby".to_owned(),
                (None, None) if asked_for.is_none() => {
                    "the JobManager that led before may come back".to_owned()
                }
                (None, None) => "the store has not confirmed an epoch yet".to_owned(),
            };
            if session.told.as_ref() != Some(&reason) {
                session.told = Some(reason.clone());
                actions.push(Action::Wait { session: session.id.clone(), reason });
            }
        }
    }
}

// === impl Retry ===

impl Default for Retry {
    fn default() -> Self {
        Self { not_before_ms: 0, delay_ms: RETRY_FIRST_MS }
    }
}

impl Retry {
    fn later(&mut self, now_ms: u64) {
        self.not_before_ms = now_ms + self.delay_ms;
        self.delay_ms = (self.delay_ms * 2).min(RETRY_MAX_MS);
    }
}

// === impl Quarrel ===

impl Quarrel {
    /// None for the first, so that one stray claim costs one renewal; more and more for those that follow soon.
    fn next_delay_ms(&mut self, now_ms: u64) -> u64 {
        let at_peace = self.last_ms.is_none_or(|last_ms| now_ms - last_ms > 2 * QUARREL_MAX_MS);
        self.last_ms = Some(now_ms);
        self.delay_ms = match self.delay_ms {
            _ if at_peace => 0,
            delay_ms => (2 * delay_ms).clamp(QUARREL_FIRST_MS, QUARREL_MAX_MS),
        };
        self.delay_ms
    }
}

impl RevokeReason {
    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fenced => "fenced",
            Self::LeaseLost => "lease-lost",
        }
    }
}

impl fmt::Display for RevokeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests;
