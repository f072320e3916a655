//! What Flink waits for when a checkpoint completes: the adapter's `PUT` of its pointer, over loopback, until the sidecar
//! answers that it is durable.
//!
//! The sidecar is the real one, in this process; the client keeps one connection, as the adapter's does. What the adapter's
//! own code takes inside the JobManager is not in it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use ha_store::{BackendOptions, SystemClock, SystemEntropy};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use object_store::ObjectStore;
use operations::log::{Trim, deployment, job, pointer};
use serde_json::Value;
use sidecar::config::Config;
use sidecar::job_manager::NetConnect;
use sidecar::runtime::{World, serve};
use sidecar::settings::Settings;
use snapshot::Stores;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// A sidecar that serves one JobManager, which leads.
struct Pair {
    connection: SendRequest<Full<Bytes>>,
    epoch: u64,
    writes: u64,
    /// Records that were there before the first write.
    records_before: u64,
    trim: Trim,
    session: JoinHandle<()>,
    stop: watch::Sender<bool>,
    serving: JoinHandle<anyhow::Result<()>>,
}

// === impl Pair ===

impl Pair {
    async fn start(store: &str) -> anyhow::Result<Self> {
        let settings = Settings {
            deployment: Some(deployment().to_string()),
            store: Some(store.to_owned()),
            election: Some("none".to_owned()),
            listen: Some("127.0.0.1:0".to_owned()),
            public_listen: Some("127.0.0.1:0".to_owned()),
            stop_wait: Some("0".to_owned()),
            ..Settings::default()
        };
        let config = Config::try_from(settings)?;
        let backend = config.store.connect(&BackendOptions::default())?;
        let world = World {
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            backend: backend.clone(),
            kubernetes: None,
            snapshots: Arc::new(Stores::new(BackendOptions::default())),
            connect: Arc::new(NetConnect::default()),
        };
        let private = TcpListener::bind(config.listen).await?;
        let public = TcpListener::bind(config.public_listen).await?;
        let address = private.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(serve(config, world, private, public, stopped));
        let (session, epoch) = lead(address).await?;
        let connection = connect(address).await?;
        let records_before = records(&backend).await?;
        let trim = Trim::new(backend, 100);
        Ok(Self { connection, epoch, writes: 0, records_before, trim, session, stop, serving })
    }

    /// Adds a checkpoint and removes it again; how long the first took.
    async fn checkpoint(&mut self) -> Duration {
        let id = self.writes + 1;
        let body = serde_json::to_vec(&pointer(id)).expect("a pointer is JSON");
        let began = Instant::now();
        let added = self.write(Method::PUT, id, body.into()).await;
        let took = began.elapsed();
        assert_eq!(added, StatusCode::CREATED, "checkpoint {id}");
        assert_eq!(self.write(Method::DELETE, id, Bytes::new()).await, StatusCode::OK, "checkpoint {id}");
        self.trim.to(self.records_before + self.writes).await;
        took
    }

    async fn write(&mut self, method: Method, id: u64, body: Bytes) -> StatusCode {
        self.writes += 1;
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/jobs/{}/checkpoints/{id}", job()))
            .header("Host", "localhost")
            .header("Content-Type", "application/json")
            .header("Holdfast-Epoch", self.epoch)
            .header("Idempotency-Key", format!("write-{}", self.writes));
        let request = request.body(Full::new(body)).expect("a request");
        let answer = self.connection.send_request(request).await.expect("an answer");
        let status = answer.status();
        answer.into_body().collect().await.expect("a whole answer");
        self.connection.ready().await.expect("the connection is kept");
        status
    }

    async fn end(self) -> anyhow::Result<()> {
        self.stop.send_replace(true);
        self.session.abort();
        drop(self.connection);
        self.serving.await?
    }
}

async fn connect(address: SocketAddr) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (connection, driver) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(connection)
}

/// Opens a session, and holds it until the task is ended; the epoch that it was granted.
async fn lead(address: SocketAddr) -> anyhow::Result<(JoinHandle<()>, u64)> {
    let mut connection = connect(address).await?;
    let body = r#"{"process":"a-bench","flink_version":"2.2.1","cluster_id":"orders"}"#;
    let request = Request::post("/v1/sessions").header("Host", "localhost").body(Full::from(body))?;
    let mut events = connection.send_request(request).await?.into_body();
    let epoch = granted(&mut events).await?;
    let held = tokio::spawn(async move {
        let _open = connection;
        while events.frame().await.is_some() {}
    });
    Ok((held, epoch))
}

async fn granted(events: &mut Incoming) -> anyhow::Result<u64> {
    let mut unread = Vec::new();
    loop {
        let frame = events.frame().await.ok_or_else(|| anyhow::anyhow!("the session ended ungranted"))??;
        unread.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let event: Value = serde_json::from_slice(&unread.drain(..=end).collect::<Vec<_>>())?;
            if let ("grant", Some(epoch)) =
                (event["event"].as_str().unwrap_or_default(), event["epoch"].as_u64())
            {
                return Ok(epoch);
            }
        }
    }
}

async fn records(backend: &Arc<dyn ObjectStore>) -> anyhow::Result<u64> {
    let log = object_store::path::Path::from(format!("{}/log", deployment()));
    Ok(backend.list_with_delimiter(Some(&log)).await?.objects.len() as u64)
}

fn round_trip(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let mut group = criterion.benchmark_group("round-trip");
    for (backend, store) in [("memory", "memory:///".to_owned()), ("directory", url(directory.path()))] {
        // As the sidecar has it.
        let runtime: Runtime =
            Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        let mut pair = runtime.block_on(Pair::start(&store)).expect("a sidecar that grants");
        group.bench_function(backend, |bencher| {
            bencher.iter_custom(|times| {
                runtime.block_on(async {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        took += pair.checkpoint().await;
                    }
                    took
                })
            });
        });
        runtime.block_on(pair.end()).expect("it stops in order");
    }
}

fn url(directory: &Path) -> String {
    format!("file://{}", directory.display())
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(3));
    targets = round_trip
}
criterion_main!(benches);
