//! After any end of a job the next generation goes on from its newest state, or says why not.
//!
//! One deployment, one generation after the other. The sink's files are those of all of them: every record exactly once,
//! from the first generation to the last.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifacts;
use harness::flink::job_manager::RATE;
use harness::flink::rest::{Job, Restored};
use harness::output;
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;

/// How long a JobManager whose job has ended may take to end.
const END_LIMIT: Duration = Duration::from_secs(90);

/// How long a sidecar that restores nothing may take to say so.
const REFUSED_LIMIT: Duration = Duration::from_secs(60);

/// The record that fails the first generation: a few checkpoints after its start.
const POISON: u64 = 6 * RATE;

/// Flink deletes the checkpoints of a job that failed or was cancelled, if nothing keeps it from that.
const FLINKS_DEFAULT: &str = "NO_EXTERNALIZED_CHECKPOINTS";

/// Long enough for no checkpoint to come in between.
const SELDOM: Duration = Duration::from_secs(600);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    output::line("");
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        rule("a job that used up its restarts is FAILED, and its checkpoints stay", failed(site, &mut pod))
            .await?;
        rule("the next generation goes on from the last checkpoint", after_failure(site, &mut pod)).await?;
        rule("after a cancel too, with another parallelism", after_cancel(site, &mut pod)).await?;
        rule("a savepoint newer than the last checkpoint is restored", newer_savepoint(site, &mut pod))
            .await?;
        rule("one that the job went back behind is not", rolled_back_savepoint(site, &mut pod)).await?;
        rule("after a stop with a savepoint, that is restored", after_stop(site, &mut pod)).await?;
        rule(
            "a truncated snapshot: found by verify, refused, or passed over where that is allowed",
            broken(&mut pod),
        )
        .await?;
        rule("a reset goes back to an older snapshot, state and all", reset(site, &mut pod)).await
    })
    .await
}

/// Flink 1.20 keeps a job's place, and 2.2 goes on from there.
pub(crate) async fn upgrade_of_flink(from: &str, to: &'static str) -> Result<(), Failure> {
    output::line("");
    with_flink(from, async |site| {
        let mut old = Pod::new(site, "pod-1")?;
        begin(&mut old, generation(1)).await?;
        old.job_manager()?.wait_for_checkpoints(2).await?;
        old.job_manager()?.process.kill()?;
        old.task_manager()?.kill()?;
        let newest = newest_live(&mut old).await?;
        old.stop_sidecar().await?;

        let upgraded = site.with_image_of(Artifacts::for_version(to)?)?;
        let mut new = Pod::new(&upgraded, "pod-2")?;
        let (job, restored) = begin(&mut new, generation(2)).await?;
        let restored = restored.context("it started empty")?;
        ensure!(restored.id == newest, "restored {restored:?}, but the newest was {newest}");
        goes_on_exactly_once(site, &mut new, &job).await
    })
    .await
}

fn generation(number: u32) -> Rollout {
    Rollout::new(&format!("rollout-{number}"))
        .set("execution.checkpointing.externalized-checkpoint-retention", FLINKS_DEFAULT)
        .set("restart-strategy.fixed-delay.attempts", "1")
        .set("restart-strategy.fixed-delay.delay", "0 s")
}

/// Starts whatever does not run, and waits for the job.
async fn begin(pod: &mut Pod<'_>, rollout: Rollout) -> Result<(Job, Option<Restored>)> {
    pod.roll_out(rollout);
    pod.start_sidecar().await?;
    pod.start_job_manager()?;
    if pod.task_manager().is_err() {
        pod.start_task_manager()?;
    }
    running(pod).await
}

async fn running(pod: &mut Pod<'_>) -> Result<(Job, Option<Restored>)> {
    let job = pod.job_manager()?.wait_until_running().await?;
    let rest = &pod.job_manager()?.rest;
    // For a moment after the tasks run, Flink says that the job is being initialized.
    let restored =
        wait::until("the job's statistics", END_LIMIT, async || Ok(rest.restored(&job.id).await.ok()))
            .await?;
    Ok((job, restored))
}

/// Ends what is left of the present generation, and starts the next one.
async fn next(pod: &mut Pod<'_>, rollout: Rollout) -> Result<(Job, Option<Restored>)> {
    pod.stop_sidecar().await?;
    begin(pod, rollout).await
}

async fn goes_on_exactly_once(site: &Site, pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    let committed = sink::read(&site.path("out"))?.highest.unwrap_or_default();
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    sink::read_past(&site.path("out"), committed + RATE / 2).await?.require_exactly_once()
}

async fn newest_live(pod: &mut Pod<'_>) -> Result<u64> {
    let shown = pod.holdfast(&["snapshots", "list"]).await?.done()?;
    let all = shown["snapshots"].as_array().with_context(|| format!("no list: {shown}"))?;
    let live = all.iter().filter(|snapshot| snapshot["state"] == "active");
    live.filter_map(|snapshot| snapshot["id"].as_u64()).max().context("nothing is live")
}

async fn cancel(pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    pod.job_manager()?.rest.cancel(&job.id).await?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    Ok(())
}

/// Takes a savepoint, or stops with one, and returns its id and directory.
async fn savepoint(pod: &Pod<'_>, flags: &[&str]) -> Result<(u64, PathBuf)> {
    let arguments: Vec<_> = ["savepoint"].iter().chain(flags).copied().collect();
    let done = pod.holdfast(&arguments).await?.done()?;
    let pointer = done["external_pointer"].as_str().with_context(|| format!("no pointer: {done}"))?;
    let id = done["checkpoint_id"].as_u64().with_context(|| format!("no id: {done}"))?;
    Ok((id, local(pointer)))
}

fn local(pointer: &str) -> PathBuf {
    let path = pointer.strip_prefix("file:").unwrap_or(pointer);
    Path::new("/").join(path.trim_start_matches('/'))
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
    goes_on_exactly_once(site, pod, &job).await?;
    let plan = pod.holdfast(&["plan"]).await?.done()?;
    ensure!(plan.to_string().contains("newest snapshot of the lineage"), "{plan}");
    cancel(pod, &job).await
}

async fn after_cancel(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let last = pod.job_manager()?.log.completed()?.last().copied();
    let (job, restored) = next(pod, generation(3).set("parallelism.default", "1")).await?;
    ensure!(restored.as_ref().map(|restored| restored.id) == last, "{restored:?}, but the last was {last:?}");
    goes_on_exactly_once(site, pod, &job).await?;
    cancel(pod, &job).await
}

async fn newer_savepoint(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (job, _) = next(pod, generation(4).checkpoint_every(SELDOM)).await?;
    let (id, _) = savepoint(pod, &[]).await?;
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

async fn after_stop(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (id, _) = savepoint(pod, &["--stop"]).await?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    let (job, restored) = next(pod, generation(8)).await?;
    let restored = restored.context("it started empty")?;
    ensure!((restored.id, restored.is_savepoint) == (id, true), "{restored:?}, but the savepoint was {id}");
    goes_on_exactly_once(site, pod, &job).await?;
    cancel(pod, &job).await
}

async fn broken(pod: &mut Pod<'_>) -> Result<()> {
    let last = pod.job_manager()?.log.completed()?.last().copied().context("no checkpoint completed")?;
    let shown = pod.holdfast(&["snapshots", "show", &last.to_string()]).await?.done()?;
    let pointer = pointer_in(&shown).with_context(|| format!("no pointer: {shown}"))?;
    let metadata = local(&pointer).join("_metadata");
    let bytes = fs::read(&metadata).with_context(|| format!("reading {}", metadata.display()))?;
    fs::write(&metadata, &bytes[..bytes.len() / 2])?;

    let verified = pod.holdfast_alone(&["snapshots", "verify", &pointer]).await?;
    ensure!(verified.code == 1, "a truncated snapshot was verified with {verified:?}");
    pod.stop_sidecar().await?;
    pod.roll_out(generation(9));
    pod.spawn_sidecar()?;
    pod.start_job_manager()?;
    let refused = wait::until("the restore to be refused", REFUSED_LIMIT, async || {
        let status = pod.sidecar()?.status().await.ok();
        let reason = status.and_then(|status| status["reason"].as_str().map(str::to_owned));
        Ok(reason.filter(|reason| reason.contains("cannot be restored")))
    })
    .await?;
    ensure!(refused.contains("--on-broken-snapshot previous"), "no way out: {refused}");
    pod.job_manager()?.process.kill()?;

    // Flink keeps one checkpoint (num-retained), so the one before is the savepoint of the stop.
    let (_, restored) = next(pod, generation(9).sidecar(&["--on-broken-snapshot", "previous"])).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id < last, "{restored:?}, which is not before {last}");
    fs::write(&metadata, &bytes).context("mending it")
}

fn pointer_in(shown: &serde_json::Value) -> Option<String> {
    let first = shown["snapshots"].get(0).unwrap_or(shown);
    first["external_pointer"].as_str().map(str::to_owned)
}

async fn reset(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (job, _) = running(pod).await?;
    let (older, _) = savepoint(pod, &[]).await?;
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.holdfast(&["reset", "--to", &older.to_string()]).await?.done()?;
    cancel(pod, &job).await?;
    let (job, restored) = next(pod, generation(10)).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == older, "{restored:?}, but the reset was to {older}");
    pod.job_manager()?.wait_for_checkpoints(1).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    // Going back means that what came after is done again: twice in the sink, and nothing is lost.
    let report = sink::read(&site.path("out"))?;
    ensure!(report.lost == 0, "{report:?}");
    Ok(())
}
