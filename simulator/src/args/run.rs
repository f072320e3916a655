//! `holdfast-sim run`.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::print;
use super::progress::ProgressLine;
use crate::batch::Runner;
use crate::campaign::{Campaign, Summary};
use crate::report;
use crate::results::place::Place;
use crate::results::{self, Origin};
use crate::scenario::{self, Scenario};
use crate::shard::Shard;

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

    /// Only the I-th of N parts of the seeds, I from 0: all parts together run each seed once
    #[arg(long, value_name = "I/N", conflicts_with = "seed")]
    shard: Option<Shard>,

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

    /// Also put the results there, for `collect`: file:///dir, s3://bucket/prefix, gs://…, az://… or abfs[s]://…
    #[arg(long, value_name = "URL", conflicts_with = "seed")]
    results: Option<String>,
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
        // Before the first run: a night's work must not end with a bucket that nobody can write to.
        let upload = self.results.as_ref().map(|url| Upload::begin(url, self.shard(), self.seeds, &campaign));
        let upload = upload.transpose()?;
        let mut line = ProgressLine::new(began);
        let summary = campaign.run(runner, &stop, &mut |progress| line.show(progress));
        line.clear();
        // One output that cannot be written keeps no other from being written.
        let outputs = [
            self.print(&summary),
            self.put_pages(&summary, runner, upload.as_ref()),
            upload.map_or(Ok(()), |upload| upload.put_result(&summary)),
        ];
        outputs.into_iter().collect::<anyhow::Result<()>>()?;
        Ok(summary.failures.is_empty())
    }

    /// The page: into the file that was asked for, and beside the results when a promise was broken.
    fn put_pages(
        &self,
        summary: &Summary,
        runner: Runner<'_>,
        upload: Option<&Upload>,
    ) -> anyhow::Result<()> {
        let upload = upload.filter(|_| !summary.failures.is_empty());
        if self.report.is_none() && upload.is_none() {
            return Ok(());
        }
        let page = report::html(summary, summary.detail(runner).as_ref());
        let written = self.report.as_ref().map_or(Ok(()), |path| {
            std::fs::write(path, &page)
                .with_context(|| format!("cannot write the report {} (--report)", path.display()))
        });
        upload.map_or(Ok(()), |upload| upload.put(results::HTML, &page))?;
        written
    }

    fn print(&self, summary: &Summary) -> anyhow::Result<()> {
        match self.format {
            Format::Text => print(&report::text(summary)),
            Format::Json => print(&format!("{:#}\n", report::json(summary))),
            Format::Junit => print(&report::junit(summary)),
        }
    }

    fn shard(&self) -> Shard {
        self.shard.unwrap_or(Shard::WHOLE)
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
        let seeds = match (self.seed, self.shard().seeds(self.seeds)) {
            (Some(seed), _) => seed..=seed,
            (None, Some(seeds)) => seeds,
            (None, None) => bail!(
                "--shard {} of --seeds {} is nothing: take as many seeds as shards, or more",
                self.shard(),
                self.seeds
            ),
        };
        let processors = || std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Campaign { scenarios, seeds, jobs: self.jobs.map_or_else(processors, usize::from) })
    }
}

/// Where the results go.
struct Upload {
    place: Place,
    shard: Shard,
    origin: Origin,
}

// === impl Upload ===

impl Upload {
    /// Says there that the shard begins, and so finds out whether it can be written to.
    fn begin(url: &str, shard: Shard, seeds: u64, campaign: &Campaign) -> anyhow::Result<Self> {
        let place = Place::open(url).context("cannot use --results, so nothing was run")?;
        let upload = Self { place, shard, origin: Origin::new(shard, seeds, campaign) };
        let begun = format!("{:#}\n", upload.origin.begun());
        upload.put(results::BEGUN, &begun).context("nothing was run")?;
        Ok(upload)
    }

    fn put_result(&self, summary: &Summary) -> anyhow::Result<()> {
        self.put(results::JSON, &format!("{:#}\n", self.origin.result(report::json(summary))))
    }

    fn put(&self, ending: &str, content: &str) -> anyhow::Result<()> {
        self.place.put(self.shard, ending, content).context("--results")
    }
}

fn time(text: &str) -> Result<Duration, String> {
    scenario::time(text).map(Duration::from_millis)
}
