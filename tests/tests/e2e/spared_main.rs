//! A failover does not need the job's `main()`: the stored graph is run.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::flink::job_manager::RATE;
use harness::flink::log::Event;
use harness::pod::Pod;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;
use tokio::time::Instant;

use crate::generations::{END_LIMIT, generation, goes_on_exactly_once, newest_in_state, next};

/// How long a JobManager may take to be granted leadership, on a busy machine.
const GRANT_LIMIT: Duration = Duration::from_secs(90);

/// Long enough to tell whether somebody waited for it.
const MAIN_SLEEP: Duration = Duration::from_secs(20);

/// The Flink whose JobManager marks a job as FAILED, and clears its place, when `main()` throws on a failover. The others end
/// and leave the job as it is.
const DESTROYS: &str = "2.3.0";

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        let flag = site.path("main-fails");
        let sleep = MAIN_SLEEP.as_millis().to_string();
        let arguments =
            ["--main-fails-if", flag.to_str().context("a path of ASCII")?, "--main-sleep-ms", &sleep];
        pod.roll_out(generation(1).launched().job(&arguments));
        pod.start_sidecar().await?;
        pod.start_job_manager()?;
        pod.start_task_manager()?;
        pod.job_manager()?.wait_until_running().await?;
        rule("main() takes 20 s, and a failover does not wait for it", failover(site, &mut pod, true))
            .await?;
        fs::write(&flag, "").context("making main() fail")?;
        rule("main() throws, and a failover does not notice", failover(site, &mut pod, false)).await?;
        if version == DESTROYS {
            let newest =
                rule("without the launcher, Flink ends the job for that", destroyed(&mut pod, &flag)).await?;
            rule("a restart does not run it again", ended(&mut pod)).await?;
            rule("the next generation goes on where it was", saved(site, &mut pod, newest)).await?;
        }
        Ok(())
    })
    .await
}

async fn failover(site: &Site, pod: &mut Pod<'_>, timed: bool) -> Result<()> {
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.process.kill()?;
    let committed = sink::read(&site.path("out"))?.highest.unwrap_or_default();
    pod.start_job_manager()?;
    // Nobody asks for main() before: how long the JVM takes to start says nothing of it.
    wait::until("the grant", GRANT_LIMIT, async || {
        Ok(pod.job_manager()?.log.events()?.contains(&Event::Granted).then_some(()))
    })
    .await?;
    let granted = Instant::now();
    let job = pod.job_manager()?.wait_until_running().await?;
    let took = granted.elapsed();
    ensure!(!timed || took < MAIN_SLEEP, "it took {} s, as if main() had run", took.as_secs());
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    sink::read_past(&site.path("out"), committed + RATE).await?.require_exactly_once()
}

/// What the launcher saves from. Returns the job's newest checkpoint.
async fn destroyed(pod: &mut Pod<'_>, flag: &Path) -> Result<u64> {
    // The graph of the launcher is not one of this program: it takes a `main()` that works to make another.
    fs::remove_file(flag).context("making main() work")?;
    pod.job_manager()?.process.kill()?;
    pod.roll_out(generation(1).job(&["--main-fails-if", flag.to_str().context("a path of ASCII")?]));
    pod.start_job_manager()?;
    let job = pod.job_manager()?.wait_until_running().await?.id;
    pod.job_manager()?.wait_for_checkpoints(1).await?;
    pod.job_manager()?.process.kill()?;
    let newest = newest_in_state(pod, "active").await?;

    fs::write(flag, "").context("making main() fail")?;
    pod.start_job_manager()?;
    let status = pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    ensure!(!status.success(), "the JobManager whose main() threw ended with {status}");
    let parked = pod.job_manager()?.log.line_with("Successfully recovered 1 persisted job graphs")?;
    let ran = pod.job_manager()?.log.events()?.contains(&Event::TaskRunning);
    ensure!(parked.is_some() && !ran, "the job was not there, or ran: it is not what was meant");

    // Flink asked for everything to be deleted; to the ledger, the job ended.
    let shown = pod.sidecar()?.status().await?;
    ensure!(shown["jobs"][&job]["checkpoints"].as_array().is_none_or(Vec::is_empty), "{shown}");
    let kept = pod.holdfast(&["snapshots", "show", &newest.to_string()]).await?.done()?;
    ensure!(kept.to_string().contains("retained"), "checkpoint {newest} is not retained: {kept}");
    fs::remove_file(flag).context("making main() work")?;
    Ok(newest)
}

async fn ended(pod: &mut Pod<'_>) -> Result<()> {
    pod.start_job_manager()?;
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    let events = pod.job_manager()?.log.events()?;
    ensure!(events.contains(&Event::Granted), "it was never granted leadership, so it proves nothing");
    ensure!(!events.contains(&Event::TaskRunning), "the job that ended ran again");
    Ok(())
}

async fn saved(site: &Site, pod: &mut Pod<'_>, newest: u64) -> Result<()> {
    let (job, restored) = next(pod, generation(2)).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == newest, "restored {restored:?}, but the newest was {newest}");
    goes_on_exactly_once(site, pod, &job).await
}
