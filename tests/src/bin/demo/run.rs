//! The story itself: start, kill the JobManager, kill the sidecar, count.

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifacts;
use harness::failover::Failover;
use harness::flink::job_manager::RATE;
use harness::flink::rest::Job;
use harness::output;
use harness::pod::Pod;
use harness::sink;
use harness::site::Site;
use tokio::time::Instant;

use crate::table::{self, SidecarFigures};

/// Checkpoints before the first kill.
const BEFORE: usize = 4;

/// Checkpoints after each kill.
const AFTER: usize = 4;

/// Runs the demo, and returns what stands after `RESULT ok`. The work directory outlives a failure.
pub(crate) async fn run(artifacts: Artifacts) -> Result<String> {
    let mut site = Site::new(artifacts)?;
    let story = Story { site: &site, started: Instant::now() };
    let outcome = story.tell().await;
    if outcome.is_err() {
        output::line(format!("\nlogs, configuration and state are kept in {}", site.keep().display()));
    }
    outcome
}

struct Story<'a> {
    site: &'a Site,
    started: Instant,
}

impl Story<'_> {
    fn say(&self, text: impl AsRef<str>) {
        output::line(format!("{:>6.1} s  {}", self.started.elapsed().as_secs_f64(), text.as_ref()));
    }

    async fn tell(&self) -> Result<String> {
        let version = &self.site.artifacts().flink_version;
        output::line(format!(
            "Holdfast demo: Apache Flink {version}, work directory {}",
            self.site.root().display()
        ));
        let mut pod = Pod::new(self.site, "pod-1")?;
        let mut figures = SidecarFigures::default();
        let job = self.start(&mut pod, &mut figures).await?;
        let failover = self.kill_job_manager(&mut pod, &job).await?;
        let restarts = self.kill_sidecar(&mut pod, &job, &mut figures).await?;
        let report = self.read_sink().await?;

        table::print(&failover, &figures);
        report.require_exactly_once()?;
        ensure!(restarts == 0, "the kill of the sidecar restarted the job {restarts} times");
        Ok(format!(
            "restored={} failover_ms={} job_restarts_by_sidecar_kill={restarts} lost={} duplicated={}",
            failover.restored_id,
            failover.all_running.as_millis(),
            report.lost,
            report.duplicated,
        ))
    }

    async fn start(&self, pod: &mut Pod<'_>, figures: &mut SidecarFigures) -> Result<Job> {
        figures.starts.push(pod.start_sidecar().await.context("starting the sidecar")?);
        self.say("sidecar is ready");
        pod.start_task_manager()?;
        pod.start_job_manager()?;
        self.say("JobManager and TaskManager are starting");
        let job = pod.job_manager()?.wait_until_running().await?;
        self.say(format!("job runs: {} tasks, {RATE} records per second", job.tasks.total));
        let newest = pod.job_manager()?.wait_for_checkpoints(BEFORE).await?;
        self.say(format!("checkpoint {newest} is complete"));
        Ok(job)
    }

    async fn kill_job_manager(&self, pod: &mut Pod<'_>, job: &Job) -> Result<Failover> {
        let old = pod.job_manager()?;
        let pid = old.process.pid();
        let killed = Instant::now();
        old.process.kill()?;
        // Read after the kill: a checkpoint may complete until the last moment.
        let newest = old.log.completed()?.last().copied().context("no checkpoint before the kill")?;
        self.say(format!("kill -9 {pid}: the JobManager is dead; a new one is starting"));
        pod.start_job_manager()?;

        let job_manager = pod.job_manager()?;
        let failover = Failover::watch(job_manager, killed, job.tasks.total).await?;
        let restored = failover.restored_id;
        self.say(format!(
            "all tasks run again, from checkpoint {restored}; {} is complete",
            failover.checkpoint_id
        ));
        // Durable is what the store says, and the log comes a moment later: never older, at most one newer.
        ensure!(
            restored == newest || restored == newest + 1,
            "checkpoint {restored} was restored, but {newest} was complete"
        );
        let newest = job_manager.wait_for_checkpoints(AFTER).await?;
        self.say(format!("checkpoint {newest} is complete"));
        Ok(failover)
    }

    async fn kill_sidecar(
        &self,
        pod: &mut Pod<'_>,
        job: &Job,
        figures: &mut SidecarFigures,
    ) -> Result<usize> {
        let sidecar = pod.sidecar()?;
        let epoch = sidecar.epoch().await?;
        figures.resident_bytes = sidecar.process.resident_bytes()?;
        let pid = sidecar.process.pid();
        sidecar.process.kill()?;
        self.say(format!("kill -9 {pid}: the sidecar is dead; a new one is starting"));
        figures.starts.push(pod.start_sidecar().await.context("starting the sidecar again")?);

        let newest = pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
        self.say(format!("the job goes on; checkpoint {newest} is complete"));
        let now = pod.sidecar()?.epoch().await?;
        ensure!(now == epoch, "the epoch went from {epoch} to {now}, but the leader never changed");
        pod.job_manager()?.restarts(&job.id).await
    }

    async fn read_sink(&self) -> Result<sink::Report> {
        let out = self.site.path("out");
        // Everything that either kill could have touched is older than what is committed a second from now.
        let committed = sink::read(&out)?.highest.context("the sink committed nothing")?;
        let report = sink::read_past(&out, committed + RATE).await?;
        self.say(format!("the sink committed {} records", report.records));
        Ok(report)
    }
}
