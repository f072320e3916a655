//! The call sites.

use anyhow::{Context, Result, ensure};
use harness::fault_proxy::{Disturbance, Pattern};
use harness::kubernetes::candidate::DEFAULT;
use harness::session::Session;
use harness::wait;
use http::{Method, StatusCode};
use tokio::sync::Barrier;

use super::table::{self, Fault};
use super::{Pod, Scene, arm, met};
use crate::events::require_event;
use crate::world::{LEASE, LIMIT, World};

const UPDATE: &str = "update leases.coordination.k8s.io";

/// Events of one kind that a process writes in a row. More are not even sent.
const EVENTS_IN_A_ROW: usize = 5;

pub(super) async fn renew(world: &World, ready: &Barrier, faults: &[Fault]) -> Result<()> {
    let (scene, mut leader, rival) = Scene::with_leader_behind(world).await?;
    ready.wait().await;
    let put = table::lease(Method::PUT);
    for fault in faults {
        endure(&scene, &mut leader, &rival, (&put, UPDATE), fault)
            .await
            .with_context(|| fault.name.to_owned())?;
    }
    Ok(())
}

async fn endure(
    scene: &Scene,
    leader: &mut Pod,
    rival: &Pod,
    (pattern, request): (&Pattern, &str),
    fault: &Fault,
) -> Result<()> {
    let injected = arm(scene, pattern, fault);
    let last = met(&injected, fault).await?;
    leader.says(request).await?;
    leader.session.add_checkpoint().await?;
    drop(injected);
    recover(scene, leader, rival).await?;
    scene.require_patience(fault, last)
}

async fn recover(scene: &Scene, leader: &mut Pod, rival: &Pod) -> Result<()> {
    leader.is_well("ours").await?;
    scene.renewed(leader).await?;
    leader.session.require_undisturbed(1)?;
    ensure!(rival.session.epoch().is_err(), "the rival was granted leadership");
    Ok(())
}

/// A leader reads when its renewal was refused for another version.
pub(super) async fn read(world: &World, ready: &Barrier, faults: &[Fault]) -> Result<()> {
    let (scene, mut leader, rival) = Scene::with_leader_behind(world).await?;
    ready.wait().await;
    for fault in faults {
        let body = async {
            let injected = arm(&scene, &table::lease(Method::GET), fault);
            let refused = scene.proxy.disturb(table::lease(Method::PUT), table::conflict());
            let last = met(&injected, fault).await?;
            leader.says("get leases.coordination.k8s.io").await?;
            leader.session.add_checkpoint().await?;
            drop((injected, refused));
            recover(&scene, &mut leader, &rival).await?;
            scene.require_patience(fault, last)
        };
        body.await.with_context(|| fault.name.to_owned())?;
    }
    Ok(())
}

/// Somebody deletes the Lease. The rival, which is answered as it should be, leaves it to the leader.
pub(super) async fn create(world: &World, ready: &Barrier, faults: &[Fault]) -> Result<()> {
    let scene = Scene::new(world).await?;
    let mut leader = scene.leader(true).await?;
    let rivals = world.server.fault_proxy().await?;
    let mut options = scene.options("pod-2", false).await?;
    options.kubeconfig = scene.kubeconfig_at("watched", &rivals)?;
    let rival = Pod::start(&options).await?;
    ready.wait().await;
    for fault in faults {
        let body = async {
            // The rival must have seen whose it is. Two deletions between which it sees nothing are one to it.
            let get = table::lease(Method::GET);
            let before = rivals.exchanges(&get).len();
            wait::until("the rival to read the Lease", LIMIT, async || {
                let reads = rivals.exchanges(&get).into_iter().skip(before);
                Ok(reads.filter_map(|read| read.status).find(|status| *status == StatusCode::OK))
            })
            .await?;
            let injected = arm(&scene, &table::lease(Method::POST), fault);
            scene.deployment.namespace.delete_lease(LEASE).await?;
            // One that was applied is found at the next look: no other is sent.
            let times = if fault.is_applied() { 1 } else { fault.times };
            let last = met(&injected, &Fault { times, ..fault.clone() }).await?;
            if !fault.is_applied() {
                leader.says("create leases.coordination.k8s.io").await?;
            }
            leader.session.add_checkpoint().await?;
            drop(injected);
            recover(&scene, &mut leader, &rival).await?;
            scene.require_patience(fault, last)
        };
        body.await.with_context(|| fault.name.to_owned())?;
    }
    Ok(())
}

/// Nothing that a waiting candidate is told of the holder's pod is evidence, unless the API server says so.
pub(super) async fn holder_pod(world: &World, ready: &Barrier, faults: &[Fault]) -> Result<()> {
    let (scene, leader, mut rival) = Scene::with_rival_behind(world).await?;
    ready.wait().await;
    for fault in faults {
        let body = async {
            let injected = arm(&scene, &table::pod("pod-1"), fault);
            let last = met(&injected, fault).await?;
            rival.says("get pods").await?;
            drop(injected);
            rival.is_well("others").await?;
            scene.renewed(&leader).await?;
            leader.session.require_undisturbed(1)?;
            scene.require_patience(fault, last)
        };
        body.await.with_context(|| fault.name.to_owned())?;
    }
    Ok(())
}

/// The pod of the holder is gone, but it lives: whoever does not see its own pod does not believe it. There is no moment
/// without a fault: in it the rival would take the Lease, as it does in the end.
pub(super) async fn own_pod(world: &World, ready: &Barrier, faults: &[Fault]) -> Result<()> {
    let (scene, leader, rival) = Scene::with_rival_behind(world).await?;
    ready.wait().await;
    let own = table::pod("pod-2");
    let mut standing = None;
    for fault in faults {
        let body = async {
            let injected = arm(&scene, &own, fault);
            if standing.is_none() {
                scene.deployment.namespace.delete_pod("pod-1").await?;
            }
            drop(standing.replace(injected));
            let injected = standing.as_ref().context("just armed")?;
            let last = met(injected, fault).await?;
            rival.says("get pods \"pod-2\"").await?;
            scene.renewed(&leader).await?;
            leader.session.require_undisturbed(1)?;
            if let Some(limit) = fault.retry_after.filter(|asked_for| *asked_for != table::A_DAY) {
                let again = async || Ok(injected.met().get(fault.times).copied());
                let waited = wait::until("it to ask again", LIMIT, again).await? - last;
                ensure!(waited + super::ROUNDING >= limit, "it asked again after {waited:?}");
            }
            Ok(())
        };
        let outcome: Result<()> = body.await;
        outcome.with_context(|| fault.name.to_owned())?;
    }
    drop(standing);
    rival.session.granted(LIMIT).await?;
    Ok(())
}

/// With the product's own timings, so that no renewal comes between. An expiry would take 15 s.
pub(super) async fn release(world: &World, faults: &[Fault]) -> Result<()> {
    let scene = Scene::new(world).await?;
    let mut options = scene.options("pod-1", true).await?;
    options.timings = DEFAULT;
    for fault in faults {
        // The time that a process has to stop is over before the server's patience, or ours.
        if fault.retry_after == Some(table::A_DAY) || matches!(fault.disturbance, Disturbance::Hang) {
            continue;
        }
        let body = async {
            let Pod { mut candidate, session } = Pod::start(&options).await?;
            session.granted(LIMIT).await?;
            drop(session);
            let gone = async || Ok((candidate.status().await?["sessions"] == 0).then_some(()));
            wait::until("the sidecar to see that its JobManager is gone", LIMIT, gone).await?;
            let puts = table::lease(Method::PUT);
            let before = scene.proxy.exchanges(&puts).len();
            scene.proxy.disturb_next(puts.clone(), fault.disturbance.clone());
            candidate.process.terminate()?;
            let status = candidate.process.wait_for_exit(LIMIT).await?;
            ensure!(status.success(), "it ended with {status}");
            let put = scene.proxy.exchanges(&puts).get(before).cloned();
            let put = put.context("it never tried to release the Lease")?;
            ensure!(put.status.is_none() || put.answer_lost, "nothing went wrong: {put:?}");
            let holder = scene.deployment.namespace.holder(LEASE).await?;
            ensure!(holder.is_empty(), "the Lease is still held by {holder:?}");
            Ok(())
        };
        let outcome: Result<()> = body.await;
        outcome.with_context(|| fault.name.to_owned())?;
    }
    Ok(())
}

/// Nobody waits for an Event.
pub(super) async fn event(world: &World, faults: &[Fault]) -> Result<()> {
    let scene = Scene::new(world).await?;
    let options = scene.options("pod-1", true).await?;
    // One for the first session, and one after the faults.
    for some in faults.chunks(EVENTS_IN_A_ROW - 2) {
        let mut leader = Pod::start(&options).await?;
        for fault in some {
            let injected = arm(&scene, &table::events(), fault);
            told(&scene, &mut leader, &|| injected.met().len())
                .await
                .with_context(|| fault.name.to_owned())?;
        }
        // After the faults Events are written again.
        let before = scene.proxy.exchanges(&table::events()).len();
        told(&scene, &mut leader, &|| scene.proxy.exchanges(&table::events()).len() - before).await?;
        leader.candidate.process.kill()?;
    }
    require_event(&scene.deployment.namespace, &options.pod, "LeaderElected", "Normal").await?;
    Ok(())
}

/// A new JobManager is granted leadership, which is told in an Event.
async fn told(scene: &Scene, leader: &mut Pod, sent: &dyn Fn() -> usize) -> Result<()> {
    leader.session = Session::open(&leader.candidate.url("")).await?;
    leader.session.granted(LIMIT).await?;
    let epoch = leader.session.epoch()?;
    wait::until("an Event to be sent", LIMIT, async || Ok((sent() > 0).then_some(()))).await?;
    scene.renewed(leader).await?;
    leader.session.require_undisturbed(epoch)?;
    let trouble = leader.candidate.trouble().await?;
    ensure!(trouble.is_empty(), "an Event troubles the election: {trouble}");
    Ok(())
}
