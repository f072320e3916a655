//! Election against a real kube-apiserver and etcd. Most of it needs no Flink: the test is the JobManager. The rules of
//! `flink` do.
//!
//! `scripts/setup-k8s.sh` builds the API server. It takes seconds to start, so one function runs several rules on one server,
//! each in a namespace of its own.

mod events;
mod faults;
mod flink;
mod outage;
mod permissions;
mod race;
mod restart;
mod takeover;
mod world;

use harness::kubernetes::Fault;
use harness::scenario::{Failure, rule};

use self::world::with_api_server;

#[tokio::test]
async fn one_candidate_leads_and_the_next_takes_over_as_soon_as_it_may() -> Result<(), Failure> {
    with_api_server(async |world| {
        rule("20 candidates race for a Lease, and one epoch wins", race::twenty(world)).await?;
        rule("a pod that is gone is replaced within a retry period", takeover::gone(world)).await?;
        rule("a pod that was made anew is not its predecessor", takeover::made_anew(world)).await?;
        rule("a pod whose containers were killed is replaced within a retry period", takeover::killed(world))
            .await?;
        rule("a pod that may run is replaced when its Lease is over, not before", takeover::may_run(world))
            .await?;
        rule("a pod whose sidecar runs may run, whatever became of its JobManager", takeover::half(world))
            .await?;
        rule("a change of leadership is told in Events", events::of_changes(world)).await
    })
    .await
}

#[tokio::test]
async fn a_restart_is_not_a_change_of_leadership() -> Result<(), Failure> {
    with_api_server(async |world| {
        rule("a sidecar that was killed keeps holder and epoch", restart::killed(world)).await?;
        rule("a stop releases the Lease, and the next pod leads at once", restart::stopped(world)).await?;
        rule("a stop beside a living JobManager leaves the Lease to expire", restart::deserted(world))
            .await?;
        rule("a Lease that is deleted is its holder's again", restart::lease_deleted(world)).await
    })
    .await
}

#[tokio::test]
async fn an_outage_of_the_api_server_disturbs_no_leader() -> Result<(), Failure> {
    with_api_server(async |world| {
        rule("the API server stands still", outage::test(world, Fault::Paused)).await?;
        rule("the API server and etcd are killed", outage::test(world, Fault::Killed)).await?;
        rule("the sidecar restarts while the API server stands still", outage::restart(world, Fault::Paused))
            .await?;
        rule("the sidecar restarts while the API server is gone", outage::restart(world, Fault::Killed)).await
    })
    .await
}

// The proxies have a thread of their own: what they are slow to pass on is a fault that the test did not mean.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn no_fault_of_a_single_request_disturbs_a_leader() -> Result<(), Failure> {
    with_api_server(async |world| {
        rule("every fault at every call site, and a token that is rotated", faults::everywhere(world)).await
    })
    .await
}

#[tokio::test]
async fn the_role_of_the_manifests_is_enough_and_each_verb_of_it_is_missed_by_name() -> Result<(), Failure> {
    with_api_server(async |world| {
        rule("the Role is enough", permissions::enough(world)).await?;
        rule("without any verb of it the leader stays and says what it lacks", permissions::each(world)).await
    })
    .await
}

#[tokio::test]
async fn flink_works_on_while_the_api_server_is_away_for_a_minute() -> Result<(), Failure> {
    flink::outages().await
}

#[tokio::test]
async fn flink_in_a_pod_that_stood_still_while_it_was_replaced_commits_nothing() -> Result<(), Failure> {
    flink::frozen().await
}
