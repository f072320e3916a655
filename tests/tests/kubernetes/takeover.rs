//! The leader's process is killed. When the next one may lead depends on what the API server knows of the pod.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::kubernetes::candidate::{DEFAULT, SHORT, Timings};
use harness::kubernetes::contest::Contest;
use harness::output;

use super::world::World;

/// For the requests themselves, the claim of an epoch, and a busy machine.
const SLACK: Duration = Duration::from_millis(700);

pub(crate) async fn gone(world: &mut World) -> Result<()> {
    let mut contest = contest(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.delete_pod("pod-1").await?;
    at_once(&contest).await
}

/// As in a StatefulSet, whose pods keep their names.
pub(crate) async fn made_anew(world: &mut World) -> Result<()> {
    let mut contest = contest(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.delete_pod("pod-1").await?;
    contest.deployment.namespace.run_pod("pod-1").await?;
    at_once(&contest).await
}

pub(crate) async fn killed(world: &mut World) -> Result<()> {
    let mut contest = contest(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.terminate_pod("pod-1").await?;
    at_once(&contest).await
}

pub(crate) async fn may_run(world: &mut World) -> Result<()> {
    let mut contest = contest(world, SHORT).await?;
    contest.kill()?;
    after_expiry(&contest).await
}

pub(crate) async fn half(world: &mut World) -> Result<()> {
    let mut contest = contest(world, SHORT).await?;
    contest.kill()?;
    contest.deployment.namespace.terminate_job_manager("pod-1").await?;
    after_expiry(&contest).await
}

async fn contest(world: &World, timings: Timings) -> Result<Contest> {
    Contest::new(world.deployment().await?, timings).await
}

async fn at_once(contest: &Contest) -> Result<()> {
    let took = taken_over(contest).await?;
    let limit = contest.timings.retry;
    ensure!(took < limit, "it took {took:?}, and a retry period is {limit:?}");
    Ok(())
}

/// Counted by whoever waits, from the last renewal that it saw.
async fn after_expiry(contest: &Contest) -> Result<()> {
    let took = taken_over(contest).await?;
    let Timings { lease, retry, .. } = contest.timings;
    ensure!(took > lease - retry - SLACK / 4, "it took only {took:?}: the Lease was not over yet");
    ensure!(took < lease + 2 * retry + SLACK, "it took {took:?} with a Lease of {lease:?}");
    Ok(())
}

async fn taken_over(contest: &Contest) -> Result<Duration> {
    let took = contest.taken_over().await?;
    output::line(format!("        {} ms after the kill", took.as_millis()));
    Ok(took)
}
