//! A JobManager without Flink: a session held open, with everything that it was told, and writes under its epoch.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::StreamExt;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::wait;

/// The job that every session writes for.
const JOB: &str = "00000000002efde30000000000000000";

/// A session. Dropping it closes the connection, which is the end of the JobManager.
#[derive(Debug)]
pub struct Session {
    base: String,
    http: reqwest::Client,
    told: Arc<Mutex<Told>>,
    reader: JoinHandle<()>,
    writes: u64,
}

#[derive(Debug, Default)]
struct Told {
    events: Vec<(Instant, Value)>,
    ended: bool,
}

impl Session {
    /// Opens one at a sidecar's private listener (`http://127.0.0.1:8480`).
    pub async fn open(base: &str) -> Result<Self> {
        Self::open_with(base, None).await
    }

    /// Opens one after the connection of `before` broke: the same process, which led under its epoch.
    pub async fn resume(base: &str, before: &Self) -> Result<Self> {
        let (session, _) = before.last("session").context("it never was a session")?;
        let resume = json!({"session": session["session"], "epoch": before.epoch()?});
        Self::open_with(base, Some(resume)).await
    }

    async fn open_with(base: &str, resume: Option<Value>) -> Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut body = json!({"process": "a-test", "flink_version": "2.2.1", "cluster_id": "orders"});
        if let Some(resume) = resume {
            body["resume"] = resume;
        }
        let answer = http.post(format!("{base}/v1/sessions")).json(&body).send().await?.error_for_status()?;
        let told = Arc::new(Mutex::new(Told::default()));
        let reader = tokio::spawn(read(answer, told.clone()));
        Ok(Self { base: base.to_owned(), http, told, reader, writes: 0 })
    }

    /// Waits until it leads; when it was told so.
    pub async fn granted(&self, limit: Duration) -> Result<Instant> {
        self.wait_for("grant", limit).await.map(|(_, at)| at)
    }

    /// Waits until it was told this.
    pub async fn wait_for(&self, kind: &str, limit: Duration) -> Result<(Value, Instant)> {
        wait::until(&format!("a session to be told {kind:?}"), limit, async || {
            ensure!(!self.ended() || self.last(kind).is_some(), "the session ended: {:?}", self.events());
            Ok(self.last(kind))
        })
        .await
    }

    /// Whether its last word on leadership was that it leads, and the connection stands.
    pub fn leads(&self) -> bool {
        let events = self.events();
        let last = events.iter().rev().find(|event| ["grant", "revoke"].contains(&event.as_str()));
        !self.ended() && last.is_some_and(|event| event == "grant")
    }

    /// The epoch that it was granted last.
    pub fn epoch(&self) -> Result<u64> {
        let (grant, _) = self.last("grant").context("it was never granted leadership")?;
        grant["epoch"].as_u64().with_context(|| format!("a grant without an epoch: {grant}"))
    }

    /// Fails unless it leads under this epoch, and was granted it once.
    pub fn require_undisturbed(&self, epoch: u64) -> Result<()> {
        let decisions: Vec<_> =
            self.events().into_iter().filter(|event| event == "grant" || event == "revoke").collect();
        ensure!(decisions == ["grant"] && self.leads(), "it was told {decisions:?}, ended: {}", self.ended());
        ensure!(self.epoch()? == epoch, "it leads under epoch {}, not {epoch}", self.epoch()?);
        Ok(())
    }

    /// Records a checkpoint under its epoch, as Flink does when one is complete.
    pub async fn add_checkpoint(&mut self) -> Result<()> {
        self.writes += 1;
        let id = self.writes;
        let pointer = json!({
            "external_pointer": format!("file:///checkpoints/chk-{id}"),
            "kind": "checkpoint",
            "trigger_timestamp_ms": 1_763_668_000_000_u64 + id,
            "completion_timestamp_ms": 1_763_668_000_412_u64 + id,
            "properties": "AAAA",
            "restored_properties": null,
        });
        let url = format!("{}/v1/jobs/{JOB}/checkpoints/{id}", self.base);
        let request = self.http.put(&url).json(&pointer).timeout(Duration::from_secs(20));
        let request =
            request.header("Holdfast-Epoch", self.epoch()?).header("Idempotency-Key", format!("write-{id}"));
        let answer = request.send().await.with_context(|| format!("PUT {url}"))?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "PUT {url} was answered {status}: {text}");
        Ok(())
    }

    /// The kinds of everything that it was told, but for pings.
    pub fn events(&self) -> Vec<String> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let kinds = told.events.iter().filter_map(|(_, event)| event["event"].as_str());
        kinds.filter(|kind| *kind != "ping").map(str::to_owned).collect()
    }

    /// Whether the connection is over.
    pub fn ended(&self) -> bool {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).ended
    }

    fn last(&self, kind: &str) -> Option<(Value, Instant)> {
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let found = told.events.iter().rev().find(|(_, event)| event["event"] == kind);
        found.map(|(at, event)| (event.clone(), *at))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

async fn read(answer: reqwest::Response, told: Arc<Mutex<Told>>) {
    let mut body = answer.bytes_stream();
    let mut unread = Vec::new();
    while let Some(Ok(more)) = body.next().await {
        unread.extend_from_slice(&more);
        while let Some(end) = unread.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = unread.drain(..=end).collect();
            let event = serde_json::from_slice(&line).unwrap_or_else(|error| json!(error.to_string()));
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            told.events.push((Instant::now(), event));
        }
    }
    told.lock().unwrap_or_else(PoisonError::into_inner).ended = true;
}
