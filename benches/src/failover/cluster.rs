//! One peer's cluster: JobManagers, a TaskManager, and what they need to keep the job's place.

mod manager;
mod services;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use ha_store::{Clock, SystemClock};
use harness::endpoint::Endpoint;
use harness::exec;
use harness::flink::config::Ports;
use harness::flink::rest::Job;
use harness::flink::task_manager;
use harness::kubernetes::ApiServer;
use harness::net::free_address;
use harness::proc;
use harness::process::Process;
use harness::rollout::Rollout;
use harness::sidecar;
use harness::site::Site;
use harness::wait;
use jiff::tz::TimeZone;

use self::manager::{Manager, Recipe};
use self::services::Services;
use super::case::Case;
use super::peer::{Peer, Setting};
use super::phases::{self, Timeline};

/// The pod of the TaskManager, and of the JobManager that leads first.
const POD: &str = "pod-1";

/// How long a cluster may take from its start to a job whose tasks all run.
const RUNNING_LIMIT: Duration = Duration::from_secs(180);

/// How long checkpoints may take that are waited for before a kill.
const CHECKPOINT_LIMIT: Duration = Duration::from_secs(90);

/// How long a standby or a spare may take until it waits for leadership.
const STANDBY_LIMIT: Duration = Duration::from_secs(120);

/// How long a process may take to be gone after `kill -9`.
const GONE_LIMIT: Duration = Duration::from_secs(20);

/// A running cluster. Dropping it kills all of its processes.
pub(super) struct Cluster<'a> {
    site: &'a Site,
    peer: Peer,
    zone: TimeZone,
    /// Its private listener, where the cluster has one.
    sidecar: Endpoint,
    ports: Ports,
    tasks: usize,
    // In this order they are dropped: Flink first, so that it does not fill its log.
    managers: Vec<Manager>,
    task_manager: Process,
    services: Services,
    /// Processes that ended by themselves and were started again.
    pub(super) process_restarts: usize,
}

impl<'a> Cluster<'a> {
    /// Starts everything and waits until the job runs and whoever waits for leadership waits.
    pub(super) async fn start(
        site: &'a Site,
        peer: &Peer,
        case: Case,
        archive: Option<&Path>,
    ) -> Result<Self> {
        let mut ports = Ports::free()?;
        let services = Services::start(site, peer, case, &mut ports).await?;
        let task_manager = start_task_manager(site, peer, &ports, &services)?;
        let mut this = Self {
            site,
            peer: peer.clone(),
            zone: TimeZone::system(),
            sidecar: Endpoint::new(ports.sidecar)?,
            ports,
            tasks: 0,
            managers: Vec::new(),
            task_manager,
            services,
            process_restarts: 0,
        };
        let rollout = this.rollout(archive);
        this.start_manager(Recipe { pod: POD.into(), ports, rollout: rollout.clone() })?;
        if peer.has(Setting::Standby) {
            // On one host it needs an RPC port of its own, where the service does not choose one at random.
            let ports = Ports { rpc: free_address()?, rest: free_address()?, ..ports };
            this.start_manager(Recipe { pod: "pod-2".into(), ports, rollout })?;
        }
        this.tasks = this.wait_until_running().await?;
        Ok(this)
    }

    /// Waits until `checkpoints` more are complete, and until whoever waits for leadership does.
    pub(super) async fn wait_until_ready(&mut self, checkpoints: usize) -> Result<()> {
        self.wait_for_standby().await?;
        self.wait_for_checkpoints(checkpoints).await
    }

    /// Waits until `more` checkpoints were completed from now on.
    pub(super) async fn wait_for_checkpoints(&mut self, more: usize) -> Result<()> {
        let from_ms = SystemClock.wall_ms();
        wait::until(&format!("{more} more checkpoints"), CHECKPOINT_LIMIT, async || {
            self.require_alive()?;
            Ok((self.timeline(from_ms)?.checkpoints >= more).then_some(()))
        })
        .await
    }

    /// What the JobManagers' logs say about the time from `from_ms` on.
    pub(super) fn timeline(&self, from_ms: i64) -> Result<Timeline> {
        Ok(phases::timeline(&self.logs("jobmanager")?, from_ms, self.tasks, &self.zone))
    }

    /// The sidecars' logs.
    pub(super) fn sidecar_logs(&self) -> Result<Vec<String>> {
        self.logs("sidecar")
    }

    /// Where the job's sink writes.
    pub(super) fn output(&self) -> PathBuf {
        self.site.path("out")
    }

    /// The API server.
    pub(super) fn api(&mut self) -> Result<&mut ApiServer> {
        self.services.api().context("this cluster has no API server")
    }

    /// `kill -9` of the JobManager that leads. Flink's scripts start it again at once; `holdfast exec` does by itself.
    /// Returns the time just before the signal.
    pub(super) async fn kill_leader(&mut self) -> Result<i64> {
        let leader = self.leader()?;
        if self.managers[leader].is_wrapped() {
            let jvm = self.leading_jvm(leader).await?;
            let at_ms = SystemClock.wall_ms();
            proc::kill(jvm)?;
            return Ok(at_ms);
        }
        let at_ms = SystemClock.wall_ms();
        self.managers[leader].running.process.kill()?;
        self.restart_manager(leader)?;
        Ok(at_ms)
    }

    /// `kill -9` of the JobManager that leads and of what stands beside it in its pod, all started again at once.
    pub(super) async fn kill_pod(&mut self) -> Result<i64> {
        let leader = self.leader()?;
        let jvms = self.managers[leader].jvms()?;
        let at_ms = SystemClock.wall_ms();
        // Who would start it again goes first.
        self.managers[leader].running.process.kill()?;
        for jvm in jvms.iter().filter(|jvm| proc::is_alive(**jvm)) {
            proc::kill(*jvm)?;
        }
        if let Some(guard) = self.services.guard() {
            guard.kill()?;
        }
        let gone = async || Ok(jvms.iter().all(|jvm| !proc::is_alive(*jvm)).then_some(()));
        wait::until("the pod's processes to be gone", GONE_LIMIT, gone).await?;
        if let Some(guard) = self.services.guard() {
            guard.start_again(self.site)?;
        }
        self.restart_manager(leader)?;
        Ok(at_ms)
    }

    /// SIGSTOP of the JobManager that leads.
    pub(super) async fn freeze_leader(&mut self) -> Result<i64> {
        let leader = self.leader()?;
        let jvm = self.leading_jvm(leader).await?;
        let at_ms = SystemClock.wall_ms();
        proc::pause(jvm)?;
        Ok(at_ms)
    }

    /// `kill -9` of the sidecar, which is started again at once.
    pub(super) fn kill_sidecar(&mut self) -> Result<i64> {
        let guard = self.services.guard().context("this cluster has no sidecar")?;
        let at_ms = SystemClock.wall_ms();
        guard.kill()?;
        guard.start_again(self.site)?;
        Ok(at_ms)
    }

    /// Starts again what ended by itself, as Kubernetes would, but at once. What is frozen has not ended.
    pub(super) fn keep_up(&mut self) -> Result<()> {
        for n in 0..self.managers.len() {
            if self.managers[n].running.process.exit_status()?.is_some() {
                self.process_restarts += 1;
                self.restart_manager(n)?;
            }
        }
        if self.task_manager.exit_status()?.is_some() {
            self.process_restarts += 1;
            self.task_manager = start_task_manager(self.site, &self.peer, &self.ports, &self.services)?;
        }
        self.services.guard().map_or(Ok(()), services::Guard::require_alive)
    }

    fn require_alive(&mut self) -> Result<()> {
        for manager in &mut self.managers {
            manager.running.process.require_alive()?;
        }
        self.task_manager.require_alive()?;
        self.services.guard().map_or(Ok(()), services::Guard::require_alive)
    }

    fn start_manager(&mut self, recipe: Recipe) -> Result<()> {
        self.managers.push(recipe.start(self.site, self.services.high_availability())?);
        Ok(())
    }

    fn restart_manager(&mut self, n: usize) -> Result<()> {
        let recipe = self.managers[n].recipe.clone();
        self.managers[n] = recipe.start(self.site, self.services.high_availability())?;
        Ok(())
    }

    /// What its JobManagers are started with.
    fn rollout(&self, archive: Option<&Path>) -> Rollout {
        let exec = self.peer.has_exec().then(|| {
            let mut flags = Vec::new();
            if self.peer.has(Setting::Spare) {
                flags.push("--warm-spare".to_owned());
            }
            if let Some(archive) = archive {
                flags.extend(["--archive".to_owned(), archive.display().to_string()]);
            }
            flags.extend(["--state-dir".to_owned(), self.site.path("exec").display().to_string()]);
            flags
        });
        // A failover that does without main() goes with starting the JobManager again without its scripts.
        let launcher = exec.is_some();
        Rollout { settings: self.peer.flink_settings(), exec, launcher, ..Rollout::default() }
    }

    async fn wait_until_running(&mut self) -> Result<usize> {
        wait::until("all tasks of the job to run", RUNNING_LIMIT, async || {
            self.require_alive()?;
            for manager in &self.managers {
                if let Some(job) = manager.running.job().await.filter(Job::runs_with_all_tasks) {
                    return Ok(Some(job.tasks.total));
                }
            }
            Ok(None)
        })
        .await
    }

    /// A standby waits when its REST endpoint is up; a spare, when the sidecar has its session and it has rehearsed.
    async fn wait_for_standby(&mut self) -> Result<()> {
        if self.peer.has(Setting::Standby) {
            wait::until("the standby to be up", STANDBY_LIMIT, async || {
                self.require_alive()?;
                let logs = self.current_logs()?;
                Ok(logs.iter().all(|log| log.contains("Rest endpoint listening at")).then_some(()))
            })
            .await?;
        }
        if self.peer.has(Setting::Spare) {
            wait::until("the warm spare to wait and to have rehearsed", STANDBY_LIMIT, async || {
                self.require_alive()?;
                let logs = self.current_logs()?;
                let lines = |of: &str| logs.iter().map(|log| log.matches(of).count()).sum::<usize>();
                // Each one but the first had to wait.
                let rehearsed = lines("The rehearsal is over") + 1 >= lines("started a JobManager ");
                Ok((rehearsed && sidecar::sessions(&self.sidecar).await?.len() >= 2).then_some(()))
            })
            .await?;
        }
        Ok(())
    }

    fn leader(&self) -> Result<usize> {
        phases::leader(&self.current_logs()?, &self.zone).context("no JobManager was ever granted leadership")
    }

    /// The JVM that leads, of a JobManager that `holdfast exec` may have started beside another one.
    async fn leading_jvm(&self, leader: usize) -> Result<u32> {
        let manager = &self.managers[leader];
        let jvms = manager.jvms()?;
        if let [only] = jvms[..] {
            return Ok(only);
        }
        let sessions = sidecar::sessions(&self.sidecar).await?;
        let seen = exec::look(manager.running.process.pid(), &sessions)?;
        let leads = seen.iter().find(|seen| seen.granted);
        Ok(leads.with_context(|| format!("none leads of {jvms:?}, which are {seen:?}: {sessions:?}"))?.pid)
    }

    /// The log of each JobManager that was started last.
    fn current_logs(&self) -> Result<Vec<String>> {
        self.managers.iter().map(|manager| read(manager.running.process.log())).collect()
    }

    fn logs(&self, part: &str) -> Result<Vec<String>> {
        let dir = self.site.path("logs");
        let mut found = Vec::new();
        for entry in fs::read_dir(&dir).with_context(|| format!("reading {}", dir.display()))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains(part) {
                found.push(read(&entry.path())?);
            }
        }
        ensure!(!found.is_empty(), "no log in {} has {part:?} in its name", dir.display());
        Ok(found)
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn start_task_manager(site: &Site, peer: &Peer, ports: &Ports, services: &Services) -> Result<Process> {
    task_manager::start(site, POD, ports, services.high_availability(), &peer.flink_settings())
}
