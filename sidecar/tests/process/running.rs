//! A running `holdfast`, its log, and signals to it.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStderr, Command};

pub(crate) const SIGTERM: i32 = 15;

/// A running process whose standard error is a pipe; killed when dropped.
pub(crate) struct Running {
    pub(crate) process: Child,
    pub(crate) log: BufReader<ChildStderr>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut process = command.spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        Self { process, log }
    }

    /// Reads its log until a line has `word` in it.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        let mut all = String::new();
        loop {
            let before = all.len();
            assert!(self.log.read_line(&mut all).unwrap() > 0, "the log ended without {word:?}:\n{all}");
            if all[before..].contains(word) {
                return all[before..].to_owned();
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
