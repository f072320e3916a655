//! `make simulator-figures`: how fast the simulator is, what costs what, and what shrinking takes.
//!
//! What costs what is measured by leaving it out, in turns in one run, so that other load troubles everything alike. All times
//! are CPU times of the thread that does the work. Prints medians and their range; judges nothing but itself.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;
use mimalloc::MiMalloc;
use simulator::batch::{self, Ran, Runner};
use simulator::campaign::{Campaign, Shrinking};
use simulator::gallery;
use simulator::outcome::Outcome;
use simulator::plan::Plan;
use simulator::product::Product;
use simulator::run;
use simulator::scenario::{self, Scenario};
use simulator::trace::{Event, Trace};
use simulator::world::{TICK_MS, World};
use tracing::subscriber::{NoSubscriber, with_default};

/// As `holdfast-sim` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Prints the simulator's figures
#[derive(Debug, Parser)]
struct Args {
    /// Each scenario is measured under seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,

    /// How often everything is measured; odd, so that there is one in the middle
    #[arg(long, value_name = "R", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..))]
    repeats: u16,

    /// Leave shrinking out
    #[arg(long)]
    no_shrinking: bool,
}

/// Planted in the swarm, found and shrunk. Each is in the gallery.
const SHRUNK: [&str; 2] = ["conflict-is-loss", "no-epoch-check"];

/// Seeds of the swarm that may pass before such a defect shows.
const SHRUNK_SEEDS_MAX: u64 = 60;

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    for name in ["standard", "swarm"] {
        speed(&shipped(name)?, args.seeds, args.repeats)?;
    }
    if args.no_shrinking {
        return Ok(());
    }
    println!("shrinking, CPU time of all its runs; planted in the swarm");
    SHRUNK.into_iter().try_for_each(|name| shrinking(name).context(name))
}

// === speed ===

/// What one scenario took.
#[derive(Debug, Default)]
struct Took {
    simulated_s: f64,
    /// CPU seconds of all seeds, in the order of the repeats: of everything, without the oracles, of an empty world.
    cpu_s: [Vec<f64>; 3],
}

fn speed(scenario: &Scenario, seeds: u64, repeats: u16) -> anyhow::Result<()> {
    let (mut events, mut first) = (Events::default(), Vec::new());
    for seed in 1..=seeds {
        // Not measured, and warms everything up.
        let plan = scenario.plan(seed);
        let ran = batch::alone(&everything, &plan);
        ensure!(ran.outcome.violation.is_none(), "{} under seed {seed} fails", scenario.name);
        first.push((plan, events.count(&ran), ran.outcome.hash));
    }
    let mut took = Took { simulated_s: events.simulated_s, ..Took::default() };
    for repeat in 0..repeats {
        let mut cpu_s = [0.0; 3];
        for (plan, hosts, hash) in &first {
            let empty = |plan: &Plan| empty_world(plan, *hosts);
            let runners: [Runner<'_>; 3] = [&everything, &without_oracles, &empty];
            for turn in 0..3 {
                let left = (turn + usize::from(repeat)) % 3;
                let ran = batch::alone(runners[left], plan);
                let is_same = left == 2 || ran.outcome.hash == *hash;
                ensure!(is_same, "seed {} is another run when it is measured", plan.seed);
                cpu_s[left] += ran.cpu_s;
            }
        }
        took.cpu_s.iter_mut().zip(cpu_s).for_each(|(all, cpu_s)| all.push(cpu_s));
    }
    println!("{}, seeds 1 to {seeds}, {repeats} repeats: medians, and from least to most", scenario.name);
    let hosts: usize = first.iter().map(|(_, hosts, _)| hosts).sum();
    took.print(seeds as f64, hosts as f64 / seeds as f64);
    events.print();
    Ok(())
}

fn everything(plan: &Plan) -> (Outcome, Trace) {
    let run = run::run(plan, &Product::default());
    (run.outcome, run.trace)
}

/// As [`run::run`], but nobody judges.
fn without_oracles(plan: &Plan) -> (Outcome, Trace) {
    let trace = Trace::default();
    with_default(NoSubscriber::default(), || {
        let mut world = World::new(plan, &Product::default(), &trace);
        let run_until = |world: &mut World<'_>, until_ms| {
            while world.now_ms() + TICK_MS <= until_ms {
                world.tick().expect("a world that has ended well before does so again");
            }
        };
        run_until(&mut world, plan.faulty_ms);
        world.heal();
        run_until(&mut world, plan.faulty_ms + plan.healed_ms);
    });
    (nothing_judged(trace.hash()), trace)
}

/// Only the network and the runtimes of its hosts, on which nothing happens.
fn empty_world(plan: &Plan, hosts: usize) -> (Outcome, Trace) {
    with_default(NoSubscriber::default(), || {
        let tick = Duration::from_millis(TICK_MS);
        let mut sim = turmoil::Builder::new()
            .tick_duration(tick)
            .simulation_duration(Duration::from_secs(u64::from(u32::MAX)))
            .build();
        for host in 0..hosts {
            sim.host(format!("host-{host}"), pending);
        }
        for _ in 0..(plan.faulty_ms + plan.healed_ms) / TICK_MS {
            sim.step().expect("where nothing happens nothing fails");
        }
    });
    (nothing_judged(String::new()), Trace::default())
}

fn nothing_judged(hash: String) -> Outcome {
    Outcome {
        violation: None,
        hash,
        simulated_ms: 0,
        worst_recovery_ms: None,
        reached: BTreeMap::new(),
        checks: 0,
    }
}

// === impl Took ===

impl Took {
    fn print(&self, seeds: f64, hosts: f64) {
        let [all, unjudged, empty] = &self.cpu_s;
        let differences = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
        let (oracles, rest) = (differences(all, unjudged), differences(unjudged, empty));
        let rate = |of: f64| all.iter().map(|cpu_s| of / cpu_s).collect::<Vec<_>>();
        line("simulated seconds per CPU second", "", Spread::of(&rate(self.simulated_s)), 0);
        line("seeds per CPU second", "", Spread::of(&rate(seeds)), 2);
        let middle = Spread::of(all).middle;
        let parts = [
            ("everything".to_owned(), all),
            ("the oracles".to_owned(), &oracles),
            (format!("an empty world of {hosts:.1} hosts"), empty),
            ("product, Flink's model, store, API server".to_owned(), &rest),
        ];
        for (name, cpu_s) in parts {
            let ms: Vec<f64> = cpu_s.iter().map(|cpu_s| cpu_s * 1e3 / self.simulated_s).collect();
            let share = format!("{:3.0} %", Spread::of(cpu_s).middle / middle * 100.0);
            line(&format!("CPU ms per simulated second: {name}"), &share, Spread::of(&ms), 2);
        }
    }
}

/// What happened in all seeds together.
#[derive(Debug, Default)]
struct Events {
    simulated_s: f64,
    counts: BTreeMap<&'static str, u64>,
    record_bytes: usize,
}

// === impl Events ===

impl Events {
    /// Counts a run, and says how many hosts ran in it on the average.
    fn count(&mut self, ran: &Ran) -> usize {
        let entries = ran.trace.entries();
        let simulated_ms = ran.outcome.simulated_ms;
        // The store and the API server always run.
        let (mut running, mut since_ms, mut host_ms) = (2, 0, 0);
        for entry in &entries {
            host_ms += running * (entry.at_ms - since_ms);
            since_ms = entry.at_ms;
            *self.counts.entry("events").or_default() += 1;
            let what = match &entry.event {
                Event::StoreCreated { key, body } if key.contains("/log/") => {
                    self.record_bytes += body.len();
                    "records"
                }
                Event::LeaseWritten { .. } => "Lease writes",
                Event::CheckpointCompleted { .. } => "checkpoints",
                Event::ProcessStarted { .. } => {
                    running += 1;
                    "process starts"
                }
                Event::ProcessEnded { .. } | Event::ProcessKilled { .. } => {
                    running -= 1;
                    continue;
                }
                _ => continue,
            };
            *self.counts.entry(what).or_default() += 1;
        }
        host_ms += running * (simulated_ms - since_ms);
        self.simulated_s += simulated_ms as f64 / 1e3;
        usize::try_from((host_ms + simulated_ms / 2) / simulated_ms.max(1)).unwrap_or(usize::MAX)
    }

    fn print(&self) {
        let per_s = |count: u64| count as f64 / self.simulated_s;
        let counts: Vec<_> =
            self.counts.iter().map(|(what, count)| format!("{:.2} {what}", per_s(*count))).collect();
        let records = self.counts.get("records").copied().unwrap_or_default();
        println!("  in a simulated second: {}", counts.join(", "));
        println!("  bytes of a record: {:.0}\n", self.record_bytes as f64 / records.max(1) as f64);
    }
}

// === shrinking ===

/// Plants a defect in the swarm, and shrinks the first seed that shows it as `holdfast-sim run` would.
fn shrinking(name: &str) -> anyhow::Result<()> {
    let mut gallery = gallery::gallery().into_iter();
    let defect = gallery.find(|defect| defect.name == name).context("the gallery has it no more")?;
    let product = defect.product();
    let runner = |plan: &Plan| {
        let run = run::run(plan, &product);
        (run.outcome, run.trace)
    };
    let swarm = shipped("swarm")?;
    let shows = |seed: &u64| {
        let broken = batch::alone(&runner, &swarm.plan(*seed)).outcome.violation;
        broken.is_some_and(|broken| defect.properties.contains(&broken.property))
    };
    let Some(seed) = (1..=SHRUNK_SEEDS_MAX).find(shows) else {
        println!("  {name:<22} does not show in {SHRUNK_SEEDS_MAX} seeds");
        return Ok(());
    };
    let before_s = batch::process_cpu_s();
    let campaign = Campaign { scenarios: vec![swarm], seeds: seed..=seed, jobs: 1 };
    let summary = campaign.run(&runner, &|| false, &mut |_| {});
    let cpu_s = batch::process_cpu_s() - before_s;
    let failure = summary.failures.first().context("a seed that failed does so again")?;
    let Shrinking::Done { runs, gave_up } = failure.shrinking else {
        anyhow::bail!("{:?}", failure.shrinking);
    };
    println!(
        "  {name:<22} seed {seed:>2}: {:>2} faults to {}, {runs:>3} runs, {cpu_s:5.1} s{}",
        failure.faults_before,
        failure.faults.len(),
        if gave_up { ", not through" } else { "" },
    );
    Ok(())
}

// === figures ===

/// A median and its range.
struct Spread {
    least: f64,
    middle: f64,
    most: f64,
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        Self { least: values[0], middle: values[values.len() / 2], most: values[values.len() - 1] }
    }
}

fn line(what: &str, share: &str, Spread { least, middle, most }: Spread, digits: usize) {
    println!("  {what:<72} {middle:>7.digits$} ({least:.digits$} to {most:.digits$}) {share}");
}

fn shipped(name: &str) -> anyhow::Result<Scenario> {
    let found = scenario::find(name).map_err(anyhow::Error::new)?;
    found.into_iter().next().context("a name is of one scenario")
}
