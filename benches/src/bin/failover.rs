//! `cargo run --release -p benches --bin failover`: see [`benches::failover`].
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::anyhow;
use benches::failover::arguments::Arguments;
use benches::failover::run;
use clap::Parser;
use harness::{output, process};

// One thread: everything that takes time happens in other processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whichever branch wins, the other future is dropped, and with it every process that it started.
    let outcome = tokio::select! {
        finished = run::run(&arguments) => finished,
        signal = process::asked_to_end() => signal.and_then(|name| Err(anyhow!("stopped by {name}"))),
    };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            output::line(format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
