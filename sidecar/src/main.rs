//! `holdfast`: see the [`sidecar`] crate.

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    sidecar::args::Args::parse().run()
}
