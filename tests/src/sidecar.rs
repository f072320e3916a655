//! The `holdfast` sidecar as a process, and what it says about itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::process::{self, Process};

/// How long a sidecar may take to be ready, on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(30);

/// How often a starting sidecar is asked. Its start is a figure that we print, so this is fine.
const READY_INTERVAL: Duration = Duration::from_millis(2);

/// What a sidecar is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the process is called in messages and log names.
    pub name: String,
    /// `--deployment`.
    pub deployment: String,
    /// `--generation`.
    pub generation: String,
    /// `--store`.
    pub store: String,
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--public-listen`.
    pub public_listen: SocketAddr,
    /// Further flags.
    pub flags: Vec<String>,
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// The process.
    pub process: Process,
    listen: SocketAddr,
    started: Instant,
    http: reqwest::Client,
}

impl Sidecar {
    /// Starts a sidecar and does not wait for it.
    pub fn start(binary: &Path, options: &Options, log: &Path) -> Result<Self> {
        let mut command = process::command(binary);
        command.arg("run");
        command.args(["--deployment", &options.deployment]);
        command.args(["--generation", &options.generation]);
        command.args(["--store", &options.store]);
        command.args(["--election", "none"]);
        command.args(["--listen", &options.listen.to_string()]);
        command.args(["--public-listen", &options.public_listen.to_string()]);
        command.args(["--log-format", "plain"]);
        command.args(&options.flags);
        let started = Instant::now();
        let process = Process::spawn(&options.name, command, log)?;
        let http = reqwest::Client::builder().timeout(Duration::from_secs(5)).no_proxy().build()?;
        Ok(Self { process, listen: options.listen, started, http })
    }

    /// Waits until `/ready` says yes. Returns the time since the start, which is the sidecar's start time when this was
    /// called at once.
    pub async fn wait_until_ready(&mut self) -> Result<Duration> {
        let url = self.url("/ready");
        loop {
            let ready = self.http.get(&url).send().await.is_ok_and(|answer| answer.status().is_success());
            let elapsed = self.started.elapsed();
            if ready {
                return Ok(elapsed);
            }
            self.process.require_alive()?;
            if elapsed > READY_LIMIT {
                bail!("{} was not ready after {} s", self.process.name(), READY_LIMIT.as_secs());
            }
            sleep(READY_INTERVAL).await;
        }
    }

    /// A URL of the private listener.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.listen)
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Value> {
        self.get("/status").await
    }

    /// Asks for JSON.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let url = self.url(path);
        let answer = self.http.get(&url).send().await.with_context(|| format!("GET {url}"))?;
        let body = answer.error_for_status()?.text().await?;
        serde_json::from_str(&body).with_context(|| format!("GET {url} answered {body}"))
    }

    /// The newest epoch that this sidecar knows.
    pub async fn epoch(&self) -> Result<u64> {
        let status = self.status().await?;
        status["epoch"].as_u64().with_context(|| format!("/status names no epoch: {status}"))
    }

    /// The newest live checkpoint of a job, as recorded.
    pub async fn newest_checkpoint(&self, job: &str) -> Result<Option<u64>> {
        let status = self.status().await?;
        let checkpoints = status["jobs"][job]["checkpoints"].as_array();
        let checkpoints = checkpoints.with_context(|| format!("/status knows no job {job}: {status}"))?;
        Ok(checkpoints.iter().filter_map(Value::as_u64).max())
    }
}
