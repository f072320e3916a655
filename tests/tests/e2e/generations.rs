//! What the tests of latest state have in common: one deployment, one generation after the other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use harness::flink::job_manager::RATE;
use harness::flink::rest::{Job, Restored};
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::sink;
use harness::site::Site;
use harness::wait;
use serde_json::Value;

/// How long a JobManager whose job has ended may take to end.
pub(crate) const END_LIMIT: Duration = Duration::from_secs(90);

/// The parallelism of a job where nothing else is configured.
pub(crate) const USUAL_PARALLELISM: u32 = 2;

/// How long a savepoint of Flink's own may be unknown: Flink's cache, and a few rounds of the observer.
const OBSERVED_LIMIT: Duration = Duration::from_secs(30);

/// Flink deletes the checkpoints of a job that failed or was cancelled, if nothing keeps it from that.
const FLINKS_DEFAULT: &str = "NO_EXTERNALIZED_CHECKPOINTS";

/// The rollout of generation `number`: a job that is restarted once, and whose checkpoints Flink itself would not retain.
pub(crate) fn generation(number: u32) -> Rollout {
    Rollout::new(&format!("rollout-{number}"))
        .set("execution.checkpointing.externalized-checkpoint-retention", FLINKS_DEFAULT)
        .set("restart-strategy.fixed-delay.attempts", "1")
        .set("restart-strategy.fixed-delay.delay", "0 s")
}

/// Starts whatever does not run, and waits for the job.
pub(crate) async fn begin(pod: &mut Pod<'_>, rollout: Rollout) -> Result<(Job, Option<Restored>)> {
    pod.roll_out(rollout);
    pod.start_sidecar().await?;
    pod.start_job_manager()?;
    if pod.task_manager().is_err() {
        pod.start_task_manager()?;
    }
    running(pod).await
}

/// Waits until the job runs; what it was restored from.
pub(crate) async fn running(pod: &mut Pod<'_>) -> Result<(Job, Option<Restored>)> {
    let job = pod.job_manager()?.wait_until_running().await?;
    let rest = &pod.job_manager()?.rest;
    // For a moment after the tasks run, Flink says that the job is being initialized.
    let restored =
        wait::until("the job's statistics", END_LIMIT, async || Ok(rest.restored(&job.id).await.ok()))
            .await?;
    Ok((job, restored))
}

/// Ends what is left of the present generation, and starts the next one.
pub(crate) async fn next(pod: &mut Pod<'_>, rollout: Rollout) -> Result<(Job, Option<Restored>)> {
    pod.stop_sidecar().await?;
    begin(pod, rollout).await
}

/// The job commits more than was committed before, with nothing lost or twice since the first generation.
pub(crate) async fn goes_on_exactly_once(site: &Site, pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    let committed = sink::read(&site.path("out"))?.highest.unwrap_or_default();
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    sink::read_past(&site.path("out"), committed + RATE / 2).await?.require_exactly_once()
}

/// The id of the newest snapshot that is in this state, as `holdfast snapshots list` calls it.
pub(crate) async fn newest_in_state(pod: &Pod<'_>, state: &str) -> Result<u64> {
    let shown = pod.holdfast(&["snapshots", "list"]).await?.done()?;
    let all = shown["snapshots"].as_array().with_context(|| format!("no list: {shown}"))?;
    let of_it = all.iter().filter(|snapshot| snapshot["state"] == state);
    of_it.filter_map(|snapshot| snapshot["id"].as_u64()).max().with_context(|| format!("none is {state}"))
}

/// Cancels the job and waits for the end of its JobManager.
pub(crate) async fn cancel(pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    pod.job_manager()?.rest.cancel(&job.id).await?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    Ok(())
}

/// Takes a savepoint, or stops with one, and returns its id and directory.
pub(crate) async fn savepoint(pod: &Pod<'_>, flags: &[&str]) -> Result<(u64, PathBuf)> {
    let arguments: Vec<_> = ["savepoint"].iter().chain(flags).copied().collect();
    let done = pod.holdfast(&arguments).await?.done()?;
    let pointer = done["external_pointer"].as_str().with_context(|| format!("no pointer: {done}"))?;
    let id = done["checkpoint_id"].as_u64().with_context(|| format!("no id: {done}"))?;
    Ok((id, local(pointer)))
}

/// Has Flink itself take a savepoint, as somebody would who knows nothing of Holdfast, and returns its id once the ledger has it.
pub(crate) async fn savepoint_at_flink(pod: &mut Pod<'_>, job: &Job) -> Result<u64> {
    let rest = pod.job_manager()?.rest.clone();
    let trigger = rest.trigger_savepoint(&job.id).await?;
    let location =
        wait::until("Flink's own savepoint", END_LIMIT, async || rest.savepoint(&job.id, &trigger).await)
            .await?;
    wait::until("Flink's own savepoint to be in the ledger", OBSERVED_LIMIT, async || {
        let known = savepoints(pod).await?;
        Ok(known.into_iter().find(|(_, place)| local(place) == local(&location)).map(|(id, _)| id))
    })
    .await
}

/// Has Flink itself stop the job with a savepoint, and returns that one's id after the JobManager has ended.
pub(crate) async fn stop_at_flink(pod: &mut Pod<'_>, job: &Job) -> Result<u64> {
    let before = savepoints(pod).await?;
    let rest = pod.job_manager()?.rest.clone();
    let trigger = rest.stop_with_savepoint(&job.id).await?;
    // Flink does not end its process until somebody has read this, or five minutes have passed.
    let location =
        wait::until("Flink to stop the job", END_LIMIT, async || rest.savepoint(&job.id, &trigger).await)
            .await?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    // Nobody can be asked any more: what the ledger has now, it has from the last look.
    let new: Vec<_> = savepoints(pod).await?.into_iter().filter(|known| !before.contains(known)).collect();
    match &new[..] {
        [(id, place)] if local(place) == local(&location) => Ok(*id),
        _ => bail!("only the savepoint at {location} must be new in the ledger, not {new:?}"),
    }
}

/// The savepoints that the ledger has: ids and places.
async fn savepoints(pod: &Pod<'_>) -> Result<Vec<(u64, String)>> {
    let shown = pod.holdfast(&["snapshots", "list"]).await?.done()?;
    let all = shown["snapshots"].as_array().with_context(|| format!("no list: {shown}"))?;
    let savepoints = all.iter().filter(|snapshot| snapshot["kind"] == "savepoint");
    let named = |snapshot: &Value| {
        Some((snapshot["id"].as_u64()?, snapshot["external_pointer"].as_str()?.to_owned()))
    };
    Ok(savepoints.filter_map(named).collect())
}

/// Fails unless the job runs with this parallelism.
pub(crate) async fn require_parallelism(pod: &mut Pod<'_>, job: &Job, expected: u32) -> Result<()> {
    let found = pod.job_manager()?.rest.parallelism(&job.id).await?;
    ensure!(found == expected, "the job runs with the parallelism {found}, not {expected}");
    Ok(())
}

/// The path of a `file:` URL.
pub(crate) fn local(pointer: &str) -> PathBuf {
    let path = pointer.strip_prefix("file:").unwrap_or(pointer);
    Path::new("/").join(path.trim_start_matches('/'))
}
