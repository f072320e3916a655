//! A client for the JobManager's own REST API: what Flink tells nobody through its HA services.
//!
//! Savepoints never pass through Flink's checkpoint store, and neither does the moment of a restore. Flink tells both to
//! whoever asks over HTTP, as long as the JobManager lives.
//!
//! | file | does |
//! | --- | --- |
//! | `answers` | what is read of Flink's answers |
//! | `connect` | where connections come from: the simulator hands over its own |
//! | `tls` | whom to trust, where it asks for TLS |
//! | `address` | which addresses can be asked |
//! | `cache` | how old an answer about checkpoints may be |
//!
//! One connection for each request: a JobManager is asked every few seconds, and one that is gone leaves nothing behind.
//! Nothing is retried here: whoever asks decides what an answer, or none, means.

mod address;
mod answers;
mod cache;
mod connect;
mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ha_store::JobId;
use http::header::{ACCEPT, CONNECTION, CONTENT_TYPE, HOST};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub use self::address::{InvalidRestAddress, RestAddress};
pub use self::answers::{
    Checkpoint, Checkpoints, Completion, JobOverview, LatestCheckpoints, Operation, Overview, Restored,
};
pub use self::cache::CacheAge;
pub use self::connect::{Connect, Connection, NetConnect};
pub use self::tls::{ClientFiles, TlsError, TlsFiles};

/// A JobManager that can be asked.
#[derive(Debug, Clone)]
pub struct JobManager {
    address: RestAddress,
    connect: Arc<dyn Connect>,
    timeout: Duration,
}

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// No connection: the request certainly did nothing.
    #[error("the JobManager at {address} cannot be reached: {reason}")]
    Unreachable {
        /// Where it was asked.
        address: RestAddress,
        /// What the network said.
        reason: String,
    },
    /// The request may have been sent, and may have done its work.
    #[error("the JobManager at {address} did not answer {request}: {reason}")]
    NoAnswer {
        /// Where it was asked.
        address: RestAddress,
        /// The method and the path.
        request: String,
        /// What became of the answer.
        reason: String,
    },
    /// An answer that says no.
    #[error("the JobManager at {address} answered {request} with {status}: {message}")]
    Refused {
        /// Where it was asked.
        address: RestAddress,
        /// The method and the path.
        request: String,
        /// The HTTP status.
        status: StatusCode,
        /// The first line of what Flink said. At most 500 characters.
        message: String,
    },
    /// An answer that is not what this kind of answer is.
    #[error("the JobManager at {address} answered {request} with something else: {reason}")]
    Unreadable {
        /// Where it was asked.
        address: RestAddress,
        /// The method and the path.
        request: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// What kind of savepoint to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SavepointOrder {
    /// 32 hexadecimal digits of the caller's: asked twice with the same, Flink does it once.
    pub trigger_id: String,
    /// Where to; `None` for Flink's configured directory.
    pub target_directory: Option<String>,
    /// In which format.
    pub format: SavepointFormat,
}

/// The format of a savepoint's files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SavepointFormat {
    /// The same for all state backends.
    #[default]
    Canonical,
    /// The state backend's own.
    Native,
}

/// Flink keeps ten checkpoints in its history unless told otherwise; each takes about a kilobyte.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
const MESSAGE_CHARS_MAX: usize = 500;

// === impl JobManager ===

impl JobManager {
    /// The JobManager at this address. `timeout` bounds each request, its connection included.
    pub fn new(address: RestAddress, connect: Arc<dyn Connect>, timeout: Duration) -> Self {
        Self { address, connect, timeout }
    }

    /// Every job that it knows, those that ended included.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn jobs(&self) -> Result<Overview, AskError> {
        self.ask(Method::GET, "/jobs/overview", None).await
    }

    /// The checkpoints and savepoints that this process took of a job.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn checkpoints(&self, job: &JobId) -> Result<Checkpoints, AskError> {
        self.ask(Method::GET, &format!("/jobs/{job}/checkpoints"), None).await
    }

    /// How old an answer of [`JobManager::checkpoints`] may be.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn cache_age(&self) -> Result<CacheAge, AskError> {
        const PATH: &str = "/jobmanager/config";
        let settings: Vec<cache::Setting> = self.ask(Method::GET, PATH, None).await?;
        CacheAge::of(&settings).map_err(|reason| AskError::Unreadable {
            address: self.address.clone(),
            request: format!("GET {PATH}"),
            reason,
        })
    }

    /// Asks for a savepoint. Harmless to repeat with the same trigger id.
    ///
    /// # Errors
    /// When it was not accepted, or that is not known.
    pub async fn trigger_savepoint(&self, job: &JobId, order: &SavepointOrder) -> Result<(), AskError> {
        let body = json!({
            "target-directory": order.target_directory, "cancel-job": false,
            "formatType": order.format, "triggerId": order.trigger_id,
        });
        let _: Value = self.ask(Method::POST, &format!("/jobs/{job}/savepoints"), Some(&body)).await?;
        Ok(())
    }

    /// Asks to stop the job with a savepoint. `drain`: sources end as if there were no more data, windows fire.
    ///
    /// # Errors
    /// When it was not accepted, or that is not known.
    pub async fn stop(&self, job: &JobId, order: &SavepointOrder, drain: bool) -> Result<(), AskError> {
        // The one call that spells it in camel case.
        let body = json!({
            "targetDirectory": order.target_directory, "drain": drain,
            "formatType": order.format, "triggerId": order.trigger_id,
        });
        let _: Value = self.ask(Method::POST, &format!("/jobs/{job}/stop"), Some(&body)).await?;
        Ok(())
    }

    /// How far a savepoint is, or a stop.
    ///
    /// # Errors
    /// When there is no such answer; `404` when this process does not know the trigger id (any more).
    pub async fn savepoint(&self, job: &JobId, trigger_id: &str) -> Result<Operation, AskError> {
        self.ask(Method::GET, &format!("/jobs/{job}/savepoints/{trigger_id}"), None).await
    }

    /// Whatever is at `path`, which starts with a slash.
    ///
    /// # Errors
    /// When there is no such answer.
    pub async fn get(&self, path: &str) -> Result<Value, AskError> {
        self.ask(Method::GET, path, None).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<T, AskError> {
        let request = format!("{method} {path}");
        let exchange = self.exchange(method, path, body, &request);
        let limit = self.timeout;
        let (status, answer) = tokio::time::timeout(limit, exchange).await.unwrap_or_else(|_| {
            Err(self.no_answer(&request, format!("nothing for {} ms", limit.as_millis())))
        })?;
        if !status.is_success() {
            let (address, message) = (self.address.clone(), answers::refusal(&answer, MESSAGE_CHARS_MAX));
            return Err(AskError::Refused { address, request, status, message });
        }
        serde_json::from_slice(&answer).map_err(|error| AskError::Unreadable {
            address: self.address.clone(),
            request,
            reason: error.to_string(),
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        request: &str,
    ) -> Result<(StatusCode, Bytes), AskError> {
        let unreachable = |reason: String| AskError::Unreachable { address: self.address.clone(), reason };
        let no_answer = |error: hyper::Error| self.no_answer(request, error.to_string());
        let stream = self.connect.connect(&self.address).await;
        let stream = TokioIo::new(stream.map_err(|error| unreachable(error.to_string()))?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        // When the connection ends, what it brought is still to be read; an error of it reaches the reader too.
        let driven = async {
            drop(connection.await);
            std::future::pending::<Infallible>().await
        };
        let exchange = async {
            let response = sender.send_request(self.request(method, path, body)).await.map_err(no_answer)?;
            let status = response.status();
            match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
                Ok(answer) => Ok((status, answer.to_bytes())),
                Err(error) if error.is::<LengthLimitError>() => Err(AskError::Unreadable {
                    address: self.address.clone(),
                    request: request.to_owned(),
                    reason: format!("it has more than {ANSWER_BYTES_MAX} bytes (fixed)"),
                }),
                Err(error) => Err(self.no_answer(request, error.to_string())),
            }
        };
        tokio::select! {
            answer = exchange => answer,
            never = driven => match never {},
        }
    }

    fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Request<Full<Bytes>> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::new(Full::new(bytes));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("ids are hexadecimal, so the path is one");
        let headers = request.headers_mut();
        headers.insert(HOST, self.address.authority());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        request
    }

    fn no_answer(&self, request: &str, reason: String) -> AskError {
        AskError::NoAnswer { address: self.address.clone(), request: request.to_owned(), reason }
    }
}

// === impl AskError ===

impl AskError {
    /// The HTTP status of an answer that says no.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::Unreachable { .. } | Self::NoAnswer { .. } | Self::Unreadable { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
