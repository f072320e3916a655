//! One JobManager session with the sidecar, held open as long as the process lives: the adapter's
//! `HoldfastElectionDriver` over its `HeldStream`.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use super::backoff::Backoff;
use super::calls::{REQUEST_TIMEOUT_MS, uuid};
use super::election::{Election, Step};
use super::http::Call;
use super::process::{Leadership, Leading, Process};
use super::scope::Guard;
use crate::plan::Point;
use crate::trace::{Event, reached};

/// The sidecar pings every 2 s; five of them missing is a dead connection and not a pause.
pub(super) const SILENCE_MS: u64 = 10_000;

const FIRST_PAUSE_MS: u64 = 100;
const LONGEST_PAUSE_MS: u64 = 2_000;
const FAREWELL_MS: u64 = 1_000;

/// An open session. Dropping it closes its connection.
#[derive(Debug)]
pub(super) struct Session {
    process: Process,
    election: Rc<RefCell<Election>>,
    _held: Guard,
}

/// What the sidecar says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Said {
    Session {
        session: String,
    },
    Grant {
        epoch: u64,
        resumed: bool,
    },
    Revoke {
        epoch: u64,
        reason: String,
    },
    #[serde(other)]
    Other,
}

struct Driver {
    process: Process,
    token: String,
    election: Rc<RefCell<Election>>,
    leadership: watch::Sender<Option<Leading>>,
}

// === impl Session ===

impl Session {
    /// Opens it, and opens it again whenever it breaks.
    pub(super) fn start(process: &Process) -> (Self, Leadership) {
        let (sender, leadership) = watch::channel(None);
        let election = Rc::<RefCell<Election>>::default();
        let driver = Driver {
            process: process.clone(),
            token: uuid(&process.env.stream),
            election: election.clone(),
            leadership: sender,
        };
        let held = process.scope.spawn_guarded(driver.run());
        (Self { process: process.clone(), election, _held: held }, leadership)
    }

    /// The orderly end: withdraws nothing, tells the sidecar.
    pub(super) async fn close(self) {
        self.process.publisher.end();
        let session = self.election.borrow().session().map(str::to_owned);
        if let Some(session) = session {
            let call = Call::plain(Method::DELETE, format!("/v1/sessions/{session}"));
            // When it does not arrive, the end of the connection says the same.
            drop(self.process.client.call(&call, FAREWELL_MS).await);
        }
    }
}

// === impl Driver ===

impl Driver {
    async fn run(self) {
        let mut backoff = Backoff::new(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, &self.process.env.stream);
        loop {
            let why = self.read_until_broken(&mut backoff).await;
            tracing::debug!(actor = self.process.env.actor, why, "the session is not open");
            if self.process.cluster.adapter().broken_session_is_revoked {
                let leading = self.election.borrow().resumable().map(|(_, epoch)| epoch);
                let steps = leading.map(|epoch| self.election.borrow_mut().on_revoke(epoch));
                self.carry_out(steps.unwrap_or_default(), false, "broken").await;
            }
            sleep(Duration::from_millis(backoff.next_ms())).await;
        }
    }

    fn opening(&self) -> Call {
        let election = self.election.borrow();
        let resume = election.resumable().map(|(session, epoch)| json!({"session": session, "epoch": epoch}));
        let mut body = json!({"process": self.token, "flink_version": "2.2.1", "cluster_id": "simulated"});
        if let Some(resume) = resume {
            body["resume"] = resume;
        }
        Call::plain(Method::POST, "/v1/sessions").json(&body)
    }

    /// Returns why the connection ended.
    async fn read_until_broken(&self, backoff: &mut Backoff) -> String {
        let opening = self.opening();
        let mut held = match self.process.client.open(&opening, REQUEST_TIMEOUT_MS).await {
            Ok(held) => held,
            Err(why) => return why,
        };
        loop {
            match held.next(SILENCE_MS).await {
                Ok(Some(line)) => {
                    if !self.heard(&line).await {
                        return "the sidecar granted an epoch that is older than one before".to_owned();
                    }
                    backoff.reset();
                }
                Ok(None) => return "the sidecar ended the stream".to_owned(),
                Err(why) => return why,
            }
        }
    }

    /// False: the connection has to go.
    async fn heard(&self, line: &Bytes) -> bool {
        let said: Said =
            serde_json::from_slice(line).expect("the sidecar's events are those of docs/protocol.md");
        let (steps, resumed, reason) = match said {
            Said::Session { session } => {
                self.election.borrow_mut().on_session(session);
                return true;
            }
            Said::Grant { epoch, resumed } => {
                (self.election.borrow_mut().on_grant(epoch, resumed), resumed, String::new())
            }
            Said::Revoke { epoch, reason } => (self.election.borrow_mut().on_revoke(epoch), false, reason),
            Said::Other => return true,
        };
        self.carry_out(steps, resumed, &reason).await
    }

    async fn carry_out(&self, steps: Vec<Step>, resumed: bool, reason: &str) -> bool {
        let process = &self.process;
        for step in steps {
            match step {
                Step::Grant(epoch) => {
                    process.record(Event::Granted { epoch, resumed });
                    process.env.points.reach(Point::Granted, &process.env.actor).await;
                    process.publisher.begin(epoch);
                    let session = uuid(&process.env.stream);
                    self.leadership.send_replace(Some(Leading { epoch, session }));
                }
                Step::Revoke(epoch) => {
                    process.record(Event::Revoked { epoch, reason: reason.to_owned() });
                    if !process.cluster.adapter().ignores_revoke {
                        process.publisher.end();
                        self.leadership.send_replace(None);
                    }
                }
                Step::Republish(epoch) => {
                    process.record(Event::Granted { epoch, resumed: true });
                    process.env.trace.reached(&process.env.actor, reached::SESSION_RESUMED);
                    process.publisher.republish();
                }
                Step::Disconnect => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_a_newer_sidecar_are_of_no_account() {
        let heard = |line: &str| serde_json::from_str::<Said>(line).expect("an event");
        assert!(matches!(heard(r#"{"event":"ping"}"#), Said::Other));
        assert!(matches!(heard(r#"{"event":"waiting","reason":"x"}"#), Said::Other));
        let grant = heard(r#"{"event":"grant","epoch":3,"resumed":false,"more":1}"#);
        assert!(matches!(grant, Said::Grant { epoch: 3, resumed: false }));
    }
}
