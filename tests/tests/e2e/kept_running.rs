//! `holdfast exec` keeps a JobManager running: whichever way it goes, the next one is there at once.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::exec::Seen;
use harness::flink::job_manager::RATE;
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;

/// How long a JobManager may take to be seen in its place, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

/// What a shell says of a program that SIGTERM ended; a JVM ends with it by itself.
const TERMINATED: i32 = 128 + 15;

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        let state = site.path("exec");
        let keep = ["--state-dir", state.to_str().context("a path of UTF-8")?];
        pod.roll_out(Rollout::new("rollout-1").launched().under_exec(&keep));
        pod.start_sidecar().await?;
        pod.start_job_manager()?;
        pod.start_task_manager()?;
        rule("a JobManager that is killed is started again, without scripts", again(site, &mut pod)).await?;
        rule("SIGTERM ends all of it, with the JobManager's status", ended(&mut pod)).await?;
        let flags = [&keep[..], &["--warm-spare", "--spare-delay", "3s", "--hang-limit", "6s"]].concat();
        pod.roll_out(Rollout::new("rollout-1").launched().under_exec(&flags));
        pod.start_job_manager()?;
        rule("the next container starts without scripts, too", learned_before(&mut pod)).await?;
        rule("with a spare, that one leads at once, and is replaced", taken_over(site, &mut pod)).await?;
        rule("a JobManager that hangs is ended, and the spare leads", hangs(site, &mut pod)).await?;
        rule("SIGTERM ends the spare, too", ended(&mut pod)).await
    })
    .await
}

async fn again(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let first = leader(pod, None).await?;
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    first.kill()?;
    let second = leader(pod, Some(&first)).await?;
    ensure!(second.arguments == first.arguments, "{:?} is not {:?}", second.arguments, first.arguments);
    goes_on(site).await
}

async fn learned_before(pod: &mut Pod<'_>) -> Result<()> {
    leader(pod, None).await?;
    let said = pod.job_manager()?.log.line_with("started a JobManager ")?.context("nothing was started")?;
    ensure!(said.contains("directly"), "{said}");
    Ok(())
}

async fn taken_over(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (before, spare) = both(pod).await?;
    let log = pod.job_manager()?.log.clone();
    wait::until("the spare to have rehearsed", LIMIT, async || log.line_with("The rehearsal is over"))
        .await?;
    ensure!(spare.arguments != before.arguments, "a spare must not ask for the ports of the first one");
    before.kill()?;
    let after = leader(pod, Some(&before)).await?;
    ensure!(after.pid == spare.pid, "{after:?} leads, but {spare:?} waited");
    goes_on(site).await?;
    let (leads, waits) = both(pod).await?;
    ensure!(leads.pid == spare.pid && waits.arguments == before.arguments, "{waits:?} waits for {leads:?}");
    Ok(())
}

async fn hangs(site: &Site, pod: &mut Pod<'_>) -> Result<()> {
    let (before, spare) = both(pod).await?;
    before.pause()?;
    let after = leader(pod, Some(&before)).await?;
    ensure!(after.pid == spare.pid, "{after:?} leads, but {spare:?} waited");
    goes_on(site).await
}

async fn ended(pod: &mut Pod<'_>) -> Result<()> {
    let entry_point = &mut pod.job_manager()?.process;
    entry_point.terminate()?;
    let status = entry_point.wait_for_exit(LIMIT).await?;
    ensure!(status.code() == Some(TERMINATED), "it ended with {status}");
    let left = pod.under_exec().await?;
    ensure!(left.is_empty(), "{left:?} still run");
    Ok(())
}

/// The JobManager that leads, as soon as one does that is not `before`.
async fn leader(pod: &mut Pod<'_>, before: Option<&Seen>) -> Result<Seen> {
    wait::until("a JobManager to lead", LIMIT, async || {
        pod.job_manager()?.process.require_alive()?;
        let running = pod.under_exec().await?;
        Ok(running
            .into_iter()
            .find(|seen| seen.granted && before.is_none_or(|before| before.pid != seen.pid)))
    })
    .await
}

/// The one that leads and the one that waits, as soon as there are both.
async fn both(pod: &mut Pod<'_>) -> Result<(Seen, Seen)> {
    wait::until("a spare to wait", LIMIT, async || {
        let running = pod.under_exec().await?;
        let leads = running.iter().find(|seen| seen.granted).cloned();
        let waits = running.iter().find(|seen| seen.connected && !seen.granted).cloned();
        Ok(leads.zip(waits))
    })
    .await
}

async fn goes_on(site: &Site) -> Result<()> {
    let committed =
        sink::read(&site.path("out"))?.highest.context("nothing was committed yet").unwrap_or_default();
    sink::read_past(&site.path("out"), committed + 2 * RATE).await?.require_exactly_once()
}
