//! The store in a directory: what was acknowledged is on disk.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

use ha_store::conformance::{Bench, add_checkpoint};
use ha_store::{Answer, BackendOptions, StoreError, StoreUrl};
use std::path::Path;
use std::time::Duration;

fn bench(directory: &Path) -> Bench {
    let url: StoreUrl = format!("file://{}", directory.display()).parse().unwrap();
    Bench::new(url.connect(&BackendOptions::default()).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reopened_directory_has_everything_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("not/there/yet");
    let deployment = bench(&place).deployment();
    for generation in 0..3_u64 {
        // A client of its own each time: nothing is carried over but the files.
        let bench = bench(&place);
        let store = bench.open(&deployment).await;
        let job_known = store.view().state.jobs.values().next().map_or(0, |job| job.checkpoints.len());
        assert_eq!(job_known as u64, generation * 10);
        let epoch = bench.claim(&store, "generation").await.epoch;
        for n in 1..=10 {
            let added = store.commit(epoch, bench.key(), add_checkpoint(generation * 10 + n)).await;
            assert_eq!(added, Ok(Answer::Created));
        }
        // As if the process had died.
        store.close(Duration::ZERO).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_can_be_read_with_cat() {
    let directory = tempfile::tempdir().unwrap();
    let bench = bench(directory.path());
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    bench.claim(&store, "rollout-1").await;
    let record = directory.path().join("conformance").join(deployment.as_str());
    let text = std::fs::read_to_string(record.join("log/00000000000000000001.json")).unwrap();
    for line in ["    \"kind\": \"claim\",", "    \"epoch\": 1,", "    \"generation\": \"rollout-1\","] {
        assert!(text.contains(line), "{line} is not a line of\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_cannot_be_made_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let url: StoreUrl = file.join("store").to_str().unwrap().parse().unwrap();
    let Err(StoreError::Unfit { store, .. }) = url.connect(&BackendOptions::default()) else {
        panic!("a file is not a directory");
    };
    assert!(store.contains("a-file/store"), "{store}");
}
