//! Part of `make figures`: what a sidecar costs before anybody uses it. Prints figures, judges nothing.
#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::Result;
use harness::artifacts;
use harness::net::free_address;
use harness::output;
use harness::sidecar::{Options, Sidecar};

/// Odd, so that there is one in the middle.
const STARTS: usize = 11;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let binary = artifacts::sidecar()?;
    let dir = tempfile::Builder::new().prefix("holdfast-figures-").tempdir()?;
    let store = dir.path().join("store");
    std::fs::create_dir(&store)?;

    let mut starts: Vec<Duration> = Vec::with_capacity(STARTS);
    let mut resident_bytes = 0;
    for start in 0..STARTS {
        let options = Options {
            name: "sidecar".to_owned(),
            deployment: "figures".to_owned(),
            generation: "rollout-1".to_owned(),
            store: format!("file://{}", store.display()),
            listen: free_address()?,
            public_listen: free_address()?,
            flags: Vec::new(),
            variables: Vec::new(),
        };
        let mut sidecar = Sidecar::start(&binary, &options, &dir.path().join(format!("{start}.log")))?;
        starts.push(sidecar.wait_until_ready().await?);
        resident_bytes = resident_bytes.max(sidecar.process.resident_bytes()?);
    }
    starts.sort();
    let ms = |start: Duration| start.as_secs_f64() * 1e3;
    output::line(format!(
        "sidecar: start to /ready {:.0} ms (median of {STARTS}; {:.0} to {:.0}), resident memory {:.1} MiB",
        ms(starts[STARTS / 2]),
        ms(starts[0]),
        ms(starts[STARTS - 1]),
        resident_bytes as f64 / f64::from(1 << 20),
    ));
    Ok(())
}
