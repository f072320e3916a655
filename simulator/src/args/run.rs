//! `holdfast-sim run`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::ValueEnum;

use super::print;
use super::progress::ProgressLine;
use crate::batch::Runner;
use crate::campaign::Campaign;
use crate::report;
use crate::scenario::{self, Scenario};

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    /// Names of shipped scenarios, files, or directories of them
    #[arg(required = true, value_name = "SCENARIO")]
    scenarios: Vec<String>,

    /// How many seeds each scenario is run under: 1 to N
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// This one seed only
    #[arg(long, value_name = "S", conflicts_with = "seeds")]
    seed: Option<u64>,

    /// How many runs at once [default: the number of processors]
    #[arg(long, value_name = "J", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,

    /// Begin no run after this long, as `90s` or `10m`; those that ran are reported
    #[arg(long, value_name = "D", value_parser = time)]
    time_limit: Option<Duration>,

    /// What is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,

    /// Write a page about it that opens offline
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
    Junit,
}

// === impl RunArgs ===

impl RunArgs {
    /// Whether everything held.
    #[allow(clippy::disallowed_methods)] // the time limit is about real time, and no run can see it
    pub(super) fn run(self, runner: Runner<'_>) -> anyhow::Result<bool> {
        let began = Instant::now();
        let stop = || self.time_limit.is_some_and(|limit| began.elapsed() >= limit);
        let campaign = self.campaign()?;
        let mut line = ProgressLine::new(began);
        let summary = campaign.run(runner, &stop, &mut |progress| line.show(progress));
        line.clear();
        if let Some(path) = &self.report {
            let page = report::html(&summary, summary.detail(runner).as_ref());
            std::fs::write(path, page)
                .with_context(|| format!("cannot write the report {} (--report)", path.display()))?;
        }
        match self.format {
            Format::Text => print(&report::text(&summary))?,
            Format::Json => print(&format!("{:#}\n", report::json(&summary)))?,
            Format::Junit => print(&report::junit(&summary))?,
        }
        Ok(summary.failures.is_empty())
    }

    fn campaign(&self) -> anyhow::Result<Campaign> {
        let mut scenarios: Vec<Scenario> = Vec::new();
        for argument in &self.scenarios {
            for scenario in scenario::find(argument)? {
                if !scenarios.contains(&scenario) {
                    scenarios.push(scenario);
                }
            }
        }
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Campaign {
            scenarios,
            seeds: self.seed.map_or(1..=self.seeds, |seed| seed..=seed),
            jobs: self.jobs.map_or_else(processors, usize::from),
        })
    }
}

fn time(text: &str) -> Result<Duration, String> {
    scenario::time(text).map(Duration::from_millis)
}
