//! The phases of a failover, timed from the kill.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use crate::flink::job_manager::JobManager;
use crate::flink::log::Event;

/// How long a failover may take before it counts as none.
const LIMIT: Duration = Duration::from_secs(120);

/// How often the log is read. The figures are no finer than this.
const INTERVAL: Duration = Duration::from_millis(5);

/// What the new JobManager did, each as the time since the old one was killed.
#[derive(Clone, Copy, Debug)]
pub struct Failover {
    /// Its JVM runs Flink's code.
    pub process_up: Duration,
    /// It leads.
    pub granted: Duration,
    /// The job's state was read.
    pub restored: Duration,
    /// The checkpoint that it was read from.
    pub restored_id: u64,
    /// The last task runs.
    pub all_running: Duration,
    /// The first checkpoint after the kill is complete.
    pub checkpoint: Duration,
    /// Its id.
    pub checkpoint_id: u64,
}

#[derive(Default)]
struct Seen {
    process_up: Option<Duration>,
    granted: Option<Duration>,
    restored: Option<(u64, Duration)>,
    running: usize,
    all_running: Option<Duration>,
    checkpoint: Option<(u64, Duration)>,
}

impl Failover {
    /// Follows a JobManager that was started after the kill at `killed`, until all `tasks` of the job run and a new
    /// checkpoint is complete.
    pub async fn watch(job_manager: &mut JobManager, killed: Instant, tasks: usize) -> Result<Self> {
        let mut log = job_manager.log.follow();
        let mut seen = Seen::default();
        while seen.checkpoint.is_none() {
            for event in log.new_events()? {
                seen.note(event, killed.elapsed(), tasks);
            }
            if killed.elapsed() > LIMIT {
                bail!("no failover within {} s: {}", LIMIT.as_secs(), seen.last_phase());
            }
            job_manager.process.require_alive().with_context(|| seen.last_phase())?;
            sleep(INTERVAL).await;
        }
        seen.complete()
    }
}

impl Seen {
    fn note(&mut self, event: Event, elapsed: Duration, tasks: usize) {
        match event {
            Event::ProcessUp => self.process_up = self.process_up.or(Some(elapsed)),
            Event::Granted => self.granted = self.granted.or(Some(elapsed)),
            Event::Restored(id) => self.restored = self.restored.or(Some((id, elapsed))),
            Event::TaskRunning => {
                self.running += 1;
                if self.running == tasks {
                    self.all_running = Some(elapsed);
                }
            }
            Event::Completed(id) => self.checkpoint = self.checkpoint.or(Some((id, elapsed))),
            Event::RestUp | Event::Restarting => {}
        }
    }

    fn last_phase(&self) -> String {
        let phase = match self {
            Self { all_running: Some(_), .. } => "all tasks ran, but no checkpoint completed",
            Self { restored: Some(_), .. } => "the job was restored, but not all of its tasks ran",
            Self { granted: Some(_), .. } => "the JobManager led, but restored nothing",
            Self { process_up: Some(_), .. } => "the JobManager was up, but not granted leadership",
            _ => "the JobManager never came up",
        };
        phase.to_owned()
    }

    fn complete(self) -> Result<Failover> {
        let (restored_id, restored) = self.restored.context("the job started without a checkpoint")?;
        let (checkpoint_id, checkpoint) = self.checkpoint.context("no checkpoint completed")?;
        Ok(Failover {
            process_up: self.process_up.context("the log names no start")?,
            granted: self.granted.context("the log names no grant of leadership")?,
            restored,
            restored_id,
            all_running: self.all_running.context("a checkpoint completed before all tasks ran")?,
            checkpoint,
            checkpoint_id,
        })
    }
}
