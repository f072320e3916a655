//! A JobManager process in application mode, which runs the demo job.

use std::time::Duration;

use anyhow::{Result, bail};

use super::config::{HighAvailability, Ports};
use super::log::Log;
use super::rest::{Job, Rest};
use super::{config, script};
use crate::exec;
use crate::process::Process;
use crate::rollout::Rollout;
use crate::site::Site;
use crate::wait;

/// The job of every run.
pub const JOB_CLASS: &str = "io.holdfast.demo.DemoJob";

/// The adapter's launcher.
const LAUNCHER_CLASS: &str = "io.holdfast.flink.HoldfastMain";

/// Records per second that the job's source makes.
pub const RATE: u64 = 1000;

/// The time between two checkpoints, where a test does not say.
pub const CHECKPOINT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a JobManager may take from its start to a job whose tasks all run, on a busy machine.
const RUNNING_LIMIT: Duration = Duration::from_secs(120);

/// How long the next checkpoints may take.
const CHECKPOINT_LIMIT: Duration = Duration::from_secs(60);

/// One JobManager process. Its next incarnation is another one of these.
#[derive(Debug)]
pub struct JobManager {
    /// The process.
    pub process: Process,
    /// What it wrote.
    pub log: Log,
    /// Its REST endpoint.
    pub rest: Rest,
}

impl JobManager {
    /// Starts the JobManager of the pod `pod`, which finds its sidecar at `sidecar_url`.
    pub fn start(
        site: &Site,
        pod: &str,
        ports: &Ports,
        sidecar_url: &str,
        rollout: &Rollout,
    ) -> Result<Self> {
        Self::start_with(site, pod, ports, HighAvailability::Holdfast { url: sidecar_url }, rollout)
    }

    /// Starts the JobManager of the pod `pod` with these services.
    pub fn start_with(
        site: &Site,
        pod: &str,
        ports: &Ports,
        ha: HighAvailability<'_>,
        rollout: &Rollout,
    ) -> Result<Self> {
        let name = format!("{pod}-jobmanager");
        let conf = config::write(site, &name, ports, ha, &rollout.settings)?;
        let mut command = script(site, "standalone-job.sh", &conf);
        match rollout.launcher {
            true => command.args(["--job-classname", LAUNCHER_CLASS, "--holdfast-main-class", JOB_CLASS]),
            false => command.args(["--job-classname", JOB_CLASS]),
        };
        command.args(["--rate", &RATE.to_string()]);
        command.args(["--checkpoint-interval-ms", &rollout.checkpoint_interval.as_millis().to_string()]);
        command.args(["--out", &site.url("out")]);
        command.args(&rollout.job);
        if let Some(flags) = &rollout.exec {
            command = exec::wrap(&site.artifacts().sidecar, ports.sidecar, flags, &command);
        }
        let process = Process::spawn(&name, command, &site.next_log(&name))?;
        Ok(Self { log: Log::new(process.log()), rest: Rest::new(ports.rest)?, process })
    }

    /// The job, if the JobManager answers and has one.
    pub async fn job(&self) -> Option<Job> {
        self.rest.jobs().await.ok()?.into_iter().next()
    }

    /// Waits until the job and all of its tasks run.
    pub async fn wait_until_running(&mut self) -> Result<Job> {
        wait::until("all tasks of the job to run", RUNNING_LIMIT, async || {
            self.process.require_alive()?;
            Ok(self.job().await.filter(Job::runs_with_all_tasks))
        })
        .await
    }

    /// Waits until `more` checkpoints completed after those that have, and returns the newest.
    pub async fn wait_for_checkpoints(&mut self, more: usize) -> Result<u64> {
        let so_far = self.log.completed()?.len();
        let (process, log) = (&mut self.process, &self.log);
        wait::until(&format!("{more} more completed checkpoints"), CHECKPOINT_LIMIT, async || {
            process.require_alive()?;
            let completed = log.completed()?;
            Ok(completed.last().copied().filter(|_| completed.len() >= so_far + more))
        })
        .await
    }

    /// How often the job was restarted under this process.
    pub async fn restarts(&self, job: &str) -> Result<usize> {
        let restarts = self.log.restarts()?;
        if restarts == 0 && self.rest.was_restarted(job).await? {
            bail!("the JobManager reports a restart of the job that its log does not show");
        }
        Ok(restarts)
    }

    /// Fails when the job was restarted under this process.
    pub async fn require_no_restart(&self, job: &str) -> Result<()> {
        match self.restarts(job).await? {
            0 => Ok(()),
            restarts => bail!("the job was restarted {restarts} times"),
        }
    }
}
