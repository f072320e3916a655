//! Writes a process's `FLINK_CONF_DIR`: the distribution's logging configuration and a `config.yaml` of our own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::net::free_address;
use crate::site::Site;

/// `high-availability.cluster-id`. Equal in all pods of a cluster, so they agree on the job's id and directories.
pub const CLUSTER_ID: &str = "holdfast-e2e";

/// The slots of a TaskManager, and the job's parallelism.
const SLOTS: u32 = 2;

/// Where a pod's processes listen.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The sidecar's `--listen`: for the JobManager.
    pub sidecar: SocketAddr,
    /// The sidecar's `--public-listen`: for TaskManagers and clients.
    pub sidecar_public: SocketAddr,
    /// `jobmanager.rpc.port`.
    pub rpc: SocketAddr,
    /// `rest.port`.
    pub rest: SocketAddr,
}

impl Ports {
    /// Free ones, for a pod of its own.
    pub fn free() -> Result<Self> {
        Ok(Self {
            sidecar: free_address()?,
            sidecar_public: free_address()?,
            rpc: free_address()?,
            rest: free_address()?,
        })
    }
}

/// Who keeps a job's place.
#[derive(Clone, Copy, Debug)]
pub enum HighAvailability<'a> {
    /// Holdfast.
    Holdfast {
        /// What the JobManager knows as the sidecar: a test may put a proxy there.
        url: &'a str,
    },
    /// Flink's own Kubernetes HA services, with nothing set that they do not need.
    Kubernetes {
        /// How the API server is reached, and as whom.
        kubeconfig: &'a Path,
        /// Where the ConfigMaps go.
        namespace: &'a str,
    },
    /// Flink's own ZooKeeper HA services, with nothing set that they do not need.
    ZooKeeper {
        /// `host:port` of the servers.
        quorum: &'a str,
    },
    /// Nobody: a JobManager that is started again knows nothing of its predecessor.
    Nobody,
}

/// Writes the configuration of one process of a pod, with `replaced` instead of what it would have for these keys, and
/// returns its directory.
pub fn write(
    site: &Site,
    process: &str,
    ports: &Ports,
    ha: HighAvailability<'_>,
    replaced: &[(&'static str, String)],
) -> Result<PathBuf> {
    let conf = site.path(&format!("conf/{process}"));
    for dir in ["log", "pid"] {
        fs::create_dir_all(conf.join(dir)).with_context(|| format!("making {}", conf.display()))?;
    }
    let shipped = site.artifacts().flink_home.join("conf");
    for name in ["log4j-console.properties", "logback-console.xml"] {
        fs::copy(shipped.join(name), conf.join(name)).with_context(|| format!("copying {name}"))?;
    }
    let is_replaced = |key: &str| replaced.iter().any(|(other, _)| *other == key);
    let own =
        ha.settings(ports).into_iter().chain(settings(site, ports)).filter(|(key, _)| !is_replaced(key));
    let mut yaml = own
        .chain(replaced.iter().cloned())
        .map(|(key, value)| format!("{key}: {value}\n"))
        .collect::<String>();
    yaml.push_str(&format!("env.java.opts.all: {}\n", java_options(&shipped)?));
    fs::write(conf.join("config.yaml"), yaml).context("writing config.yaml")?;
    Ok(conf)
}

impl HighAvailability<'_> {
    fn settings(self, ports: &Ports) -> Vec<(&'static str, String)> {
        let set = |key, value: &str| (key, value.to_owned());
        match self {
            Self::Holdfast { url } => vec![
                set("high-availability.type", "io.holdfast.flink.HoldfastHaServicesFactory"),
                set("high-availability.holdfast.url", url),
                ("high-availability.holdfast.leaders-url", format!("http://{}", ports.sidecar_public)),
            ],
            Self::Kubernetes { kubeconfig, namespace } => vec![
                set("high-availability.type", "kubernetes"),
                set("kubernetes.cluster-id", CLUSTER_ID),
                set("kubernetes.namespace", namespace),
                ("kubernetes.config.file", kubeconfig.display().to_string()),
            ],
            Self::ZooKeeper { quorum } => vec![
                set("high-availability.type", "zookeeper"),
                set("high-availability.zookeeper.quorum", quorum),
            ],
            Self::Nobody => vec![set("high-availability.type", "NONE")],
        }
    }
}

fn settings(site: &Site, ports: &Ports) -> Vec<(&'static str, String)> {
    let set = |key, value: &str| (key, value.to_owned());
    vec![
        set("high-availability.cluster-id", CLUSTER_ID),
        ("execution.checkpointing.savepoint-dir", site.url("savepoints")),
        ("high-availability.storageDir", site.url("ha")),
        ("execution.checkpointing.dir", site.url("checkpoints")),
        set("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"),
        set("restart-strategy.type", "fixed-delay"),
        set("restart-strategy.fixed-delay.attempts", "10"),
        set("restart-strategy.fixed-delay.delay", "1 s"),
        ("parallelism.default", SLOTS.to_string()),
        ("taskmanager.numberOfTaskSlots", SLOTS.to_string()),
        set("jobmanager.memory.process.size", "1600m"),
        set("taskmanager.memory.process.size", "1728m"),
        // Everything on loopback: a test must not open a port to the network.
        set("jobmanager.rpc.address", "127.0.0.1"),
        ("jobmanager.rpc.port", ports.rpc.port().to_string()),
        set("jobmanager.bind-host", "127.0.0.1"),
        set("rest.address", "127.0.0.1"),
        set("rest.bind-address", "127.0.0.1"),
        ("rest.port", ports.rest.port().to_string()),
        ("rest.bind-port", format!("\"{}\"", ports.rest.port())),
        set("taskmanager.host", "127.0.0.1"),
        set("taskmanager.bind-host", "127.0.0.1"),
        // What Flink unpacks and spills goes where it is removed with the site.
        ("io.tmp.dirs", site.path("tmp").display().to_string()),
    ]
}

/// The `--add-exports` and `--add-opens` that this Flink needs on newer Java versions: its own list is the right one.
fn java_options(shipped: &Path) -> Result<String> {
    let path = shipped.join("config.yaml");
    let yaml = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let options = yaml.lines().find_map(|line| line.trim().strip_prefix("all: "));
    Ok(options.with_context(|| format!("{} sets no env.java.opts.all", path.display()))?.to_owned())
}
