//! With a real job: an API server that is away for a minute, and a pod that stands still until another one has replaced it.

use std::time::Duration;

use anyhow::{Result, ensure};
use harness::failover::Failover;
use harness::flink::job_manager::RATE;
use harness::flink::rest::Job;
use harness::kubernetes::Fault;
use harness::kubernetes::candidate::DEFAULT;
use harness::kubernetes::cluster::{Cluster, FlinkPod};
use harness::output;
use harness::process::Process;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;
use tokio::time::Instant;

use super::world::{LIMIT, MACHINE};

const VERSION: &str = "2.2.1";

/// How long the API server is away: four times the duration of a Lease.
const OUTAGE: Duration = Duration::from_secs(60);

/// How long requests are counted.
const MEASURED: Duration = Duration::from_secs(20);

/// A checkpoint is begun every second, and the machine may be busy.
const CHECKPOINTS_IN_OUTAGE: usize = 20;

const AFTER: usize = 3;

pub(crate) async fn outages() -> Result<(), Failure> {
    let _alone = MACHINE.lock().await;
    with_flink(VERSION, async |site| {
        let mut cluster = Cluster::start(site).await?;
        let mut pod = cluster.pod("pod-1").await?;
        let job = pod.start_all().await?;
        rule("requests are counted", count_requests(&cluster, &mut pod)).await?;
        rule("the API server stands still for 60 s", outage(&mut cluster, &mut pod, &job, Fault::Paused))
            .await?;
        rule("the API server is gone for 60 s", outage(&mut cluster, &mut pod, &job, Fault::Killed)).await?;
        rule("every record was committed once", exactly_once(site)).await
    })
    .await
}

pub(crate) async fn frozen() -> Result<(), Failure> {
    let _alone = MACHINE.lock().await;
    with_flink(VERSION, async |site| {
        let cluster = Cluster::start(site).await?;
        let mut first = cluster.pod("pod-1").await?;
        let job = first.start_all().await?;
        let mut second = cluster.pod("pod-2").await?;
        second.start_processes().await?;
        let candidate = second.candidate()?;
        candidate.wait_until_standing("others", LIMIT).await?;

        let replaced =
            rule("a pod that stands still is replaced by expiry", replace(&mut first, &mut second, &job));
        replaced.await?;
        rule("it wakes up, is told, and records nothing", wake(&mut first, &mut second)).await?;
        second.job_manager()?.require_no_restart(&job.id).await?;
        rule("every record was committed once", exactly_once(site)).await
    })
    .await
}

/// What a healthy job costs.
async fn count_requests(cluster: &Cluster<'_>, pod: &mut FlinkPod<'_>) -> Result<()> {
    let traffic = cluster.traffic(pod, MEASURED).await?;
    output::line(format!(
        "        {:?} in {:.0} s and {} checkpoints, {:.0} requests an hour",
        traffic.leadership,
        traffic.elapsed.as_secs_f64(),
        traffic.checkpoints,
        traffic.per_hour()
    ));
    let kinds: Vec<_> = traffic.leadership.keys().chain(traffic.checkpointing.keys()).collect();
    ensure!(kinds == ["update leases"], "a leader asked for {kinds:?}");
    Ok(())
}

async fn outage(cluster: &mut Cluster<'_>, pod: &mut FlinkPod<'_>, job: &Job, fault: Fault) -> Result<()> {
    let during = cluster.outage(pod, job, fault, OUTAGE).await?;
    output::line(format!("        {during} checkpoints meanwhile"));
    ensure!(during >= CHECKPOINTS_IN_OUTAGE, "only {during} checkpoints completed meanwhile");
    pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
    pod.job_manager()?.require_no_restart(&job.id).await
}

/// Its object says that it runs, so there is no evidence against it.
async fn replace(first: &mut FlinkPod<'_>, second: &mut FlinkPod<'_>, job: &Job) -> Result<()> {
    let epoch = first.epoch().await?;
    first.processes().try_for_each(Process::pause)?;
    let frozen = Instant::now();
    let newest = first.job_manager()?.log.completed()?.last().copied();
    let failover = Failover::watch(second.job_manager()?, frozen, job.tasks.total).await?;
    output::line(format!(
        "        after {:.1} s granted, after {:.1} s the next checkpoint",
        failover.granted.as_secs_f64(),
        failover.checkpoint.as_secs_f64()
    ));
    ensure!(failover.granted > DEFAULT.deadline, "granted after {:?}: that was no expiry", failover.granted);
    ensure!(Some(failover.restored_id) >= newest, "restored {} of {newest:?}", failover.restored_id);
    second.job_manager()?.wait_for_checkpoints(AFTER).await?;
    let now = second.epoch().await?;
    ensure!(now > epoch, "the new pod leads under epoch {now}, the old one under {epoch}");
    Ok(())
}

async fn wake(first: &mut FlinkPod<'_>, second: &mut FlinkPod<'_>) -> Result<()> {
    let completed = first.job_manager()?.log.completed()?;
    first.processes().try_for_each(Process::wake)?;
    let candidate = first.candidate()?;
    candidate.wait_until_standing("others", LIMIT).await?;
    let deposed = async || Ok((candidate.status().await?["role"] != "leading").then_some(()));
    wait::until("the old sidecar to lead no more", LIMIT, deposed).await?;
    let log = &first.job_manager()?.log;
    let told = async || log.line_with("was revoked leadership");
    wait::until("the old JobManager's log to say that it leads no more", LIMIT, told).await?;
    // Time enough for a JobManager that is not fenced to trigger, record and commit checkpoints.
    second.job_manager()?.wait_for_checkpoints(AFTER).await?;
    let now = first.job_manager()?.log.completed()?;
    ensure!(now == completed, "it completed checkpoints after it was deposed: {completed:?}, then {now:?}");
    Ok(())
}

async fn exactly_once(site: &Site) -> Result<()> {
    let out = site.path("out");
    let committed = sink::read(&out)?.highest.unwrap_or_default();
    sink::read_past(&out, committed + RATE).await?.require_exactly_once()
}
