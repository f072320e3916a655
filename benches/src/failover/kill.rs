//! One fault, from the moment at which all is well until it is again, or the limit has passed.

use std::time::Duration;

use anyhow::Result;
use ha_store::{Clock, SystemClock};
use harness::kubernetes::Fault;
use tokio::time::{Instant, sleep};

use super::case::Case;
use super::cluster::Cluster;
use super::own;
use super::phases::{Phase, Phases, Timeline};
use super::records::Records;

/// How often the logs are looked at. No figure depends on it.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long the sink may take to show the records that a completed checkpoint covers.
const RECORDS_LIMIT: Duration = Duration::from_secs(15);

/// Checkpoints that show that the job goes on.
const GOES_ON: usize = 3;

/// What one fault did.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// What was reached when. Partial where it failed.
    pub phases: Phases,
    /// Why it does not count, in words.
    pub failed: Option<String>,
    /// The job went on as if nothing had happened.
    pub undisturbed: bool,
    /// How often the job's tasks were started again by a JobManager that went on.
    pub job_restarts: usize,
    /// Processes that ended by themselves meanwhile, and were started again.
    pub process_restarts: usize,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From the fault to the first new checkpoint.
    pub recovery: Duration,
    /// For how long the API server is gone.
    pub outage: Duration,
}

/// Does it, and follows what comes of it. An error is for what the benchmark itself could not do.
pub(super) async fn strike(cluster: &mut Cluster<'_>, case: Case, limits: Limits) -> Result<Outcome> {
    let restarts_before = cluster.process_restarts;
    let at_ms = match case {
        Case::Process => cluster.kill_leader().await?,
        Case::Pod => cluster.kill_pod().await?,
        Case::Frozen => cluster.freeze_leader().await?,
        Case::Sidecar => cluster.kill_sidecar()?,
        Case::Api => {
            let at_ms = SystemClock.wall_ms();
            cluster.api()?.begin(Fault::Killed)?;
            stand_outage(cluster, limits.outage).await?;
            cluster.api()?.end(Fault::Killed).await?;
            at_ms
        }
    };
    let since_ms = SystemClock.wall_ms();
    let (timeline, over) = follow(cluster, case, at_ms, since_ms, limits.recovery).await?;
    let mut outcome = Outcome {
        undisturbed: timeline.grants == 0 && timeline.job_restarts == 0,
        job_restarts: timeline.job_restarts,
        process_restarts: cluster.process_restarts - restarts_before,
        ..Outcome::default()
    };
    if !over {
        let (limit, last) = (limits.recovery.as_secs(), timeline.last_phase());
        outcome.failed = Some(format!("did not recover within {limit} s: {last}"));
    }
    outcome.phases = timeline.phases;
    add_records(cluster, at_ms, over, &mut outcome).await?;
    if let Ok(logs) = cluster.sidecar_logs()
        && let Some(ms) = own::part_ms(&logs, at_ms)
    {
        outcome.phases.insert(Phase::Own, ms);
    }
    Ok(outcome)
}

/// An outage of a certain length is what is asked for: there is no condition to wait for.
async fn stand_outage(cluster: &mut Cluster<'_>, outage: Duration) -> Result<()> {
    let began = Instant::now();
    while began.elapsed() < outage {
        cluster.keep_up()?;
        sleep(INTERVAL).await;
    }
    Ok(())
}

/// Follows the logs until the job is back, or was never away, and whether that was within the limit.
async fn follow(
    cluster: &mut Cluster<'_>,
    case: Case,
    at_ms: i64,
    since_ms: i64,
    limit: Duration,
) -> Result<(Timeline, bool)> {
    let began = Instant::now();
    loop {
        cluster.keep_up()?;
        let timeline = cluster.timeline(at_ms)?;
        let disturbed = timeline.grants > 0 || timeline.job_restarts > 0;
        let goes_on = case.may_pass_unnoticed() && cluster.timeline(since_ms)?.checkpoints >= GOES_ON;
        if (timeline.is_complete() && !case.may_pass_unnoticed())
            || (goes_on && (!disturbed || timeline.is_complete()))
        {
            return Ok((timeline, true));
        }
        if began.elapsed() > limit {
            return Ok((timeline, false));
        }
        sleep(INTERVAL).await;
    }
}

/// The phases that only the job's output shows.
async fn add_records(cluster: &Cluster<'_>, at_ms: i64, over: bool, outcome: &mut Outcome) -> Result<()> {
    let began = Instant::now();
    let (records, found) = loop {
        let records = Records::read(&cluster.output())?;
        let found = records.interruption(at_ms);
        if found.is_some() || outcome.undisturbed || !over || began.elapsed() > RECORDS_LIMIT {
            break (records, found);
        }
        sleep(INTERVAL).await;
    };
    match found {
        Some(found) => {
            outcome.phases.insert(Phase::FirstRecord, found.first_record_ms);
            outcome.phases.insert(Phase::ProcessingGap, found.gap_ms);
        }
        None if outcome.undisturbed && over => {
            if let Some(ms) = records.longest_silence_ms(at_ms) {
                outcome.phases.insert(Phase::ProcessingGap, ms);
            }
        }
        None if over => {
            outcome.failed = Some("the job runs, but its sink shows no record after the fault".into())
        }
        None => {}
    }
    Ok(())
}
