//! Everything that can happen to one pod: its processes die, stay away, come late, and answers get lost.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::failover::Failover;
use harness::fault_proxy::{Exchange, FaultProxy, Pattern};
use harness::flink::job_manager::RATE;
use harness::flink::log::Event;
use harness::flink::rest::Job;
use harness::output;
use harness::pod::Pod;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;
use tokio::time::{Instant, sleep};

/// Checkpoints that must complete after a disturbance before it counts as survived.
const AFTER: usize = 3;

/// How long a JobManager with nothing to run may take to end.
const END_LIMIT: Duration = Duration::from_secs(90);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        let proxy = FaultProxy::start(pod.ports().sidecar).await?;
        rule("a JobManager waits for a sidecar that comes 10 s later", late_sidecar(&mut pod)).await?;
        let job = pod.job_manager()?.wait_until_running().await?;

        rule(
            "kill -9 of the sidecar: the job is not restarted, checkpoints go on, the epoch stays",
            sidecar_away(&mut pod, &job, Duration::ZERO),
        )
        .await?;
        rule(
            "the sidecar is gone for 20 s: the same",
            sidecar_away(&mut pod, &job, Duration::from_secs(20)),
        )
        .await?;
        rule(
            "kill -9 of the JobManager: the newest checkpoint is restored, nothing is lost or committed twice",
            job_manager_killed(site, &mut pod, &job, &proxy),
        )
        .await?;
        rule(
            "the answer to a recorded checkpoint is lost: it is sent again and counts once",
            answer_lost(site, &mut pod, &job, &proxy),
        )
        .await?;
        rule("a cancelled job is not run again by a restart", cancelled(site, &mut pod, &job)).await
    })
    .await
}

async fn late_sidecar(pod: &mut Pod<'_>) -> Result<()> {
    pod.start_task_manager()?;
    pod.start_job_manager()?;
    sleep(Duration::from_secs(10)).await;
    pod.job_manager()?.process.require_alive()?;
    pod.task_manager()?.require_alive()?;
    pod.start_sidecar().await?;
    pod.job_manager()?.wait_until_running().await?;
    pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
    Ok(())
}

async fn sidecar_away(pod: &mut Pod<'_>, job: &Job, away: Duration) -> Result<()> {
    let epoch = pod.sidecar()?.epoch().await?;
    pod.sidecar()?.process.kill()?;
    sleep(away).await;
    pod.job_manager()?.process.require_alive()?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    pod.start_sidecar().await?;

    pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    let now = pod.sidecar()?.epoch().await?;
    ensure!(now == epoch, "the leader never changed, but the epoch went from {epoch} to {now}");
    Ok(())
}

/// The new JobManager is behind the proxy, for the rule that comes next.
async fn job_manager_killed(site: &Site, pod: &mut Pod<'_>, job: &Job, proxy: &FaultProxy) -> Result<()> {
    let epoch = pod.sidecar()?.epoch().await?;
    let killed = Instant::now();
    pod.job_manager()?.process.kill()?;
    goes_on(site, pod, job, (killed, epoch), &proxy.url()).await
}

/// Starts a JobManager, which is told that its sidecar is at `sidecar_url`, after another one was killed, and under which epoch.
pub(crate) async fn goes_on(
    site: &Site,
    pod: &mut Pod<'_>,
    job: &Job,
    (killed, epoch): (Instant, u64),
    sidecar_url: &str,
) -> Result<()> {
    // Nobody writes any more, so these two stay as they are until the next JobManager leads.
    let newest = pod.sidecar()?.newest_checkpoint(&job.id).await?;
    let committed = sink::read(&site.path("out"))?.highest;

    pod.start_job_manager_behind(sidecar_url)?;
    let failover = Failover::watch(pod.job_manager()?, killed, job.tasks.total).await?;
    let restored = failover.restored_id;
    ensure!(Some(restored) == newest, "restored checkpoint {restored}, but the newest was {newest:?}");
    let now = pod.sidecar()?.epoch().await?;
    ensure!(now > epoch, "a new leader under the old epoch {epoch}");
    output::line(format!(
        "      kill to: process up {} ms, granted {}, restored {}, all tasks RUNNING {}, new checkpoint {}",
        failover.process_up.as_millis(),
        failover.granted.as_millis(),
        failover.restored.as_millis(),
        failover.all_running.as_millis(),
        failover.checkpoint.as_millis(),
    ));

    pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    // What was under way at the kill is within two checkpoint intervals of what was committed.
    let past = committed.unwrap_or_default() + 2 * RATE;
    sink::read_past(&site.path("out"), past).await?.require_exactly_once()
}

async fn answer_lost(site: &Site, pod: &mut Pod<'_>, job: &Job, proxy: &FaultProxy) -> Result<()> {
    let job_manager = pod.job_manager()?;
    let failed = job_manager.rest.checkpoint_counts(&job.id).await?.failed;
    let puts = Pattern::put_checkpoint();
    proxy.lose_next_answer(puts.clone());
    let lost = wait::until("an answer to be lost", Duration::from_secs(30), async || {
        Ok(proxy.exchanges(&puts).into_iter().find(|exchange| exchange.answer_lost))
    })
    .await?;
    job_manager.wait_for_checkpoints(AFTER).await?;

    let tries: Vec<Exchange> =
        proxy.exchanges(&puts).into_iter().filter(|exchange| exchange.path == lost.path).collect();
    ensure!(tries.len() > 1, "the checkpoint was not sent again: {tries:?}");
    ensure!(
        tries.iter().all(|exchange| exchange.idempotency_key == lost.idempotency_key
            && exchange.status.is_some_and(|status| status.is_success())),
        "the tries are not one write: {tries:?}"
    );
    let id = lost.path.rsplit('/').next().unwrap_or_default().parse::<u64>()?;
    let times = job_manager.log.completed()?.iter().filter(|completed| **completed == id).count();
    ensure!(times == 1, "checkpoint {id} completed {times} times");
    let failed_now = job_manager.rest.checkpoint_counts(&job.id).await?.failed;
    ensure!(failed_now == failed, "{} checkpoints failed", failed_now - failed);
    job_manager.require_no_restart(&job.id).await?;

    let committed = sink::read(&site.path("out"))?.highest.unwrap_or_default();
    sink::read_past(&site.path("out"), committed + 1).await?.require_exactly_once()
}

async fn cancelled(site: &Site, pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    let job_manager = pod.job_manager()?;
    job_manager.rest.cancel(&job.id).await?;
    let status = job_manager.process.wait_for_exit(END_LIMIT).await?;
    ensure!(status.success(), "the JobManager of a cancelled job ended with {status}");
    let before = sink::read(&site.path("out"))?;

    pod.start_job_manager()?;
    let again = pod.job_manager()?;
    let status = again.process.wait_for_exit(END_LIMIT).await?;
    ensure!(status.success(), "the JobManager that had nothing to run ended with {status}");
    let events = again.log.events()?;
    ensure!(events.contains(&Event::Granted), "it was never granted leadership, so it proves nothing");
    ensure!(!events.contains(&Event::TaskRunning), "the cancelled job ran again");
    let after = sink::read(&site.path("out"))?;
    ensure!(after == before, "the sink's output changed from {before:?} to {after:?}");
    Ok(())
}
