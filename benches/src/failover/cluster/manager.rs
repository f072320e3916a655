//! One JobManager process and what starts it: Flink's scripts, or `holdfast exec`.

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};
use harness::flink::config::{self, HighAvailability, Ports};
use harness::flink::job_manager::{JOB_CLASS, RATE};
use harness::flink::script;
use harness::process::{self, Process};
use harness::site::Site;
use rustix::process::{Pid, Signal, kill_process};

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
    pub(super) fn jvms(&self) -> Vec<i32> {
        let me = self.process.pid().cast_signed();
        let all = std::iter::once(me).chain(descendants(me));
        all.filter(|pid| comm(*pid).as_deref() == Some("java")).collect()
    }
}

impl Drop for Manager {
    fn drop(&mut self) {
        // What `holdfast exec` starts may be in groups of its own, which a kill of its own group does not reach.
        for pid in descendants(self.process.pid().cast_signed()) {
            let _ = send(pid, Signal::KILL);
        }
    }
}

/// Sends a signal to one process, not to its group.
pub(super) fn send(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).with_context(|| format!("{pid} is no process id"))?;
    kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {pid:?}"))
}

/// Whether a process is there and not only waits to be collected.
pub(super) fn is_alive(pid: i32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// The value of a variable in a process's environment.
pub(super) fn variable(pid: i32, name: &str) -> Option<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let text = String::from_utf8_lossy(&environment).into_owned();
    text.split('\0').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned))
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

/// Every process below this one, parents first. A process that ends meanwhile is left out.
fn descendants(of: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let parents: Vec<(i32, i32)> = pids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect();
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    found.split_off(1)
}

fn comm(pid: i32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|comm| comm.trim().to_owned())
}

/// State and parent. The name before them may hold anything, parentheses, too.
fn stat(pid: i32) -> Option<(char, i32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
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

    #[tokio::test]
    async fn a_process_knows_its_descendants() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = process::command("sh");
        shell.args(["-c", "sleep 600 & wait"]).env("MARK", "here");
        let process = Process::spawn("shell", shell, &dir.path().join("shell.log")).unwrap();
        let pid = process.pid().cast_signed();
        let sleeper = harness::wait::until("a child", std::time::Duration::from_secs(5), async || {
            Ok(descendants(pid).into_iter().find(|child| comm(*child).as_deref() == Some("sleep")))
        });
        let sleeper = sleeper.await.unwrap();
        assert!(is_alive(sleeper));
        assert_eq!(variable(sleeper, "MARK").as_deref(), Some("here"));
        assert_eq!(variable(pid, "MAR"), None);
    }
}
