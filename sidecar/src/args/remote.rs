//! Asks a running sidecar, for commands.
//!
//! Small and blocking: one request at a time, each with a time-out and a limit on what it may answer. Nothing is sent
//! twice: whether a write is to be repeated is for whoever typed the command.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::exit::Failure;
use super::output::shown;

/// A running sidecar, as a command is told of it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Remote {
    /// The running sidecar: its private listener, or for what only reads also its public one
    #[arg(long, env = "HOLDFAST_SIDECAR", value_name = "URL", default_value = "http://127.0.0.1:8480")]
    sidecar: String,
}

/// Longer than a sidecar may take to answer at its defaults, so that its own word on a write arrives.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// More than every snapshot of a state at its limits.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The part of a problem that commands look at.
#[derive(Debug, Deserialize)]
struct Problem {
    #[serde(rename = "type")]
    kind: String,
    detail: String,
}

/// An answer, whatever it is.
struct Answer {
    status: StatusCode,
    body: Bytes,
}

// === impl Remote ===

impl Remote {
    /// Asks for the JSON at `path`, which starts with a slash.
    ///
    /// # Errors
    /// [`Failure`], with the sidecar's words and the way out.
    pub(super) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::GET, path, Bytes::new())
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// [`Failure`]; after [`Failure::Unknown`] it may have been done.
    pub(super) fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).context("the request cannot be written as JSON");
        self.ask(Method::POST, path, Bytes::from(body.map_err(Failure::Usage)?))
    }

    /// Takes something back.
    ///
    /// # Errors
    /// As for [`Remote::post`].
    pub(super) fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.ask(Method::DELETE, path, Bytes::new())
    }

    fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Failure> {
        let uri = self.uri(path)?;
        let asked = format!("{method} {uri}");
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let tokio = tokio.context("the threads cannot be started").map_err(Failure::Unknown)?;
        let answer = tokio.block_on(async { tokio::time::timeout(TIMEOUT, send(method, uri, body)).await });
        // Not waited for: a name that is still being looked up must not keep the answer.
        tokio.shutdown_background();
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| self.unreachable(&error))?,
            Err(_) => {
                let limit_s = TIMEOUT.as_secs();
                return Err(Failure::Unknown(anyhow!(
                    "{asked}: no answer within {limit_s} s; what was asked for may have been done: look, and ask again"
                )));
            }
        };
        if !answer.status.is_success() {
            return Err(refused(&asked, &answer));
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            Failure::Unknown(anyhow!(
                "{asked}: the answer is not what this version of holdfast expects ({error}); use the version that the \
                 sidecar has"
            ))
        })
    }

    fn uri(&self, path: &str) -> Result<Uri, Failure> {
        let wrong = |why: &str| {
            Failure::Usage(anyhow!(
                "sidecar = {:?} (--sidecar) is not allowed: {why}; give it like http://127.0.0.1:8480",
                self.sidecar
            ))
        };
        let base = self.sidecar.strip_suffix('/').unwrap_or(&self.sidecar);
        let address: Uri = base.parse().map_err(|_| wrong("it is no URL"))?;
        if address.scheme_str() != Some("http") {
            return Err(wrong("a sidecar speaks plain http"));
        }
        if address.path() != "/" || address.query().is_some() || base.contains('@') {
            return Err(wrong("only scheme, host and port belong there"));
        }
        format!("{base}{path}").parse().map_err(|_| wrong("it is no URL"))
    }

    fn unreachable(&self, error: &anyhow::Error) -> Failure {
        Failure::Unknown(anyhow!(
            "the sidecar at {} (--sidecar) did not answer: {error:#}; if none runs there, ask its store instead with \
             --store URL --deployment NAME",
            self.sidecar
        ))
    }
}

/// A text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
    utf8_percent_encode(text, KEPT).to_string()
}

async fn send(method: Method, uri: Uri, body: Bytes) -> anyhow::Result<Answer> {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let client = Client::builder(TokioExecutor::new())
        .retry_canceled_requests(false)
        .build::<_, Full<Bytes>>(connector);
    let request = Request::builder()
        .method(method)
        .uri(uri)
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))?;
    let response = client.request(request).await?;
    let status = response.status();
    match Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await {
        Ok(body) => Ok(Answer { status, body: body.to_bytes() }),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(anyhow!("its answer has more than {ANSWER_BYTES_MAX} bytes, which no sidecar sends"))
        }
        Err(error) => Err(anyhow!("its answer broke off: {error}")),
    }
}

/// What an answer that is no success means.
fn refused(asked: &str, answer: &Answer) -> Failure {
    let status = answer.status;
    let Ok(problem) = serde_json::from_slice::<Problem>(&answer.body) else {
        return Failure::Unknown(anyhow!(
            "{asked} was answered with {status}, and not by a sidecar; check --sidecar"
        ));
    };
    let detail = shown(&problem.detail);
    match problem.kind.strip_prefix("urn:holdfast:problem:").unwrap_or_default() {
        "not-found" | "method-not-allowed" => Failure::Unknown(anyhow!(
            "{asked}: {detail}; this is the sidecar's public listener, which only reads, or another version of it"
        )),
        "not-ready" | "unavailable" | "too-many-streams" => {
            Failure::Unknown(anyhow!("{detail}; nothing was done: ask again"))
        }
        "unknown-outcome" => {
            Failure::Unknown(anyhow!("{detail}; it may have been done: look, and ask again"))
        }
        _ => Failure::Refused(anyhow!("{detail}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::exit::Exit;

    fn exit(kind: &str, status: u16) -> Exit {
        let body = serde_json::json!({"type": format!("urn:holdfast:problem:{kind}"), "detail": "why"});
        let body = Bytes::from(body.to_string());
        refused("GET /x", &Answer { status: StatusCode::from_u16(status).unwrap(), body }).exit()
    }

    #[test]
    fn a_refusal_is_no_and_what_may_pass_is_unknown() {
        assert_eq!(exit("unknown-snapshot", 404), Exit::No);
        assert_eq!(exit("conflict", 409), Exit::No);
        assert_eq!(exit("corrupt", 500), Exit::No);
        for kind in ["not-ready", "unavailable", "unknown-outcome", "not-found", "method-not-allowed"] {
            assert_eq!(exit(kind, 503), Exit::Unknown, "{kind}");
        }
    }

    #[test]
    fn an_answer_of_something_else_is_never_a_refusal() {
        let page = Answer { status: StatusCode::NOT_FOUND, body: Bytes::from("<html>") };
        let failure = refused("GET http://h/x", &page);
        assert_eq!(failure.exit(), Exit::Unknown);
        assert!(failure.error().to_string().contains("check --sidecar"), "{}", failure.error());
    }

    #[test]
    fn an_address_that_no_sidecar_has_is_wrong_usage_and_named() {
        for wrong in ["127.0.0.1:8480", "https://h:8480", "http://h:8480/v1", "http://u:p@h", "not a url"] {
            let failure = Remote { sidecar: wrong.to_owned() }.uri("/status").unwrap_err();
            assert_eq!(failure.exit(), Exit::Usage, "{wrong}");
            assert!(failure.error().to_string().contains("--sidecar"), "{}", failure.error());
        }
        let remote = Remote { sidecar: "http://h:8480/".to_owned() };
        assert_eq!(remote.uri("/status").unwrap(), "http://h:8480/status");
    }

    #[test]
    fn a_pointer_is_one_segment_of_a_path() {
        assert_eq!(segment("s3://b/chk-7"), "s3%3A%2F%2Fb%2Fchk-7");
    }
}
