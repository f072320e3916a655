//! The JobManager's REST server, as far as the product asks it: the paths and shapes of Flink's.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;
use turmoil::net::{TcpListener, TcpStream};

use super::calls::uuid;
use super::process::Process;
use super::statistics::{JobState, Request as Wish, Statistics};

/// Flink's default.
pub(super) const REST_PORT: u16 = 8081;

/// A connection on which nothing was said for so long is closed.
const IDLE: Duration = Duration::from_secs(60);
const BODY_BYTES_MAX: usize = 64 * 1_024;

type Answer = Response<Full<Bytes>>;

/// `POST /jobs/:id/savepoints` and `POST /jobs/:id/stop`, which spell the directory differently.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Trigger {
    #[serde(rename = "target-directory", alias = "targetDirectory")]
    directory: Option<String>,
    #[serde(rename = "triggerId")]
    id: Option<String>,
}

/// Serves for as long as the process lives.
pub(super) async fn serve(process: Process, listener: TcpListener) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        process.scope.spawn(converse(process.clone(), stream));
    }
}

async fn converse(process: Process, stream: TcpStream) {
    let service = service_fn(|request| {
        let process = process.clone();
        async move { Ok::<_, Infallible>(answer(&process, request).await) }
    });
    let connection = http1::Builder::new().keep_alive(true).serve_connection(TokioIo::new(stream), service);
    // Either side may end it at any time.
    drop(timeout(IDLE, connection).await);
}

async fn answer(process: &Process, request: Request<Incoming>) -> Answer {
    process.work(0, 5).await;
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await.map(http_body_util::Collected::to_bytes);
    let Ok(body) = body else { return refused(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large") };
    let path: Vec<&str> = head.uri.path().trim_matches('/').split('/').collect();
    let (statistics, own) = (&process.statistics, process.env.job_id.as_str());
    match (&head.method, &path[..]) {
        (&Method::GET, ["overview"]) => found(StatusCode::OK, &overview(process)),
        (&Method::GET, ["jobmanager", "config"]) => found(StatusCode::OK, &Statistics::configuration()),
        (&Method::GET, ["jobs", "overview"]) => found(StatusCode::OK, &statistics.overview(own)),
        (_, ["jobs", job, ..]) if *job != own || statistics.state().is_none() => {
            refused(StatusCode::NOT_FOUND, &format!("Job {job} not found"))
        }
        (&Method::GET, ["jobs", job]) => perhaps(statistics.details(job)),
        (&Method::GET, ["jobs", _, "checkpoints"]) => perhaps(statistics.checkpoints()),
        (&Method::GET, ["jobs", _, "savepoints", trigger]) => perhaps(statistics.operation(trigger)),
        (&Method::POST, ["jobs", _, operation @ ("savepoints" | "stop")]) => {
            trigger(process, *operation == "stop", &body)
        }
        _ => refused(StatusCode::NOT_FOUND, "Not found."),
    }
}

fn overview(process: &Process) -> Value {
    let state = process.statistics.state();
    let running = u64::from(state.is_some_and(|state| !state.is_terminal()));
    json!({
        "taskmanagers": 2, "slots-total": 4, "slots-available": 0, "jobs-running": running, "jobs-finished": 0,
        "jobs-cancelled": 0, "jobs-failed": 0, "flink-version": "2.2.1", "flink-commit": "simulated",
    })
}

fn trigger(process: &Process, stops: bool, body: &[u8]) -> Answer {
    let Ok(Trigger { directory, id }) = serde_json::from_slice::<Trigger>(body) else {
        return refused(StatusCode::BAD_REQUEST, "the request is not JSON, or not this request");
    };
    if process.statistics.state().is_none_or(JobState::is_terminal) {
        return refused(StatusCode::CONFLICT, "the job is not running");
    }
    let trigger = id.unwrap_or_else(|| uuid(&process.env.stream).replace('-', ""));
    process.statistics.request(Wish { trigger: trigger.clone(), stops, directory });
    found(StatusCode::ACCEPTED, &json!({ "request-id": trigger }))
}

fn perhaps(value: Option<Value>) -> Answer {
    match value {
        Some(value) => found(StatusCode::OK, &value),
        None => refused(StatusCode::NOT_FOUND, "there is no such thing"),
    }
}

fn found(status: StatusCode, value: &Value) -> Answer {
    let body = serde_json::to_vec(value).expect("JSON is JSON");
    let answer =
        Response::builder().status(status).header(header::CONTENT_TYPE, "application/json; charset=UTF-8");
    answer.body(Full::new(body.into())).expect("a header of constants")
}

fn refused(status: StatusCode, why: &str) -> Answer {
    found(status, &json!({ "errors": [why] }))
}
