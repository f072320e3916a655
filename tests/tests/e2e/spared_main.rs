//! A failover does not need the job's `main()`: the stored graph is run.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::flink::job_manager::RATE;
use harness::output;
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::scenario::{Failure, rule, with_flink};
use harness::sink;
use harness::site::Site;
use tokio::time::Instant;

/// Long enough to tell whether somebody waited for it.
const MAIN_SLEEP: Duration = Duration::from_secs(20);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    output::line("");
    with_flink(version, async |site| {
        let mut pod = Pod::new(site, "pod-1")?;
        let flag = site.path("main-fails");
        let sleep = MAIN_SLEEP.as_millis().to_string();
        let arguments =
            ["--main-fails-if", flag.to_str().context("a path of ASCII")?, "--main-sleep-ms", &sleep];
        pod.roll_out(Rollout::new("rollout-1").launched().job(&arguments));
        pod.start_sidecar().await?;
        pod.start_job_manager()?;
        pod.start_task_manager()?;
        pod.job_manager()?.wait_until_running().await?;
        rule("main() takes 20 s, and a failover does not wait for it", failover(site, &mut pod, true))
            .await?;
        fs::write(&flag, "").context("making main() fail")?;
        rule("main() throws, and a failover does not notice", failover(site, &mut pod, false)).await
    })
    .await
}

async fn failover(site: &Site, pod: &mut Pod<'_>, timed: bool) -> Result<()> {
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.process.kill()?;
    let committed = sink::read(&site.path("out"))?.highest.unwrap_or_default();
    let killed = Instant::now();
    pod.start_job_manager()?;
    let job = pod.job_manager()?.wait_until_running().await?;
    let took = killed.elapsed();
    ensure!(!timed || took < MAIN_SLEEP, "it took {} s, as if main() had run", took.as_secs());
    pod.job_manager()?.wait_for_checkpoints(2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    sink::read_past(&site.path("out"), committed + RATE).await?.require_exactly_once()
}
