//! A pod as Kubernetes would run it, made of plain processes: a sidecar, its JobManager, and a TaskManager that follows them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::command_line::{self, Answer};
use crate::exec;
use crate::flink::config::{HighAvailability, Ports};
use crate::flink::job_manager::JobManager;
use crate::flink::task_manager;
use crate::process::Process;
use crate::rollout::Rollout;
use crate::sidecar::{Options, Sidecar};
use crate::site::Site;

/// The deployment of every run.
pub const DEPLOYMENT: &str = "orders";

/// How long a sidecar whose JobManager has ended may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// A pod of a site. Every process of it is started and ended by the test; ports stay the same across restarts.
#[derive(Debug)]
pub struct Pod<'a> {
    site: &'a Site,
    name: String,
    ports: Ports,
    rollout: Rollout,
    store: String,
    variables: Vec<(&'static str, String)>,
    sidecar: Option<Sidecar>,
    job_manager: Option<JobManager>,
    task_manager: Option<Process>,
}

impl<'a> Pod<'a> {
    /// A pod in which nothing runs yet.
    pub fn new(site: &'a Site, name: &str) -> Result<Self> {
        Ok(Self {
            site,
            name: name.to_owned(),
            ports: Ports::free()?,
            rollout: Rollout::default(),
            store: site.url("store"),
            variables: Vec::new(),
            sidecar: None,
            job_manager: None,
            task_manager: None,
        })
    }

    /// What is started from now on belongs to this rollout.
    pub fn roll_out(&mut self, rollout: Rollout) {
        self.rollout = rollout;
    }

    /// Sidecars and commands that are started from now on use this store, with these variables, and not the site's directory.
    pub fn keep_in(&mut self, store: &str, variables: impl IntoIterator<Item = (&'static str, String)>) {
        store.clone_into(&mut self.store);
        self.variables = variables.into_iter().collect();
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
        self.spawn_sidecar()?;
        self.sidecar()?.wait_until_ready().await
    }

    /// Starts the sidecar.
    pub fn spawn_sidecar(&mut self) -> Result<()> {
        let name = format!("{}-sidecar", self.name);
        let options = Options {
            deployment: DEPLOYMENT.to_owned(),
            generation: self.rollout.generation.clone(),
            store: self.store.clone(),
            listen: self.ports.sidecar,
            public_listen: self.ports.sidecar_public,
            flags: self.rollout.sidecar.clone(),
            variables: self.variables.clone(),
            name: name.clone(),
        };
        let log = self.site.next_log(&name);
        self.sidecar = Some(Sidecar::start(&self.site.artifacts().sidecar, &options, &log)?);
        Ok(())
    }

    /// Starts the JobManager, which finds its sidecar where it is.
    pub fn start_job_manager(&mut self) -> Result<()> {
        self.start_job_manager_behind(&self.sidecar_url())
    }

    /// Starts the JobManager with another address for the sidecar: a proxy's.
    pub fn start_job_manager_behind(&mut self, url: &str) -> Result<()> {
        self.job_manager = Some(JobManager::start(self.site, &self.name, &self.ports, url, &self.rollout)?);
        Ok(())
    }

    /// Starts the TaskManager.
    pub fn start_task_manager(&mut self) -> Result<()> {
        let sidecar = self.sidecar_url();
        let ha = HighAvailability::Holdfast { url: &sidecar };
        self.task_manager = Some(task_manager::start(self.site, &self.name, &self.ports, ha, &[])?);
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

    /// Ends the sidecar in order, as Kubernetes does, and waits for its end.
    pub async fn stop_sidecar(&mut self) -> Result<()> {
        let sidecar = self.sidecar()?;
        sidecar.process.terminate()?;
        let status = sidecar.process.wait_for_exit(STOP_LIMIT).await?;
        ensure!(status.success(), "the sidecar stopped with {status}");
        Ok(())
    }

    /// Runs a `holdfast` command that speaks to this pod's sidecar.
    pub async fn holdfast(&self, arguments: &[&str]) -> Result<Answer> {
        let url = self.sidecar_url();
        let arguments: Vec<_> = arguments.iter().copied().chain(["--sidecar", url.as_str()]).collect();
        command_line::holdfast(&self.site.artifacts().sidecar, &arguments, &self.variables).await
    }

    /// Runs a `holdfast` command that needs no sidecar.
    pub async fn holdfast_alone(&self, arguments: &[&str]) -> Result<Answer> {
        command_line::holdfast(&self.site.artifacts().sidecar, arguments, &self.variables).await
    }

    /// The JobManagers that `holdfast exec` runs now, as the sidecar knows them.
    pub async fn under_exec(&mut self) -> Result<Vec<exec::Seen>> {
        let entry_point = self.job_manager()?.process.pid();
        exec::look(entry_point, &self.sidecar()?.sessions().await?)
    }

    /// The TaskManager that was started last.
    pub fn task_manager(&mut self) -> Result<&mut Process> {
        let name = &self.name;
        self.task_manager.as_mut().with_context(|| format!("{name} has no TaskManager"))
    }
}
