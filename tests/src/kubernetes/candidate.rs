//! A sidecar that stands for election, and what it says about itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use super::namespace::{Namespace, PodObject};
use super::next_log;
use crate::artifacts;
use crate::endpoint::Endpoint;
use crate::net::free_address;
use crate::process::{self, Process};
use crate::wait;

/// How long a sidecar may take to answer, on a busy machine.
const UP_LIMIT: Duration = Duration::from_secs(60);

/// How patient an elector is. The product's defaults are [`DEFAULT`].
#[derive(Clone, Copy, Debug)]
pub struct Timings {
    /// `--lease-duration`.
    pub lease: Duration,
    /// `--renew-deadline`.
    pub deadline: Duration,
    /// `--retry-period`.
    pub retry: Duration,
}

/// What the product does when it is told nothing.
pub const DEFAULT: Timings = Timings {
    lease: Duration::from_secs(15),
    deadline: Duration::from_secs(10),
    retry: Duration::from_secs(2),
};

/// For rules that have to wait for an expiry.
pub const SHORT: Timings = Timings {
    lease: Duration::from_secs(3),
    deadline: Duration::from_secs(2),
    retry: Duration::from_millis(500),
};

/// What a candidate is started with. The same again is a restart in the same pod.
#[derive(Clone, Debug)]
pub struct Options {
    /// The `holdfast` binary, where it is not the one beside this program.
    pub binary: Option<PathBuf>,
    /// Where the Lease is.
    pub namespace: String,
    /// Its name, which is the deployment's, too.
    pub lease: String,
    /// The pod that it runs in.
    pub pod: PodObject,
    /// Who it is to the API server.
    pub kubeconfig: PathBuf,
    /// How patient it is.
    pub timings: Timings,
    /// `--store`.
    pub store: String,
    /// `--listen`.
    pub listen: SocketAddr,
    /// `--public-listen`.
    pub public_listen: SocketAddr,
    /// Where its output goes.
    pub logs: PathBuf,
}

/// A running candidate.
#[derive(Debug)]
pub struct Candidate {
    /// The process.
    pub process: Process,
    /// What it was started with.
    pub options: Options,
    private: Endpoint,
}

impl Options {
    /// For a pod of a namespace. Everything lies under `root`: `store/`, `logs/`.
    pub fn new(
        root: &Path,
        namespace: &Namespace,
        lease: &str,
        pod: &PodObject,
        kubeconfig: &Path,
    ) -> Result<Self> {
        Ok(Self {
            binary: None,
            namespace: namespace.name().to_owned(),
            lease: lease.to_owned(),
            pod: pod.clone(),
            kubeconfig: kubeconfig.to_owned(),
            timings: SHORT,
            store: format!("file://{}", root.join("store").display()),
            listen: free_address()?,
            public_listen: free_address()?,
            logs: root.join("logs"),
        })
    }
}

impl Candidate {
    /// Starts one, and waits until it answers (not until it is elected).
    pub async fn start(options: &Options) -> Result<Self> {
        let mut candidate = Self::spawn(options)?;
        candidate.wait_until_up().await?;
        Ok(candidate)
    }

    /// Starts one and does not wait.
    pub fn spawn(options: &Options) -> Result<Self> {
        let Timings { lease, deadline, retry } = options.timings;
        let ms = |duration: Duration| format!("{}ms", duration.as_millis());
        let mut command = process::command(options.binary.clone().map_or_else(artifacts::sidecar, Ok)?);
        command.arg("run");
        command.args(["--deployment", &options.lease, "--generation", "rollout-1"]);
        command.args(["--store", &options.store]);
        command.args(["--election", "kubernetes", "--namespace", &options.namespace]);
        command.args(["--lease-name", &options.lease]);
        command.args(["--identity", &options.pod.uid, "--pod-name", &options.pod.name]);
        command.args(["--lease-duration", &ms(lease), "--renew-deadline", &ms(deadline)]);
        command.args(["--retry-period", &ms(retry), "--stop-wait", "1s"]);
        command.args(["--listen", &options.listen.to_string()]);
        command.args(["--public-listen", &options.public_listen.to_string()]);
        command.env("KUBECONFIG", &options.kubeconfig);
        let name = format!("{}-{}-sidecar", options.namespace, options.pod.name);
        let process = Process::spawn(&name, command, &next_log(&options.logs, &name))?;
        Ok(Self { process, options: options.clone(), private: Endpoint::new(options.listen)? })
    }

    /// Waits until it answers.
    pub async fn wait_until_up(&mut self) -> Result<()> {
        wait::until("a sidecar to answer", UP_LIMIT, async || {
            self.process.require_alive()?;
            Ok(self.private.agrees("/live").await.then_some(()))
        })
        .await
    }

    /// A URL of the private listener.
    pub fn url(&self, path: &str) -> String {
        self.private.url(path)
    }

    /// `GET /status`.
    pub async fn status(&self) -> Result<Value> {
        self.private.json("/status").await
    }

    /// Where the election stands: `ours`, `others`, `unconfirmed` or `not-yet`.
    pub async fn standing(&self) -> Result<String> {
        let status = self.status().await?;
        let standing = status["election"]["standing"].as_str();
        Ok(standing.with_context(|| format!("/status names no standing: {status}"))?.to_owned())
    }

    /// What the election's last request met, if it was not answered as it should be.
    pub async fn trouble(&self) -> Result<String> {
        Ok(self.status().await?["election"]["trouble"].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until the election stands like this.
    pub async fn wait_until_standing(&mut self, wanted: &str, limit: Duration) -> Result<()> {
        wait::until(&format!("an election that stands at {wanted:?}"), limit, async || {
            self.process.require_alive()?;
            Ok((self.standing().await? == wanted).then_some(()))
        })
        .await
    }

    /// The value of a metric without labels of its own.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let text = self.private.text("/metrics").await?;
        let of_it = |line: &&str| line.split(['{', ' ']).next() == Some(name);
        let line = text.lines().find(of_it).with_context(|| format!("no metric {name} in\n{text}"))?;
        Ok(line.rsplit(' ').next().unwrap_or_default().parse()?)
    }
}
