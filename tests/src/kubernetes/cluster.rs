//! Pods with a real JobManager and TaskManager, and an API server for whoever elects them: Holdfast's sidecar, or Flink's own
//! Kubernetes HA services.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::rbac::v1::PolicyRule;
use tokio::time::{Instant, sleep};

use super::candidate::{Candidate, DEFAULT, Options};
use super::deployment::LIMIT;
use super::manifests::{ACCOUNT, LEASE, rules};
use super::namespace::Namespace;
use super::traffic::Traffic;
use super::{ApiServer, Fault};
use crate::flink::config::{CLUSTER_ID, HighAvailability, Ports};
use crate::flink::job_manager::{CHECKPOINT_INTERVAL, JobManager};
use crate::flink::rest::Job;
use crate::flink::task_manager;
use crate::net::free_address;
use crate::process::Process;
use crate::rollout::Rollout;
use crate::site::Site;

/// The service account of a Flink that elects by itself.
const FLINK_ACCOUNT: &str = "flink";

/// Checkpoints that a job completes before it counts as started.
const STARTED: usize = 3;

/// A namespace for the pods of a site.
pub struct Cluster<'a> {
    /// The API server.
    pub server: ApiServer,
    /// The namespace.
    pub namespace: Namespace,
    site: &'a Site,
    kubeconfig: PathBuf,
}

/// A pod's object, and its processes.
pub struct FlinkPod<'a> {
    /// How often a checkpoint is begun.
    pub checkpoint_interval: Duration,
    site: &'a Site,
    name: String,
    ports: Ports,
    services: Services,
    candidate: Option<Candidate>,
    job_manager: Option<JobManager>,
    task_manager: Option<Process>,
}

/// Who elects the JobManager.
enum Services {
    Holdfast(Box<Options>),
    Kubernetes { kubeconfig: PathBuf, namespace: String },
}

impl<'a> Cluster<'a> {
    /// Starts an API server with an empty namespace.
    pub async fn start(site: &'a Site) -> Result<Self> {
        let server = ApiServer::start(site.root()).await?;
        let namespace = server.namespace("flink").await?;
        let kubeconfig = namespace.service_account(ACCOUNT, &rules()?).await?;
        Ok(Self { server, namespace, site, kubeconfig })
    }

    /// A pod with Holdfast, which has the rights that the manifests give it.
    pub async fn pod(&self, name: &str) -> Result<FlinkPod<'a>> {
        let object = self.namespace.run_pod(name).await?;
        let mut options = Options::new(self.site.root(), &self.namespace, LEASE, &object, &self.kubeconfig)?;
        options.timings = DEFAULT;
        let ports = ports(&options)?;
        Ok(FlinkPod::new(self.site, name, ports, Services::Holdfast(Box::new(options))))
    }

    /// A pod without Holdfast. Flink may do with ConfigMaps what it wants.
    pub async fn pod_of_flink_alone(&self, name: &str) -> Result<FlinkPod<'a>> {
        let object = self.namespace.run_pod(name).await?;
        let kubeconfig = self.namespace.service_account(FLINK_ACCOUNT, &[config_maps()]).await?;
        let ports = ports(&Options::new(self.site.root(), &self.namespace, LEASE, &object, &kubeconfig)?)?;
        let services = Services::Kubernetes { kubeconfig, namespace: self.namespace.name().to_owned() };
        Ok(FlinkPod::new(self.site, name, ports, services))
    }

    /// What a job at work asks the API server for. Begins and ends when a checkpoint is complete, so that whole ones are
    /// counted; lasts a little longer than `window`.
    pub async fn traffic(&self, pod: &mut FlinkPod<'_>, window: Duration) -> Result<Traffic> {
        pod.job_manager()?.wait_for_checkpoints(1).await?;
        let completed = pod.job_manager()?.log.completed()?.len();
        let (before, began) = (self.server.audit()?, Instant::now());
        while began.elapsed() < window {
            pod.job_manager()?.wait_for_checkpoints(1).await?;
        }
        let (asked, elapsed) = (self.server.audit()?.since(&before), began.elapsed());
        let checkpoints = pod.job_manager()?.log.completed()?.len() - completed;
        let (account, leadership) = match &pod.services {
            Services::Holdfast(options) => (ACCOUNT, options.lease.clone()),
            Services::Kubernetes { .. } => (FLINK_ACCOUNT, format!("{CLUSTER_ID}-cluster-config-map")),
        };
        Ok(Traffic::of(&asked, &self.namespace.user(account), &leadership, elapsed, checkpoints))
    }

    /// Takes the API server away for `length` from a pod with Holdfast. Fails unless the sidecar noticed, the job was not
    /// restarted and its epoch is the same afterwards. How many checkpoints were completed meanwhile.
    pub async fn outage(
        &mut self,
        pod: &mut FlinkPod<'_>,
        job: &Job,
        fault: Fault,
        length: Duration,
    ) -> Result<usize> {
        let epoch = pod.epoch().await?;
        let completed = pod.job_manager()?.log.completed()?.len();
        self.server.begin(fault)?;
        // An outage of a certain length is what is asked for: there is no condition to wait for.
        sleep(length).await;
        let standing = pod.candidate()?.standing().await?;
        ensure!(standing == "unconfirmed", "nobody noticed the outage: the election stands at {standing:?}");
        let checkpoints = pod.job_manager()?.log.completed()?.len() - completed;
        self.server.end(fault).await?;

        pod.candidate()?.wait_until_standing("ours", LIMIT).await?;
        pod.job_manager()?.require_no_restart(&job.id).await?;
        let now = pod.epoch().await?;
        ensure!(now == epoch, "it leads under epoch {now} after {epoch}");
        Ok(checkpoints)
    }
}

/// What Flink's documentation asks for, and no more.
pub fn config_maps() -> PolicyRule {
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    PolicyRule {
        api_groups: Some(words(&[""])),
        resources: Some(words(&["configmaps"])),
        verbs: words(&["create", "delete", "get", "list", "patch", "update", "watch"]),
        ..PolicyRule::default()
    }
}

fn ports(options: &Options) -> Result<Ports> {
    Ok(Ports {
        sidecar: options.listen,
        sidecar_public: options.public_listen,
        rpc: free_address()?,
        rest: free_address()?,
    })
}

impl<'a> FlinkPod<'a> {
    fn new(site: &'a Site, name: &str, ports: Ports, services: Services) -> Self {
        Self {
            checkpoint_interval: CHECKPOINT_INTERVAL,
            site,
            name: name.to_owned(),
            ports,
            services,
            candidate: None,
            job_manager: None,
            task_manager: None,
        }
    }

    /// Starts everything that runs in the pod, and waits for nothing but the sidecar's first answer.
    pub async fn start_processes(&mut self) -> Result<()> {
        let sidecar = format!("http://{}", self.ports.sidecar);
        let ha = match &self.services {
            Services::Holdfast(options) => {
                self.candidate = Some(Candidate::start(options).await?);
                HighAvailability::Holdfast { url: &sidecar }
            }
            Services::Kubernetes { kubeconfig, namespace } => {
                HighAvailability::Kubernetes { kubeconfig, namespace }
            }
        };
        self.task_manager = Some(task_manager::start(self.site, &self.name, &self.ports, ha, &[])?);
        let rollout = Rollout::default().checkpoint_every(self.checkpoint_interval);
        self.job_manager = Some(JobManager::start_with(self.site, &self.name, &self.ports, ha, &rollout)?);
        Ok(())
    }

    /// Starts everything, and waits until the job completes checkpoints.
    pub async fn start_all(&mut self) -> Result<Job> {
        self.start_processes().await?;
        let job = self.job_manager()?.wait_until_running().await?;
        self.job_manager()?.wait_for_checkpoints(STARTED).await?;
        Ok(job)
    }

    /// The sidecar.
    pub fn candidate(&mut self) -> Result<&mut Candidate> {
        self.candidate.as_mut().context("the pod has no sidecar")
    }

    /// The JobManager.
    pub fn job_manager(&mut self) -> Result<&mut JobManager> {
        self.job_manager.as_mut().context("the pod has no JobManager")
    }

    /// Everything that runs in it.
    pub fn processes(&self) -> impl Iterator<Item = &Process> {
        let sidecar = self.candidate.iter().map(|candidate| &candidate.process);
        let job_manager = self.job_manager.iter().map(|job_manager| &job_manager.process);
        sidecar.chain(job_manager).chain(&self.task_manager)
    }

    /// The epoch that the sidecar owns.
    pub async fn epoch(&mut self) -> Result<u64> {
        let status = self.candidate()?.status().await?;
        status["epoch"].as_u64().with_context(|| format!("/status names no epoch: {status}"))
    }
}
