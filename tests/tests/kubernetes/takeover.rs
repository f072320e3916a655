//! The leader's process is killed. When the next one may lead depends on what the API server knows of the pod.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::kubernetes::candidate::{Candidate, DEFAULT, SHORT, Timings};
use harness::output;
use harness::session::Session;
use tokio::time::Instant;

use super::world::{Deployment, LEASE, LIMIT, World, start};

/// For the requests themselves, the claim of an epoch, and a busy machine.
const SLACK: Duration = Duration::from_millis(700);

pub(crate) async fn gone(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.delete_pod("pod-1").await?;
    contest.at_once().await
}

/// As in a StatefulSet, whose pods keep their names.
pub(crate) async fn made_anew(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.delete_pod("pod-1").await?;
    contest.deployment.namespace.run_pod("pod-1").await?;
    contest.at_once().await
}

pub(crate) async fn killed(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world, DEFAULT).await?;
    contest.kill()?;
    contest.deployment.namespace.terminate_pod("pod-1").await?;
    contest.at_once().await
}

pub(crate) async fn may_run(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world, SHORT).await?;
    contest.kill()?;
    contest.after_expiry().await
}

pub(crate) async fn half(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world, SHORT).await?;
    contest.kill()?;
    contest.deployment.namespace.terminate_job_manager("pod-1").await?;
    contest.after_expiry().await
}

/// A leader, and one that waits.
struct Contest {
    deployment: Deployment,
    leader: (Candidate, Session),
    next: (Candidate, Session),
    timings: Timings,
    killed: Instant,
}

impl Contest {
    async fn new(world: &World, timings: Timings) -> Result<Self> {
        let deployment = world.deployment().await?;
        let mut first = deployment.pod("pod-1").await?;
        first.timings = timings;
        let leader = start(&first).await?;
        leader.1.granted(LIMIT).await?;
        let mut second = deployment.pod("pod-2").await?;
        second.timings = timings;
        let mut next = start(&second).await?;
        next.0.wait_until_standing("others", LIMIT).await?;
        Ok(Self { deployment, leader, next, timings, killed: Instant::now() })
    }

    fn kill(&mut self) -> Result<()> {
        self.killed = Instant::now();
        self.leader.0.process.kill()
    }

    async fn at_once(&self) -> Result<()> {
        let took = self.taken_over().await?;
        let limit = self.timings.retry;
        ensure!(took < limit, "it took {took:?}, and a retry period is {limit:?}");
        Ok(())
    }

    /// Counted by whoever waits, from the last renewal that it saw.
    async fn after_expiry(&self) -> Result<()> {
        let took = self.taken_over().await?;
        let Timings { lease, retry, .. } = self.timings;
        ensure!(took > lease - retry - SLACK / 4, "it took only {took:?}: the Lease was not over yet");
        ensure!(took < lease + 2 * retry + SLACK, "it took {took:?} with a Lease of {lease:?}");
        Ok(())
    }

    async fn taken_over(&self) -> Result<Duration> {
        let (candidate, session) = &self.next;
        let took = session.granted(LIMIT).await? - self.killed;
        output::line(format!("        {} ms after the kill", took.as_millis()));
        let holder = self.deployment.namespace.holder(LEASE).await?;
        ensure!(holder == candidate.options.pod.uid, "the Lease is held by {holder:?}");
        ensure!(session.epoch()? > self.leader.1.epoch()?, "epoch {} is not newer", session.epoch()?);
        Ok(took)
    }
}
