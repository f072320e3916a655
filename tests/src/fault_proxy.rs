//! Stands between a client and its server (adapter and sidecar, sidecar and API server), and loses, delays or falsifies the answers
//! that a test chooses.
//!
//! Every request is forwarded on a connection of its own and every answer is passed on piece by piece, so that the held
//! streams of `/v1` work through it. A request is read whole first: one that is held back must not need its client any more,
//! which may be paused meanwhile. Only requests that meet an armed fault are touched.

mod fault;
mod pattern;

use std::error::Error;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

pub use fault::{Canned, Disturbance, Injected};
pub use pattern::Pattern;

/// A proxy for one server. Dropping it closes its listener and every connection.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// A request that went through, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the request had come.
    pub at: Instant,
    /// The request's method.
    pub method: Method,
    /// The request's path.
    pub path: String,
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// What the server answered, whether or not the answer was passed on. `None`: nothing, or it was not asked.
    pub status: Option<StatusCode>,
    /// Whether the answer was lost on purpose.
    pub answer_lost: bool,
}

/// A request that is being held back.
#[derive(Debug)]
pub struct Held {
    /// The path of the request that was caught.
    pub path: String,
    release: oneshot::Sender<()>,
}

impl Held {
    /// Lets the request go on to the sidecar.
    pub fn release(self) {
        // When the client has given up, nobody waits for this any more.
        let _ = self.release.send(());
    }
}

#[derive(Debug)]
enum Fault {
    /// Do this to the answer.
    Disturb(Disturbance),
    /// Forward only after the test says so.
    Hold(oneshot::Sender<Held>),
}

#[derive(Debug)]
struct Armed {
    pattern: Pattern,
    fault: Fault,
    /// When it was met. One that stands is met again and again; this is its name, too.
    standing: Option<Arc<Mutex<Vec<Instant>>>>,
}

type Answer = Response<Either<Incoming, Full<Bytes>>>;
type Forward = Box<
    dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, Result<Response<Incoming>, ClientError>> + Send + Sync,
>;

struct Shared {
    /// Scheme and authority of the server.
    server: Uri,
    forward: Forward,
    armed: Mutex<Vec<Armed>>,
    exchanges: Mutex<Vec<Exchange>>,
}

/// Why a connection is closed without an answer.
#[derive(Debug)]
struct Hangup {
    why: String,
    /// With a reset, as by a process that died; otherwise in order.
    reset: bool,
}

impl Hangup {
    fn new(why: impl Into<String>) -> Self {
        Self { why: why.into(), reset: false }
    }
}

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

impl Error for Hangup {}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("server", &self.server).finish_non_exhaustive()
    }
}

impl FaultProxy {
    /// Starts a proxy in front of the sidecar that listens, or will listen, at `sidecar`.
    pub async fn start(sidecar: SocketAddr) -> Result<Self> {
        let server =
            Uri::builder().scheme("http").authority(sidecar.to_string()).path_and_query("/").build()?;
        Self::before(server, HttpConnector::new()).await
    }

    /// Starts a proxy in front of `server`, which it reaches through `connector`. Its own side is plain HTTP.
    pub async fn before<C>(server: Uri, connector: C) -> Result<Self>
    where
        C: Connect + Clone + Send + Sync + 'static,
    {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("fault proxy: binding")?;
        let address = listener.local_addr()?;
        // No reuse: a connection that a killed server left in a pool would look like one more fault.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build(connector);
        let forward: Forward = Box::new(move |request| Box::pin(client.request(request)));
        let shared = Shared { server, forward, armed: Mutex::default(), exchanges: Mutex::default() };
        let shared = Arc::new(shared);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// What the client is told as its server's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the answer to the next request that matches.
    pub fn lose_next_answer(&self, pattern: Pattern) {
        self.disturb_next(pattern, Disturbance::LoseAnswer);
    }

    /// Disturbs the next request that matches.
    pub fn disturb_next(&self, pattern: Pattern, disturbance: Disturbance) {
        self.arm(pattern, Fault::Disturb(disturbance), None);
    }

    /// Disturbs every request that matches, until what is returned is dropped. The fault that was armed first comes first.
    pub fn disturb(&self, pattern: Pattern, disturbance: Disturbance) -> Injected {
        let met = Arc::default();
        self.arm(pattern, Fault::Disturb(disturbance), Some(Arc::clone(&met)));
        Injected { shared: Arc::clone(&self.shared), met }
    }

    /// Holds back the next request that matches. The receiver gets it when it arrives.
    pub fn hold_next(&self, pattern: Pattern) -> oneshot::Receiver<Held> {
        let (caught, receiver) = oneshot::channel();
        self.arm(pattern, Fault::Hold(caught), None);
        receiver
    }

    /// Everything that went through so far and matches.
    pub fn exchanges(&self, pattern: &Pattern) -> Vec<Exchange> {
        let exchanges = lock(&self.shared.exchanges);
        exchanges
            .iter()
            .filter(|exchange| pattern.matches(&exchange.method, &exchange.path))
            .cloned()
            .collect()
    }

    /// Everything that went through so far.
    pub fn everything(&self) -> Vec<Exchange> {
        lock(&self.shared.exchanges).clone()
    }

    /// Every write that went through so far. A session is none: it changes nothing by itself.
    pub fn writes(&self) -> Vec<Exchange> {
        let writes = |exchange: &&Exchange| {
            exchange.method != Method::GET && !exchange.path.starts_with("/v1/sessions")
        };
        lock(&self.shared.exchanges).iter().filter(writes).cloned().collect()
    }

    fn arm(&self, pattern: Pattern, fault: Fault, standing: Option<Arc<Mutex<Vec<Instant>>>>) {
        lock(&self.shared.armed).push(Armed { pattern, fault, standing });
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Accepts until it is aborted; the set then drops, and with it every connection.
async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, Arc::clone(&shared)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(|request| shared.handle(request));
    let served = http1::Builder::new().serve_connection(TokioIo::new(&mut stream), service).await;
    // An error is a hang-up: ours on purpose, or one side's. Either way the connection is over, which is the point.
    let hangup =
        served.as_ref().err().and_then(Error::source).and_then(|cause| cause.downcast_ref::<Hangup>());
    if hangup.is_some_and(|hangup| hangup.reset) {
        // When this fails the connection is closed in order, and is as much over.
        let _ = stream.set_zero_linger();
    }
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Result<Answer, Hangup> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|e| Hangup::new(format!("broken request: {e}")))?;
        let request = Request::from_parts(head, Full::new(body.to_bytes()));
        let index = self.record(&request);
        let fault = self.fault_for(&request);
        let disturbance = match fault {
            None => return self.pass_on(index, request).await.map(|answer| answer.map(Either::Left)),
            Some(Fault::Disturb(disturbance)) => disturbance,
            Some(Fault::Hold(caught)) => {
                let (release, released) = oneshot::channel();
                let held = Held { path: request.uri().path().to_owned(), release };
                caught.send(held).map_err(|_| Hangup::new("the test no longer waits for this request"))?;
                released.await.map_err(|_| Hangup::new("the test dropped this request"))?;
                return self.pass_on(index, request).await.map(|answer| answer.map(Either::Left));
            }
        };
        match disturbance {
            Disturbance::Answer(canned) => canned.response(),
            Disturbance::Reset => Err(Hangup { why: "this request is reset on purpose".into(), reset: true }),
            // Until its client gives up; then hyper drops us.
            Disturbance::Hang => std::future::pending().await,
            Disturbance::LoseAnswer => {
                self.pass_on_and_lose(index, request).await?;
                Err(Hangup::new("this answer is lost on purpose"))
            }
            Disturbance::Falsify(canned) => {
                self.pass_on_and_lose(index, request).await?;
                canned.response()
            }
        }
    }

    async fn pass_on(
        &self,
        index: usize,
        request: Request<Full<Bytes>>,
    ) -> Result<Response<Incoming>, Hangup> {
        let (mut head, body) = request.into_parts();
        head.uri = self.forwarded(&head.uri).map_err(|e| Hangup::new(format!("{}: {e}", head.uri)))?;
        // The client's own; the server's is in the URI.
        head.headers.remove(http::header::HOST);
        let request = Request::from_parts(head, body);
        let answer = (self.forward)(request).await.map_err(|e| Hangup::new(format!("no answer: {e}")))?;
        self.amend(index, |exchange| exchange.status = Some(answer.status()));
        Ok(answer)
    }

    /// To the last byte, so that the server has certainly done what it was asked.
    async fn pass_on_and_lose(&self, index: usize, request: Request<Full<Bytes>>) -> Result<(), Hangup> {
        let answer = self.pass_on(index, request).await?;
        answer.into_body().collect().await.map_err(|e| Hangup::new(format!("broken answer: {e}")))?;
        self.amend(index, |exchange| exchange.answer_lost = true);
        Ok(())
    }

    fn fault_for<B>(&self, request: &Request<B>) -> Option<Fault> {
        let mut armed = lock(&self.armed);
        let met = armed.iter().position(|a| a.pattern.matches(request.method(), request.uri().path()))?;
        match &armed[met] {
            Armed { fault: Fault::Disturb(disturbance), standing: Some(times), .. } => {
                lock(times).push(Instant::now());
                Some(Fault::Disturb(disturbance.clone()))
            }
            _ => Some(armed.remove(met).fault),
        }
    }

    fn record<B>(&self, request: &Request<B>) -> usize {
        let key = request.headers().get("Idempotency-Key").and_then(|value| value.to_str().ok());
        let mut exchanges = lock(&self.exchanges);
        exchanges.push(Exchange {
            at: Instant::now(),
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            idempotency_key: key.map(str::to_owned),
            status: None,
            answer_lost: false,
        });
        exchanges.len() - 1
    }

    fn amend(&self, index: usize, change: impl FnOnce(&mut Exchange)) {
        change(&mut lock(&self.exchanges)[index]);
    }

    fn forwarded(&self, uri: &Uri) -> Result<Uri> {
        let mut parts = self.server.clone().into_parts();
        parts.path_and_query = uri.path_and_query().cloned();
        Uri::from_parts(parts).map_err(|e| anyhow!(e))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
