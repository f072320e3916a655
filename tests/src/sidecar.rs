//! The `holdfast` sidecar as a process, and what it says about itself.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::endpoint::Endpoint;
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
    /// Variables of its environment.
    pub variables: Vec<(&'static str, String)>,
}

/// A running sidecar.
#[derive(Debug)]
pub struct Sidecar {
    /// The process.
    pub process: Process,
    private: Endpoint,
    started: Instant,
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
        command.args(&options.flags).envs(options.variables.iter().cloned());
        let started = Instant::now();
        let process = Process::spawn(&options.name, command, log)?;
        Ok(Self { process, private: Endpoint::new(options.listen)?, started })
    }

    /// Waits until `/ready` says yes. Returns the time since the start, which is the sidecar's start time when this was
    /// called at once.
    pub async fn wait_until_ready(&mut self) -> Result<Duration> {
        loop {
            let ready = self.private.agrees("/ready").await;
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
        self.private.url(path)
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Value> {
        self.private.json("/status").await
    }

    /// The JobManagers that it knows, as `GET /v1/sessions` lists them.
    pub async fn sessions(&self) -> Result<Vec<Value>> {
        sessions(&self.private).await
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

/// The JobManagers that the sidecar with this private listener knows, as `GET /v1/sessions` lists them.
pub async fn sessions(private: &Endpoint) -> Result<Vec<Value>> {
    let mut listing: Value = private.json("/v1/sessions").await?;
    match listing["sessions"].take() {
        Value::Array(sessions) => Ok(sessions),
        _ => bail!("{} lists no sessions: {listing}", private.url("/v1/sessions")),
    }
}
