//! One turn of a peer: a new cluster, some faults, and a look at everything that its job wrote.

use std::path::Path;

use anyhow::{Context, Result};
use harness::sink::{self, Report};
use harness::site::Site;

use super::case::Case;
use super::cluster::Cluster;
use super::kill::{self, Limits, Outcome};
use super::peer::Peer;
use super::say;

/// What came of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Turn {
    pub(super) outcomes: Vec<Outcome>,
    pub(super) lost: u64,
    pub(super) duplicated: u64,
    pub(super) miscounted: u64,
}

/// What is to be done in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) peer: &'a Peer,
    pub(super) case: Case,
    pub(super) kills: usize,
    pub(super) limits: Limits,
    pub(super) archive: Option<&'a Path>,
}

impl Turn {
    /// Never fails: what went wrong stands in the outcomes, one for each fault that was asked for. The work directory of a
    /// turn in which something went wrong is kept.
    pub(super) async fn take(image: &Site, plan: Plan<'_>) -> Self {
        let mut turn = Self::default();
        let trouble = match image.with_new_volumes() {
            Ok(mut site) => {
                let ended = turn.run(&site, plan).await;
                let failed = turn.outcomes.iter().any(|outcome| outcome.failed.is_some());
                if ended.is_err() || failed {
                    say(format!("    everything is kept in {}", site.keep().display()));
                }
                ended.err()
            }
            Err(error) => Some(error),
        };
        if let Some(error) = trouble {
            say(format!("    {}: {error:#}", plan.peer));
            let why = format!("{error:#}");
            turn.fail(plan.kills, &why);
        }
        turn
    }

    /// What was not measured failed. If everything was, the last one did not leave a job that could be looked at.
    fn fail(&mut self, kills: usize, why: &str) {
        if self.outcomes.len() < kills {
            let failed = || Outcome { failed: Some(why.to_owned()), ..Outcome::default() };
            self.outcomes.resize_with(kills, failed);
        } else if let Some(last) = self.outcomes.last_mut() {
            last.failed.get_or_insert_with(|| format!("afterwards: {why}"));
        }
    }

    async fn run(&mut self, site: &Site, plan: Plan<'_>) -> Result<()> {
        let Plan { peer, case, kills, limits, archive } = plan;
        let mut cluster = Cluster::start(site, peer, case, archive).await.context("starting the cluster")?;
        for n in 0..kills {
            let checkpoints = if n == 0 { super::WARM_UP } else { super::BETWEEN };
            cluster.wait_until_ready(checkpoints).await.context("waiting for a healthy cluster")?;
            let outcome = kill::strike(&mut cluster, case, limits).await?;
            say(format!("    {peer}, {case}: {}", in_words(&outcome)));
            let failed = outcome.failed.is_some();
            self.outcomes.push(outcome);
            if failed {
                break;
            }
        }
        // A job that is away has not committed what it is going to: there is nothing to be judged yet.
        if self.outcomes.iter().any(|outcome| outcome.failed.is_some()) {
            return Ok(());
        }
        let report = settle(&mut cluster).await?;
        self.lost += report.lost;
        self.duplicated += report.duplicated;
        self.miscounted += report.miscounted;
        Ok(())
    }
}

/// What the sink committed, once the job that goes on has committed everything that it had written by now.
async fn settle(cluster: &mut Cluster<'_>) -> Result<Report> {
    let out = cluster.output();
    cluster.wait_for_checkpoints(super::BETWEEN).await.context("waiting for the job to go on")?;
    let highest = sink::read(&out)?.highest.context("the sink committed nothing")?;
    sink::read_past(&out, highest).await
}

fn in_words(outcome: &Outcome) -> String {
    use super::phases::Phase;
    let ms = |phase: Phase| outcome.phases.get(&phase).map_or("–".into(), |ms| format!("{ms} ms"));
    match &outcome.failed {
        Some(why) => format!("FAILED: {why}"),
        None if outcome.undisturbed => format!("undisturbed, longest silence {}", ms(Phase::ProcessingGap)),
        None => format!(
            "leadership {}, all RUNNING {}, first record {}, gap {}, checkpoint {}",
            ms(Phase::Leadership),
            ms(Phase::AllRunning),
            ms(Phase::FirstRecord),
            ms(Phase::ProcessingGap),
            ms(Phase::NewCheckpoint)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(outcomes: usize, kills: usize) -> Vec<Option<String>> {
        let mut turn = Turn { outcomes: vec![Outcome::default(); outcomes], ..Turn::default() };
        turn.fail(kills, "no Flink");
        turn.outcomes.into_iter().map(|outcome| outcome.failed).collect()
    }

    #[test]
    fn what_was_not_measured_failed() {
        assert_eq!(failures(1, 3), [None, Some("no Flink".into()), Some("no Flink".into())]);
    }

    #[test]
    fn a_turn_whose_output_could_not_be_judged_is_not_without_fault() {
        assert_eq!(failures(2, 2), [None, Some("afterwards: no Flink".into())]);
    }
}
