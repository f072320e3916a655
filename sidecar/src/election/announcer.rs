//! Kubernetes Events: what an operator sees in `kubectl describe pod`.
//!
//! Best effort, and never in anybody's way: a bounded queue, a limited rate for each reason, and a failure is logged
//! and forgotten.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ha_store::Clock;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, PostParams};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::LeaseElection;
use super::refusal::Refusal;

/// A stable word for scripts and alerts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A JobManager of this pod was granted leadership.
    LeaderElected,
    /// The Lease went to another pod.
    LeaseLost,
    /// The Lease was taken before it expired, because its holder cannot be running.
    TakeoverOnEvidence,
    /// What the JobManager that was granted leadership is going to restore.
    RestorePlanned,
    /// What would have to be restored is damaged, so nobody is granted anything.
    RestoreRefused,
    /// A newer epoch deposed ours.
    Fenced,
}

/// An Event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// What happened.
    pub reason: Reason,
    /// For people.
    pub message: String,
}

/// Takes announcements from anywhere. The default one forgets them: there is no Kubernetes to tell.
#[derive(Debug, Clone, Default)]
pub struct Announcer {
    queue: Option<mpsc::Sender<Announcement>>,
}

const QUEUE_MAX: usize = 64;

/// Of one reason, at most so many in a row, and one more each so often.
const BURST: u32 = 5;
const REFILL: Duration = Duration::from_secs(30);

const CALL_TIMEOUT: Duration = Duration::from_secs(5);

// === impl Announcer ===

impl Announcer {
    /// Writes Events about the pod of `election` until the announcer and its clones are gone.
    pub fn start(client: kube::Client, election: &LeaseElection, clock: Arc<dyn Clock>) -> Self {
        let (queue, inbox) = mpsc::channel(QUEUE_MAX);
        let events = Api::namespaced(client, &election.namespace);
        tokio::spawn(write(events, election.clone(), clock, inbox));
        Self { queue: Some(queue) }
    }

    /// Writes one Event and waits for it: the last word of a process that is not going to start. No limit holds it
    /// back but that of the kubelet, which waits longer before each restart.
    pub async fn last_word(
        client: kube::Client,
        election: &LeaseElection,
        wall_ms: i64,
        reason: Reason,
        message: String,
    ) {
        let events = Api::namespaced(client, &election.namespace);
        post(&events, election, &Announcement { reason, message }, wall_ms).await;
    }

    /// Never waits; a full queue forgets.
    pub fn announce(&self, reason: Reason, message: &str) {
        let Some(queue) = &self.queue else { return };
        if queue.try_send(Announcement { reason, message: message.to_owned() }).is_err() {
            tracing::debug!(?reason, "an Event was not written: too many are waiting");
        }
    }
}

async fn write(
    events: Api<Event>,
    election: LeaseElection,
    clock: Arc<dyn Clock>,
    mut inbox: mpsc::Receiver<Announcement>,
) {
    let mut limits = BTreeMap::<Reason, Limit>::new();
    while let Some(announcement) = inbox.recv().await {
        if !limits.entry(announcement.reason).or_default().allows(Instant::now()) {
            tracing::debug!(reason = ?announcement.reason, "an Event was not written: too many of its kind");
            continue;
        }
        post(&events, &election, &announcement, clock.wall_ms()).await;
    }
}

async fn post(events: &Api<Event>, election: &LeaseElection, announcement: &Announcement, wall_ms: i64) {
    let event = event(election, announcement, wall_ms);
    let parameters = PostParams::default();
    let create = events.create(&parameters, &event);
    match tokio::time::timeout(CALL_TIMEOUT, create).await {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            let what = format!("create events in namespace {:?}", election.namespace);
            tracing::warn!(event = "event-not-written", "{}", Refusal::new(&what, error).message);
        }
        Err(_) => tracing::warn!(event = "event-not-written", "the API server did not take an Event in time"),
    }
}

fn event(election: &LeaseElection, announcement: &Announcement, wall_ms: i64) -> Event {
    let now = Time(Timestamp::from_millisecond(wall_ms).unwrap_or(Timestamp::UNIX_EPOCH));
    let kind = match announcement.reason {
        Reason::LeaderElected | Reason::RestorePlanned | Reason::TakeoverOnEvidence => "Normal",
        Reason::LeaseLost | Reason::RestoreRefused | Reason::Fenced => "Warning",
    };
    Event {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}.", election.pod_name)),
            namespace: Some(election.namespace.clone()),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            name: Some(election.pod_name.clone()),
            namespace: Some(election.namespace.clone()),
            uid: Some(election.identity.clone()),
            ..ObjectReference::default()
        },
        reason: Some(format!("{:?}", announcement.reason)),
        message: Some(announcement.message.clone()),
        type_: Some(kind.into()),
        source: Some(EventSource { component: Some("holdfast".into()), host: None }),
        first_timestamp: Some(now.clone()),
        last_timestamp: Some(now),
        count: Some(1),
        ..Event::default()
    }
}

/// A bucket of tokens.
#[derive(Debug)]
struct Limit {
    tokens: u32,
    filled: Option<Instant>,
}

impl Default for Limit {
    fn default() -> Self {
        Self { tokens: BURST, filled: None }
    }
}

impl Limit {
    fn allows(&mut self, now: Instant) -> bool {
        let filled = *self.filled.get_or_insert(now);
        let refills = u32::try_from((now - filled).as_millis() / REFILL.as_millis()).unwrap_or(u32::MAX);
        if refills > 0 {
            self.tokens = self.tokens.saturating_add(refills).min(BURST);
            self.filled = Some(now);
        }
        let allowed = self.tokens > 0;
        self.tokens = self.tokens.saturating_sub(1);
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn events_of_one_kind_are_limited_and_come_back_with_time() {
        let mut limit = Limit::default();
        let allowed = (0..20).filter(|_| limit.allows(Instant::now())).count();
        assert_eq!(allowed, 5);
        tokio::time::advance(REFILL * 2).await;
        let allowed = (0..20).filter(|_| limit.allows(Instant::now())).count();
        assert_eq!(allowed, 2);
    }
}
