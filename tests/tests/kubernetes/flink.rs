//! With a real job: an API server that is away for a minute, and a pod that stands still until another one has replaced it.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::failover::Failover;
use harness::flink::config::Ports;
use harness::flink::job_manager::{JobManager, RATE};
use harness::flink::rest::Job;
use harness::flink::task_manager;
use harness::kubernetes::ApiServer;
use harness::kubernetes::candidate::{Candidate, DEFAULT, Options};
use harness::kubernetes::namespace::Namespace;
use harness::net::free_address;
use harness::output;
use harness::process::Process;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use harness::wait;
use tokio::time::{Instant, sleep_until};

use super::outage::Fault;
use super::permissions::{ACCOUNT, rules};
use super::world::{LEASE, LIMIT, MACHINE};

const VERSION: &str = "2.2.1";

/// How long the API server is away: four times the duration of a Lease.
const OUTAGE: Duration = Duration::from_secs(60);

/// A checkpoint is begun every second, and the machine may be busy.
const CHECKPOINTS_IN_OUTAGE: usize = 20;

const AFTER: usize = 3;

pub(crate) async fn outages() -> Result<(), Failure> {
    let _alone = MACHINE.lock().await;
    output::line("");
    with_flink(VERSION, async |site| {
        let mut cluster = Cluster::start(site).await?;
        let mut pod = cluster.pod("pod-1").await?;
        let job = pod.start_all().await?;
        rule("requests are counted", cluster.count_requests(&mut pod)).await?;
        rule("the API server stands still for 60 s", cluster.outage(&mut pod, &job, Fault::Paused)).await?;
        rule("the API server is gone for 60 s", cluster.outage(&mut pod, &job, Fault::Killed)).await?;
        rule("every record was committed once", exactly_once(site)).await
    })
    .await
}

pub(crate) async fn frozen() -> Result<(), Failure> {
    let _alone = MACHINE.lock().await;
    output::line("");
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

struct Cluster<'a> {
    site: &'a Site,
    server: ApiServer,
    namespace: Namespace,
    kubeconfig: std::path::PathBuf,
}

/// A pod's object, and its processes.
struct Pod<'a> {
    site: &'a Site,
    options: Options,
    ports: Ports,
    candidate: Option<Candidate>,
    job_manager: Option<JobManager>,
    task_manager: Option<Process>,
}

impl<'a> Cluster<'a> {
    async fn start(site: &'a Site) -> Result<Self> {
        let server = ApiServer::start(site.root()).await?;
        let namespace = server.namespace("flink").await?;
        let kubeconfig = namespace.service_account(ACCOUNT, &rules()?).await?;
        Ok(Self { site, server, namespace, kubeconfig })
    }

    async fn pod(&self, name: &str) -> Result<Pod<'a>> {
        let object = self.namespace.run_pod(name).await?;
        let mut options = Options::new(self.site.root(), &self.namespace, LEASE, &object, &self.kubeconfig)?;
        options.timings = DEFAULT;
        let ports = Ports {
            sidecar: options.listen,
            sidecar_public: options.public_listen,
            rpc: free_address()?,
            rest: free_address()?,
        };
        Ok(Pod { site: self.site, options, ports, candidate: None, job_manager: None, task_manager: None })
    }

    /// What a healthy job costs.
    async fn count_requests(&self, pod: &mut Pod<'_>) -> Result<()> {
        let (before, began) = (self.server.audit()?, Instant::now());
        pod.job_manager()?.wait_for_checkpoints(CHECKPOINTS_IN_OUTAGE).await?;
        let (asked, elapsed) = (self.server.audit()?.since(&before), began.elapsed().as_secs_f64());
        let counts = asked.counts(&self.namespace.user(ACCOUNT));
        for (request, count) in &counts {
            let per_hour = *count as f64 * 3600.0 / elapsed;
            output::line(format!("        {request}: {count} in {elapsed:.0} s, {per_hour:.0} an hour"));
        }
        let kinds: Vec<_> = counts.keys().collect();
        ensure!(kinds == ["update leases"], "a leader asked for {kinds:?}");
        Ok(())
    }

    async fn outage(&mut self, pod: &mut Pod<'_>, job: &Job, fault: Fault) -> Result<()> {
        let epoch = pod.epoch().await?;
        let completed = pod.job_manager()?.log.completed()?.len();
        fault.begin(&mut self.server)?;
        // The rule is about a time: this is the one place for a sleep.
        sleep_until(Instant::now() + OUTAGE).await;
        let standing = pod.candidate()?.standing().await?;
        ensure!(standing == "unconfirmed", "nobody noticed the outage: the election stands at {standing:?}");
        let during = pod.job_manager()?.log.completed()?.len() - completed;
        fault.end(&mut self.server).await?;

        output::line(format!("        {during} checkpoints meanwhile"));
        ensure!(during >= CHECKPOINTS_IN_OUTAGE, "only {during} checkpoints completed meanwhile");
        pod.candidate()?.wait_until_standing("ours", LIMIT).await?;
        pod.job_manager()?.wait_for_checkpoints(AFTER).await?;
        pod.job_manager()?.require_no_restart(&job.id).await?;
        ensure!(pod.epoch().await? == epoch, "it leads under epoch {} after {epoch}", pod.epoch().await?);
        Ok(())
    }
}

impl Pod<'_> {
    async fn start_processes(&mut self) -> Result<()> {
        self.candidate = Some(Candidate::start(&self.options).await?);
        let name = &self.options.pod.name;
        self.task_manager = Some(task_manager::start(self.site, name, &self.ports)?);
        let sidecar = format!("http://{}", self.options.listen);
        self.job_manager = Some(JobManager::start(self.site, name, &self.ports, &sidecar)?);
        Ok(())
    }

    async fn start_all(&mut self) -> Result<Job> {
        self.start_processes().await?;
        let job = self.job_manager()?.wait_until_running().await?;
        self.job_manager()?.wait_for_checkpoints(AFTER).await?;
        Ok(job)
    }

    fn candidate(&mut self) -> Result<&mut Candidate> {
        self.candidate.as_mut().context("the pod has no sidecar")
    }

    fn job_manager(&mut self) -> Result<&mut JobManager> {
        self.job_manager.as_mut().context("the pod has no JobManager")
    }

    fn processes(&self) -> impl Iterator<Item = &Process> {
        let sidecar = self.candidate.iter().map(|candidate| &candidate.process);
        let job_manager = self.job_manager.iter().map(|job_manager| &job_manager.process);
        sidecar.chain(job_manager).chain(&self.task_manager)
    }

    async fn epoch(&mut self) -> Result<u64> {
        let status = self.candidate()?.status().await?;
        status["epoch"].as_u64().with_context(|| format!("/status names no epoch: {status}"))
    }
}

/// Its object says that it runs, so there is no evidence against it.
async fn replace(first: &mut Pod<'_>, second: &mut Pod<'_>, job: &Job) -> Result<()> {
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

async fn wake(first: &mut Pod<'_>, second: &mut Pod<'_>) -> Result<()> {
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
