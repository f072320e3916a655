//! What Flink's log says. Its lines are the only record of some facts (which checkpoint a job was restored from, when a
//! JobManager was granted leadership), and they are the same in all versions that the tests run.

use std::fs;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The log of one JobManager process.
#[derive(Clone, Debug)]
pub struct Log {
    path: PathBuf,
}

/// Reads a log as it grows.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    offset: u64,
    unfinished: Vec<u8>,
}

/// One thing that a line reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The JVM runs Flink's code.
    ProcessUp,
    /// The REST endpoint listens.
    RestUp,
    /// This process leads.
    Granted,
    /// The job's state is taken from this checkpoint.
    Restored(u64),
    /// One task runs.
    TaskRunning,
    /// This checkpoint is durable, and the sinks are told to commit it.
    Completed(u64),
    /// The job's tasks failed and are started again.
    Restarting,
}

impl Event {
    /// The event of a line, if it reports one.
    pub fn of(line: &str) -> Option<Self> {
        let has = |text: &str| line.contains(text);
        if has(" Starting StandaloneApplicationClusterEntryPoint") {
            Some(Self::ProcessUp)
        } else if has("Rest endpoint listening at") {
            Some(Self::RestUp)
        } else if has("DefaultDispatcherRunner was granted leadership") {
            Some(Self::Granted)
        } else if has(" switched from INITIALIZING to RUNNING") {
            Some(Self::TaskRunning)
        } else if has(" switched from state ") && has(" to RESTARTING") {
            Some(Self::Restarting)
        } else if has(" Restoring job ") {
            number_after(line, " from Checkpoint ").map(Self::Restored)
        } else {
            number_after(line, " Completed checkpoint ").map(Self::Completed)
        }
    }
}

impl Log {
    /// The log in this file, which may not exist yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Everything that was written so far.
    pub fn text(&self) -> Result<String> {
        let bytes = fs::read(&self.path).with_context(|| format!("reading {}", self.path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The events so far, in order.
    pub fn events(&self) -> Result<Vec<Event>> {
        Ok(self.text()?.lines().filter_map(Event::of).collect())
    }

    /// The checkpoints that this process completed, in order.
    pub fn completed(&self) -> Result<Vec<u64>> {
        let id = |event| if let Event::Completed(id) = event { Some(id) } else { None };
        Ok(self.events()?.into_iter().filter_map(id).collect())
    }

    /// The checkpoint that this process restored first: what it found when it took over.
    pub fn restored(&self) -> Result<Option<u64>> {
        let id = |event| if let Event::Restored(id) = event { Some(id) } else { None };
        Ok(self.events()?.into_iter().find_map(id))
    }

    /// How often the job was restarted by this process. The log misses none, where asking the REST endpoint now and then
    /// would.
    pub fn restarts(&self) -> Result<usize> {
        Ok(self.events()?.into_iter().filter(|event| *event == Event::Restarting).count())
    }

    /// The first line that holds `text`.
    pub fn line_with(&self, text: &str) -> Result<Option<String>> {
        Ok(self.text()?.lines().find(|line| line.contains(text)).map(str::to_owned))
    }

    /// Reads this log from here on, as it grows.
    pub fn follow(&self) -> Follower {
        Follower { path: self.path.clone(), offset: 0, unfinished: Vec::new() }
    }
}

impl Follower {
    /// The events in what was written since the last call. A line counts when it is complete.
    pub fn new_events(&mut self) -> Result<Vec<Event>> {
        let mut file = match fs::File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error).with_context(|| format!("opening {}", self.path.display())),
        };
        file.seek(SeekFrom::Start(self.offset))?;
        self.offset += file.read_to_end(&mut self.unfinished)? as u64;
        let end = self.unfinished.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let complete: Vec<u8> = self.unfinished.drain(..end).collect();
        Ok(String::from_utf8_lossy(&complete).lines().filter_map(Event::of).collect())
    }
}

fn number_after(line: &str, text: &str) -> Option<u64> {
    let rest = &line[line.find(text)? + text.len()..];
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const RESTORING: &str = "2026-01-02 03:04:05,678 INFO  org.apache.flink.runtime.checkpoint.CheckpointCoordinator [] - \
        Restoring job 00000000002efde30000000000000000 from Checkpoint 17 @ 1767323045678 for \
        00000000002efde30000000000000000 located at file:/c/00000000002efde30000000000000000/chk-17.";

    #[test]
    fn lines_become_events() {
        assert_eq!(Event::of(RESTORING), Some(Event::Restored(17)));
        let completed = "x - Completed checkpoint 18 for job 0 (27264 bytes, checkpointDuration=31 ms)";
        assert_eq!(Event::of(completed), Some(Event::Completed(18)));
        let restarting = "x - Job holdfast-demo (0) switched from state RUNNING to RESTARTING.";
        assert_eq!(Event::of(restarting), Some(Event::Restarting));
        assert_eq!(Event::of("x - Job holdfast-demo (0) switched from state CREATED to RUNNING."), None);
        assert_eq!(Event::of("x - No checkpoint found during restore."), None);
    }

    #[test]
    fn a_line_counts_once_and_when_it_is_complete() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut follower = Log::new(file.path()).follow();
        write!(file, "x - Completed checkpoint 1").unwrap();
        assert_eq!(follower.new_events().unwrap(), []);
        write!(file, "2 for job 0\nx - Comp").unwrap();
        assert_eq!(follower.new_events().unwrap(), [Event::Completed(12)]);
        assert_eq!(follower.new_events().unwrap(), []);
    }
}
