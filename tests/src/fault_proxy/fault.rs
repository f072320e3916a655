//! What can be done to an answer.

use std::fmt;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Response;
use http_body_util::{Either, Full};
use tokio::time::Instant;

use super::{Answer, Hangup, Shared, lock};

/// What is done to the answer of a request.
#[derive(Clone, Debug)]
pub enum Disturbance {
    /// The server never hears of the request; this is the answer.
    Answer(Canned),
    /// The server never hears of the request; the connection is reset.
    Reset,
    /// The server never hears of the request; nothing is answered for as long as the client waits.
    Hang,
    /// The server does what it is asked; the connection is closed instead of its answer.
    LoseAnswer,
    /// The server does what it is asked; this is the answer.
    Falsify(Canned),
}

/// An answer that no server gave.
#[derive(Clone, Debug)]
pub struct Canned {
    /// The HTTP status.
    pub status: u16,
    /// `Retry-After`.
    pub retry_after_s: Option<u64>,
    /// The body.
    pub body: String,
}

/// A fault that stands. Dropping it ends the fault.
pub struct Injected {
    pub(super) shared: Arc<Shared>,
    pub(super) met: Arc<Mutex<Vec<Instant>>>,
}

impl Canned {
    pub(super) fn response(self) -> Result<Answer, Hangup> {
        let mut response = Response::builder().status(self.status).header("Content-Type", "application/json");
        if let Some(seconds) = self.retry_after_s {
            response = response.header("Retry-After", seconds);
        }
        let body = Either::Right(Full::new(Bytes::from(self.body)));
        response.body(body).map_err(|error| Hangup::new(format!("no such answer: {error}")))
    }
}

impl Injected {
    /// When a request met it, in order.
    pub fn met(&self) -> Vec<Instant> {
        lock(&self.met).clone()
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let other =
            |standing: &Option<Arc<_>>| standing.as_ref().is_none_or(|it| !Arc::ptr_eq(it, &self.met));
        lock(&self.shared.armed).retain(|armed| other(&armed.standing));
    }
}

impl fmt::Debug for Injected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injected").field("met", &lock(&self.met).len()).finish_non_exhaustive()
    }
}
