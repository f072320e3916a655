//! Commits and opening, by backend and by length of the log; and commits of several writers at once.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use operations::log::{Place, Trim};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

const RECORDS: [u64; 3] = [10, 1_000, 10_000];
const WRITERS: [usize; 4] = [1, 4, 16, 64];

/// As the sidecar has it.
fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// The same log of so many records, in memory and in a directory that is deleted with the second value.
fn places(runtime: &Runtime, records: u64) -> ([(&'static str, Place); 2], TempDir) {
    let directory = tempfile::tempdir().expect("a directory");
    let places = runtime.block_on(async {
        let memory = Place::memory();
        let written = memory.led(records).await;
        written.store.close(Duration::from_secs(5)).await;
        let copy = memory.copied_to(directory.path()).await.expect("a copy");
        [("memory", memory), ("directory", copy)]
    });
    (places, directory)
}

fn commit(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("commit");
    for records in RECORDS {
        let (places, _directory) = places(&runtime, records);
        for (backend, place) in places {
            let led = runtime.block_on(place.led(0));
            let mut trim = Trim::new(place.backend.clone(), records);
            group.bench_function(BenchmarkId::new(backend, records), |bencher| {
                bencher.iter_custom(|times| {
                    runtime.block_on(async {
                        let mut took = Duration::ZERO;
                        for _ in 0..times {
                            let began = Instant::now();
                            black_box(led.next_id().await);
                            took += began.elapsed();
                            trim.to(led.records()).await;
                        }
                        took
                    })
                });
            });
        }
    }
}

fn open(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("open");
    for records in RECORDS {
        let (places, _directory) = places(&runtime, records);
        for (backend, place) in places {
            group.bench_function(BenchmarkId::new(backend, records), |bencher| {
                bencher.to_async(&runtime).iter(|| place.open());
            });
        }
    }
}

fn commits_together(criterion: &mut Criterion) {
    let runtime = runtime();
    let mut group = criterion.benchmark_group("commits-of-writers");
    for writers in WRITERS {
        let (places, _directory) = places(&runtime, 10);
        group.throughput(Throughput::Elements(writers as u64));
        for (backend, place) in places {
            let led = runtime.block_on(place.led(0));
            let mut trim = Trim::new(place.backend.clone(), 100);
            group.bench_function(BenchmarkId::new(backend, writers), |bencher| {
                bencher.iter_custom(|times| {
                    runtime.block_on(async {
                        let mut took = Duration::ZERO;
                        for _ in 0..times {
                            let began = Instant::now();
                            led.together(writers).await;
                            took += began.elapsed();
                            trim.to(led.records()).await;
                        }
                        took
                    })
                });
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(20)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1));
    targets = commit, open, commits_together
}
criterion_main!(benches);
