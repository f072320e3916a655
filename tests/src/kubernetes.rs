//! A real Kubernetes API: kube-apiserver and etcd as plain processes on loopback.
//!
//! There is no kubelet, no scheduler and no controller: a pod is an object whose status the test writes. Everything that
//! Holdfast relies on is real: compare-and-swap, RBAC, tokens, Events.
//!
//! | module | holds |
//! | --- | --- |
//! | [`namespace`] | a namespace: pods, Leases and Events in it, and service accounts with their tokens |
//! | [`candidate`] | a sidecar that stands for election |
//! | [`deployment`] | a namespace with a store, and candidates in its pods |
//! | [`contest`] | a leader, and a second pod that waits to take over |
//! | [`cluster`] | pods with a real JobManager and TaskManager |
//! | [`manifests`] | the rights that `deploy/` gives a pod |
//! | [`audit`] | who asked the API server what |
//! | [`traffic`] | the same in a window of time, for each hour and checkpoint |
//! | `pki` | the keys of one API server |

pub mod audit;
pub mod candidate;
pub mod cluster;
pub mod contest;
pub mod deployment;
pub mod manifests;
pub mod namespace;
mod pki;
pub mod traffic;

use std::env;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Request;
use kube::client::ConfigExt;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use self::audit::Audit;
use self::namespace::Namespace;
use crate::fault_proxy::FaultProxy;
use crate::net::free_address;
use crate::process::{self, Process};
use crate::wait;

/// The version that `scripts/setup-k8s.sh` builds.
const VERSION: &str = "1.20.2";

/// How long etcd and kube-apiserver may take together, on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(90);

/// How long one question of the test to the API server may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(20);

/// How the API server fails.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// Its connections stand, and nothing is answered.
    Paused,
    /// Its connections are refused.
    Killed,
}

/// A running control plane with a directory of its own. Ports, keys and data stay the same when it is started again.
pub struct ApiServer {
    binaries: PathBuf,
    home: PathBuf,
    logs: PathBuf,
    ports: Ports,
    admin: Client,
    // Dropped first: without etcd it fills its log.
    server: Process,
    etcd: Process,
}

#[derive(Clone, Copy, Debug)]
struct Ports {
    api: SocketAddr,
    etcd: SocketAddr,
    etcd_peer: SocketAddr,
}

impl ApiServer {
    /// Starts one with an empty store and waits until it is ready. Its data goes to `root/kubernetes`, its logs to
    /// `root/logs`.
    pub async fn start(root: &Path) -> Result<Self> {
        let binaries = binaries()?;
        let (home, logs) = (root.join("kubernetes"), root.join("logs"));
        for dir in [&home, &logs] {
            fs::create_dir_all(dir).with_context(|| format!("making {}", dir.display()))?;
        }
        pki::make(&home)?;
        fs::write(home.join("audit-policy.json"), audit::policy())?;
        let ports = Ports { api: free_address()?, etcd: free_address()?, etcd_peer: free_address()? };
        let user = json!({
            "client-certificate": home.join("admin.crt"),
            "client-key": home.join("admin.key"),
        });
        let kubeconfig = write_kubeconfig(&home, &format!("https://{}", ports.api), "admin", &user)?;
        let admin = client(&kubeconfig).await?;
        let etcd = start_etcd(&binaries, &home, &logs, ports)?;
        let server = start_server(&binaries, &home, &logs, ports)?;
        let mut this = Self { binaries, home, logs, ports, admin, server, etcd };
        this.wait_until_ready().await?;
        Ok(this)
    }

    /// SIGSTOP: connections are accepted by the kernel and nothing is answered.
    pub fn pause(&self) -> Result<()> {
        self.server.pause()
    }

    /// SIGCONT, and waits until it answers again.
    pub async fn wake(&mut self) -> Result<()> {
        self.server.wake()?;
        self.wait_until_ready().await
    }

    /// `kill -9` of kube-apiserver and etcd: connections are refused.
    pub fn kill(&mut self) -> Result<()> {
        self.server.kill()?;
        self.etcd.kill()
    }

    /// Starts what was killed, where it was.
    pub async fn start_again(&mut self) -> Result<()> {
        self.etcd = start_etcd(&self.binaries, &self.home, &self.logs, self.ports)?;
        self.server = start_server(&self.binaries, &self.home, &self.logs, self.ports)?;
        self.wait_until_ready().await
    }

    /// Takes it away.
    pub fn begin(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Paused => self.pause(),
            Fault::Killed => self.kill(),
        }
    }

    /// Brings it back, and waits until it answers.
    pub async fn end(&mut self, fault: Fault) -> Result<()> {
        match fault {
            Fault::Paused => self.wake().await,
            Fault::Killed => self.start_again().await,
        }
    }

    /// Makes a namespace.
    pub async fn namespace(&self, name: &str) -> Result<Namespace> {
        Namespace::create(self.admin.clone(), name, &self.home, self.ports.api).await
    }

    /// A proxy before it. Whoever asks through it must say who it is with a token: the proxy has no rights of its own.
    pub async fn fault_proxy(&self) -> Result<FaultProxy> {
        let admin = kubeconfig(&self.admin_kubeconfig()).await?;
        let mut anybody = Config::new(admin.cluster_url);
        anybody.root_cert = admin.root_cert;
        let connector = anybody.rustls_https_connector()?;
        FaultProxy::before(anybody.cluster_url, connector).await
    }

    /// A kubeconfig that may do everything.
    pub fn admin_kubeconfig(&self) -> PathBuf {
        self.home.join("admin.kubeconfig")
    }

    /// What was asked of it so far, by whom.
    pub fn audit(&self) -> Result<Audit> {
        Audit::read(&self.home.join("audit.log"))
    }

    async fn wait_until_ready(&mut self) -> Result<()> {
        let Self { admin, etcd, server, .. } = self;
        wait::until("the API server to be ready", READY_LIMIT, async || {
            etcd.require_alive()?;
            server.require_alive()?;
            let ask = Request::get("/readyz").body(Vec::new())?;
            let answer = tokio::time::timeout(Duration::from_secs(5), admin.request_text(ask)).await;
            Ok(matches!(answer, Ok(Ok(text)) if text == "ok").then_some(()))
        })
        .await
    }
}

/// Where `scripts/setup-k8s.sh` puts them, found by the same rule.
fn binaries() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let cache = set("HOLDFAST_CACHE").or_else(|| base().map(|base| base.join("holdfast")));
    let cache = cache.context("none of HOLDFAST_CACHE, XDG_CACHE_HOME and HOME is set")?;
    let binaries = cache.join(format!("k8s-{VERSION}"));
    let found = binaries.join("kube-apiserver").is_file();
    ensure!(found, "there is no kube-apiserver in {}; run: scripts/setup-k8s.sh", binaries.display());
    Ok(binaries)
}

fn start_etcd(binaries: &Path, home: &Path, logs: &Path, ports: Ports) -> Result<Process> {
    let (client, peer) = (format!("http://{}", ports.etcd), format!("http://{}", ports.etcd_peer));
    let mut command = process::command(binaries.join("etcd"));
    command.arg("--data-dir").arg(home.join("etcd"));
    command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
    command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
    command.args(["--initial-cluster", &format!("default={peer}")]);
    Process::spawn("etcd", command, &next_log(logs, "etcd"))
}

fn start_server(binaries: &Path, home: &Path, logs: &Path, ports: Ports) -> Result<Process> {
    let mut command = process::command(binaries.join("kube-apiserver"));
    let mut option = |name: &str, value: &str| {
        command.arg(format!("--{name}={value}"));
    };
    option("etcd-servers", &format!("http://{}", ports.etcd));
    option("bind-address", "127.0.0.1");
    option("advertise-address", "127.0.0.1");
    option("secure-port", &ports.api.port().to_string());
    option("endpoint-reconciler-type", "none");
    option("service-cluster-ip-range", "10.0.0.0/24");
    option("authorization-mode", "RBAC");
    // No controller makes service accounts and their secrets here, so pods must do without.
    option("disable-admission-plugins", "ServiceAccount");
    option("service-account-issuer", "https://kubernetes.default.svc");
    // A log that is written a little later would miss the last requests.
    option("audit-log-mode", "blocking-strict");
    let mut file = |name: &str, file: &str| {
        command.arg(format!("--{name}={}", home.join(file).display()));
    };
    file("cert-dir", "");
    file("client-ca-file", "ca.crt");
    file("tls-cert-file", "server.crt");
    file("tls-private-key-file", "server.key");
    file("service-account-key-file", "accounts.pub");
    file("service-account-signing-key-file", "accounts.key");
    file("audit-policy-file", "audit-policy.json");
    file("audit-log-path", "audit.log");
    Process::spawn("kube-apiserver", command, &next_log(logs, "kube-apiserver"))
}

/// Writes `home/NAME.kubeconfig` for a user of the API at this URL, and returns its path. JSON is YAML.
fn write_kubeconfig(home: &Path, server: &str, name: &str, user: &serde_json::Value) -> Result<PathBuf> {
    let cluster = json!({"server": server, "certificate-authority": home.join("ca.crt")});
    let text = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    });
    let path = home.join(format!("{name}.kubeconfig"));
    fs::write(&path, serde_json::to_vec_pretty(&text)?)
        .with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

/// The test's own client. It does not retry: a test wants to see what happened.
async fn client(path: &Path) -> Result<Client> {
    let mut config = kubeconfig(path).await?;
    config.default_retry = false;
    config.read_timeout = Some(ANSWER_LIMIT);
    Ok(Client::try_from(config)?)
}

async fn kubeconfig(path: &Path) -> Result<Config> {
    let kubeconfig = Kubeconfig::read_from(path)?;
    Ok(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)
}

/// `logs/name-1.log`, `logs/name-2.log`, …: one for each start.
pub fn next_log(logs: &Path, name: &str) -> PathBuf {
    let numbered = |n: u32| logs.join(format!("{name}-{n}.log"));
    (1..).map(numbered).find(|path| !path.exists()).expect("u32 is more than the restarts of any run")
}
