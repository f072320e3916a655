//! A newer Flink goes on where the one before was, from version to version.

use anyhow::{Context, Result, ensure};
use harness::artifacts::Artifacts;
use harness::pod::Pod;
use harness::scenario::{Failure, rule, with_flink};
use harness::site::Site;

use crate::generations::{begin, cancel, generation, goes_on_exactly_once, newest_in_state};

/// The first version is killed, which leaves its job's last checkpoint live; the job of each later one is cancelled, which
/// leaves it retained. Each is a generation of its own, with an image and a pod of its own.
pub(crate) async fn test(first: &str, later: &[&str]) -> Result<(), Failure> {
    with_flink(first, async |site| {
        let mut newest = killed(site).await?;
        let mut before = first;
        for (number, version) in (2..).zip(later) {
            let upgraded = site.with_image_of(Artifacts::for_version(version)?)?;
            let name = format!("Flink {version} goes on where {before} was");
            newest = rule(&name, goes_on(&upgraded, number, newest)).await?;
            before = version;
        }
        Ok(())
    })
    .await
}

/// Runs the first generation and kills it; its newest checkpoint.
async fn killed(site: &Site) -> Result<u64> {
    let mut pod = Pod::new(site, "pod-1")?;
    begin(&mut pod, generation(1)).await?;
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.process.kill()?;
    pod.task_manager()?.kill()?;
    let newest = newest_in_state(&pod, "active").await?;
    pod.stop_sidecar().await?;
    Ok(newest)
}

/// Runs the next generation from the checkpoint `newest`, and cancels its job; the checkpoint that was its last.
async fn goes_on(site: &Site, number: u32, newest: u64) -> Result<u64> {
    let mut pod = Pod::new(site, &format!("pod-{number}"))?;
    let (job, restored) = begin(&mut pod, generation(number)).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == newest, "restored {restored:?}, but the newest was {newest}");
    goes_on_exactly_once(site, &mut pod, &job).await?;
    cancel(&mut pod, &job).await?;
    pod.task_manager()?.kill()?;
    pod.stop_sidecar().await?;
    pod.job_manager()?.log.completed()?.last().copied().context("no checkpoint completed")
}
