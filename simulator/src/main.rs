//! `holdfast-sim`: see the [`simulator`] crate.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;

/// A run makes and drops small things all the time, on one thread: with this it is faster by some percent
/// (docs/simulator.md, figures).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    simulator::args::Args::parse().run()
}
