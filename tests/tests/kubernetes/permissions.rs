//! A service account that may do what the manifests say, and no more; and less.

use anyhow::{Context, Result, ensure};
use harness::flink::log::Log;
use harness::kubernetes::candidate::Candidate;
use harness::kubernetes::manifests::{ACCOUNT, rules};
use harness::session::Session;
use harness::wait;

use super::events::require_event;
use super::race::renewed;
use super::world::{Deployment, LEASE, LIMIT, World};

pub(crate) async fn enough(world: &mut World) -> Result<()> {
    let deployment = restricted(world).await?;
    let user = deployment.namespace.user(ACCOUNT);
    let (mut first, _session) = deployment.leader("pod-1").await?;
    let (second, waiting) = deployment.contender("pod-2").await?;
    first.process.kill()?;
    deployment.namespace.delete_pod("pod-1").await?;
    waiting.granted(LIMIT).await?;
    require_event(&deployment.namespace, &second.options.pod, "TakeoverOnEvidence", "Normal").await?;
    renewed(&deployment.namespace, 3).await?;

    let audit = world.server.audit()?;
    let refused: Vec<_> =
        audit.of(&user).filter(|request| request.code == 403 || request.code == 401).collect();
    ensure!(refused.is_empty(), "the Role does not allow {refused:?}");
    let used: Vec<_> = audit.counts(&user).into_keys().collect();
    let allowed = ["create events", "create leases", "get leases", "get pods", "update leases"];
    ensure!(used == allowed, "used {used:?}, allowed {allowed:?}");
    Ok(())
}

/// One verb at a time is taken away from a leader and its rival, and given back.
pub(crate) async fn each(world: &mut World) -> Result<()> {
    let deployment = restricted(world).await?;
    let namespace = &deployment.namespace;
    let (mut leader, mut session) = deployment.leader("pod-1").await?;
    let (mut rival, waiting) = deployment.contender("pod-2").await?;
    rival.wait_until_standing("others", LIMIT).await?;

    take_away(&deployment, "update", "leases").await?;
    missed(&mut leader, "update leases.coordination.k8s.io").await?;
    leader.wait_until_standing("unconfirmed", LIMIT).await?;
    undisturbed(&mut session).await?;
    give_back(&deployment).await?;
    leader.wait_until_standing("ours", LIMIT).await?;

    take_away(&deployment, "get", "leases").await?;
    missed(&mut rival, "get leases.coordination.k8s.io").await?;
    undisturbed(&mut session).await?;
    give_back(&deployment).await?;
    rival.wait_until_standing("others", LIMIT).await?;

    take_away(&deployment, "create", "leases").await?;
    namespace.delete_lease(LEASE).await?;
    missed(&mut leader, "create leases.coordination.k8s.io").await?;
    leader.wait_until_standing("unconfirmed", LIMIT).await?;
    undisturbed(&mut session).await?;
    ensure!(waiting.epoch().is_err(), "the rival was granted leadership without a Lease");
    give_back(&deployment).await?;
    wait::until("the Lease to be made again", LIMIT, async || namespace.lease(LEASE).await).await?;
    last_two(&deployment, rival, waiting, leader, session).await
}

/// Without Events nobody is told; without pods there is no evidence, but still an expiry.
async fn last_two(
    deployment: &Deployment,
    mut rival: Candidate,
    waiting: Session,
    mut leader: Candidate,
    session: Session,
) -> Result<()> {
    // Either of the two may have made the Lease anew.
    renewed(&deployment.namespace, 2).await?;
    if !session.leads() || deployment.namespace.holder(LEASE).await? != leader.options.pod.uid {
        std::mem::swap(&mut rival, &mut leader);
    }
    let waiting = if waiting.leads() { session } else { waiting };
    rival.wait_until_standing("others", LIMIT).await?;
    take_away(deployment, "get", "pods").await?;
    missed(&mut rival, "get pods").await?;
    take_away(deployment, "create", "events").await?;
    leader.process.kill()?;
    deployment.namespace.delete_pod(&leader.options.pod.name).await?;
    waiting.granted(LIMIT).await?;
    let log = Log::new(rival.process.log());
    let said = async || {
        let line = log.line_with("create events")?.or(log.line_with("cannot create events")?);
        Ok(line.filter(|line| line.contains("verb")))
    };
    wait::until("the log to name the verb that Events need", LIMIT, said).await?;
    rival.process.require_alive()?;
    Ok(())
}

/// It says so in /status and in its log, and lives on.
async fn missed(candidate: &mut Candidate, verb: &str) -> Result<()> {
    wait::until(&format!("{} to miss {verb:?}", candidate.options.pod.name), LIMIT, async || {
        candidate.process.require_alive()?;
        let trouble = candidate.trouble().await?;
        Ok((trouble.contains(verb) && trouble.contains("403")).then_some(()))
    })
    .await?;
    let line = Log::new(candidate.process.log()).line_with(verb)?;
    line.with_context(|| format!("the log does not name {verb:?}"))?;
    Ok(())
}

async fn undisturbed(session: &mut Session) -> Result<()> {
    session.add_checkpoint().await?;
    session.require_undisturbed(1)
}

/// A deployment whose candidates may do what the manifests say.
async fn restricted(world: &World) -> Result<Deployment> {
    let mut deployment = world.deployment().await?;
    deployment.kubeconfig = deployment.namespace.service_account(ACCOUNT, &rules()?).await?;
    Ok(deployment)
}

async fn take_away(deployment: &Deployment, verb: &str, resource: &str) -> Result<()> {
    let mut rules = rules()?;
    let mut taken = 0;
    for rule in rules.iter_mut().filter(|rule| rule.resources.iter().flatten().any(|name| name == resource)) {
        let before = rule.verbs.len();
        rule.verbs.retain(|name| name != verb);
        taken += before - rule.verbs.len();
    }
    ensure!(taken == 1, "the Role allows {verb} {resource} {taken} times");
    rules.retain(|rule| !rule.verbs.is_empty());
    deployment.namespace.set_rules(ACCOUNT, &rules).await
}

async fn give_back(deployment: &Deployment) -> Result<()> {
    deployment.namespace.set_rules(ACCOUNT, &rules()?).await
}
