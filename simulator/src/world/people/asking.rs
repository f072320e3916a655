//! One person, from their wish to what they know of it in the end.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::Sidecars;
use crate::plan::{Chosen, What};
use crate::seed::Stream;
use crate::trace::{Event, SavepointEnd, SavepointWord, Told, Trace, Wish, reached};
use crate::world::closing::Connection;
use crate::world::{PRIVATE_PORT, USER};

/// How long somebody tries to get what they want.
const LIMIT: Duration = Duration::from_secs(40);
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);
/// As the command line has them.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How often somebody looks what became of a savepoint, and for how long.
const LOOK_PAUSE: Duration = Duration::from_millis(500);
const LOOK_LIMIT: Duration = Duration::from_secs(120);

/// A person who wants something.
pub(super) struct Asking {
    number: u64,
    trace: Trace,
    sidecars: Sidecars,
    stream: Stream,
    until: Instant,
    attempts: usize,
}

/// Why there is no answer.
enum Silence {
    /// The request did not leave.
    NotSent,
    /// It may have been received.
    NoAnswer,
}

/// An answer.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    outcome: String,
}

#[derive(Deserialize)]
struct Listing {
    snapshots: Vec<Listed>,
}

#[derive(Clone, Deserialize)]
struct Listed {
    id: u64,
    state: String,
    external_pointer: String,
}

#[derive(Deserialize)]
struct Accepted {
    id: String,
}

#[derive(Deserialize)]
struct Savepoint {
    status: String,
    stop: bool,
    external_pointer: Option<String>,
    checkpoint_id: Option<u64>,
    recorded: bool,
}

// === impl Asking ===

impl Asking {
    pub(super) fn new(number: u64, trace: Trace, sidecars: Sidecars, stream: Stream) -> Self {
        Self { number, trace, sidecars, stream, until: Instant::now() + LIMIT, attempts: 0 }
    }

    /// Until they have it, are refused, or give up.
    pub(super) async fn see_through(mut self, what: What) {
        match what {
            What::Reset { to } => self.wish(to, &["retained", "pinned"], reset).await,
            What::Pin { which } => self.wish(which, &["retained"], |one| Wish::Pin { id: one.id }).await,
            What::Unpin { which } => self.wish(which, &["pinned"], |one| Wish::Unpin { id: one.id }).await,
            What::HoldfastSavepoint { stop } => self.savepoint(stop).await,
            other => unreachable!("nobody asks a sidecar for this: {other:?}"),
        }
    }

    /// The next sidecar to ask; `None`: it is time to give up.
    async fn next(&mut self) -> Option<String> {
        loop {
            if Instant::now() >= self.until {
                return None;
            }
            if self.attempts > 0 {
                sleep(PAUSE).await;
            }
            self.attempts += 1;
            if let Some(sidecar) = self.sidecars.at(self.attempts / 2) {
                return Some(sidecar);
            }
        }
    }

    async fn wish(&mut self, chosen: Chosen, states: &[&str], wish: fn(&Listed) -> Wish) {
        let Some(what) = self.choose(chosen, states).await.map(|one| wish(&one)) else { return };
        let (path, body) = request(&what);
        self.record(Event::Wished { wish: self.number, what: what.clone() });
        let mut perhaps = false;
        let mut told = None;
        while told.is_none()
            && let Some(sidecar) = self.next().await
        {
            match ask(&sidecar, Method::POST, &path, &body).await {
                Ok(answer) if answer.status.is_success() => told = Some(Told::Done),
                Ok(answer) => match answer.problem() {
                    Some(problem) if problem.is_final() => {
                        told = Some(Told::Refused { problem: problem.name() });
                    }
                    problem => perhaps |= problem.is_none_or(|problem| !problem.not_recorded()),
                },
                Err(silence) => perhaps |= matches!(silence, Silence::NoAnswer),
            }
        }
        let gave_up = || match perhaps {
            true => Told::Unknown,
            false => Told::Refused { problem: "gave up".to_owned() },
        };
        let told = match told {
            // What was refused now may have been done by an earlier attempt.
            Some(Told::Refused { .. }) if perhaps => Told::Unknown,
            Some(told) => told,
            None => gave_up(),
        };
        if told == Told::Done && matches!(what, Wish::Pin { .. }) {
            self.trace.reached(USER, reached::PINNED);
        }
        self.record(Event::WishAnswered { wish: self.number, what, told });
    }

    /// One of the snapshots that the sidecar lists in these states, as soon as there is one.
    async fn choose(&mut self, chosen: Chosen, states: &[&str]) -> Option<Listed> {
        loop {
            let sidecar = self.next().await?;
            let answer = ask(&sidecar, Method::GET, "/v1/snapshots", &Value::Null).await;
            let Some(listing) = answer.ok().and_then(|answer| answer.json::<Listing>()) else { continue };
            let mut meant = listing.snapshots;
            meant.retain(|one| states.contains(&one.state.as_str()));
            let found = match chosen {
                Chosen::Newest => meant.first(),
                Chosen::Oldest => meant.last(),
                Chosen::Any if meant.is_empty() => None,
                Chosen::Any => Some(self.stream.pick(&meant)),
            };
            if let Some(found) = found {
                return Some(found.clone());
            }
        }
    }

    /// Asks for a savepoint, once: an answer that is lost is not asked for again, since that would be another savepoint.
    async fn savepoint(&mut self, stop: bool) {
        let body = json!({ "stop": stop });
        let accepted = loop {
            let Some(sidecar) = self.next().await else { return };
            match ask(&sidecar, Method::POST, "/v1/savepoints", &body).await {
                Ok(answer) if answer.status.is_success() => {
                    break answer.json::<Accepted>().map(|Accepted { id }| (sidecar, id));
                }
                // No job runs yet, or nobody leads.
                Ok(_) | Err(Silence::NotSent) => {}
                Err(Silence::NoAnswer) => return,
            }
        };
        if let Some((sidecar, trigger)) = accepted {
            self.follow(&sidecar, trigger).await;
        }
    }

    /// Looks until that sidecar says how it ended, or does not know of it any more: it was started anew.
    async fn follow(&self, sidecar: &str, trigger: String) {
        let until = Instant::now() + LOOK_LIMIT;
        let path = format!("/v1/savepoints/{trigger}");
        while Instant::now() < until {
            sleep(LOOK_PAUSE).await;
            let Ok(answer) = ask(sidecar, Method::GET, &path, &Value::Null).await else { continue };
            if answer.status == StatusCode::NOT_FOUND {
                return;
            }
            let Some(seen) = answer.json::<Savepoint>() else { continue };
            let end = match seen.status.as_str() {
                "completed" => SavepointEnd::Completed,
                "failed" => SavepointEnd::Failed,
                "unknown" => SavepointEnd::Unknown,
                _ => continue,
            };
            let what = match end {
                SavepointEnd::Completed if seen.recorded => Some(reached::HOLDFAST_SAVEPOINT),
                SavepointEnd::Unknown => Some(reached::HOLDFAST_SAVEPOINT_UNKNOWN),
                SavepointEnd::Completed | SavepointEnd::Failed => None,
            };
            let Savepoint { stop, recorded, checkpoint_id: id, external_pointer, .. } = seen;
            let placed = external_pointer.is_some();
            self.record(Event::SavepointTold(SavepointWord { trigger, stop, end, recorded, id, placed }));
            if let Some(what) = what {
                self.trace.reached(USER, what);
            }
            return;
        }
    }

    fn record(&self, event: Event) {
        self.trace.record(USER, event);
    }
}

fn reset(one: &Listed) -> Wish {
    Wish::Reset { id: one.id, pointer: one.external_pointer.clone() }
}

/// Where it is asked for, and the body.
fn request(wish: &Wish) -> (String, Value) {
    match wish {
        Wish::Reset { pointer, .. } => ("/v1/reset".to_owned(), json!({ "to": pointer })),
        Wish::Pin { id } => (format!("/v1/snapshots/{id}/pin"), Value::Null),
        Wish::Unpin { id } => (format!("/v1/snapshots/{id}/unpin"), Value::Null),
    }
}

/// One request, on a connection of its own.
async fn ask(sidecar: &str, method: Method, path: &str, body: &Value) -> Result<Answer, Silence> {
    let connect = timeout(CONNECT_TIMEOUT, Connection::open((sidecar, PRIVATE_PORT))).await;
    let Ok(Ok(stream)) = connect else { return Err(Silence::NotSent) };
    let (mut connection, driver) =
        handshake(TokioIo::new(stream)).await.map_err(|_: hyper::Error| Silence::NotSent)?;
    // A failure of the connection is seen by whoever waits for the answer on it.
    tokio::task::spawn_local(async move { drop(driver.await) });
    let body = if body.is_null() { Vec::new() } else { serde_json::to_vec(body).expect("JSON is JSON") };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, sidecar)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .expect("headers are ASCII");
    let exchange = async {
        let (head, body) = connection.send_request(request).await?.into_parts();
        Ok::<_, hyper::Error>(Answer { status: head.status, body: body.collect().await?.to_bytes() })
    };
    match timeout(ANSWER_TIMEOUT, exchange).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) | Err(_) => Err(Silence::NoAnswer),
    }
}

// === impl Answer ===

impl Answer {
    /// The body of a success; `None`: it was none.
    ///
    /// # Panics
    /// When it is not what the protocol says: a defect of the product.
    fn json<T: DeserializeOwned>(&self) -> Option<T> {
        let read = || {
            serde_json::from_slice(&self.body).unwrap_or_else(|error| {
                panic!("an answer that docs/protocol.md does not allow: {error}: {:?}", self.body)
            })
        };
        self.status.is_success().then(read)
    }

    fn problem(&self) -> Option<Problem> {
        serde_json::from_slice(&self.body).ok()
    }
}

// === impl Problem ===

impl Problem {
    fn name(&self) -> String {
        self.kind.rsplit(':').next().unwrap_or_default().to_owned()
    }

    fn not_recorded(&self) -> bool {
        self.outcome == "not-recorded"
    }

    /// Asking again does not help.
    fn is_final(&self) -> bool {
        self.not_recorded() && !["unavailable", "not-ready"].contains(&self.name().as_str())
    }
}
