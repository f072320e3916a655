//! The same job with Holdfast and with Flink's own Kubernetes HA, and what each of them asks the API server for.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use harness::artifacts::Artifacts;
use harness::kubernetes::Fault;
use harness::kubernetes::cluster::Cluster;
use harness::kubernetes::traffic::Traffic;
use harness::output;
use harness::site::Site;

/// The Flink version that is taken when none is given.
const FLINK_VERSION: &str = "2.2.1";

/// Where requests are counted. The second one shows whether what is computed from the first one is right.
const INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(10)];

/// How long the API server is away: four times the duration of a Lease.
pub(crate) const OUTAGE: Duration = Duration::from_secs(60);

/// Who keeps the job's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keeper {
    Holdfast,
    Flink,
}

/// What was counted.
#[derive(Debug)]
pub(crate) struct Counted {
    pub(crate) flink_version: String,
    pub(crate) runs: Vec<Run>,
    /// Checkpoints that the job with Holdfast completed while there was no API server.
    pub(crate) in_outage: usize,
}

/// A job at work.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) keeper: Keeper,
    pub(crate) interval: Duration,
    pub(crate) traffic: Traffic,
}

/// Runs the job with each keeper and interval, for at least `window`.
pub(crate) async fn count(flink_home: Option<&Path>, window: Duration) -> Result<Counted> {
    let artifacts = match flink_home {
        Some(home) => Artifacts::for_home(home)?,
        None => Artifacts::for_version(FLINK_VERSION)?,
    };
    let (mut runs, mut in_outage) = (Vec::new(), None);
    for interval in INTERVALS {
        for keeper in [Keeper::Holdfast, Keeper::Flink] {
            output::line(format!("counting: {keeper}, a checkpoint every {} s", interval.as_secs()));
            let mut site = Site::new(artifacts.clone())?;
            let with_outage = keeper == Keeper::Holdfast && in_outage.is_none();
            let outcome = run(&site, keeper, interval, window, with_outage).await;
            if outcome.is_err() {
                output::line(format!("everything is kept in {}", site.keep().display()));
            }
            let (traffic, seen) = outcome.with_context(|| keeper.to_string())?;
            in_outage = in_outage.or(seen);
            runs.push(Run { keeper, interval, traffic });
        }
    }
    let in_outage = in_outage.context("no run had an outage")?;
    Ok(Counted { flink_version: artifacts.flink_version, runs, in_outage })
}

async fn run(
    site: &Site,
    keeper: Keeper,
    interval: Duration,
    window: Duration,
    with_outage: bool,
) -> Result<(Traffic, Option<usize>)> {
    let mut cluster = Cluster::start(site).await?;
    let mut pod = match keeper {
        Keeper::Holdfast => cluster.pod("pod-1").await?,
        Keeper::Flink => cluster.pod_of_flink_alone("pod-1").await?,
    };
    pod.checkpoint_interval = interval;
    let job = pod.start_all().await?;
    let traffic = cluster.traffic(&mut pod, window).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    if !with_outage {
        return Ok((traffic, None));
    }
    output::line(format!("the API server is gone for {} s", OUTAGE.as_secs()));
    let in_outage = cluster.outage(&mut pod, &job, Fault::Killed, OUTAGE).await?;
    Ok((traffic, Some(in_outage)))
}

impl fmt::Display for Keeper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Holdfast => "Holdfast",
            Self::Flink => "Flink's Kubernetes HA",
        })
    }
}
