//! The sidecar's store is a bucket, and what happens to buckets: lost answers, throttling, silence. (Flink's own files are in a
//! directory: its S3 file systems are in no package that can be had here.)

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::fault_proxy::{Canned, Disturbance, FaultProxy, Pattern};
use harness::flink::rest::Job;
use harness::output;
use harness::pod::{DEPLOYMENT, Pod};
use harness::s3::{BUCKET, S3Server, variables};
use harness::scenario::{Failure, rule, with_flink};
use harness::site::Site;
use harness::wait;
use http::Method;
use tokio::time::{Instant, sleep};

use crate::one_pod;

const PREFIX: &str = "flink/ha";

/// Checkpoints over which requests are counted.
const COUNTED: usize = 20;

/// Checkpoints that must complete after a disturbance before it counts as survived.
const AFTER: usize = 3;

/// Answers that a throttled sidecar is given before the bucket has room again.
const REFUSALS: usize = 5;

/// Longer than a request to the store may take, and shorter than the registration of a checkpoint is repeated.
const SILENCE: Duration = Duration::from_secs(15);

/// Until something is seen that is under way.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let home = site.path("s3");
        std::fs::create_dir(&home).context("making the S3 server's home")?;
        let server = S3Server::start(&home, &site.next_log("s3")).await?;
        let proxy = FaultProxy::start(server.address()).await?;
        let mut pod = Pod::new(site, "pod-1")?;
        let bucket = format!("s3://{BUCKET}/{PREFIX}");
        pod.keep_in(&bucket, variables(proxy.url()));
        pod.start_sidecar().await?;
        pod.start_job_manager()?;
        pod.start_task_manager()?;
        let job = pod.job_manager()?.wait_until_running().await?;

        rule("what a checkpoint asks of the bucket", counted(&mut pod, &proxy)).await?;
        rule("the answer to a create is lost: it counts once", {
            unnoticed(&mut pod, &job, answer_lost(&proxy))
        })
        .await?;
        rule("the bucket throttles: checkpoints wait for it", unnoticed(&mut pod, &job, throttled(&proxy)))
            .await?;
        // One may fail to begin: it has no id after 10 s. Flink does not count that.
        rule(
            "the bucket is silent for 15 s: the job is not restarted, checkpoints go on",
            survives(&mut pod, &job, silent(&server)),
        )
        .await?;
        rule("kill -9 of JobManager and sidecar: the newest checkpoint is restored, exactly once", {
            pod_killed(site, &mut pod, &job)
        })
        .await?;
        rule("without a sidecar the bucket tells the same", asked_directly(&mut pod, &bucket)).await
    })
    .await
}

/// Creates of records.
fn creates() -> Pattern {
    Pattern::new(Method::PUT, &format!("/{BUCKET}/{PREFIX}/{DEPLOYMENT}/log/*"))
}

/// The figures are those of docs/performance.md.
async fn counted(pod: &mut Pod<'_>, proxy: &FaultProxy) -> Result<()> {
    let job_manager = pod.job_manager()?;
    job_manager.wait_for_checkpoints(AFTER).await?;
    let (before, completed) = (proxy.everything().len(), job_manager.log.completed()?.len());
    job_manager.wait_for_checkpoints(COUNTED).await?;
    let completed = job_manager.log.completed()?.len() - completed;
    let seen = proxy.everything().split_off(before);
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for exchange in &seen {
        let folder = exchange.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        *kinds.entry(format!("{} {folder}/…", exchange.method)).or_default() += 1;
    }
    let records = seen.iter().filter(|exchange| creates().matches(&exchange.method, &exchange.path)).count();
    // Its id, its pointer, and the removal of the one before. One checkpoint may be under way at either end.
    ensure!(records <= 3 * (completed + 2), "{records} records in {completed} checkpoints");
    for (kind, times) in &kinds {
        output::line(format!("      {kind}: {times} times in {completed} checkpoints"));
    }
    Ok(())
}

/// Checkpoints complete afterwards, and the tasks never know.
async fn survives(pod: &mut Pod<'_>, job: &Job, disturbance: impl Future<Output = Result<()>>) -> Result<()> {
    disturbance.await?;
    let job_manager = pod.job_manager()?;
    job_manager.wait_for_checkpoints(AFTER).await?;
    job_manager.require_no_restart(&job.id).await
}

/// The same, and none fails meanwhile.
async fn unnoticed(
    pod: &mut Pod<'_>,
    job: &Job,
    disturbance: impl Future<Output = Result<()>>,
) -> Result<()> {
    let failed = pod.job_manager()?.rest.checkpoint_counts(&job.id).await?.failed;
    survives(pod, job, disturbance).await?;
    let failed_now = pod.job_manager()?.rest.checkpoint_counts(&job.id).await?.failed;
    ensure!(failed_now == failed, "{} checkpoints failed", failed_now - failed);
    Ok(())
}

async fn answer_lost(proxy: &FaultProxy) -> Result<()> {
    proxy.lose_next_answer(creates());
    wait::until("an answer to be lost", LIMIT, async || {
        Ok(proxy.exchanges(&creates()).iter().any(|exchange| exchange.answer_lost).then_some(()))
    })
    .await
}

async fn throttled(proxy: &FaultProxy) -> Result<()> {
    let body = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
    let slow_down = Canned { status: 503, retry_after_s: None, body: body.to_owned() };
    let refused = proxy.disturb(creates(), Disturbance::Answer(slow_down));
    wait::until("the bucket to have refused", LIMIT, async || {
        Ok((refused.met().len() >= REFUSALS).then_some(()))
    })
    .await
}

async fn silent(server: &S3Server) -> Result<()> {
    server.process.pause()?;
    sleep(SILENCE).await;
    server.process.wake()
}

async fn pod_killed(site: &Site, pod: &mut Pod<'_>, job: &Job) -> Result<()> {
    let epoch = pod.sidecar()?.epoch().await?;
    let killed = Instant::now();
    pod.job_manager()?.process.kill()?;
    pod.sidecar()?.process.kill()?;
    pod.start_sidecar().await?;
    let url = pod.sidecar_url();
    one_pod::goes_on(site, pod, job, (killed, epoch), &url).await
}

async fn asked_directly(pod: &mut Pod<'_>, bucket: &str) -> Result<()> {
    pod.job_manager()?.process.kill()?;
    let told = pod.holdfast(&["snapshots", "list"]).await?.done()?;
    pod.sidecar()?.process.kill()?;
    let arguments = ["snapshots", "list", "--store", bucket, "--deployment", DEPLOYMENT];
    let read = pod.holdfast_alone(&arguments).await?.done()?;
    ensure!(told["snapshots"] == read["snapshots"], "the sidecar said {told}, and the bucket has {read}");
    ensure!(read["snapshots"].as_array().is_some_and(|snapshots| !snapshots.is_empty()), "none: {read}");
    Ok(())
}
