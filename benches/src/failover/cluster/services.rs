//! What a peer needs beside Flink: a ZooKeeper server, an API server, or a sidecar.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::flink::config::{HighAvailability, Ports};
use harness::flink::script;
use harness::kubernetes::ApiServer;
use harness::kubernetes::candidate::{self, Candidate};
use harness::kubernetes::cluster::config_maps;
use harness::kubernetes::manifests::{ACCOUNT, LEASE, rules};
use harness::net::free_address;
use harness::pod::DEPLOYMENT;
use harness::process::{self, Process};
use harness::sidecar::{self, Sidecar};
use harness::site::Site;
use harness::wait;

use crate::failover::case::Case;
use crate::failover::peer::{Peer, Service};

/// How long a ZooKeeper server may take to listen.
const ZOOKEEPER_LIMIT: Duration = Duration::from_secs(60);

/// The service account of a Flink that elects by itself.
const FLINK_ACCOUNT: &str = "flink";

/// What runs beside Flink.
pub(super) enum Services {
    Nobody,
    ZooKeeper { quorum: String, _server: Process },
    Kubernetes { api: Box<ApiServer>, kubeconfig: PathBuf, namespace: String },
    Holdfast { url: String, guard: Guard },
}

/// The sidecar, with or without a Lease.
pub(super) enum Guard {
    Alone { options: Box<sidecar::Options>, running: Box<Sidecar> },
    Elected { api: Box<ApiServer>, running: Box<Candidate> },
}

impl Services {
    /// Starts what this peer needs, and waits until it answers. Holdfast elects by a Lease only where the API server is what
    /// the case is about: with one JobManager there is nobody to elect against.
    pub(super) async fn start(site: &Site, peer: &Peer, case: Case, ports: &mut Ports) -> Result<Self> {
        match peer.service {
            Service::Nobody => Ok(Self::Nobody),
            Service::ZooKeeper => zookeeper(site).await,
            Service::Kubernetes => {
                let api = ApiServer::start(site.root()).await?;
                let namespace = api.namespace("flink").await?;
                let kubeconfig = namespace.service_account(FLINK_ACCOUNT, &[config_maps()]).await?;
                let namespace = namespace.name().to_owned();
                Ok(Self::Kubernetes { api: Box::new(api), kubeconfig, namespace })
            }
            Service::Holdfast => {
                let guard = match case {
                    Case::Api => Guard::elected(site, ports).await?,
                    _ => Guard::alone(site, ports).await?,
                };
                Ok(Self::Holdfast { url: format!("http://{}", ports.sidecar), guard })
            }
        }
    }

    /// What Flink is told.
    pub(super) fn high_availability(&self) -> HighAvailability<'_> {
        match self {
            Self::Nobody => HighAvailability::Nobody,
            Self::ZooKeeper { quorum, .. } => HighAvailability::ZooKeeper { quorum },
            Self::Kubernetes { kubeconfig, namespace, .. } => {
                HighAvailability::Kubernetes { kubeconfig, namespace }
            }
            Self::Holdfast { url, .. } => HighAvailability::Holdfast { url },
        }
    }

    /// The sidecar.
    pub(super) fn guard(&mut self) -> Option<&mut Guard> {
        match self {
            Self::Holdfast { guard, .. } => Some(guard),
            _ => None,
        }
    }

    /// The API server.
    pub(super) fn api(&mut self) -> Option<&mut ApiServer> {
        match self {
            Self::Kubernetes { api, .. } | Self::Holdfast { guard: Guard::Elected { api, .. }, .. } => {
                Some(api)
            }
            _ => None,
        }
    }
}

impl Guard {
    async fn alone(site: &Site, ports: &Ports) -> Result<Self> {
        let options = sidecar::Options {
            name: "sidecar".into(),
            deployment: DEPLOYMENT.into(),
            generation: "rollout-1".into(),
            store: site.url("store"),
            listen: ports.sidecar,
            public_listen: ports.sidecar_public,
            flags: Vec::new(),
            variables: Vec::new(),
        };
        let mut running = Sidecar::start(&site.artifacts().sidecar, &options, &site.next_log("sidecar"))?;
        running.wait_until_ready().await?;
        Ok(Self::Alone { options: Box::new(options), running: Box::new(running) })
    }

    async fn elected(site: &Site, ports: &mut Ports) -> Result<Self> {
        let api = ApiServer::start(site.root()).await?;
        let namespace = api.namespace("flink").await?;
        let kubeconfig = namespace.service_account(ACCOUNT, &rules()?).await?;
        let pod = namespace.run_pod("pod-1").await?;
        let mut options = candidate::Options::new(site.root(), &namespace, LEASE, &pod, &kubeconfig)?;
        options.timings = candidate::DEFAULT;
        options.binary = Some(site.artifacts().sidecar.clone());
        (options.listen, options.public_listen) = (ports.sidecar, ports.sidecar_public);
        let running = Candidate::start(&options).await?;
        Ok(Self::Elected { api: Box::new(api), running: Box::new(running) })
    }

    /// `kill -9`.
    pub(super) fn kill(&mut self) -> Result<()> {
        match self {
            Self::Alone { running, .. } => running.process.kill(),
            Self::Elected { running, .. } => running.process.kill(),
        }
    }

    /// The same again, without waiting for it.
    pub(super) fn start_again(&mut self, site: &Site) -> Result<()> {
        match self {
            Self::Alone { options, running } => {
                **running = Sidecar::start(&site.artifacts().sidecar, options, &site.next_log("sidecar"))?;
            }
            Self::Elected { running, .. } => **running = Candidate::spawn(&running.options)?,
        }
        Ok(())
    }

    /// Fails when it has ended.
    pub(super) fn require_alive(&mut self) -> Result<()> {
        match self {
            Self::Alone { running, .. } => running.process.require_alive(),
            Self::Elected { running, .. } => running.process.require_alive(),
        }
    }
}

/// One server, as Flink ships and configures it, with its data in the site.
async fn zookeeper(site: &Site) -> Result<Services> {
    let address = free_address()?;
    let conf = site.path("conf/zookeeper");
    for dir in ["data", "log", "pid"] {
        fs::create_dir_all(conf.join(dir)).with_context(|| format!("making {}", conf.display()))?;
    }
    let shipped = site.artifacts().flink_home.join("conf");
    for name in ["log4j-console.properties", "config.yaml"] {
        fs::copy(shipped.join(name), conf.join(name)).with_context(|| format!("copying {name}"))?;
    }
    let text = format!(
        "tickTime=2000\ninitLimit=10\nsyncLimit=5\ndataDir={}\nclientPort={}\nclientPortAddress=127.0.0.1\n\
         admin.enableServer=false\nserver.1=127.0.0.1:{}:{}\n",
        conf.join("data").display(),
        address.port(),
        free_address()?.port(),
        free_address()?.port()
    );
    let configuration = conf.join("zoo.cfg");
    fs::write(&configuration, text).context("writing zoo.cfg")?;
    // The other scripts do not exec: only this one makes the started process the server.
    let like_flink = script(site, "flink-console.sh", &conf);
    let mut command = process::command(like_flink.get_program());
    command.args(["zookeeper", "--zkConfigFile"]).arg(&configuration).args(["--peerId", "1"]);
    for (name, value) in like_flink.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.env("JVM_ARGS", "-Xmx128m");
    let mut server = Process::spawn("zookeeper", command, &site.next_log("zookeeper"))?;
    wait_until_listening(&mut server, address).await?;
    Ok(Services::ZooKeeper { quorum: address.to_string(), _server: server })
}

async fn wait_until_listening(server: &mut Process, address: SocketAddr) -> Result<()> {
    wait::until("the ZooKeeper server to listen", ZOOKEEPER_LIMIT, async || {
        server.require_alive()?;
        Ok(tokio::net::TcpStream::connect(address).await.is_ok().then_some(()))
    })
    .await
}
