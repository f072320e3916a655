//! A process of the training: in a group of its own, its output in a file, and never left behind.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::process::{Child as Running, Command};
use tokio::time::timeout;

/// A running process. Dropping it kills its whole group.
#[derive(Debug)]
pub(super) struct Child {
    name: &'static str,
    running: Running,
    group: Pid,
    log: PathBuf,
    ended: bool,
}

/// How many lines of a log an error shows.
const TAIL_LINES: usize = 15;
/// Of these only the end is read.
const TAIL_BYTES: usize = 16 * 1024;

// === impl Child ===

impl Child {
    /// Starts it. Its output goes to `log`, which is begun anew.
    pub(super) fn start(name: &'static str, mut command: Command, log: &Path) -> Result<Self> {
        let output = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let running = command.spawn().with_context(|| format!("cannot start {program} (the {name})"))?;
        let id = running.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let group = id.with_context(|| format!("the {name} ended before it could be looked at"))?;
        Ok(Self { name, running, group, log: log.to_owned(), ended: false })
    }

    /// The process id.
    pub(super) fn id(&self) -> u32 {
        self.group.as_raw_nonzero().get().unsigned_abs()
    }

    /// Fails when it has ended, with its last words.
    pub(super) fn require_alive(&mut self) -> Result<()> {
        let Some(status) = self.running.try_wait()? else { return Ok(()) };
        self.ended = true;
        bail!("the {} ended by itself ({status}):\n{}", self.name, self.last_words())
    }

    /// `kill -9`, and waits for its end.
    pub(super) async fn kill(&mut self) -> Result<()> {
        self.kill_group();
        self.running.wait().await?;
        self.ended = true;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    pub(super) async fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        kill_process(self.group, Signal::TERM)
            .with_context(|| format!("cannot ask the {} to end", self.name))?;
        let ended = timeout(limit, self.running.wait()).await;
        let status = ended.map_err(|_| {
            anyhow::anyhow!(
                "the {} did not end within {} s:\n{}",
                self.name,
                limit.as_secs(),
                self.last_words()
            )
        })??;
        self.ended = true;
        Ok(status)
    }

    /// How its log ends.
    pub(super) fn last_words(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(TAIL_BYTES)..]).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    fn kill_group(&self) {
        // An error means that it is gone already, which is what is wanted.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // The id of one that has ended may belong to somebody else.
        if !self.ended {
            self.kill_group();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, dir: &Path) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Child::start("shell", command, &dir.join("log")).unwrap()
    }

    #[tokio::test]
    async fn one_that_ends_by_itself_is_told_of_with_its_last_words() {
        let dir = tempfile::tempdir().unwrap();
        let mut child = shell("echo no such thing; exit 3", dir.path());
        let error = loop {
            match child.require_alive() {
                Ok(()) => tokio::task::yield_now().await,
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("no such thing") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn a_dropped_one_is_dead_with_all_that_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let child = shell("sleep 600 & echo $!; wait", dir.path());
        let told = loop {
            match std::fs::read_to_string(dir.path().join("log")).unwrap().trim().parse::<u32>() {
                Ok(id) => break id,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        drop(child);
        let alive = |id: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        while alive(told) {
            tokio::task::yield_now().await;
        }
    }
}
