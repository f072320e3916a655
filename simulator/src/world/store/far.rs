//! The far side of the store: latency, faults, and the points before and after a request is applied.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::oneshot;
use turmoil::net::{TcpListener, TcpStream};

use super::objects::Objects;
use super::state;
use super::wire::{self, Answer, Asked, Request};
use crate::flink::StateFiles;
use crate::plan::{Point, What};
use crate::points::Points;
use crate::seed::Stream;
use crate::trace::{Event, Trace, reached};
use crate::world::active::Active;
use crate::world::clock::EPOCH_MS;

/// Who the store is in the trace.
const ACTOR: &str = "store";

/// The far side. Clones share it; it is the same before and after anything that happens to its host.
#[derive(Clone)]
pub struct FarSide {
    objects: Arc<Mutex<Objects>>,
    /// What became of creates of log records that were not answered as they should be, until they come again.
    unclear: Arc<Mutex<BTreeMap<(String, Bytes), Fate>>>,
    /// Whose creates of log records are applied and not answered yet.
    committing: Arc<Mutex<Vec<String>>>,
    trace: Trace,
    points: Points,
    active: Active,
    latency: Stream,
    latency_ms: (u64, u64),
    ages_times: u64,
    /// The bucket of Flink's snapshots, which this store holds too. Flink reaches it by itself.
    state: StateFiles,
}

/// What became of a create whose sender cannot know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Lost,
    Applied,
    AppliedAndFailed,
}

/// What the faults do to one request.
#[derive(Debug, Default)]
struct Misfortune {
    slower_ms: u64,
    delayed_ms: u64,
    refused: Option<u16>,
    lost: bool,
    unanswered: bool,
    failed: Option<u16>,
}

// === impl FarSide ===

impl FarSide {
    /// An empty store.
    pub fn new(trace: Trace, points: Points, active: Active, seed: u64, latency_ms: (u64, u64)) -> Self {
        let latency = Stream::new(seed, "store latency");
        let (objects, unclear, committing) = Default::default();
        Self {
            objects,
            unclear,
            committing,
            trace,
            points,
            active,
            latency,
            latency_ms,
            ages_times: 1,
            state: StateFiles::default(),
        }
    }

    /// It holds these, too.
    #[must_use]
    pub fn with_state(self, state: StateFiles) -> Self {
        Self { state, ..self }
    }

    /// Its own times run this many times as fast as the world.
    #[must_use]
    pub fn aging(self, ages_times: u64) -> Self {
        Self { ages_times, ..self }
    }

    /// What is stored now.
    pub fn objects(&self) -> Objects {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether a create of a log record by `actor` is applied and was not answered yet.
    pub fn is_committing(&self, actor: &str) -> bool {
        let committing = self.committing.lock().unwrap_or_else(PoisonError::into_inner);
        committing.iter().any(|by| by == actor)
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve(self, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        loop {
            let (connection, _) = listener.accept().await?;
            tokio::spawn(self.clone().converse(connection));
        }
    }

    /// One connection: a request, its answer, the next request. Ends when the client is gone.
    async fn converse(self, mut connection: TcpStream) {
        while let Ok((asked, body)) = wire::receive::<Asked>(&mut connection).await {
            let (answered, answer) = oneshot::channel();
            // A task of its own: the request is ours now, whatever becomes of the connection.
            tokio::spawn(self.clone().carry_out(asked, body, answered));
            let Ok((answer, body)) = answer.await else {
                // Nobody will answer. The client waits until it has had enough, and hangs up.
                drop(wire::receive::<Asked>(&mut connection).await);
                return;
            };
            if wire::send(&mut connection, &answer, &body).await.is_err() {
                return;
            }
        }
    }

    async fn carry_out(self, asked: Asked, body: Bytes, answered: oneshot::Sender<(Answer, Bytes)>) {
        let Asked { by, request } = asked;
        let latency_ms = self.latency.between(self.latency_ms.0, self.latency_ms.1);
        let misfortune = self.misfortune(&request);
        tokio::time::sleep(Duration::from_millis(latency_ms + misfortune.slower_ms)).await;
        if misfortune.lost {
            self.remember(&request, &body, Fate::Lost);
            return;
        }
        if let Some(status) = misfortune.refused {
            self.remember(&request, &body, Fate::Lost);
            // The sender may be gone; so it is with all answers here.
            let _ = answered.send((Answer::Status(status), Bytes::new()));
            return;
        }
        tokio::time::sleep(Duration::from_millis(misfortune.delayed_ms)).await;
        let is_create = is_create_of_a_record(&request);
        if is_create {
            self.points.reach(Point::BeforeCreate, &by).await;
        } else if let Request::Delete { .. } = request {
            self.points.reach(Point::BeforeDelete, &by).await;
        }
        let answer = self.apply(&request, &body);
        if is_create {
            self.committing.lock().unwrap_or_else(PoisonError::into_inner).push(by.clone());
            self.points.reach(Point::BeforeCreateAnswer, &by).await;
        }
        if misfortune.unanswered {
            self.remember(&request, &body, Fate::Applied);
        } else if let Some(status) = misfortune.failed {
            self.remember(&request, &body, Fate::AppliedAndFailed);
            let _ = answered.send((Answer::Status(status), Bytes::new()));
        } else {
            let _ = answered.send(answer);
        }
        if is_create {
            let committing = &mut *self.committing.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(mine) = committing.iter().position(|one| *one == by) {
                committing.remove(mine);
            }
        }
    }

    fn misfortune(&self, request: &Request) -> Misfortune {
        let mut misfortune = Misfortune::default();
        let writes = matches!(request, Request::Put { .. } | Request::Delete { .. });
        for going in self.active.all() {
            let hits = |permille: u64| going.stream.chance(permille);
            match going.what {
                What::StoreSlow { by_ms } => misfortune.slower_ms += by_ms,
                What::StoreRefuses { status, permille } if hits(permille) => {
                    misfortune.refused = Some(status)
                }
                What::StoreLosesRequests { permille } if hits(permille) => misfortune.lost = true,
                What::StoreLosesAnswers { permille } if hits(permille) => misfortune.unanswered = true,
                What::StoreDelaysWrites { by_ms, permille } if writes && hits(permille) => {
                    misfortune.delayed_ms += by_ms;
                }
                What::StoreAppliesAndFails { permille } if hits(permille) => {
                    misfortune.failed = Some(*going.stream.pick(&[500, 503]));
                }
                _ => {}
            }
        }
        misfortune
    }

    fn apply(&self, request: &Request, body: &Bytes) -> (Answer, Bytes) {
        if let Some(answer) = state::apply(&self.state, request) {
            return answer;
        }
        let now_ms = EPOCH_MS.unsigned_abs() + self.trace.now_ms().saturating_mul(self.ages_times);
        let (answer, found, event, rival) = {
            let objects = &mut *self.objects.lock().unwrap_or_else(PoisonError::into_inner);
            let (answer, found, event) = objects.apply(request, body, now_ms);
            let rival = match (&event, request) {
                (Some(Event::StoreRefused { .. }), Request::Put { key, .. }) => objects.body(key).cloned(),
                _ => None,
            };
            (answer, found, event, rival)
        };
        if let Some(event) = event {
            self.trace.record(ACTOR, event);
        }
        if is_create_of_a_record(request) {
            self.notice(request, body, rival);
        }
        (answer, found)
    }

    fn remember(&self, request: &Request, body: &Bytes, fate: Fate) {
        if let Request::Put { key, create: true } = request
            && is_record(key)
        {
            let unclear = &mut *self.unclear.lock().unwrap_or_else(PoisonError::into_inner);
            // A later attempt cannot undo what an earlier one did.
            let known = unclear.entry((key.clone(), body.clone())).or_insert(fate);
            if *known == Fate::Lost {
                *known = fate;
            }
        }
    }

    /// The interesting things about a create of a log record that was applied (no rival), or refused because of one.
    fn notice(&self, request: &Request, body: &Bytes, rival: Option<Bytes>) {
        let Request::Put { key, .. } = request else { return };
        let earlier =
            self.unclear.lock().unwrap_or_else(PoisonError::into_inner).remove(&(key.clone(), body.clone()));
        let what = match (rival, earlier) {
            (None, Some(Fate::Lost)) => Some(reached::UNKNOWN_ABSENT),
            (None, _) => None,
            (Some(rival), Some(Fate::AppliedAndFailed)) if rival == *body => Some(reached::OWN_CONFLICT),
            (Some(rival), _) if rival == *body => Some(reached::UNKNOWN_RECORDED),
            (Some(rival), _) => lost_against(body, &rival),
        };
        if let Some(what) = what {
            self.trace.reached(ACTOR, what);
        }
    }
}

fn is_create_of_a_record(request: &Request) -> bool {
    matches!(request, Request::Put { key, create: true } if is_record(key))
}

fn is_record(key: &str) -> bool {
    key.contains("/log/")
}

#[derive(serde::Deserialize)]
struct Headed {
    header: ha_store::RecordHeader,
}

/// What it means that a record lost its place to another one.
fn lost_against(ours: &Bytes, theirs: &Bytes) -> Option<&'static str> {
    let header = |body: &Bytes| serde_json::from_slice::<Headed>(body).ok().map(|headed| headed.header);
    let (ours, theirs) = (header(ours)?, header(theirs)?);
    match ours.kind {
        ha_store::RecordKind::Claim => Some(reached::CLAIM_RACE),
        _ if theirs.epoch > ours.epoch => Some(reached::ZOMBIE_FENCED),
        _ => None,
    }
}
