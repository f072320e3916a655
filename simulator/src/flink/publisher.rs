//! Publishes the addresses of a leader's components behind Flink's back: the adapter's `LeaderPublisher`.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use http::Method;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::answer::FENCED;
use super::backoff::Backoff;
use super::calls::REQUEST_TIMEOUT_MS;
use super::http::{Call, Client};
use crate::seed::Stream;

/// The map is sent again this often, unasked: the sidecar keeps it in memory only.
const REFRESH: Duration = Duration::from_secs(30);

/// The map that is wanted. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Publisher(Rc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    wanted: RefCell<Wanted>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Wanted {
    /// Component to leader session and address.
    components: BTreeMap<String, (String, String)>,
    /// `None`: nothing is published.
    epoch: Option<u64>,
    ever_changed: bool,
    /// Counts the changes; what is below it was not sent yet.
    version: u64,
    sent: u64,
}

// === impl Publisher ===

impl Publisher {
    /// A new leadership, of which no component is known yet.
    pub(super) fn begin(&self, epoch: u64) {
        let wanted = &mut *self.0.wanted.borrow_mut();
        *wanted =
            Wanted { epoch: Some(epoch), version: wanted.version, sent: wanted.version, ..Wanted::default() };
    }

    /// The addresses stay published: whether and when they are withdrawn is the sidecar's decision.
    pub(super) fn end(&self) {
        let wanted = &mut *self.0.wanted.borrow_mut();
        wanted.components.clear();
        wanted.epoch = None;
    }

    pub(super) fn publish(&self, component: &str, session: &str, address: &str) {
        let at = (session.to_owned(), address.to_owned());
        self.change(|components| components.insert(component.to_owned(), at.clone()) != Some(at));
    }

    pub(super) fn withdraw(&self, component: &str) {
        self.change(|components| components.remove(component).is_some());
    }

    /// The sidecar may have forgotten them.
    pub(super) fn republish(&self) {
        if self.0.wanted.borrow().ever_changed {
            self.change(|_| true);
        }
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, (String, String)>) -> bool) {
        let wanted = &mut *self.0.wanted.borrow_mut();
        if wanted.epoch.is_some() && change(&mut wanted.components) {
            wanted.ever_changed = true;
            wanted.version += 1;
            self.0.changed.notify_one();
        }
    }

    /// Sends the newest map whenever there is one that was not sent, for ever.
    pub(super) async fn run(self, client: Client, stream: Stream) {
        let mut backoff = Backoff::new(100, 2_000, &stream);
        let mut settled = Instant::now();
        loop {
            let Some((version, epoch, call)) = self.unsent() else {
                let rest = (settled + REFRESH).saturating_duration_since(Instant::now());
                if timeout(rest, self.0.changed.notified()).await.is_err() {
                    settled = Instant::now();
                    self.republish();
                }
                continue;
            };
            match client.call(&call, REQUEST_TIMEOUT_MS).await {
                Ok(answer) if answer.is_definite() => {
                    backoff.reset();
                    settled = Instant::now();
                    self.settled(version, epoch, answer.is(FENCED));
                }
                // A newer map is sent at once; either way it is time for the next attempt.
                Ok(_) | Err(_) => {
                    let pause = Duration::from_millis(backoff.next_ms());
                    drop(timeout(pause, self.0.changed.notified()).await);
                }
            }
        }
    }

    fn unsent(&self) -> Option<(u64, u64, Call)> {
        let wanted = self.0.wanted.borrow();
        let epoch = wanted.epoch.filter(|_| wanted.sent < wanted.version)?;
        let leaders: BTreeMap<_, _> = wanted
            .components
            .iter()
            .map(|(component, (session, address))| {
                (component, json!({"session": session, "address": address}))
            })
            .collect();
        let mut call = Call::plain(Method::PUT, "/v1/leaders").json(&json!({ "leaders": leaders }));
        call.epoch = Some(epoch);
        Some((wanted.version, epoch, call))
    }

    fn settled(&self, sent: u64, under: u64, fenced: bool) {
        let wanted = &mut *self.0.wanted.borrow_mut();
        if wanted.epoch == Some(under) {
            wanted.sent = wanted.sent.max(sent);
            if fenced {
                // For good. The revocation is on its way on the session stream.
                wanted.epoch = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_map_of_a_leadership_is_sent_and_only_once() {
        let publisher = Publisher::default();
        publisher.publish("dispatcher", "s", "a");
        assert!(publisher.unsent().is_none(), "it does not lead");
        publisher.begin(3);
        publisher.republish();
        assert!(publisher.unsent().is_none(), "nothing is known yet");
        publisher.publish("dispatcher", "s", "a");
        publisher.publish("restserver", "s", "b");
        let (version, epoch, call) = publisher.unsent().expect("a map");
        assert_eq!((epoch, call.epoch), (3, Some(3)));
        let body: serde_json::Value = serde_json::from_slice(&call.body).expect("JSON");
        assert_eq!(body["leaders"]["restserver"], json!({"session": "s", "address": "b"}));
        publisher.settled(version, epoch, false);
        assert!(publisher.unsent().is_none());
        publisher.publish("dispatcher", "s", "a");
        assert!(publisher.unsent().is_none(), "nothing changed");
        publisher.republish();
        let (version, ..) = publisher.unsent().expect("the sidecar may have forgotten it");
        publisher.settled(version, 3, true);
        publisher.withdraw("dispatcher");
        assert!(publisher.unsent().is_none(), "fenced is for good");
    }
}
