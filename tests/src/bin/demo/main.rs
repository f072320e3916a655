//! `make demo`: a real Flink job loses its JobManager and then its sidecar, both by `kill -9`, and nothing else.
//!
//! Ends with one line that begins with `RESULT`, and with exit status 0 only if that says `ok`. Leaves no process behind,
//! whichever way it ends.
#![forbid(unsafe_code)]

mod run;
mod table;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, anyhow};
use clap::Parser;
use futures::FutureExt;
use harness::artifacts::Artifacts;
use harness::{output, process};

/// The Flink version that `make demo` gets when it is given none.
const FLINK_VERSION: &str = "2.2.1";

#[derive(Debug, Parser)]
#[command(
    name = "holdfast-demo",
    about = "Kills a JobManager and a sidecar, and checks that nothing is lost"
)]
struct Arguments {
    /// A Flink distribution to use instead of the one in the cache
    #[arg(long, env = "FLINK_HOME")]
    flink_home: Option<PathBuf>,
}

// One thread: everything that takes time happens in other processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whichever branch wins, the other future is dropped, and with it every process that it started.
    let outcome = tokio::select! {
        finished = AssertUnwindSafe(demo(&arguments)).catch_unwind() => finished.unwrap_or_else(panicked),
        signal = process::asked_to_end() => signal.and_then(|name| Err(anyhow!("stopped by {name}"))),
    };
    match outcome {
        Ok(result) => {
            output::line(format!("RESULT ok {result}"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            output::line(format!("RESULT failed {}", one_line(&error)));
            ExitCode::FAILURE
        }
    }
}

async fn demo(arguments: &Arguments) -> Result<String> {
    // `make` hands on an empty variable as an empty value.
    let home = arguments.flink_home.as_ref().filter(|home| !home.as_os_str().is_empty());
    let artifacts = match home {
        Some(home) => Artifacts::for_home(home)?,
        None => Artifacts::for_version(FLINK_VERSION)?,
    };
    run::run(artifacts).await
}

fn panicked(payload: Box<dyn Any + Send>) -> Result<String> {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    Err(anyhow!("a bug in the demo: {text}"))
}

fn one_line(error: &anyhow::Error) -> String {
    format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ")
}
