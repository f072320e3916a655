//! The command line.
//!
//! Exit status: 0 every promise held, 1 one was broken, 2 wrong usage, a broken scenario, an output that cannot be
//! written, or results that cannot be read together because some are missing.

mod collect;
mod gallery;
mod progress;
mod replay;
mod run;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::product::Product;
use crate::scenario;
use crate::trace::Trace;

/// Runs Holdfast in a deterministic world, breaks everything around it, and checks that no record is lost
#[derive(Debug, Parser)]
#[command(name = "holdfast-sim", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run scenarios under many seeds
    Run(run::RunArgs),
    /// Run one seed again, in full detail
    Replay(replay::ReplayArgs),
    /// Read together what the shards of `run --shard I/N --results URL` left there
    Collect(collect::CollectArgs),
    /// Plant known defects, one after the other; each must be caught within its budget of seeds
    Gallery(gallery::GalleryArgs),
    /// List the scenarios that are shipped
    List,
}

const BROKEN: u8 = 1;
const USAGE: u8 = 2;

// === impl Args ===

impl Args {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Run(args) => args.run(&simulate),
            Command::Replay(args) => args.run(&simulate),
            Command::Collect(args) => args.run(),
            Command::Gallery(args) => args.run(),
            Command::List => list(),
        };
        match done {
            Ok(true) => ExitCode::SUCCESS,
            Ok(false) => ExitCode::from(BROKEN),
            Err(error) => refuse(&error),
        }
    }
}

/// The product itself, in the world.
fn simulate(plan: &Plan) -> (Outcome, Trace) {
    let run = crate::run::run(plan, &Product::default());
    (run.outcome, run.trace)
}

/// Every shipped scenario with its story and its incidents.
fn list() -> anyhow::Result<bool> {
    let mut text = String::new();
    for (name, _) in scenario::shipped() {
        for scenario in scenario::find(name)? {
            let incidents = match scenario.incidents.is_empty() {
                true => String::new(),
                false => format!(" ({})", scenario.incidents.join(", ")),
            };
            text.push_str(&format!("{name}{incidents}\n    {}\n", scenario.story));
        }
    }
    print(&text)?;
    Ok(true)
}

/// Writes to standard output. A reader that has gone away (`| head`) is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(anyhow::Error::new(error).context("cannot write to standard output"))
        }
        _ => Ok(()),
    }
}

#[allow(clippy::print_stderr)] // there is no log: this is a command
fn refuse(error: &anyhow::Error) -> ExitCode {
    eprintln!("holdfast-sim: {error:#}");
    ExitCode::from(USAGE)
}
