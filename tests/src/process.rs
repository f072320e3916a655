//! One operating-system process: in its own process group, its output in a file, and never left behind.
//!
//! A [`Process`] is killed when it is dropped, so an error, a failing assertion and a panic all clean up. A signal does
//! not unwind; for it every live group also stands in a register, which [`kill_everything`] empties.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

use crate::wait;

/// What a process may inherit. Nothing else: a `FLINK_*` or `HOLDFAST_*` variable of the caller must not change a run.
const INHERITED: [&str; 6] = ["HOME", "JAVA_HOME", "LANG", "LC_ALL", "PATH", "TZ"];

/// The groups that are alive, by the process id of their leader.
static RUNNING: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A running process and the group that it leads. Dropping it kills the group.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    exited: Option<ExitStatus>,
}

/// A command with a small, known environment. The caller adds arguments and variables.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    command.env_clear();
    command.envs(INHERITED.iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
    command
}

impl Process {
    /// Starts `command` as the leader of a new group. Both of its outputs go to `log`, which must not exist yet: one file
    /// per start keeps the incarnations of one component apart.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let output =
            fs::File::create_new(log).with_context(|| format!("{name}: creating {}", log.display()))?;
        command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Held across the start, so that a signal in between finds the new group in the register.
        let mut running = register();
        let child = command
            .spawn()
            .with_context(|| format!("{name}: starting {}", command.get_program().to_string_lossy()))?;
        running.insert(group_of(&child).as_raw_nonzero().get());
        Ok(Self { name: name.to_owned(), child, log: log.to_owned(), exited: None })
    }

    /// What the process is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id, which is also the group's.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds everything this process wrote.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// `kill -9`, and waits until the process is gone. Does nothing to one that has ended.
    pub fn kill(&mut self) -> Result<()> {
        if self.exit_status()?.is_none() {
            self.signal(Signal::KILL)?;
            self.exited = Some(self.child.wait()?);
            self.forget();
        }
        Ok(())
    }

    /// SIGTERM: asks the process to stop in order.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// SIGSTOP: the process stands still, with its connections open.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT: it goes on as if no time had passed.
    pub fn wake(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// The exit status, or `None` while the process lives.
    pub fn exit_status(&mut self) -> Result<Option<ExitStatus>> {
        if self.exited.is_none()
            && let Some(status) = self.child.try_wait()?
        {
            self.exited = Some(status);
            self.forget();
        }
        Ok(self.exited)
    }

    /// Fails when the process has ended, and says how: for waits that would otherwise run into their limit.
    pub fn require_alive(&mut self) -> Result<()> {
        let name = self.name.clone();
        match self.exit_status()? {
            None => Ok(()),
            Some(status) => {
                bail!(
                    "{name} ended by itself ({}); its last words:\n{}",
                    describe(status),
                    tail(&self.log, 5)
                )
            }
        }
    }

    /// Waits for the process to end by itself.
    pub async fn wait_for_exit(&mut self, limit: Duration) -> Result<ExitStatus> {
        let what = format!("{} to end", self.name);
        wait::until(&what, limit, async || self.exit_status()).await
    }

    /// Resident memory in bytes (`VmRSS`).
    pub fn resident_bytes(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let status = fs::read_to_string(&path).with_context(|| format!("{}: reading {path}", self.name))?;
        let kibibytes = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok())
            .with_context(|| format!("{path} has no VmRSS"))?;
        Ok(kibibytes * 1024)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        // After its exit was collected, the id may belong to somebody else.
        if let Some(status) = self.exited {
            bail!("{} cannot be signalled: it ended ({})", self.name, describe(status));
        }
        kill_process_group(group_of(&self.child), signal)
            .with_context(|| format!("{}: sending {signal:?} to process group {}", self.name, self.pid()))
    }

    fn forget(&self) {
        register().remove(&group_of(&self.child).as_raw_nonzero().get());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Nothing sensible can be done about an error here, and a panic inside a panic would abort.
        let _ = self.kill();
    }
}

/// Kills every group that is alive. For signal handlers; the owners find their processes dead.
pub fn kill_everything() {
    for group in register().iter().filter_map(|id| Pid::from_raw(*id)) {
        let _ = kill_process_group(group, Signal::KILL);
    }
}

/// Waits for a signal that asks this program to end, and names it. Ctrl-C reaches only this program, because everything
/// that it starts is in other process groups.
pub async fn asked_to_end() -> Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => Ok("SIGINT"),
        _ = terminate.recv() => Ok("SIGTERM"),
        _ = hang_up.recv() => Ok("SIGHUP"),
    }
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}

/// The last lines of a log. A log that cannot be read has none.
pub fn tail(log: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}

fn register() -> MutexGuard<'static, BTreeSet<i32>> {
    // A panicking holder leaves the set whole: an insert or a remove cannot be half done.
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

fn group_of(child: &Child) -> Pid {
    Pid::from_child(child)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proc::is_alive;

    fn sleeper(dir: &Path) -> Process {
        let mut sleep = command("sleep");
        sleep.arg("600");
        Process::spawn("sleeper", sleep, &dir.join("sleeper.log")).unwrap()
    }

    #[tokio::test]
    async fn a_dropped_process_is_dead() {
        let dir = tempfile::tempdir().unwrap();
        let process = sleeper(dir.path());
        let pid = process.pid();
        assert!(is_alive(pid));
        drop(process);
        assert!(!is_alive(pid));
    }

    #[tokio::test]
    async fn a_paused_process_can_be_killed() {
        let dir = tempfile::tempdir().unwrap();
        let mut process = sleeper(dir.path());
        process.pause().unwrap();
        process.kill().unwrap();
        assert_eq!(process.exit_status().unwrap().and_then(|status| status.signal()), Some(9));
        assert!(process.require_alive().unwrap_err().to_string().contains("signal 9"));
        assert!(process.terminate().is_err(), "the id may belong to somebody else by now");
    }

    #[tokio::test]
    async fn a_child_of_the_process_dies_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = command("sh");
        shell.args(["-c", "sleep 600 & echo $!; wait"]);
        let log = dir.path().join("shell.log");
        let process = Process::spawn("shell", shell, &log).unwrap();
        let child = wait::until("the child's id", Duration::from_secs(5), async || {
            Ok(fs::read_to_string(&log)?.trim().parse::<u32>().ok())
        });
        let child = child.await.unwrap();
        drop(process);
        let gone = async || Ok((!is_alive(child)).then_some(()));
        wait::until("the child to die", Duration::from_secs(5), gone).await.unwrap();
    }
}
