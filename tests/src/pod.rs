//! A pod as Kubernetes would run it, made of plain processes: a sidecar, its JobManager, and a TaskManager that follows them.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::flink::config::Ports;
use crate::flink::job_manager::JobManager;
use crate::flink::task_manager;
use crate::net::free_address;
use crate::process::Process;
use crate::sidecar::{Options, Sidecar};
use crate::site::Site;

/// The deployment of every run.
pub const DEPLOYMENT: &str = "orders";

/// A pod of a site. Every process of it is started and ended by the test; ports stay the same across restarts.
#[derive(Debug)]
pub struct Pod<'a> {
    site: &'a Site,
    name: String,
    ports: Ports,
    sidecar: Option<Sidecar>,
    job_manager: Option<JobManager>,
    task_manager: Option<Process>,
}

impl<'a> Pod<'a> {
    /// A pod in which nothing runs yet.
    pub fn new(site: &'a Site, name: &str) -> Result<Self> {
        let ports = Ports {
            sidecar: free_address()?,
            sidecar_public: free_address()?,
            rpc: free_address()?,
            rest: free_address()?,
        };
        Ok(Self { site, name: name.to_owned(), ports, sidecar: None, job_manager: None, task_manager: None })
    }

    /// Where the pod's processes listen.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The sidecar's address as the JobManager would be told it.
    pub fn sidecar_url(&self) -> String {
        format!("http://{}", self.ports.sidecar)
    }

    /// Starts the sidecar and waits until it is ready; how long that took.
    pub async fn start_sidecar(&mut self) -> Result<Duration> {
        let name = format!("{}-sidecar", self.name);
        let options = Options {
            deployment: DEPLOYMENT.to_owned(),
            generation: "rollout-1".to_owned(),
            store: self.site.url("store"),
            listen: self.ports.sidecar,
            public_listen: self.ports.sidecar_public,
            name: name.clone(),
        };
        let mut sidecar =
            Sidecar::start(&self.site.artifacts().sidecar, &options, &self.site.next_log(&name))?;
        let took = sidecar.wait_until_ready().await?;
        self.sidecar = Some(sidecar);
        Ok(took)
    }

    /// Starts the JobManager, which finds its sidecar where it is.
    pub fn start_job_manager(&mut self) -> Result<()> {
        self.start_job_manager_behind(&self.sidecar_url())
    }

    /// Starts the JobManager with another address for the sidecar: a proxy's.
    pub fn start_job_manager_behind(&mut self, url: &str) -> Result<()> {
        self.job_manager = Some(JobManager::start(self.site, &self.name, &self.ports, url)?);
        Ok(())
    }

    /// Starts the TaskManager.
    pub fn start_task_manager(&mut self) -> Result<()> {
        self.task_manager = Some(task_manager::start(self.site, &self.name, &self.ports)?);
        Ok(())
    }

    /// The sidecar that was started last.
    pub fn sidecar(&mut self) -> Result<&mut Sidecar> {
        let name = &self.name;
        self.sidecar.as_mut().with_context(|| format!("{name} has no sidecar"))
    }

    /// The JobManager that was started last.
    pub fn job_manager(&mut self) -> Result<&mut JobManager> {
        let name = &self.name;
        self.job_manager.as_mut().with_context(|| format!("{name} has no JobManager"))
    }

    /// The TaskManager that was started last.
    pub fn task_manager(&mut self) -> Result<&mut Process> {
        let name = &self.name;
        self.task_manager.as_mut().with_context(|| format!("{name} has no TaskManager"))
    }
}
