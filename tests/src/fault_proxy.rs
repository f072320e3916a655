//! Stands between adapter and sidecar, and loses or delays the answers that a test chooses.
//!
//! Every request is forwarded on a connection of its own and every answer is passed on piece by piece, so that the held
//! streams of `/v1` work through it. A request is read whole first: one that is held back must not need its client any more,
//! which may be paused meanwhile. Only requests that meet an armed fault are touched.

mod pattern;

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use bytes::Bytes;
use http::uri::{Authority, Scheme};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};

pub use pattern::Pattern;

/// A proxy for one sidecar. Dropping it closes its listener and every connection.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: AbortHandle,
}

/// A request that went through, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The request's method.
    pub method: Method,
    /// The request's path.
    pub path: String,
    /// Its `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// What the sidecar answered, whether or not the answer was passed on. `None`: nothing.
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
    /// Forward, let the sidecar answer, then close the connection instead.
    LoseAnswer,
    /// Forward only after the test says so.
    Hold(oneshot::Sender<Held>),
}

#[derive(Debug)]
struct Armed {
    pattern: Pattern,
    fault: Fault,
}

#[derive(Debug)]
struct Shared {
    sidecar: SocketAddr,
    client: Client<HttpConnector, Full<Bytes>>,
    armed: Mutex<Vec<Armed>>,
    exchanges: Mutex<Vec<Exchange>>,
}

/// Why a connection is closed without an answer.
#[derive(Debug)]
struct Hangup(String);

impl std::fmt::Display for Hangup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Hangup {}

impl FaultProxy {
    /// Starts a proxy in front of the sidecar that listens, or will listen, at `sidecar`.
    pub async fn start(sidecar: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("fault proxy: binding")?;
        let address = listener.local_addr()?;
        // No reuse: a connection that a killed sidecar left in a pool would look like one more fault.
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
        let shared = Shared { sidecar, client, armed: Mutex::default(), exchanges: Mutex::default() };
        let shared = Arc::new(shared);
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared))).abort_handle();
        Ok(Self { address, shared, accepting })
    }

    /// What the JobManager is told as the sidecar's address.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Loses the answer to the next request that matches.
    pub fn lose_next_answer(&self, pattern: Pattern) {
        self.arm(pattern, Fault::LoseAnswer);
    }

    /// Holds back the next request that matches. The receiver gets it when it arrives.
    pub fn hold_next(&self, pattern: Pattern) -> oneshot::Receiver<Held> {
        let (caught, receiver) = oneshot::channel();
        self.arm(pattern, Fault::Hold(caught));
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

    /// Every write that went through so far. A session is none: it changes nothing by itself.
    pub fn writes(&self) -> Vec<Exchange> {
        let writes = |exchange: &&Exchange| exchange.method != Method::GET && exchange.path != "/v1/sessions";
        lock(&self.shared.exchanges).iter().filter(writes).cloned().collect()
    }

    fn arm(&self, pattern: Pattern, fault: Fault) {
        lock(&self.shared.armed).push(Armed { pattern, fault });
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

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> Result<(), Infallible> {
    let service = service_fn(|request| shared.handle(request));
    // An error is a hang-up: ours on purpose, or one side's. Either way the connection is over, which is the point.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    Ok(())
}

impl Shared {
    async fn handle(&self, request: Request<Incoming>) -> Result<Response<Incoming>, Hangup> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|e| Hangup(format!("broken request: {e}")))?;
        let mut request = Request::from_parts(head, Full::new(body.to_bytes()));
        let fault = self.fault_for(&request);
        let index = self.record(&request);
        let mut lose_answer = false;
        match fault {
            None => {}
            Some(Fault::LoseAnswer) => lose_answer = true,
            Some(Fault::Hold(caught)) => {
                let (release, released) = oneshot::channel();
                let held = Held { path: request.uri().path().to_owned(), release };
                caught.send(held).map_err(|_| Hangup("the test no longer waits for this request".into()))?;
                released.await.map_err(|_| Hangup("the test dropped this request".into()))?;
            }
        }
        *request.uri_mut() = self.forwarded(request.uri())?;
        let answer = self.client.request(request).await.map_err(|e| Hangup(format!("no answer: {e}")))?;
        self.amend(index, |exchange| exchange.status = Some(answer.status()));
        if lose_answer {
            // To the last byte, so that the sidecar has certainly done what it was asked.
            answer.into_body().collect().await.map_err(|e| Hangup(format!("broken answer: {e}")))?;
            self.amend(index, |exchange| exchange.answer_lost = true);
            return Err(Hangup("this answer is lost on purpose".into()));
        }
        Ok(answer)
    }

    fn fault_for<B>(&self, request: &Request<B>) -> Option<Fault> {
        let mut armed = lock(&self.armed);
        let met = armed.iter().position(|a| a.pattern.matches(request.method(), request.uri().path()))?;
        Some(armed.remove(met).fault)
    }

    fn record<B>(&self, request: &Request<B>) -> usize {
        let key = request.headers().get("Idempotency-Key").and_then(|value| value.to_str().ok());
        let mut exchanges = lock(&self.exchanges);
        exchanges.push(Exchange {
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

    fn forwarded(&self, uri: &Uri) -> Result<Uri, Hangup> {
        let mut parts = uri.clone().into_parts();
        parts.scheme = Some(Scheme::HTTP);
        let authority = self.sidecar.to_string().parse::<Authority>();
        parts.authority = Some(authority.map_err(|e| Hangup(format!("{}: {e}", self.sidecar)))?);
        Uri::from_parts(parts).map_err(|e| Hangup(format!("{uri}: {e}")))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
