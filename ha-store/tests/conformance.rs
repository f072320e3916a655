//! The conformance suite over memory and over a directory.

use ha_store::conformance::{Bench, RULES};
use ha_store::{BackendOptions, StoreUrl};
use object_store::memory::InMemory;
use std::sync::Arc;

#[tokio::test]
async fn every_rule_holds_in_memory() {
    for (name, rule) in RULES {
        println!("{name}");
        rule(&Bench::new(Arc::new(InMemory::new()))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_holds_in_a_directory() {
    let directory = tempfile::tempdir().unwrap();
    let url: StoreUrl = directory.path().to_str().unwrap().parse().unwrap();
    let bench = Bench::new(url.connect(&BackendOptions::default()).unwrap());
    for (name, rule) in RULES {
        println!("{name}");
        rule(&bench).await;
    }
}
