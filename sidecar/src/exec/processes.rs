//! The processes: started, signalled, and waited for. Signals go to whom we started and have not waited for yet, and to nobody else; only
//! the end of an entry point that is not the JobManager itself takes along what it started (`family.rs`).

use std::collections::BTreeMap;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};

use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use super::supervisor::{End, Slot};
use super::{PROCESS_VARIABLE, family};

/// The children of this process. They share its input, output and process group.
#[derive(Default)]
pub(super) struct Processes {
    running: BTreeMap<Slot, Running>,
    ends: FuturesUnordered<BoxFuture<'static, (Slot, io::Result<ExitStatus>)>>,
}

struct Running {
    pid: u32,
    /// What it was told to call itself.
    name: String,
    /// It is the JobManager's JVM, and not a script that may have started it as a child.
    is_the_job_manager: bool,
}

const KILL: u8 = 9;
/// What the signal number of a program that could not be waited for would be: its status is not known.
const LOST: End = End::Exited(255);
/// Signals that ask a program to end. The others are for the JobManager: a thread dump, for example.
const ASK_TO_END: [SignalKind; 2] = [SignalKind::terminate(), SignalKind::interrupt()];
const FOR_THE_JOB_MANAGER: [SignalKind; 4] =
    [SignalKind::hangup(), SignalKind::quit(), SignalKind::user_defined1(), SignalKind::user_defined2()];

/// A signal that this process got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signalled {
    /// It asks us to end.
    ToEnd(u8),
    /// It is for the JobManager.
    ForTheJobManager(u8),
}

// === impl Processes ===

impl Processes {
    /// Starts a process in a slot where none is, by a name, and answers with its id.
    pub(super) fn start(
        &mut self,
        slot: Slot,
        mut command: Command,
        name: &str,
        is_the_job_manager: bool,
    ) -> io::Result<u32> {
        command.env(PROCESS_VARIABLE, name);
        let mut child = command.stdin(Stdio::inherit()).spawn()?;
        let pid = child.id().ok_or_else(|| io::Error::other("it ended before it could be looked at"))?;
        let running = Running { pid, name: name.to_owned(), is_the_job_manager };
        assert!(self.running.insert(slot, running).is_none(), "one process for each slot");
        self.ends.push(Box::pin(async move { (slot, child.wait().await) }));
        Ok(pid)
    }

    /// The process turned out to be the JobManager itself.
    pub(super) fn is_the_job_manager(&mut self, pid: u32) {
        if let Some(running) = self.running.values_mut().find(|running| running.pid == pid) {
            running.is_the_job_manager = true;
        }
    }

    /// The next end of one of them. Waits for ever when none runs.
    pub(super) async fn next_end(&mut self) -> (Slot, End) {
        let Some((slot, status)) = self.ends.next().await else { std::future::pending().await };
        let end = status.map_or(LOST, end_of);
        let ended = self.running.remove(&slot);
        if let Some(ended) = ended.filter(|ended| !ended.is_the_job_manager && !end.is_of_the_job()) {
            // The JobManager that a dead script leaves behind would keep the ports, and might still lead.
            family::kill(&ended.name);
        }
        (slot, end)
    }

    /// `SIGKILL`.
    pub(super) fn kill(&self, slot: Slot) {
        self.signal(slot, KILL);
        if let Some(running) = self.running.get(&slot).filter(|running| !running.is_the_job_manager) {
            family::kill(&running.name);
        }
    }

    /// Sends a signal. One that has just ended gets none.
    pub(super) fn signal(&self, slot: Slot, number: u8) {
        let signal = Signal::from_named_raw(i32::from(number));
        let pid = self.running.get(&slot).and_then(|it| Pid::from_raw(i32::try_from(it.pid).ok()?));
        let (Some(pid), Some(signal)) = (pid, signal) else { return };
        if let Err(error) = kill_process(pid, signal) {
            tracing::warn!(event = "not-signalled", "signal {number} did not reach process {pid:?}: {error}");
        }
    }
}

fn end_of(status: ExitStatus) -> End {
    let byte = |number: i32| u8::try_from(number & 0xff).expect("a byte");
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exited(byte(code)),
        (None, Some(signal)) => End::Killed(byte(signal)),
        (None, None) => LOST,
    }
}

/// Takes over the signals of this process.
///
/// # Errors
/// A handler cannot be installed.
pub(super) fn signals() -> io::Result<mpsc::Receiver<Signalled>> {
    const WAITING_MAX: usize = 16;
    let (sender, signals) = mpsc::channel(WAITING_MAX);
    for kind in ASK_TO_END.into_iter().chain(FOR_THE_JOB_MANAGER) {
        let number = u8::try_from(kind.as_raw_value()).expect("signal numbers are small");
        let told = if ASK_TO_END.contains(&kind) {
            Signalled::ToEnd(number)
        } else {
            Signalled::ForTheJobManager(number)
        };
        let (mut stream, sender) = (signal(kind)?, sender.clone());
        tokio::spawn(
            async move { while stream.recv().await.is_some() && sender.send(told).await.is_ok() {} },
        );
    }
    Ok(signals)
}
