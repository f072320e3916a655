//! A sidecar in this process, on real sockets, and a JobManager that speaks the protocol.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use ha_store::{SystemClock, SystemEntropy};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use sidecar::config::Config;
use sidecar::job_manager::NetConnect;
use sidecar::runtime::{World, serve};
use sidecar::settings::Settings;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub(crate) use crate::flink::JOB;

/// A wait for what must come; only a failure lasts that long.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) struct Sidecar {
    pub(crate) backend: Arc<dyn ObjectStore>,
    pub(crate) url: String,
    pub(crate) public_url: String,
    stop: watch::Sender<bool>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Sidecar {
    pub(crate) async fn start() -> Self {
        Self::start_on(Arc::new(InMemory::new()), Settings::default()).await
    }

    pub(crate) async fn start_on(backend: Arc<dyn ObjectStore>, settings: Settings) -> Self {
        let defaults = Settings {
            deployment: Some("orders".into()),
            store: Some("memory:///".into()),
            election: Some("none".into()),
            retry_period: Some("100ms".into()),
            stop_wait: Some("0".into()),
            max_graph_bytes: Some(100_000),
            ..Settings::default()
        };
        let config = Config::try_from(settings.or(defaults)).expect("a good configuration");
        let world = World {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            backend: backend.clone(),
            kubernetes: None,
            snapshots: Arc::default(),
            connect: Arc::new(NetConnect::default()),
        };
        let private = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let public = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", private.local_addr().expect("bound"));
        let public_url = format!("http://{}", public.local_addr().expect("bound"));
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(serve(config, world, private, public, stopping));
        Self { backend, url, public_url, stop, task }
    }

    /// Ends it in order.
    pub(crate) async fn stop(self) {
        self.stop.send_replace(true);
        let ended = tokio::time::timeout(LIMIT, self.task).await.expect("stops in time");
        ended.expect("does not panic").expect("stops in order");
    }

    /// Ends it as `kill -9` would: nothing is said and nothing is finished.
    pub(crate) async fn kill(self) -> Arc<dyn ObjectStore> {
        self.task.abort();
        drop(self.task.await);
        self.backend
    }

    /// How many objects are in the store: bad input must not change it.
    pub(crate) async fn object_count(&self) -> usize {
        self.backend.list(None).count().await
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        reqwest::Client::new().request(method, format!("{}{path}", self.url)).timeout(LIMIT)
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.expect("an answer")
    }

    pub(crate) async fn status(&self) -> Value {
        self.get("/status").await.json().await.expect("JSON")
    }

    /// What is shown of the session of this process, as soon as it is so.
    pub(crate) async fn session_where(&self, process: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                let shown: Value = self.get("/v1/sessions").await.json().await.expect("JSON");
                let sessions = shown["sessions"].as_array().expect("a list");
                let found = sessions.iter().find(|shown| shown["process"] == process && is_so(shown));
                if let Some(found) = found {
                    return found.clone();
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(LIMIT, looking).await.expect("it becomes so in time")
    }

    /// A write with both headers.
    pub(crate) fn write(&self, method: Method, path: &str, epoch: u64, key: &str) -> RequestBuilder {
        self.request(method, path).header("Holdfast-Epoch", epoch).header("Idempotency-Key", key)
    }
}

/// One JobManager's stream.
pub(crate) struct JobManager {
    pub(crate) session: String,
    lines: BoxStream<'static, Value>,
}

impl JobManager {
    pub(crate) async fn open(sidecar: &Sidecar) -> Self {
        Self::open_as(sidecar, json!({})).await
    }

    /// With these fields instead of those of every session.
    pub(crate) async fn open_as(sidecar: &Sidecar, fields: Value) -> Self {
        let mut asked = json!({"process": "p1", "flink_version": "2.2.1", "cluster_id": "orders"});
        let fields = fields.as_object().expect("an object").clone();
        asked.as_object_mut().expect("an object").extend(fields);
        let client = reqwest::Client::new();
        let url = format!("{}/v1/sessions", sidecar.url);
        let response = client.post(url).json(&asked).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK);
        let mut lines = lines(response);
        let first = next(&mut lines).await;
        assert_eq!(first["event"], "session", "{first}");
        Self { session: first["session"].as_str().expect("an id").to_owned(), lines }
    }

    pub(crate) async fn resume(sidecar: &Sidecar, session: &str, epoch: u64) -> Self {
        Self::open_as(sidecar, json!({"resume": {"session": session, "epoch": epoch}})).await
    }

    /// The next event that is not a ping and not a wait.
    pub(crate) async fn decision(&mut self) -> Value {
        loop {
            let event = next(&mut self.lines).await;
            if event["event"] != "waiting" {
                return event;
            }
        }
    }

    /// The next event that is not a ping.
    pub(crate) async fn event(&mut self) -> Value {
        next(&mut self.lines).await
    }

    pub(crate) async fn granted(&mut self) -> u64 {
        let event = self.decision().await;
        assert_eq!(event["event"], "grant", "{event}");
        event["epoch"].as_u64().expect("a number")
    }
}

/// The lines of a stream, as JSON, without pings.
pub(crate) fn lines(response: Response) -> BoxStream<'static, Value> {
    let chunks = response.bytes_stream();
    let state = (chunks.boxed(), Vec::<u8>::new());
    let lines = futures::stream::unfold(state, |(mut chunks, mut rest)| async move {
        loop {
            if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                let event: Value = serde_json::from_slice(&line).expect("each line is JSON");
                return Some((event, (chunks, rest)));
            }
            rest.extend(chunks.next().await?.ok()?);
        }
    });
    lines.filter(|event| std::future::ready(event["event"] != "ping")).boxed()
}

/// The next line of a stream that must have one.
pub(crate) async fn next(lines: &mut BoxStream<'static, Value>) -> Value {
    let next = tokio::time::timeout(LIMIT, lines.next()).await.expect("an event in time");
    next.expect("the stream goes on")
}

/// A problem's slug, after the checks that hold for all of them.
pub(crate) async fn problem(response: Response, status: u16) -> String {
    let found = response.status().as_u16();
    let kind = response.headers().get("content-type").cloned();
    let text = response.text().await.expect("a body");
    assert_eq!(found, status, "{text}");
    assert_eq!(kind.expect("a content type"), "application/problem+json", "{text}");
    let body: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(body["status"], status, "{body}");
    assert!(body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{body}");
    let kind = body["type"].as_str().expect("a type");
    kind.strip_prefix("urn:holdfast:problem:").expect("one of ours").to_owned()
}

pub(crate) fn pointer(id: u64) -> Value {
    json!({
        "external_pointer": format!("file:/checkpoints/{JOB}/chk-{id}"), "kind": "checkpoint",
        "trigger_timestamp_ms": 1_763_668_000_000_i64, "completion_timestamp_ms": 1_763_668_000_412_i64,
        "properties": "rO0ABQ==", "restored_properties": null,
    })
}

impl JobManager {
    /// Everything that still comes, until the stream ends.
    pub(crate) async fn rest(self) -> Vec<Value> {
        tokio::time::timeout(LIMIT, self.lines.collect()).await.expect("the stream ends")
    }
}
