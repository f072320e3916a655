//! One JobManager process and what starts it: Flink's scripts, or `holdfast exec`.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::Result;
use harness::flink::config::{self, HighAvailability, Ports};
use harness::flink::job_manager::{JOB_CLASS, RATE};
use harness::flink::script;
use harness::proc;
use harness::process::{self, Process};
use harness::site::Site;

/// The job's checkpoint interval.
const CHECKPOINT_INTERVAL_MS: u64 = 1000;

/// How a JobManager is started.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    /// What its files are called.
    pub(super) pod: String,
    pub(super) ports: Ports,
    pub(super) settings: Vec<(&'static str, String)>,
    /// Program and arguments that Flink's script is handed to, if it is not started itself.
    pub(super) wrapper: Vec<OsString>,
}

/// One that was started. Dropping it kills it, with every process below it.
pub(super) struct Manager {
    pub(super) recipe: Recipe,
    pub(super) process: Process,
}

impl Recipe {
    /// The command, its configuration directory written.
    pub(super) fn command(&self, site: &Site, ha: HighAvailability<'_>) -> Result<Command> {
        let conf = config::write(site, &self.pod, &self.ports, ha, &self.settings)?;
        let mut command = script(site, "standalone-job.sh", &conf);
        command.args(["--job-classname", JOB_CLASS]);
        command.args(["--rate", &RATE.to_string()]);
        command.args(["--checkpoint-interval-ms", &CHECKPOINT_INTERVAL_MS.to_string()]);
        command.args(["--out", &site.url("out")]);
        Ok(wrapped(&self.wrapper, command))
    }

    pub(super) fn start(self, site: &Site, ha: HighAvailability<'_>) -> Result<Manager> {
        let command = self.command(site, ha)?;
        let process = Process::spawn(&self.pod, command, &site.next_log(&self.pod))?;
        Ok(Manager { recipe: self, process })
    }

    pub(super) fn rest(&self) -> SocketAddr {
        self.ports.rest
    }
}

impl Manager {
    /// Whether something else than Flink's scripts starts its JVM.
    pub(super) fn is_wrapped(&self) -> bool {
        !self.recipe.wrapper.is_empty()
    }

    /// The JVMs that belong to it.
    pub(super) fn jvms(&self) -> Result<Vec<u32>> {
        let me = self.process.pid();
        let all = std::iter::once(me).chain(proc::descendants(me)?);
        Ok(all.filter(|pid| proc::name(*pid).as_deref() == Some("java")).collect())
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // What `holdfast exec` starts may be in groups of its own, which a kill of its own group does not reach.
        for pid in proc::descendants(self.process.pid()).unwrap_or_default() {
            let _ = proc::kill(pid);
        }
    }
}

fn wrapped(wrapper: &[OsString], inner: Command) -> Command {
    let Some((program, arguments)) = wrapper.split_first() else { return inner };
    let mut outer = process::command(program);
    outer.args(arguments).arg("--").arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        if let Some(value) = value {
            outer.env(name, value);
        }
    }
    if let Some(dir) = inner.get_current_dir() {
        outer.current_dir(dir);
    }
    outer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_keeps_the_command_its_variables_and_its_directory() {
        let mut inner = process::command("bin/standalone-job.sh");
        inner.arg("start-foreground").env("FLINK_CONF_DIR", "/conf").current_dir("/image");
        let outer = wrapped(&["holdfast".into(), "exec".into()], inner);
        let arguments: Vec<_> = outer.get_args().collect();
        assert_eq!(outer.get_program(), "holdfast");
        assert_eq!(arguments, ["exec", "--", "bin/standalone-job.sh", "start-foreground"]);
        let set =
            outer.get_envs().any(|(name, value)| name == "FLINK_CONF_DIR" && value == Some("/conf".as_ref()));
        assert!(set);
        assert_eq!(outer.get_current_dir(), Some("/image".as_ref()));
    }
}
