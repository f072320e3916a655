//! A leader, and a second pod that waits to take over from it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::time::Instant;

use super::candidate::{Candidate, Timings};
use super::deployment::{Deployment, LIMIT, start};
use super::manifests::LEASE;
use crate::session::Session;
use crate::wait;

/// A leader in `pod-1`, and one that waits in `pod-2`.
pub struct Contest {
    /// Where they are.
    pub deployment: Deployment,
    /// The sidecar that leads.
    pub leader: Candidate,
    /// The sidecar and the JobManager that wait.
    pub next: (Candidate, Session),
    /// How patient both are.
    pub timings: Timings,
    session: Option<Session>,
    epoch: u64,
    ended: Instant,
}

impl Contest {
    /// Starts both, and waits until each knows its place.
    pub async fn new(deployment: Deployment, timings: Timings) -> Result<Self> {
        let mut first = deployment.pod("pod-1").await?;
        first.timings = timings;
        let (leader, session) = start(&first).await?;
        session.granted(LIMIT).await?;
        let epoch = session.epoch()?;
        let mut second = deployment.pod("pod-2").await?;
        second.timings = timings;
        let mut next = start(&second).await?;
        next.0.wait_until_standing("others", LIMIT).await?;
        let (session, ended) = (Some(session), Instant::now());
        Ok(Self { deployment, leader, next, timings, session, epoch, ended })
    }

    /// The JobManager of the leader.
    pub fn session(&self) -> Result<&Session> {
        self.session.as_ref().context("the leader's JobManager has ended")
    }

    /// The epoch that the leader was granted.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// `kill -9` of the leader's sidecar.
    pub fn kill(&mut self) -> Result<()> {
        self.ended = Instant::now();
        self.leader.process.kill()
    }

    /// SIGSTOP of the leader's sidecar.
    pub fn freeze(&mut self) -> Result<()> {
        self.ended = Instant::now();
        self.leader.process.pause()
    }

    /// SIGCONT.
    pub fn thaw(&mut self) -> Result<()> {
        self.leader.process.wake()
    }

    /// What a kubelet does with a pod that has a native sidecar: the JobManager ends, then the sidecar is asked to.
    pub async fn stop(&mut self) -> Result<()> {
        self.session = None;
        let leader = &self.leader;
        let gone = async || Ok((leader.status().await?["sessions"] == 0).then_some(()));
        wait::until("the sidecar to see that its JobManager is gone", LIMIT, gone).await?;
        self.ended = Instant::now();
        self.leader.process.terminate()?;
        let status = self.leader.process.wait_for_exit(LIMIT).await?;
        ensure!(status.success(), "it ended with {status}");
        Ok(())
    }

    /// Starts the leader's sidecar again in its pod. Its JobManager, which lived on, resumes its session.
    pub async fn start_again(&mut self) -> Result<()> {
        self.leader = Candidate::start(&self.leader.options).await?;
        let session = Session::resume(&self.leader.url(""), self.session()?).await?;
        self.session = Some(session);
        Ok(())
    }

    /// Waits until the leader's JobManager was told that it goes on under its epoch. The time since its sidecar was ended.
    pub async fn resumed(&self) -> Result<Duration> {
        let (grant, at) = self.session()?.wait_for("grant", LIMIT).await?;
        ensure!(grant["resumed"] == true && grant["epoch"] == self.epoch, "told {grant}");
        Ok(at - self.ended)
    }

    /// Waits until the next one leads, under a newer epoch. The time since the leader was ended.
    pub async fn taken_over(&self) -> Result<Duration> {
        let (candidate, session) = &self.next;
        let took = session.granted(LIMIT).await? - self.ended;
        let holder = self.deployment.namespace.holder(LEASE).await?;
        ensure!(holder == candidate.options.pod.uid, "the Lease is held by {holder:?}");
        ensure!(session.epoch()? > self.epoch, "epoch {} is not newer than {}", session.epoch()?, self.epoch);
        Ok(took)
    }
}
