//! `make kubernetes-figures`: what leadership on Kubernetes costs the API server, beside Flink's own Kubernetes HA, and how long
//! it takes to change hands in each way that a pod can fail. Prints the tables of `docs/kubernetes.md`, judges nothing.
//!
//! The API server, etcd, Flink, its job and the sidecars are real processes. Pods are objects whose status this program writes,
//! because there is no kubelet.
#![forbid(unsafe_code)]

mod failures;
mod requests;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Parser;
use harness::{output, process};

#[derive(Debug, Parser)]
#[command(
    name = "holdfast-kubernetes-figures",
    about = "Counts requests to a Kubernetes API server and times changes of leadership"
)]
struct Arguments {
    /// A Flink distribution to use instead of the one in the cache
    #[arg(long)]
    flink_home: Option<PathBuf>,

    /// How long requests are counted, for each kind of high availability and each checkpoint interval
    #[arg(long, default_value_t = 180)]
    window_s: u64,

    /// How often each failure is repeated
    #[arg(long, default_value_t = 9)]
    repetitions: u32,

    /// Leave out what needs Flink: only the failures are timed
    #[arg(long)]
    without_flink: bool,
}

// One thread: everything that takes time happens in other processes.
#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // Whichever branch wins, the other future is dropped, and with it every process that it started.
    let outcome = tokio::select! {
        finished = measure(&arguments) => finished,
        signal = process::asked_to_end() => signal.and_then(|name| Err(anyhow!("stopped by {name}"))),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output::line(format!("failed: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn measure(arguments: &Arguments) -> Result<()> {
    let timings = failures::time(arguments.repetitions).await.context("timing failures")?;
    let mut in_outage = None;
    if !arguments.without_flink {
        let window = Duration::from_secs(arguments.window_s);
        let counted =
            requests::count(arguments.flink_home.as_deref(), window).await.context("counting requests")?;
        table::requests(&counted);
        in_outage = Some(counted.in_outage);
    }
    table::failures(&timings, in_outage);
    Ok(())
}
