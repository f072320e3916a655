//! A running `holdfast`, its log, and signals to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::spawn;
use std::time::{Duration, Instant};

pub(crate) const SIGTERM: i32 = 15;

/// For what comes at once, on a machine that does much else.
const LOG_LIMIT: Duration = Duration::from_secs(120);

/// A running process whose standard error is a pipe; killed when dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    log: Receiver<String>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let (sender, log) = channel();
        // It ends with the log, or when nobody reads it any more.
        spawn(move || lines.map(Result::unwrap).try_for_each(|line| sender.send(line)));
        Self { process, log }
    }

    /// Reads its log until a line has `word` in it.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        self.read_until(|line| line.contains(word))
            .unwrap_or_else(|log| panic!("no {word:?} in the log:\n{log}"))
    }

    /// What it logs until it ends.
    pub(crate) fn rest_of_log(&mut self) -> String {
        self.read_until(|_| false).expect_err("no line is the last one that is looked for")
    }

    /// The first such line, or all lines until the end.
    fn read_until(&mut self, wanted: impl Fn(&str) -> bool) -> Result<String, String> {
        let give_up = Instant::now() + LOG_LIMIT;
        let mut all = String::new();
        loop {
            match self.log.recv_timeout(give_up.saturating_duration_since(Instant::now())) {
                Ok(line) if wanted(&line) => return Ok(line),
                Ok(line) => all.extend([line.as_str(), "\n"]),
                Err(RecvTimeoutError::Disconnected) => return Err(all),
                Err(RecvTimeoutError::Timeout) => panic!("waited for {LOG_LIMIT:?} after this log:\n{all}"),
            }
        }
    }

    pub(crate) fn signal(&self, signal: i32) {
        kill(i32::try_from(self.process.id()).unwrap(), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(crate) fn kill(pid: i32, signal: i32) {
    let killed = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status().unwrap();
    assert!(killed.success(), "signal {signal} to {pid}");
}
