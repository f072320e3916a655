//! Kubernetes Events: what `kubectl describe pod` shows.

use std::fs;

use anyhow::{Context, Result, ensure};
use harness::artifacts;
use harness::kubernetes::candidate::Candidate;
use harness::kubernetes::namespace::{Namespace, PodObject};
use harness::net::free_address;
use harness::session::Session;
use harness::sidecar::{self, Sidecar};
use harness::wait;
use k8s_openapi::api::core::v1::Event;

use super::world::{Deployment, LEASE, LIMIT, World};

pub(crate) async fn of_changes(world: &mut World) -> Result<()> {
    let deployment = world.deployment().await?;
    let namespace = &deployment.namespace;
    let (mut first, _first_session) = deployment.leader("pod-1").await?;
    require_event(namespace, &first.options.pod, "LeaderElected", "Normal").await?;
    let planned = require_event(namespace, &first.options.pod, "RestorePlanned", "Normal").await?;
    let message = planned.message.unwrap_or_default();
    ensure!(
        message.contains("no snapshot was ever recorded"),
        "nothing is recorded yet, but it says: {message}"
    );

    first.process.kill()?;
    namespace.delete_pod("pod-1").await?;
    let (second, session) = deployment.leader("pod-2").await?;
    let pod = &second.options.pod;
    let event = require_event(namespace, pod, "TakeoverOnEvidence", "Normal").await?;
    let message = event.message.unwrap_or_default();
    ensure!(message.contains(&first.options.pod.uid), "it does not say whose Lease was taken: {message}");
    require_event(namespace, pod, "LeaderElected", "Normal").await?;

    namespace.usurp(LEASE, "somebody").await?;
    let (revoked, _) = session.wait_for("revoke", LIMIT).await?;
    ensure!(revoked["reason"] == "lease-lost", "told {revoked}");
    require_event(namespace, pod, "LeaseLost", "Warning").await?;
    fenced(&deployment, &second, session).await?;
    refused(&deployment).await
}

/// A newest record that does not parse: an older one would be an older state.
async fn refused(deployment: &Deployment) -> Result<()> {
    let log = deployment.root().join("store").join(LEASE).join("log");
    let names = fs::read_dir(&log)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let newest = names.iter().max().context("the log is empty")?;
    fs::write(newest, "{")?;
    let mut candidate = Candidate::spawn(&deployment.pod("pod-3").await?)?;
    let pod = candidate.options.pod.clone();
    let event = require_event(&deployment.namespace, &pod, "RestoreRefused", "Warning").await?;
    let status = candidate.process.wait_for_exit(LIMIT).await?;
    ensure!(status.code() == Some(1), "it ended as {status}");
    let name = newest.file_name().and_then(|name| name.to_str()).context("a record's name")?;
    let message = event.message.unwrap_or_default();
    ensure!(message.contains(name), "it does not name {name}: {message}");
    Ok(())
}

/// Somebody starts a sidecar on the same store without an election.
async fn fenced(deployment: &Deployment, candidate: &Candidate, session: Session) -> Result<()> {
    // There is no pod of that name, so the Lease is taken back.
    let leads = async || Ok(session.leads().then_some(()));
    wait::until("the session to lead again", LIMIT, leads).await?;
    let options = sidecar::Options {
        name: "intruder".to_owned(),
        deployment: LEASE.to_owned(),
        generation: "rollout-1".to_owned(),
        store: format!("file://{}", deployment.root().join("store").display()),
        listen: free_address()?,
        public_listen: free_address()?,
        flags: Vec::new(),
        variables: Vec::new(),
    };
    let log = deployment.root().join("intruder.log");
    let mut intruder = Sidecar::start(&artifacts::sidecar()?, &options, &log)?;
    intruder.wait_until_ready().await?;
    let its_session = Session::open(&intruder.url("")).await?;
    its_session.granted(LIMIT).await?;
    require_event(&deployment.namespace, &candidate.options.pod, "Fenced", "Warning").await?;
    Ok(())
}

/// Waits for an Event about a pod, and checks what tools rely on.
pub(crate) async fn require_event(
    namespace: &Namespace,
    pod: &PodObject,
    reason: &str,
    kind: &str,
) -> Result<Event> {
    let what = format!("an Event {reason} of {}", pod.name);
    let found = wait::until(&what, LIMIT, async || {
        let events = namespace.events(pod).await?;
        Ok(events.into_iter().find(|event| event.reason.as_deref() == Some(reason)))
    });
    let event = found.await?;
    ensure!(event.type_.as_deref() == Some(kind), "{reason} is of type {:?}", event.type_);
    ensure!(
        event.involved_object.name.as_ref() == Some(&pod.name),
        "it is about {:?}",
        event.involved_object
    );
    let component = event.source.as_ref().and_then(|source| source.component.as_deref());
    ensure!(component == Some("holdfast"), "it comes from {component:?}");
    let message = event.message.as_ref().context("an Event without a message")?;
    ensure!(!message.is_empty(), "{reason} says nothing");
    Ok(event)
}
