//! Many candidates, one Lease.

use anyhow::{Result, ensure};
use futures::future::{join_all, try_join_all};
use harness::kubernetes::candidate::Candidate;
use harness::kubernetes::namespace::Namespace;
use harness::session::Session;
use harness::wait;

use super::world::{LEASE, LIMIT, World};

const CANDIDATES: usize = 20;

/// They are held at the start by an API server that stands still, so that all of them find no Lease and want to make one.
pub(crate) async fn twenty(world: &mut World) -> Result<()> {
    let deployment = world.deployment().await?;
    let mut options = Vec::new();
    for n in 1..=CANDIDATES {
        options.push(deployment.pod(&format!("pod-{n}")).await?);
    }
    let before = world.server.audit()?;
    world.server.pause()?;
    let mut candidates = options.iter().map(Candidate::spawn).collect::<Result<Vec<_>>>()?;
    try_join_all(candidates.iter_mut().map(Candidate::wait_until_up)).await?;
    let urls: Vec<_> = candidates.iter().map(|candidate| candidate.url("")).collect();
    let sessions = try_join_all(urls.iter().map(|url| Session::open(url))).await?;
    world.server.wake().await?;

    let one = wait::until("a session to be granted", LIMIT, async || Ok(leaders(&sessions).first().copied()));
    let winner = one.await?;
    renewed(&deployment.namespace, 3).await?;
    ensure!(leaders(&sessions) == [winner], "these lead: {:?}", leaders(&sessions));
    let elected: Vec<_> = sessions.iter().filter(|session| session.epoch().is_ok()).collect();
    ensure!(elected.len() == 1, "{} sessions were granted leadership", elected.len());
    let newest = candidates[winner].status().await?["newest_epoch"].as_u64();
    ensure!(newest == Some(1) && sessions[winner].epoch()? == 1, "the newest epoch is {newest:?}");
    for standing in join_all(candidates.iter().map(Candidate::standing)).await {
        let standing = standing?;
        ensure!(["ours", "others"].contains(&standing.as_str()), "a candidate stands at {standing:?}");
    }

    let asked = world.server.audit()?.since(&before);
    let refused = asked.requests().iter().filter(|request| request.verb == "create" && request.code == 409);
    ensure!(refused.count() > 0, "nobody raced: no create was refused; {:?}", asked.counts("admin"));
    Ok(())
}

fn leaders(sessions: &[Session]) -> Vec<usize> {
    (0..sessions.len()).filter(|n| sessions[*n].leads()).collect()
}

/// Waits until the holder has renewed so often: time enough for everybody else to have tried.
pub(crate) async fn renewed(namespace: &Namespace, times: usize) -> Result<()> {
    let mut versions = Vec::new();
    wait::until("the Lease to be renewed", LIMIT, async || {
        let lease = namespace.lease(LEASE).await?;
        let version = lease.and_then(|lease| lease.metadata.resource_version);
        if versions.last() != Some(&version) {
            versions.push(version);
        }
        Ok((versions.len() > times).then_some(()))
    })
    .await
}
