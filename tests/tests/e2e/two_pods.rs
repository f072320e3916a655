//! The zombie: a JobManager stands still for so long that another pod takes over, and then wakes up and goes on with what it
//! was doing. Once it was doing nothing in particular; once it had asked its sidecar to record a checkpoint, and its sink held
//! files that only waited for the answer.
//!
//! That "its sink commits nothing" is seen in the files. Every writer of the sink puts an id of its own into the names of its
//! files, and a commit is a rename that keeps the id. So the ids that exist when the JobManager stops are those of its own
//! TaskManager, and from its wake-up on no further file with one of them may become visible. (Before that one may: the new
//! JobManager commits what the checkpoint that it restored covers.) If the zombie committed all the same, the new pod's copy
//! of the same records would also make them duplicates in the sink's output.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::failover::Failover;
use harness::fault_proxy::{Exchange, FaultProxy, Held, Pattern};
use harness::flink::job_manager::RATE;
use harness::flink::log::Log;
use harness::flink::rest::Job;
use harness::pod::Pod;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;
use http::{Method, StatusCode};
use tokio::time::{Instant, timeout};

const AFTER: usize = 3;

const LIMIT: Duration = Duration::from_secs(60);

/// What a JobManager says that cannot know what became of its checkpoint.
const ENDS_ITSELF: &str = "Ending this JobManager process";

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let mut first = Contender::new(site, "pod-1").await?;
        let mut second = Contender::new(site, "pod-2").await?;
        let mut third = Contender::new(site, "pod-3").await?;
        first.start().await?;
        let job = first.pod.job_manager()?.wait_until_running().await?;
        first.pod.job_manager()?.wait_for_checkpoints(AFTER).await?;

        let zombie = rule("a JobManager is paused between two checkpoints", Zombie::idle(site, &mut first));
        let zombie = zombie.await?;
        deposed(&mut first, &mut second, &job, &zombie, None).await?;
        drop(first);

        let zombie =
            rule("a JobManager is paused while it records a checkpoint", Zombie::writing(site, &mut second));
        let (zombie, write) = zombie.await?;
        deposed(&mut second, &mut third, &job, &zombie, Some(write)).await
    })
    .await
}

/// What must hold for a paused JobManager, from the moment on at which another pod starts.
async fn deposed(
    old: &mut Contender<'_>,
    new: &mut Contender<'_>,
    job: &Job,
    zombie: &Zombie,
    write: Option<Held>,
) -> Result<()> {
    rule(
        "another pod is granted a newer epoch and restores the newest checkpoint",
        take_over(old, new, job, zombie.paused),
    )
    .await?;
    let committed = zombie.committed()?;
    if let Some(write) = write {
        rule("the write of the paused JobManager is refused", refused(old, write)).await?;
    }
    rule("its sidecar says that it is fenced", fenced(old)).await?;
    rule("the woken JobManager learns that it is deposed, and records nothing", wake(old, new)).await?;
    rule("its sink commits nothing", zombie.committed_nothing_beyond(&committed)).await?;
    rule("the job of the new pod is not disturbed", undisturbed(&zombie.out, new, job)).await
}

/// A pod, with a proxy between its JobManager and its sidecar.
struct Contender<'a> {
    pod: Pod<'a>,
    proxy: FaultProxy,
}

impl<'a> Contender<'a> {
    async fn new(site: &'a Site, name: &str) -> Result<Self> {
        let pod = Pod::new(site, name)?;
        let proxy = FaultProxy::start(pod.ports().sidecar).await?;
        Ok(Self { pod, proxy })
    }

    async fn start(&mut self) -> Result<()> {
        self.pod.start_sidecar().await?;
        self.pod.start_task_manager()?;
        self.pod.start_job_manager_behind(&self.proxy.url())
    }
}

/// What there is to know about a paused JobManager.
struct Zombie {
    paused: Instant,
    /// The ids of its sink's writers.
    writers: BTreeSet<String>,
    out: PathBuf,
}

impl Zombie {
    /// Pauses a JobManager just after it completed a checkpoint: the next one is almost an interval away.
    async fn idle(site: &Site, old: &mut Contender<'_>) -> Result<Self> {
        old.pod.job_manager()?.wait_for_checkpoints(1).await?;
        Self::pause(site, old).await
    }

    /// Pauses a JobManager while the record of a checkpoint is under way, and keeps that write from its sidecar.
    async fn writing(site: &Site, old: &mut Contender<'_>) -> Result<(Self, Held)> {
        let caught = old.proxy.hold_next(Pattern::put_checkpoint());
        let write = timeout(LIMIT, caught).await.context("no checkpoint came by")??;
        Ok((Self::pause(site, old).await?, write))
    }

    async fn pause(site: &Site, old: &mut Contender<'_>) -> Result<Self> {
        old.pod.job_manager()?.process.pause()?;
        let paused = Instant::now();
        let out = site.path("out");
        // Its tasks go on, so there soon is something that it could commit.
        let something = async || Ok(Some(sink::files(&out)?).filter(|files| !files.uncommitted.is_empty()));
        let files = wait::until("the sink to write what is not committed", LIMIT, something).await?;
        let writers = files.committed.iter().chain(&files.uncommitted).filter_map(|name| writer_of(name));
        Ok(Self { paused, writers: writers.collect(), out })
    }

    /// The committed files of its writers.
    fn committed(&self) -> Result<BTreeSet<String>> {
        let its_own = |name: &String| writer_of(name).is_some_and(|writer| self.writers.contains(&writer));
        Ok(sink::files(&self.out)?.committed.into_iter().filter(its_own).collect())
    }

    async fn committed_nothing_beyond(&self, before: &BTreeSet<String>) -> Result<()> {
        let now = self.committed()?;
        let beyond: Vec<_> = now.difference(before).collect();
        ensure!(beyond.is_empty(), "committed after it was deposed: {beyond:?}");
        Ok(())
    }
}

/// `part-WRITER-7` and `.part-WRITER-7.inprogress.TOKEN` → `WRITER`, which is a UUID.
fn writer_of(name: &str) -> Option<String> {
    name.trim_start_matches('.').strip_prefix("part-")?.get(..36).map(str::to_owned)
}

async fn take_over(
    old: &mut Contender<'_>,
    new: &mut Contender<'_>,
    job: &Job,
    paused: Instant,
) -> Result<()> {
    let epoch = old.pod.sidecar()?.epoch().await?;
    let newest = old.pod.sidecar()?.newest_checkpoint(&job.id).await?;
    new.start().await?;
    let job_manager = new.pod.job_manager()?;
    let restored = Failover::watch(job_manager, paused, job.tasks.total).await?.restored_id;
    ensure!(Some(restored) == newest, "restored checkpoint {restored}, but the newest was {newest:?}");
    job_manager.wait_for_checkpoints(AFTER).await?;
    let now = new.pod.sidecar()?.epoch().await?;
    ensure!(now > epoch, "the new pod leads under epoch {now}, the old one under {epoch}");
    Ok(())
}

/// The write reaches its sidecar only now. Its answer waits for the JobManager in the connection.
async fn refused(old: &mut Contender<'_>, write: Held) -> Result<()> {
    let pattern = Pattern::new(Method::PUT, &write.path);
    write.release();
    let answered =
        async || Ok(old.proxy.exchanges(&pattern).into_iter().find_map(|exchange| exchange.status));
    let status = wait::until("an answer to the write", LIMIT, answered).await?;
    ensure!(status == StatusCode::PRECONDITION_FAILED, "the write was answered with {status}");
    Ok(())
}

async fn fenced(old: &mut Contender<'_>) -> Result<()> {
    let sidecar = old.pod.sidecar()?;
    let role = async || {
        let status = sidecar.status().await?;
        Ok((status["role"] == "fenced").then_some(()))
    };
    wait::until("the old sidecar's /status to say that it is fenced", LIMIT, role).await?;
    let line = Log::new(sidecar.process.log()).line_with("fenced")?;
    line.context("the old sidecar's log does not say that it is fenced")?;
    Ok(())
}

async fn wake(old: &mut Contender<'_>, new: &mut Contender<'_>) -> Result<()> {
    let writes_before = old.proxy.writes().len();
    let zombie = old.pod.job_manager()?;
    let completed = zombie.log.completed()?;
    zombie.process.wake()?;
    // It is told by the answer to a write, by its session, or by both. One that slept for longer than a write may stay without a
    // definite answer does not wait to be told: it ends itself, and on a slow machine a takeover takes that long.
    let told = async || Ok(zombie.log.line_with("fenced")?.or(zombie.log.line_with(ENDS_ITSELF)?));
    wait::until("the JobManager's log to say that it is fenced, or ends itself", LIMIT, told).await?;
    // Time enough for a JobManager that is not fenced to trigger, record and commit checkpoints.
    new.pod.job_manager()?.wait_for_checkpoints(AFTER).await?;

    let recorded = |exchange: &&Exchange| exchange.status.is_some_and(|status| status.is_success());
    let writes = old.proxy.writes();
    let recorded: Vec<_> = writes.iter().skip(writes_before).filter(recorded).collect();
    ensure!(recorded.is_empty(), "writes of a deposed JobManager were recorded: {recorded:?}");
    ensure!(zombie.log.completed()? == completed, "it completed a checkpoint after it was deposed");
    Ok(())
}

async fn undisturbed(out: &Path, new: &mut Contender<'_>, job: &Job) -> Result<()> {
    new.pod.job_manager()?.require_no_restart(&job.id).await?;
    let committed = sink::read(out)?.highest.unwrap_or_default();
    sink::read_past(out, committed + RATE).await?.require_exactly_once()
}
