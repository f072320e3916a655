//! One rollout of a deployment: what a new generation changes.

use std::time::Duration;

use crate::flink::job_manager::CHECKPOINT_INTERVAL;

/// What the processes of a pod are started with, beyond where they listen.
#[derive(Clone, Debug)]
pub struct Rollout {
    /// `--generation`.
    pub generation: String,
    /// Further flags of the sidecar.
    pub sidecar: Vec<String>,
    /// Further arguments of the demo job.
    pub job: Vec<String>,
    /// Settings of Flink that replace those of every run.
    pub settings: Vec<(&'static str, String)>,
    /// Flink is given the launcher, which spares `main()` where a stored graph can be used.
    pub launcher: bool,
    /// `holdfast exec` is the JobManager's entry point, with these flags.
    pub exec: Option<Vec<String>>,
    /// The time between two checkpoints.
    pub checkpoint_interval: Duration,
}

impl Rollout {
    /// The rollout of this generation, with nothing special about it.
    pub fn new(generation: &str) -> Self {
        Self {
            generation: generation.to_owned(),
            sidecar: Vec::new(),
            job: Vec::new(),
            settings: Vec::new(),
            launcher: false,
            exec: None,
            checkpoint_interval: CHECKPOINT_INTERVAL,
        }
    }

    /// With these flags of the sidecar.
    #[must_use]
    pub fn sidecar(mut self, flags: &[&str]) -> Self {
        self.sidecar.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// With these arguments of the job.
    #[must_use]
    pub fn job(mut self, arguments: &[&str]) -> Self {
        self.job.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// With this setting of Flink.
    #[must_use]
    pub fn set(mut self, key: &'static str, value: &str) -> Self {
        self.settings.push((key, value.to_owned()));
        self
    }

    /// With a checkpoint so often.
    #[must_use]
    pub fn checkpoint_every(mut self, interval: Duration) -> Self {
        self.checkpoint_interval = interval;
        self
    }

    /// With `holdfast exec` and these flags of it.
    #[must_use]
    pub fn under_exec(mut self, flags: &[&str]) -> Self {
        self.exec = Some(flags.iter().map(|flag| (*flag).to_owned()).collect());
        self
    }

    /// With the launcher.
    #[must_use]
    pub fn launched(mut self) -> Self {
        self.launcher = true;
        self
    }
}

impl Default for Rollout {
    fn default() -> Self {
        Self::new("rollout-1")
    }
}
