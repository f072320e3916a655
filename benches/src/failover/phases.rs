//! From log lines to phases: what happened when after a kill, by the times that Flink itself wrote.
//!
//! Pure. How often the logs are looked at has no influence on a figure.

use std::collections::BTreeMap;

use harness::flink::log::Event;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// What is timed. All are in milliseconds after the kill, but for the last two, which are lengths of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// The JVM of the JobManager that is going to lead runs Flink's code. A standby's ran before.
    ProcessUp,
    /// Its REST endpoint listens. A standby's did before.
    RestUp,
    /// It leads.
    Leadership,
    /// The job's graph and the pointers to its checkpoints are read.
    PointersRead,
    /// A TaskManager is registered with it.
    TaskManagers,
    /// The job's state is taken from a checkpoint.
    Restored,
    /// The last task runs.
    AllRunning,
    /// The first record is processed after the kill by a task that did not run before.
    FirstRecord,
    /// The first checkpoint after that is complete: what was processed becomes visible.
    NewCheckpoint,
    /// From the last record of the old tasks to the first of the new ones; where the job goes on as if nothing had
    /// happened, the longest time between two records.
    ProcessingGap,
    /// Holdfast's own part: from the moment at which the sidecar knows both that the old JobManager is gone and that
    /// another one waits, until that one is granted leadership.
    Own,
}

/// The times of one kill, in milliseconds.
pub type Phases = BTreeMap<Phase, u64>;

/// What the JobManagers' logs say about one kill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// What was reached.
    pub phases: Phases,
    /// How often a JobManager began to lead.
    pub grants: usize,
    /// How often the job's tasks failed and were started again under a JobManager that went on.
    pub job_restarts: usize,
    /// Checkpoints that were completed.
    pub checkpoints: usize,
}

impl Phase {
    /// All of them, with the name of each in JSON.
    pub const NAMES: [(Self, &'static str); 11] = [
        (Self::ProcessUp, "process_up_ms"),
        (Self::RestUp, "rest_up_ms"),
        (Self::Leadership, "leadership_ms"),
        (Self::PointersRead, "pointers_read_ms"),
        (Self::TaskManagers, "task_managers_ms"),
        (Self::Restored, "restored_ms"),
        (Self::AllRunning, "all_running_ms"),
        (Self::FirstRecord, "first_record_ms"),
        (Self::NewCheckpoint, "new_checkpoint_ms"),
        (Self::ProcessingGap, "processing_gap_ms"),
        (Self::Own, "own_part_ms"),
    ];

    /// For the head of a column, and the legend of a picture.
    pub fn title(self) -> &'static str {
        match self {
            Self::ProcessUp => "process up",
            Self::RestUp => "REST up",
            Self::Leadership => "leadership",
            Self::PointersRead => "graph, pointers",
            Self::TaskManagers => "TaskManagers",
            Self::Restored => "restored",
            Self::AllRunning => "all RUNNING",
            Self::FirstRecord => "first record",
            Self::NewCheckpoint => "checkpoint",
            Self::ProcessingGap => "gap",
            Self::Own => "own part",
        }
    }
}

/// What a line reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    Of(Event),
    PointersRead,
    TaskManager,
}

/// One line of one log.
struct Dated {
    at_ms: i64,
    log: usize,
    mark: Mark,
}

/// Reads the logs of all JobManagers, each with everything that they wrote. What is older than `kill_ms` (Unix time) does
/// not count; `tasks` is how many tasks the job has.
pub fn timeline(logs: &[String], kill_ms: i64, tasks: usize, zone: &TimeZone) -> Timeline {
    let mut marks: Vec<Dated> = Vec::new();
    for (log, text) in logs.iter().enumerate() {
        let dated = text.lines().filter_map(|line| {
            let mark = Mark::of(line)?;
            Some(Dated { at_ms: flink_time_ms(line, zone)?, log, mark })
        });
        marks.extend(dated.filter(|dated| dated.at_ms >= kill_ms));
    }
    // Stable: lines of one millisecond keep their order.
    marks.sort_by_key(|dated| dated.at_ms);
    let mut reader = Reader { kill_ms, tasks, ..Reader::default() };
    for dated in &marks {
        reader.note(dated);
    }
    reader.found
}

/// The newest log in which a JobManager began to lead, if one ever did.
pub fn leader(logs: &[String], zone: &TimeZone) -> Option<usize> {
    let granted = |text: &String| {
        let lines = text.lines().filter(|line| Mark::of(line) == Some(Mark::Of(Event::Granted)));
        lines.filter_map(|line| flink_time_ms(line, zone)).max()
    };
    let dated = logs.iter().enumerate().filter_map(|(log, text)| Some((granted(text)?, log)));
    dated.max().map(|(_, log)| log)
}

#[derive(Default)]
struct Reader {
    kill_ms: i64,
    tasks: usize,
    /// The start of each log's process, where it was after the kill.
    starts: BTreeMap<usize, Phases>,
    running: usize,
    found: Timeline,
}

impl Reader {
    fn note(&mut self, dated: &Dated) {
        let after_ms = u64::try_from(dated.at_ms - self.kill_ms).expect("older lines were left out");
        match dated.mark {
            Mark::Of(Event::ProcessUp) => {
                self.starts.insert(dated.log, Phases::from([(Phase::ProcessUp, after_ms)]));
            }
            Mark::Of(Event::RestUp) => {
                self.starts.entry(dated.log).or_default().insert(Phase::RestUp, after_ms);
            }
            Mark::Of(Event::Granted) => {
                self.found.grants += 1;
                self.begin(self.starts.get(&dated.log).cloned().unwrap_or_default());
                self.reach(Phase::Leadership, after_ms);
            }
            Mark::PointersRead => self.reach(Phase::PointersRead, after_ms),
            Mark::TaskManager => self.reach(Phase::TaskManagers, after_ms),
            Mark::Of(Event::Restored(_)) => self.reach(Phase::Restored, after_ms),
            Mark::Of(Event::TaskRunning) => {
                self.running += 1;
                if self.running == self.tasks {
                    self.reach(Phase::AllRunning, after_ms);
                }
            }
            Mark::Of(Event::Restarting) => {
                self.found.job_restarts += 1;
                // What was reached by tasks that failed again was no recovery, unless a checkpoint made it good.
                if !self.found.phases.contains_key(&Phase::NewCheckpoint) {
                    self.found.phases.remove(&Phase::AllRunning);
                }
                self.running = 0;
            }
            Mark::Of(Event::Completed(_)) => {
                self.found.checkpoints += 1;
                if self.found.phases.contains_key(&Phase::AllRunning) {
                    self.reach(Phase::NewCheckpoint, after_ms);
                }
            }
        }
    }

    /// A JobManager begins to lead: what another one reached before, it did not bring to an end.
    fn begin(&mut self, start: Phases) {
        if !self.found.phases.contains_key(&Phase::NewCheckpoint) {
            self.found.phases = start;
        }
        self.running = 0;
    }

    fn reach(&mut self, phase: Phase, after_ms: u64) {
        self.found.phases.entry(phase).or_insert(after_ms);
    }
}

impl Mark {
    fn of(line: &str) -> Option<Self> {
        if line.contains(" Found ") && line.contains(" checkpoints in ") {
            Some(Self::PointersRead)
        } else if line.contains("Registering TaskManager with ResourceID") {
            Some(Self::TaskManager)
        } else {
            // Flink says so twice: first thing, and again when it has read its configuration.
            let again = |event: &Event| *event == Event::ProcessUp && !line.contains("(Version");
            Event::of(line).filter(|event| !again(event)).map(Self::Of)
        }
    }
}

impl Timeline {
    /// Whether the job came back.
    pub fn is_complete(&self) -> bool {
        self.phases.contains_key(&Phase::NewCheckpoint)
    }

    /// How far it came, for the message of an error.
    pub fn last_phase(&self) -> String {
        let last = self.phases.iter().rfind(|(phase, _)| **phase <= Phase::NewCheckpoint);
        last.map_or("nothing was reached".into(), |(phase, ms)| {
            format!("the last phase reached was {:?}, {ms} ms after the kill", phase.title())
        })
    }
}

/// `2026-11-21 18:37:40,120 INFO …` as Unix time in milliseconds. Flink writes the time of day of its machine.
pub fn flink_time_ms(line: &str, zone: &TimeZone) -> Option<i64> {
    let text = line.get(..23)?;
    let (seconds, millis) = text.split_once(',')?;
    let time: DateTime = format!("{seconds}.{millis}").parse().ok()?;
    Some(time.to_zoned(zone.clone()).ok()?.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests;
