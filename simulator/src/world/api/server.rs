//! HTTP, latency and faults of the API server.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use turmoil::net::{TcpListener, TcpStream};

use super::objects::{Answered, NAMESPACE, Objects, Request, status};
use crate::plan::{Point, What};
use crate::points::Points;
use crate::seed::Stream;
use crate::trace::{Event, Trace};
use crate::world::active::Active;

/// Who the API server is in the trace.
const ACTOR: &str = "api-server";

/// The API server. Clones share it; what it holds outlives it.
#[derive(Clone)]
pub struct ApiServer {
    objects: Arc<Mutex<Objects>>,
    trace: Trace,
    points: Points,
    active: Active,
    latency: Stream,
    latency_ms: (u64, u64),
    up: Arc<watch::Sender<bool>>,
}

/// What the faults do to one request.
#[derive(Debug, Default)]
struct Misfortune {
    slower_ms: u64,
    stale_ms: u64,
    silent: bool,
    refused: Option<(u16, u64)>,
    unanswered: bool,
    failed: bool,
    garbage: bool,
}

type Response = http::Response<Full<Bytes>>;

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("no answer")]
struct HungUp;

// === impl ApiServer ===

impl ApiServer {
    /// An API server without objects.
    pub fn new(trace: Trace, points: Points, active: Active, seed: u64, latency_ms: (u64, u64)) -> Self {
        let latency = Stream::new(seed, "api latency");
        let up = Arc::new(watch::Sender::new(true));
        Self { objects: Arc::default(), trace, points, active, latency, latency_ms, up }
    }

    /// What it holds. For the world's driver, which is every other component of the cluster.
    pub fn with<T>(&self, act: impl FnOnce(&mut Objects) -> T) -> T {
        act(&mut self.objects.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes connections, or refuses them and hangs up.
    pub fn set_up(&self, up: bool) {
        self.up.send_if_modified(|now| std::mem::replace(now, up) != up);
    }

    /// Serves for ever, while it is up.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve(self, port: u16) -> io::Result<()> {
        let mut up = self.up.subscribe();
        loop {
            // An error means that the sender is gone; it is our own.
            drop(up.wait_for(|up| *up).await);
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
            // Dropping the set ends every connection.
            let mut connections = JoinSet::new();
            loop {
                tokio::select! {
                    biased;
                    _ = up.wait_for(|up| !*up) => break,
                    accepted = listener.accept() => {
                        connections.spawn(self.clone().converse(accepted?.0));
                        while connections.try_join_next().is_some() {}
                    }
                }
            }
        }
    }

    async fn converse(self, connection: TcpStream) {
        let service = service_fn(move |request| {
            let server = self.clone();
            async move { server.answer(request).await }
        });
        let serve = hyper::server::conn::http1::Builder::new()
            .auto_date_header(false)
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(connection), service);
        // An error is a client that went away, or an answer that was lost on purpose.
        drop(serve.await);
    }

    async fn answer(self, request: http::Request<Incoming>) -> Result<Response, HungUp> {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return Err(HungUp) };
        // A task of its own: the request is ours now, and hyper drops this future when the client hangs up.
        let carried_out =
            tokio::spawn(self.carry_out(head.method, head.uri.path().to_owned(), body.to_bytes()));
        carried_out.await.unwrap_or(Err(HungUp))
    }

    async fn carry_out(self, method: Method, path: String, body: Bytes) -> Result<Response, HungUp> {
        let latency_ms = self.latency.between(self.latency_ms.0, self.latency_ms.1);
        let writes = method != Method::GET;
        let misfortune = self.misfortune(writes);
        tokio::time::sleep(Duration::from_millis(latency_ms + misfortune.slower_ms)).await;
        if misfortune.silent {
            while self.active.has(|what| matches!(what, What::ApiSilent)) {
                tokio::time::sleep(SILENCE).await;
            }
            return Err(HungUp);
        }
        if let Some((code, retry_after_s)) = misfortune.refused {
            return Ok(refusal(code, retry_after_s));
        }
        let Some(request) = parse(&method, &path, &body) else {
            let message = "the server could not find the requested resource";
            return Ok(respond(&status(StatusCode::NOT_FOUND, "NotFound", ("", ""), "", message)));
        };
        let answered = self.apply(request, misfortune.stale_ms);
        if let Some(Event::LeaseWritten { holder, .. }) = &answered.2 {
            self.points.reach(Point::BeforeLeaseAnswer, holder).await;
        }
        if misfortune.unanswered {
            tokio::time::sleep(NEVER).await;
            return Err(HungUp);
        }
        if misfortune.failed {
            return Ok(refusal(504, 0));
        }
        if misfortune.garbage {
            let garbage = Full::new(Bytes::from_static(b"<html>it works, somewhere else</html>"));
            return Ok(http::Response::new(garbage));
        }
        Ok(respond(&answered))
    }

    fn misfortune(&self, writes: bool) -> Misfortune {
        let mut misfortune = Misfortune::default();
        for going in self.active.all() {
            let hits = |permille: u64| going.stream.chance(permille);
            match going.what {
                What::ApiSilent => misfortune.silent = true,
                What::ApiSlow { by_ms } => misfortune.slower_ms += by_ms,
                What::ApiStale { by_ms } => misfortune.stale_ms = misfortune.stale_ms.max(by_ms),
                What::ApiRefuses { status, permille, retry_after_s } if hits(permille) => {
                    misfortune.refused = Some((status, retry_after_s));
                }
                What::ApiLosesAnswers { permille } if writes && hits(permille) => {
                    misfortune.unanswered = true
                }
                What::ApiAppliesAndFails { permille } if writes && hits(permille) => misfortune.failed = true,
                What::ApiGarbage { permille } if hits(permille) => misfortune.garbage = true,
                _ => {}
            }
        }
        misfortune
    }

    fn apply(&self, request: Request, stale_ms: u64) -> Answered {
        let now_ms = self.trace.now_ms();
        let answered = self.with(|objects| {
            let stale = (stale_ms > 0).then(|| objects.read(&request, now_ms.saturating_sub(stale_ms)));
            stale.flatten().unwrap_or_else(|| objects.apply(now_ms, request))
        });
        if let Some(event) = &answered.2 {
            self.trace.record(ACTOR, event.clone());
        }
        answered
    }
}

/// How often a server that says nothing looks whether it may speak again.
const SILENCE: Duration = Duration::from_millis(100);

/// Longer than any client waits.
const NEVER: Duration = Duration::from_secs(600);

fn parse(method: &Method, path: &str, body: &[u8]) -> Option<Request> {
    let object = || serde_json::from_slice::<Value>(body).ok();
    let leases = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases");
    let core = format!("/api/v1/namespaces/{NAMESPACE}");
    let name = |folder: &str| path.strip_prefix(folder)?.strip_prefix('/').map(str::to_owned);
    match *method {
        Method::POST if path == leases => Some(Request::CreateLease { object: object()? }),
        Method::POST if path == format!("{core}/events") => Some(Request::CreateEvent { object: object()? }),
        Method::GET if path.starts_with(&leases) => Some(Request::GetLease { name: name(&leases)? }),
        Method::GET => Some(Request::GetPod { name: name(&format!("{core}/pods"))? }),
        Method::PUT => Some(Request::ReplaceLease { name: name(&leases)?, object: object()? }),
        Method::PATCH => Some(Request::PatchLease { name: name(&leases)?, patch: object()? }),
        Method::DELETE => Some(Request::DeleteLease { name: name(&leases)? }),
        _ => None,
    }
}

fn respond((code, object, _): &Answered) -> Response {
    let response = http::Response::builder().status(code).header("content-type", "application/json");
    response.body(Full::new(Bytes::from(object.to_string()))).expect("a status and one constant header")
}

/// How the real one refuses what it did not even look at.
fn refusal(code: u16, retry_after_s: u64) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let (reason, message) = match code.as_u16() {
        401 => ("Unauthorized", "Unauthorized"),
        403 => ("Forbidden", "leases.coordination.k8s.io is forbidden"),
        410 => ("Expired", "The provided resource version is too old"),
        429 => (
            "TooManyRequests",
            "the server has received too many requests and has asked us to try again later",
        ),
        503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
        504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
        _ => ("InternalError", "Internal error occurred"),
    };
    let (_, mut object, _) = status(code, reason, ("", ""), "", message);
    if retry_after_s > 0 {
        object["details"]["retryAfterSeconds"] = retry_after_s.into();
    }
    let mut response = respond(&(code, object, None));
    if retry_after_s > 0 {
        response.headers_mut().insert("retry-after", retry_after_s.into());
    }
    response
}
