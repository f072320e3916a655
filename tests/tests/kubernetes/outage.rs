//! The API server does not answer, for longer than any Lease lasts. Whoever leads goes on, and says how it stands.

use anyhow::{Result, ensure};
use harness::kubernetes::Fault;
use harness::kubernetes::candidate::Candidate;
use harness::session::Session;
use harness::wait;

use super::race::renewed;
use super::world::{LIMIT, World};

pub(crate) async fn test(world: &mut World, fault: Fault) -> Result<()> {
    let deployment = world.deployment().await?;
    let (mut candidate, mut session) = deployment.leader("pod-1").await?;
    let (mut rival, waiting) = deployment.contender("pod-2").await?;
    rival.wait_until_standing("others", LIMIT).await?;
    let epoch = session.epoch()?;
    let renewals = candidate.metric("holdfast_lease_renewal_seconds_count").await?;

    world.server.begin(fault)?;
    candidate.wait_until_standing("unconfirmed", LIMIT).await?;
    ensure!(candidate.metric("holdfast_lease_held").await? == 0.0, "the metric says that the Lease is held");
    let trouble = candidate.trouble().await?;
    ensure!(trouble.contains("update leases.coordination.k8s.io"), "/status names {trouble:?}");
    let over = async || Ok((candidate.metric("holdfast_lease_expires_seconds").await? == 0.0).then_some(()));
    wait::until("the Lease to be over, by its holder's clock", LIMIT, over).await?;
    for _ in 0..5 {
        session.add_checkpoint().await?;
    }
    session.require_undisturbed(epoch)?;
    let status = candidate.status().await?;
    ensure!(status["role"] == "leading" && status["epoch"] == epoch, "/status says {status}");

    world.server.end(fault).await?;
    candidate.wait_until_standing("ours", LIMIT).await?;
    ensure!(
        candidate.metric("holdfast_lease_held").await? == 1.0,
        "the metric says that the Lease is not held"
    );
    ensure!(
        candidate.metric("holdfast_lease_renewal_seconds_count").await? > renewals,
        "nothing was renewed"
    );
    renewed(&deployment.namespace, 3).await?;
    session.add_checkpoint().await?;
    session.require_undisturbed(epoch)?;
    ensure!(waiting.epoch().is_err(), "the outage was held against the leader: {:?}", waiting.events());
    Ok(())
}

/// The store alone can tell that the epoch is still the newest.
pub(crate) async fn restart(world: &mut World, fault: Fault) -> Result<()> {
    let deployment = world.deployment().await?;
    let (mut candidate, before) = deployment.leader("pod-1").await?;
    let epoch = before.epoch()?;
    world.server.begin(fault)?;
    candidate.process.kill()?;

    let mut candidate = Candidate::start(&candidate.options).await?;
    let mut session = Session::resume(&candidate.url(""), &before).await?;
    session.granted(LIMIT).await?;
    session.add_checkpoint().await?;
    session.require_undisturbed(epoch)?;
    // One that has led nothing cannot be told from one that would start the job a second time.
    let newcomer = Session::open(&candidate.url("")).await?;
    newcomer.wait_for("waiting", LIMIT).await?;

    world.server.end(fault).await?;
    candidate.wait_until_standing("ours", LIMIT).await?;
    session.add_checkpoint().await?;
    session.require_undisturbed(epoch)?;
    ensure!(newcomer.epoch().is_err(), "two sessions lead: {:?}", newcomer.events());
    Ok(())
}
