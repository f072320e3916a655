//! After any end of a job the next generation goes on from its newest state, or says why not.
//!
//! One deployment, one generation after the other. The sink's files are those of all of them: every record exactly once,
//! from the first generation to the last.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::flink::job_manager::RATE;
use harness::pod::Pod;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;

use crate::broken_snapshot::{self, Before};
use crate::generations::{
    END_LIMIT, USUAL_PARALLELISM, begin, cancel, generation, goes_on_exactly_once, next, require_parallelism,
    running, savepoint, savepoint_at_flink, stop_at_flink,
};

/// The record that fails the first generation: a few checkpoints after its start.
const POISON: u64 = 6 * RATE;

/// The greatest state that has no file of its own, in bytes.
const INLINE_THRESHOLD: &str = "execution.checkpointing.data-inline-threshold";

/// Long enough for no checkpoint to come in between: Flink takes the first one at a random moment of the first interval.
const SELDOM: Duration = Duration::from_secs(10 * 24 * 3_600);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        rule("a job that used up its restarts is FAILED, and its checkpoints stay", failed(site, &mut pod))
            .await?;
        rule("the next generation goes on from the last checkpoint", after_failure(site, &mut pod)).await?;
        rule("after a cancel too, with another parallelism", after_cancel(site, &mut pod)).await?;
        rule(
            "a savepoint newer than the last checkpoint is restored, also if Flink was asked for it",
            newer_savepoint(site, &mut pod),
        )
        .await?;
        rule("one that the job went back behind is not", rolled_back_savepoint(site, &mut pod)).await?;
        rule("after a stop with a savepoint, that is restored", after_stop(site, &mut pod)).await?;
        let before = rule("whoever asked for the stop", after_stop_at_flink(site, &mut pod)).await?;
        broken_snapshot::test(site, &mut pod, 10, before).await?;
        rule("a reset goes back to an older snapshot, state, configuration and all", reset(site, &mut pod))
            .await
    })
    .await
}

async fn failed(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let poison = POISON.to_string();
    begin(pod, generation(1).job(&["--poison", &poison])).await?;
    let status = pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    ensure!(!status.success(), "the JobManager of a failed job ended with {status}");
    let last = pod.job_manager()?.log.completed()?.last().copied().context("no checkpoint completed")?;
    let shown = pod.holdfast(&["snapshots", "show", &last.to_string()]).await?.done()?;
    ensure!(shown.to_string().contains("retained"), "checkpoint {last} is not retained: {shown}");
    let again = sink::read(&site.path("out"))?;
    ensure!(again.highest.is_some_and(|highest| highest < POISON), "{again:?}");
    Ok(())
}

async fn after_failure(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let last = pod.job_manager()?.log.completed()?.last().copied();
    let (job, restored) = next(pod, generation(2)).await?;
    ensure!(restored.as_ref().map(|restored| restored.id) == last, "{restored:?}, but the last was {last:?}");
    require_parallelism(pod, &job, USUAL_PARALLELISM).await?;
    goes_on_exactly_once(site, pod, &job).await?;
    let plan = pod.holdfast(&["plan"]).await?.done()?;
    ensure!(plan.to_string().contains("newest snapshot of the lineage"), "{plan}");
    cancel(pod, &job).await
}

async fn after_cancel(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let last = pod.job_manager()?.log.completed()?.last().copied();
    let (job, restored) = next(pod, generation(3).set("parallelism.default", "1")).await?;
    ensure!(restored.as_ref().map(|restored| restored.id) == last, "{restored:?}, but the last was {last:?}");
    require_parallelism(pod, &job, 1).await?;
    goes_on_exactly_once(site, pod, &job).await?;
    cancel(pod, &job).await
}

async fn newer_savepoint(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (job, _) = next(pod, generation(4).checkpoint_every(SELDOM)).await?;
    let id = savepoint_at_flink(pod, &job).await?;
    cancel(pod, &job).await?;
    let (job, restored) = next(pod, generation(5)).await?;
    let restored = restored.context("it started empty")?;
    ensure!((restored.id, restored.is_savepoint) == (id, true), "{restored:?}, but the savepoint was {id}");
    goes_on_exactly_once(site, pod, &job).await?;
    // And one that is older than the last checkpoint does not count.
    let (older, _) = savepoint(pod, &[]).await?;
    pod.job_manager()?.wait_for_checkpoints(1).await?;
    cancel(pod, &job).await?;
    let last = pod.job_manager()?.log.completed()?.last().copied().unwrap_or_default();
    ensure!(last > older, "checkpoint {last} is not newer than savepoint {older}");
    let (job, restored) = next(pod, generation(6).checkpoint_every(SELDOM)).await?;
    ensure!(
        restored.as_ref().map(|restored| restored.id) == Some(last),
        "{restored:?}, but the last was {last}"
    );
    pod.job_manager()?.require_no_restart(&job.id).await
}

/// The job of generation 6 runs, and completes no checkpoint by itself.
async fn rolled_back_savepoint(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (job, from) = running(pod).await?;
    let from = from.context("it started empty")?;
    let (id, _) = savepoint(pod, &[]).await?;
    ensure!(id > from.id, "savepoint {id} is not newer than checkpoint {}", from.id);
    pod.task_manager()?.kill()?;
    wait::until("the loss of the TaskManager to be noticed", END_LIMIT, async || {
        Ok((pod.job_manager()?.log.restarts()? > 0).then_some(()))
    })
    .await?;
    pod.start_task_manager()?;
    running(pod).await?;
    cancel(pod, &job).await?;
    let (job, restored) = next(pod, generation(7)).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == from.id, "{restored:?}, but the job had gone back to {}", from.id);
    goes_on_exactly_once(site, pod, &job).await
}

/// The job of generation 7 runs.
async fn after_stop(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (id, _) = savepoint(pod, &["--stop"]).await?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    let (job, restored) = next(pod, generation(8)).await?;
    let restored = restored.context("it started empty")?;
    ensure!((restored.id, restored.is_savepoint) == (id, true), "{restored:?}, but the savepoint was {id}");
    goes_on_exactly_once(site, pod, &job).await
}

/// The job of generation 8 runs. What is returned is the snapshot before the newest, for the rules about broken ones.
async fn after_stop_at_flink(site: &Site, pod: &mut Pod<'_>) -> Result<Before> {
    let (job, _) = running(pod).await?;
    let id = stop_at_flink(pod, &job).await?;
    let committed = sink::read(&site.path("out"))?.highest.context("nothing was committed")?;
    // The next rules need files with state beside `_metadata`, which is where a job's small state is otherwise.
    let (job, restored) = next(pod, generation(9).set(INLINE_THRESHOLD, "0")).await?;
    let restored = restored.context("it started empty")?;
    ensure!((restored.id, restored.is_savepoint) == (id, true), "{restored:?}, but the savepoint was {id}");
    goes_on_exactly_once(site, pod, &job).await?;
    cancel(pod, &job).await?;
    Ok(Before { id, committed })
}

/// The job of generation 10 runs, and has passed everything that was done again.
async fn reset(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (job, _) = running(pod).await?;
    let (older, _) = savepoint(pod, &[]).await?;
    cancel(pod, &job).await?;
    // A rollout that is regretted: it also changed the configuration.
    let (job, restored) = next(pod, generation(11).set("parallelism.default", "1")).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id >= older, "{restored:?}, which is before savepoint {older}");
    require_parallelism(pod, &job, 1).await?;
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.holdfast(&["reset", "--to", &older.to_string()]).await?.done()?;
    cancel(pod, &job).await?;
    let (out, done_before) = (site.path("out"), sink::done_again(&site.path("out"))?);
    let committed = sink::read(&out)?.highest.context("nothing was committed")?;

    let (job, restored) = next(pod, generation(12)).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == older, "{restored:?}, but the reset was to {older}");
    require_parallelism(pod, &job, USUAL_PARALLELISM).await?;
    // Going back means that what came after is done again: twice in the sink, nothing more often, and nothing is lost.
    sink::read_past(&out, committed + RATE / 2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    let done_again = sink::done_again(&out)?;
    let (last, others) = done_again.split_last().context("nothing was done again")?;
    ensure!(
        others == done_before && *last.end() == committed,
        "done again: {done_again:?}; before the reset that was {done_before:?}, and {committed} was the last record"
    );
    Ok(())
}
