//! The sidecar ends, by force or in order, while the API server works.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::kubernetes::candidate::{Candidate, DEFAULT, SHORT};
use harness::kubernetes::contest::Contest;
use harness::session::Session;
use harness::wait;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use tokio::time::Instant;

use super::race::renewed;
use super::world::{Deployment, LEASE, LIMIT, World};

/// For the requests themselves, the claim of an epoch, and a busy machine.
const SLACK: Duration = Duration::from_millis(700);

pub(crate) async fn killed(world: &mut World) -> Result<()> {
    let deployment = world.deployment().await?;
    let (mut candidate, before) = deployment.leader("pod-1").await?;
    let (_rival, waiting) = deployment.contender("pod-2").await?;
    let lease = spec(&deployment).await?;
    candidate.process.kill()?;

    let candidate = Candidate::start(&candidate.options).await?;
    let mut session = Session::resume(&candidate.url(""), &before).await?;
    let (grant, _) = session.wait_for("grant", LIMIT).await?;
    ensure!(grant["resumed"] == true && grant["epoch"] == before.epoch()?, "told {grant}");
    session.add_checkpoint().await?;
    renewed(&deployment.namespace, 3).await?;
    session.require_undisturbed(before.epoch()?)?;
    ensure!(waiting.epoch().is_err(), "the other pod was granted leadership");
    let now = spec(&deployment).await?;
    ensure!(now.holder_identity == lease.holder_identity, "the holder changed: {now:?}");
    ensure!(now.lease_transitions == lease.lease_transitions, "the Lease changed hands: {now:?}");
    Ok(())
}

/// With the product's own timings: an expiry would take 15 s.
pub(crate) async fn stopped(world: &mut World) -> Result<()> {
    let mut contest = Contest::new(world.deployment().await?, DEFAULT).await?;
    contest.stop().await?;
    let took = contest.taken_over().await?;
    ensure!(took < DEFAULT.retry + SLACK, "the next pod led only after {took:?}");
    Ok(())
}

/// The JobManager may live on, so its Lease must not be given away.
pub(crate) async fn deserted(world: &mut World) -> Result<()> {
    let deployment = world.deployment().await?;
    let (mut candidate, _session) = deployment.leader("pod-1").await?;
    let (_next, waiting) = deployment.contender("pod-2").await?;
    candidate.process.terminate()?;
    candidate.process.wait_for_exit(LIMIT).await?;
    let ended = Instant::now();
    let holder = deployment.namespace.holder(LEASE).await?;
    ensure!(holder == candidate.options.pod.uid, "the Lease is held by {holder:?}");
    let took = waiting.granted(LIMIT).await? - ended;
    let least = SHORT.lease - SHORT.retry - SLACK / 4;
    ensure!(took > least, "the next pod led after {took:?}: the Lease was not over yet");
    Ok(())
}

/// The rival may be the first to see that it is gone, and leaves it to its holder.
pub(crate) async fn lease_deleted(world: &mut World) -> Result<()> {
    let deployment = world.deployment().await?;
    let (candidate, mut session) = deployment.leader("pod-1").await?;
    let (mut rival, waiting) = deployment.contender("pod-2").await?;
    let epoch = session.epoch()?;
    for _ in 0..5 {
        rival.wait_until_standing("others", LIMIT).await?;
        deployment.namespace.delete_lease(LEASE).await?;
        let back = async || deployment.namespace.lease(LEASE).await;
        wait::until("the Lease to be made again", LIMIT, back).await?;
    }
    renewed(&deployment.namespace, 3).await?;
    session.require_undisturbed(epoch)?;
    session.add_checkpoint().await?;
    ensure!(waiting.epoch().is_err(), "the other pod was granted leadership");
    let newest = candidate.status().await?["newest_epoch"].as_u64();
    ensure!(newest == Some(epoch), "the newest epoch is {newest:?}, not {epoch}");
    let lease = deployment.namespace.lease(LEASE).await?.context("the Lease is gone")?;
    let annotations = lease.metadata.annotations.unwrap_or_default();
    let noted = annotations.get("holdfast.io/epoch").and_then(|epoch| epoch.parse::<u64>().ok());
    ensure!(noted == newest, "the Lease notes epoch {noted:?}, the newest is {newest:?}");
    Ok(())
}

async fn spec(deployment: &Deployment) -> Result<LeaseSpec> {
    let lease = deployment.namespace.lease(LEASE).await?;
    lease.and_then(|lease| lease.spec).context("there is no Lease")
}
