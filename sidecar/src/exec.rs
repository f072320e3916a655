//! `holdfast exec`: the entry point of the JobManager's container. Starts the JobManager again at once when it dies, without Flink's
//! scripts, and with `--warm-spare` has the next one waiting.
//!
//! # How to read it
//!
//! | what | where |
//! | --- | --- |
//! | when a process is started, killed and given up; pure | [`supervisor`], and [`budget`] for crashes |
//! | the command line that Flink's scripts end in | [`learned`] |
//! | whether it still holds | [`fingerprint`] |
//! | whether a class-data archive fits it | [`archive`] |
//! | the effects: processes and signals, what the sidecar says, and this file, which drives | `processes.rs`, `family.rs`, `sightings.rs` |
//!
//! # What it must never do
//!
//! * End a JobManager because the sidecar is away, or because *it* was asleep: a hang is counted in pings, by the sidecar.
//! * Start a job again that has ended: statuses 0 and 163 are the job's and are passed through.
//! * Decide who leads. A spare is a JobManager like any other: the sidecar grants it, under a new epoch, when the one before is gone.

pub mod archive;
pub mod budget;
pub mod fingerprint;
pub mod learned;
pub mod supervisor;

mod family;
mod processes;
mod sightings;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use futures::future::BoxFuture;
use ha_store::Entropy;
use http::Uri;
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use self::archive::using::Using;
use self::learned::{LearnedCommand, NotLearned};
use self::processes::{Processes, Signalled};
use self::sightings::Sighting;
use self::supervisor::{Action, End, Observation, Policy, Slot, Supervisor};

/// By this environment variable a JobManager learns what it calls itself towards the sidecar.
pub const PROCESS_VARIABLE: &str = "HOLDFAST_PROCESS";

/// Flink's options for the ports that a JobManager listens on. A JobManager beside others gets 0, any free port, for each: what connects
/// to it is told where it is by the sidecar. Which of the two RPC ports counts depends on the kind of HA services
/// (`ClusterEntrypoint.getRPCPortRange`): with those of a factory class, which Holdfast's are, it is `jobmanager.rpc.port`.
pub(crate) const JOB_MANAGER_PORTS: [&str; 4] =
    ["rest.bind-port", "jobmanager.rpc.port", "high-availability.jobmanager.port", "blob.server.port"];

/// The JVM option by which the adapter's `Rehearsal` is asked for. Only a JobManager that has to wait does it.
const REHEARSE: &str = "-Dholdfast.rehearse=true";

/// What is to be run, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// The JobManager's command, as its container would run it.
    pub command: Vec<String>,
    /// When processes are started and ended.
    pub policy: Policy,
    /// The sidecar's list of sessions.
    pub sidecar: Uri,
    /// Flink properties of a process in the second slot, `key=value`: ports that do not collide with those of the first.
    pub spare_properties: Vec<String>,
    /// Whether a spare runs a small job of its own inside itself while it waits, so that its code has run when it is granted.
    pub rehearse: bool,
    /// The class-data archive; `None`: the one in the Flink home, if there is one.
    pub archive: Option<PathBuf>,
    /// Where a learned command is kept, for the next container.
    pub state_directory: Option<PathBuf>,
}

/// Why nothing was run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The command is not there, or is no program.
    #[error(
        "cannot start {program}: {error}. It is what stands after `--`; give the JobManager's command there"
    )]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        error: io::Error,
    },
    /// Signals would kill this process instead of reaching the JobManager.
    #[error("cannot take over signals: {0}")]
    Signals(io::Error),
}

/// What a shell ends with when a command is not there, or cannot be run.
const NOT_FOUND: u8 = 127;
const NOT_RUN: u8 = 126;

impl ExecError {
    /// What a shell would end with.
    pub fn status(&self) -> u8 {
        match self {
            Self::Start { error, .. } => status_of(error),
            Self::Signals(_) => 1,
        }
    }
}

fn status_of(not_started: &io::Error) -> u8 {
    if not_started.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_RUN }
}

struct Driver {
    options: Options,
    supervisor: Supervisor,
    environment: BTreeMap<String, String>,
    processes: Processes,
    archive: Using,
    learned: Option<LearnedCommand>,
    learning: Option<BoxFuture<'static, Learned>>,
    started: Instant,
}

/// What was learned of the process with this id.
type Learned = (u32, Result<LearnedCommand, NotLearned>);

/// Which command a process is started by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// The learned one.
    Directly,
    /// The given one, from which the next start may learn.
    AsGiven,
}

/// Runs the command until its job is over, it crashed too often, or we are asked to end. Answers with the exit status.
///
/// # Errors
/// [`ExecError`]: nothing runs.
pub async fn run(options: Options, entropy: &dyn Entropy) -> Result<u8, ExecError> {
    let mut signals = processes::signals().map_err(ExecError::Signals)?;
    let (told, mut sightings) = mpsc::channel(1);
    tokio::spawn(sightings::watch(options.sidecar.clone(), told));
    let mut driver = Driver::new(options, entropy);
    driver.begin()?;
    loop {
        let event = driver.next(&mut signals, &mut sightings).await;
        if let Some(status) = driver.observe(event) {
            return Ok(status);
        }
    }
}

/// What the driver waits for.
enum Event {
    Ended(Slot, End),
    Learned(Learned),
    Signalled(Signalled),
    Sighted(Sighting),
    Tick,
}

// === impl Driver ===

impl Driver {
    fn new(options: Options, entropy: &dyn Entropy) -> Self {
        let mut random = [0; 8];
        entropy.fill(&mut random);
        let name = format!("exec-{:016x}", u64::from_le_bytes(random));
        let learned = options.state_directory.as_deref().and_then(learned::kept::read);
        Self {
            supervisor: Supervisor::new(options.policy.clone(), name, learned.is_some()),
            environment: environment(),
            processes: Processes::default(),
            archive: Using::new(options.archive.clone()),
            learned,
            learning: None,
            started: Instant::now(),
            options,
        }
    }

    /// The very first start: a command that is not there is the user's mistake, and not a crash.
    fn begin(&mut self) -> Result<(), ExecError> {
        for action in self.supervisor.step(0, Observation::Tick) {
            let Action::Start { slot, process } = action else { unreachable!("nothing runs yet") };
            let program = self.options.command.first().cloned().unwrap_or_default();
            self.start(slot, &process).map_err(|error| ExecError::Start { program, error })?;
        }
        Ok(())
    }

    async fn next(
        &mut self,
        signals: &mut mpsc::Receiver<Signalled>,
        sightings: &mut mpsc::Receiver<Sighting>,
    ) -> Event {
        const AT_LATEST: Duration = Duration::from_secs(60);
        let next_ms = self.supervisor.next_tick_ms().map(Duration::from_millis);
        let wake_at = next_ms.map_or_else(|| Instant::now() + AT_LATEST, |next| self.started + next);
        let learning = async {
            match &mut self.learning {
                Some(learning) => learning.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            (slot, end) = self.processes.next_end() => Event::Ended(slot, end),
            Some(signal) = signals.recv() => Event::Signalled(signal),
            learned = learning => Event::Learned(learned),
            Some(sighting) = sightings.recv() => Event::Sighted(sighting),
            () = sleep_until(wake_at) => Event::Tick,
        }
    }

    /// Answers with the exit status when everything is over.
    fn observe(&mut self, event: Event) -> Option<u8> {
        let now_ms = self.now_ms();
        let actions = match event {
            Event::Ended(slot, end) => {
                tracing::info!(event = "job-manager-ended", ?slot, "the JobManager ended with {end}");
                self.archive.ended(slot, end, now_ms);
                self.supervisor.step(now_ms, Observation::Ended(slot, end))
            }
            Event::Signalled(Signalled::ToEnd(signal)) => {
                self.supervisor.step(now_ms, Observation::AskedToEnd(signal))
            }
            Event::Signalled(Signalled::ForTheJobManager(signal)) => {
                self.supervisor.step(now_ms, Observation::Signalled(signal))
            }
            Event::Sighted(Some(sessions)) => self.supervisor.step(now_ms, Observation::Sessions(&sessions)),
            Event::Sighted(None) => self.supervisor.step(now_ms, Observation::SidecarAway),
            Event::Tick => self.supervisor.step(now_ms, Observation::Tick),
            Event::Learned((pid, learned)) => self.learned(pid, learned),
        };
        self.act(actions)
    }

    fn learned(&mut self, pid: u32, learned: Result<LearnedCommand, NotLearned>) -> Vec<Action> {
        self.learning = None;
        match learned {
            Ok(learned) => {
                self.processes.is_the_job_manager(pid);
                tracing::info!(event = "learned", "the next JobManager is started directly, without scripts");
                if let Some(directory) = &self.options.state_directory {
                    learned::kept::write(directory, &learned);
                }
                self.learned = Some(learned);
                let now_ms = self.now_ms();
                self.supervisor.step(now_ms, Observation::CanStartSpares)
            }
            Err(NotLearned::Ended) => Vec::new(),
            Err(why) => {
                let spare = if self.options.policy.warm_spare { ", and there is no spare" } else { "" };
                tracing::warn!(
                    event = "not-learned",
                    "the command cannot be learned, so every start goes through its scripts{spare}: {why}"
                );
                Vec::new()
            }
        }
    }

    fn act(&mut self, actions: Vec<Action>) -> Option<u8> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Start { slot, process } => {
                    if let Err(error) = self.start(slot, &process) {
                        tracing::warn!(event = "not-started", ?slot, "a JobManager was not started: {error}");
                        let ended = Observation::Ended(slot, End::Exited(status_of(&error)));
                        let now_ms = self.now_ms();
                        actions.extend(self.supervisor.step(now_ms, ended));
                    }
                }
                Action::Kill { slot, why } => {
                    tracing::info!(event = "killing", ?slot, "killing the JobManager: {why}");
                    self.processes.kill(slot);
                }
                Action::Signal { slot, signal } => self.processes.signal(slot, signal),
                Action::Finish { status, why } => {
                    tracing::info!(event = "finished", status, "{why}");
                    return Some(status);
                }
            }
        }
        None
    }

    fn start(&mut self, slot: Slot, process: &str) -> io::Result<()> {
        let (how, command) = self.command(slot)?;
        let pid = self.processes.start(slot, command, process, how == How::Directly)?;
        tracing::info!(event = "job-manager-started", ?slot, pid, process, "started a JobManager {how}");
        if how == How::AsGiven {
            let (given, ours) = (self.options.command.clone(), self.environment.clone());
            self.learning =
                Some(Box::pin(async move { (pid, LearnedCommand::of_process(pid, &given, &ours).await) }));
        }
        Ok(())
    }

    /// What the process in `slot` is started by now.
    ///
    /// # Errors
    /// A spare cannot be started by the given command.
    fn command(&mut self, slot: Slot) -> io::Result<(How, Command)> {
        let now_ms = self.now_ms();
        let properties = match slot {
            Slot::First => &[][..],
            Slot::Second => &self.options.spare_properties,
        };
        let Some(learned) = &self.learned else { return self.as_given(slot, "it is not learned yet") };
        let why = match learned.changes(&self.options.command, &self.environment) {
            Ok(changes) if changes.is_empty() => {
                let mut options = self.archive.options(slot, learned, now_ms);
                options.extend(self.options.rehearse.then(|| REHEARSE.to_owned()));
                match learned.arguments_with(&options, properties) {
                    Some(arguments) => {
                        let arguments = match slot {
                            Slot::First => arguments,
                            Slot::Second => learned::with_log_of_its_own(arguments),
                        };
                        return Ok((How::Directly, learned.command(&arguments)));
                    }
                    None => "Flink's arguments are not recognized in it".to_owned(),
                }
            }
            Ok(changes) => format!("something it depends on has changed: {}", changes.join(", ")),
            Err(error) => error.to_string(),
        };
        tracing::info!(event = "not-used", "the learned command is not used: {why}");
        self.as_given(slot, &why)
    }

    fn as_given(&self, slot: Slot, why: &str) -> io::Result<(How, Command)> {
        if slot == Slot::Second {
            return Err(io::Error::other(format!("a spare needs a learned command, and {why}")));
        }
        let mut words = self.options.command.iter();
        let mut command = Command::new(words.next().map(String::as_str).unwrap_or_default());
        command.args(words);
        Ok((How::AsGiven, command))
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .expect("the process runs for less than 500 million years")
    }
}

// === impl How ===

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directly => "directly",
            Self::AsGiven => "by its command",
        })
    }
}

/// The variables of this process that are UTF-8. Others are passed on to every process, and looked at by nobody.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}
