//! Two sidecars of one deployment and one store. No Flink is needed: the test is the JobManager of both.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use harness::artifacts;
use harness::flink::log::Log;
use harness::net::free_address;
use harness::scenario::Failure;
use harness::sidecar::{Options, Sidecar};
use serde_json::{Value, json};
use tokio::time::timeout;

const JOB: &str = "00000000002efde30000000000000000";

const LIMIT: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_older_of_two_sidecars_is_fenced_and_says_so() -> Result<(), Failure> {
    Ok(older_is_fenced().await?)
}

async fn older_is_fenced() -> Result<()> {
    let dir = tempfile::Builder::new().prefix("holdfast-").tempdir()?;
    let older = sidecar("older", dir.path()).await?;
    let mut older_session = Session::open(&older, "jobmanager-1").await?;
    let first = older_session.granted_epoch().await?;
    let recorded = next_id(&older, first, "write-1").await?;
    ensure!(recorded.status().is_success(), "the only sidecar refused a write: {}", recorded.text().await?);

    let newer = sidecar("newer", dir.path()).await?;
    let mut newer_session = Session::open(&newer, "jobmanager-2").await?;
    let second = newer_session.granted_epoch().await?;
    ensure!(second > first, "the second sidecar was granted epoch {second} after {first}");

    let refused = next_id(&older, first, "write-2").await?;
    ensure!(refused.status() == 412, "the older sidecar answered {}", refused.status());
    let problem: Value = refused.json().await?;
    ensure!(problem["type"] == "urn:holdfast:problem:fenced", "not the problem of a fenced one: {problem}");
    ensure!(problem["outcome"] == "not-recorded", "the outcome is definite: {problem}");

    let revoked = older_session.event("revoke").await?;
    ensure!(revoked["epoch"] == first && revoked["reason"] == "fenced", "told {revoked}");
    let status = older.status().await?;
    ensure!(status["role"] == "fenced", "/status does not say so: {status}");
    let line = Log::new(older.process.log()).line_with("fenced")?;
    line.context("the log does not say so")?;

    let goes_on = next_id(&newer, second, "write-3").await?;
    ensure!(goes_on.status().is_success(), "the newer sidecar refused a write: {}", goes_on.text().await?);
    Ok(())
}

async fn sidecar(name: &str, dir: &std::path::Path) -> Result<Sidecar> {
    let store = dir.join("store");
    std::fs::create_dir_all(&store)?;
    let options = Options {
        name: name.to_owned(),
        deployment: "orders".to_owned(),
        generation: "rollout-1".to_owned(),
        store: format!("file://{}", store.display()),
        listen: free_address()?,
        public_listen: free_address()?,
        flags: Vec::new(),
        variables: Vec::new(),
    };
    let mut sidecar = Sidecar::start(&artifacts::sidecar()?, &options, &dir.join(format!("{name}.log")))?;
    sidecar.wait_until_ready().await?;
    Ok(sidecar)
}

/// A write: takes a checkpoint id.
async fn next_id(sidecar: &Sidecar, epoch: u64, key: &str) -> Result<reqwest::Response> {
    let url = sidecar.url(&format!("/v1/jobs/{JOB}/counter/next"));
    let request = client()?.post(url).header("Holdfast-Epoch", epoch).header("Idempotency-Key", key);
    Ok(request.timeout(LIMIT).send().await?)
}

fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder().no_proxy().build()?)
}

/// A JobManager session, held open like a JobManager holds it.
struct Session {
    body: BoxStream<'static, Result<Vec<u8>>>,
    unread: Vec<u8>,
}

impl Session {
    async fn open(sidecar: &Sidecar, process: &str) -> Result<Self> {
        let body = json!({"process": process, "flink_version": "2.2.1", "cluster_id": "orders"});
        let answer = client()?.post(sidecar.url("/v1/sessions")).json(&body).send().await?;
        let answer = answer.error_for_status()?;
        let body = answer.bytes_stream().map_ok(|bytes| bytes.to_vec()).map_err(anyhow::Error::from);
        Ok(Self { body: body.boxed(), unread: Vec::new() })
    }

    async fn granted_epoch(&mut self) -> Result<u64> {
        let grant = self.event("grant").await?;
        grant["epoch"].as_u64().with_context(|| format!("a grant without an epoch: {grant}"))
    }

    /// The next event of this kind; others are passed over.
    async fn event(&mut self, kind: &str) -> Result<Value> {
        loop {
            let line = timeout(LIMIT, self.line()).await.with_context(|| format!("no {kind}"))??;
            let event: Value = serde_json::from_slice(&line)?;
            if event["event"] == kind {
                return Ok(event);
            }
        }
    }

    async fn line(&mut self) -> Result<Vec<u8>> {
        loop {
            if let Some(end) = self.unread.iter().position(|byte| *byte == b'\n') {
                return Ok(self.unread.drain(..=end).collect());
            }
            let more = self.body.next().await.context("the session ended")??;
            self.unread.extend(more);
        }
    }
}
