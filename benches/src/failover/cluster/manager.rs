//! One JobManager and what starts it: Flink's scripts, or `holdfast exec`.

use anyhow::Result;
use harness::flink::config::{HighAvailability, Ports};
use harness::flink::job_manager::JobManager;
use harness::proc;
use harness::rollout::Rollout;
use harness::site::Site;

/// How a JobManager is started.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// What its files are called.
    pub(super) pod: String,
    pub(super) ports: Ports,
    pub(super) rollout: Rollout,
}

/// One that was started. Dropping it kills it, with every process below it.
pub(super) struct Manager {
    pub(super) recipe: Recipe,
    pub(super) running: JobManager,
}

impl Recipe {
    pub(super) fn start(self, site: &Site, ha: HighAvailability<'_>) -> Result<Manager> {
        let running = JobManager::start_with(site, &self.pod, &self.ports, ha, &self.rollout)?;
        Ok(Manager { recipe: self, running })
    }
}

impl Manager {
    /// Whether something else than Flink's scripts starts its JVM.
    pub(super) fn is_wrapped(&self) -> bool {
        self.recipe.rollout.exec.is_some()
    }

    /// The JVMs that belong to it.
    pub(super) fn jvms(&self) -> Result<Vec<u32>> {
        let me = self.running.process.pid();
        let all = std::iter::once(me).chain(proc::descendants(me)?);
        Ok(all.filter(|pid| proc::name(*pid).as_deref() == Some("java")).collect())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // What `holdfast exec` starts may be in groups of its own, which a kill of its own group does not reach.
        for pid in proc::descendants(self.running.process.pid()).unwrap_or_default() {
            let _ = proc::kill(pid);
        }
    }
}
