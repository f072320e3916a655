//! What the log costs over one bare durable write: commit latency in a store, against `object_store`'s own create of the
//! very same bytes beside it (in a directory with fsync, as every commit is).
//!
//! Both are measured in turns in one run, so that a busy disk troubles both, and by a task of the runtime, as the
//! sidecar's handlers are: from a thread outside of it, each commit would wake one more thread than a create does.
//! Prints medians and their ratio:
//!
//! ```text
//! cargo run --release -p ha-store --features conformance --example commit_latency [STORE]
//! ```

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use ha_store::conformance::{Bench, add_checkpoint};
use ha_store::{BackendOptions, Change, StoreUrl};
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::time::Duration;
use tokio::time::Instant;

const ROUNDS: u64 = 500;

/// Live checkpoints that make the record about as large as a real job's.
const CHECKPOINTS: u64 = 10;

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    tokio::spawn(measure()).await?
}

async fn measure() -> Result<(), Failure> {
    let scratch = tempfile::tempdir()?;
    let store_url = match std::env::args().nth(1) {
        Some(url) => url,
        None => scratch.path().display().to_string(),
    };
    let url: StoreUrl = store_url.parse()?;
    let backend = url.connect(&BackendOptions::default())?;
    let bench = Bench::new(backend.clone());
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "generation").await.epoch;
    for id in 1..=CHECKPOINTS {
        store.commit(epoch, bench.key(), add_checkpoint(id)).await?;
    }

    let bare = bench.prefix.clone().join(deployment.as_str()).join("bare");
    let (mut commits, mut creates, mut bytes) = (Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        let job = store.view().state.jobs.keys().next().ok_or("a job")?.clone();
        let began = Instant::now();
        store.commit(epoch, bench.key(), Change::NextCheckpointId { job }).await?;
        commits.push(began.elapsed());

        // The very bytes: a record remembers the last answers, and grows until it remembers as many as it may.
        let newest = store.view().header.as_ref().ok_or("a record")?.sequence;
        let record = backend.get(&bench.record(&deployment, newest.get())).await?.bytes().await?;
        bytes = record.len();
        let key = bare.clone().join(format!("{round:020}.json"));
        let began = Instant::now();
        backend.put_opts(&key, PutPayload::from(record), PutMode::Create.into()).await?;
        creates.push(began.elapsed());
    }

    let (commit, create) = (median(commits), median(creates));
    println!("{ROUNDS} rounds, records of up to {bytes} bytes, in {store_url}");
    println!("bare create  {:>9.1} µs", create.as_secs_f64() * 1e6);
    println!("commit       {:>9.1} µs", commit.as_secs_f64() * 1e6);
    println!("ratio        {:>9.2}", commit.as_secs_f64() / create.as_secs_f64());
    store.close(Duration::from_secs(1)).await;
    Ok(())
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
