//! `holdfast-sim`: see the [`simulator`] crate.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    simulator::args::Args::parse().run()
}
