//! One attempt of one request, over HTTP/1.1: the adapter's `SidecarClient`. It repeats nothing.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use tokio::time::timeout;
use turmoil::net::TcpStream;

use super::answer::Answer;
use super::scope::Scope;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// One intended request: sent again unchanged as often as needed. A new intention is a new one.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) epoch: Option<u64>,
    pub(super) key: Option<String>,
    pub(super) body: Bytes,
    /// Further headers.
    pub(super) with: Vec<(&'static str, String)>,
}

/// Why an attempt has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The request certainly did not leave this process.
    NotSent(String),
    /// It may have been received.
    NoAnswer(String),
}

/// Requests to one address, over connections that are kept. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Client {
    address: String,
    idle: Rc<RefCell<Vec<Connection>>>,
    scope: Scope,
}

type Connection = SendRequest<Full<Bytes>>;

/// The lines of a held answer. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Held {
    body: Incoming,
    buffer: BytesMut,
    _connection: Connection,
}

// === impl Call ===

impl Call {
    /// A request that needs no epoch.
    pub(super) fn plain(method: Method, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), epoch: None, key: None, body: Bytes::new(), with: Vec::new() }
    }

    /// A read that a restore depends on.
    pub(super) fn read(path: impl Into<String>, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..Self::plain(Method::GET, path) }
    }

    /// A write; `key` is its idempotency key.
    pub(super) fn write(method: Method, path: impl Into<String>, epoch: u64, key: String) -> Self {
        Self { key: Some(key), ..Self { epoch: Some(epoch), ..Self::plain(method, path) } }
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        self.body = serde_json::to_vec(body).expect("a request is plain data").into();
        self.with.push((header::CONTENT_TYPE.as_str(), "application/json".into()));
        self
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.with.push((name, value.into()));
        self
    }

    fn request(&self, host: &str) -> Request<Full<Bytes>> {
        let mut request =
            Request::builder().method(self.method.clone()).uri(&self.path).header(header::HOST, host);
        if let Some(epoch) = self.epoch {
            request = request.header("Holdfast-Epoch", epoch);
        }
        if let Some(key) = &self.key {
            request = request.header("Idempotency-Key", key);
        }
        for (name, value) in &self.with {
            request = request.header(*name, value);
        }
        request.body(Full::new(self.body.clone())).expect("headers are ASCII")
    }
}

// === impl Failure ===

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) | Self::NoAnswer(why) => f.write_str(why),
        }
    }
}

// === impl Client ===

impl Client {
    /// `address` is `host:port`.
    pub(super) fn new(address: String, scope: Scope) -> Self {
        Self { address, idle: Rc::default(), scope }
    }

    pub(super) async fn call(&self, call: &Call, limit_ms: u64) -> Result<Answer, Failure> {
        let attempt = async {
            let mut connection = self.connection().await?;
            let exchange = async {
                let response = connection.send_request(call.request(&self.address)).await?;
                let (head, body) = response.into_parts();
                Ok::<_, hyper::Error>((head, body.collect().await?.to_bytes()))
            };
            let (head, body) = exchange.await.map_err(|error| Failure::NoAnswer(error.to_string()))?;
            self.idle.borrow_mut().push(connection);
            let after = head.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
            let after_s: u64 = after.and_then(|value| value.parse().ok()).unwrap_or(0);
            Ok(Answer::new(head.status.as_u16(), body, after_s * 1_000))
        };
        match timeout(Duration::from_millis(limit_ms), attempt).await {
            Ok(result) => result,
            Err(_) => Err(Failure::NoAnswer(format!("no answer within {limit_ms} ms"))),
        }
    }

    /// Opens a held answer; the limit is for its head.
    pub(super) async fn open(&self, call: &Call, limit_ms: u64) -> Result<Held, String> {
        let opening = async {
            let mut connection = self.connect().await.map_err(|failure| failure.to_string())?;
            let sent = connection.send_request(call.request(&self.address)).await;
            let response = sent.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = response.into_body();
            if status.is_success() {
                return Ok(Held { body, buffer: BytesMut::new(), _connection: connection });
            }
            let refusal = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
            Err(format!("{status}: {:?}", Answer::new(status.as_u16(), refusal, 0).problem))
        };
        let opened = timeout(Duration::from_millis(limit_ms), opening).await;
        opened.unwrap_or_else(|_| Err(format!("no answer within {limit_ms} ms")))
    }

    /// An idle connection that still works, or a new one.
    async fn connection(&self) -> Result<Connection, Failure> {
        loop {
            let idle = self.idle.borrow_mut().pop();
            let Some(mut connection) = idle else { return self.connect().await };
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
    }

    async fn connect(&self) -> Result<Connection, Failure> {
        let not_sent = |why: String| Failure::NotSent(format!("cannot connect to {}: {why}", self.address));
        let stream = timeout(CONNECT_TIMEOUT, TcpStream::connect(self.address.as_str()))
            .await
            .map_err(|_| not_sent("no answer within 1 s".into()))?
            .map_err(|error| not_sent(error.to_string()))?;
        let (connection, driver) =
            handshake(TokioIo::new(stream)).await.map_err(|error| not_sent(error.to_string()))?;
        // A failure of the connection is seen by whoever waits for an answer on it.
        self.scope.spawn(async move { drop(driver.await) });
        Ok(connection)
    }
}

// === impl Held ===

impl Held {
    /// The next line; `None`: the other side ended the stream.
    pub(super) async fn next(&mut self, limit_ms: u64) -> Result<Option<Bytes>, String> {
        let line = timeout(Duration::from_millis(limit_ms), self.next_line()).await;
        line.unwrap_or_else(|_| Err(format!("nothing was received for {limit_ms} ms")))
    }

    async fn next_line(&mut self) -> Result<Option<Bytes>, String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let mut line = self.buffer.split_to(end + 1).freeze();
                line.truncate(end);
                return Ok(Some(line));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(error)) => return Err(error.to_string()),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}
