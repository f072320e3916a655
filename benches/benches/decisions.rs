//! What costs processor time only: records as bytes, the state machines, the planner, the reader of `_metadata`.
//!
//! The very operations whose instructions CI counts. Those of the log are in `log.rs`, on real threads and with real time.

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use operations::{COUNTED, elector, metadata, record, sessions};

/// How much one call of an operation does, for those where that is not one.
fn throughput(name: &str) -> Option<Throughput> {
    let bytes = |bytes: usize| Throughput::Bytes(bytes as u64);
    match name {
        "record/encode" | "record/parse" => Some(bytes(record::bytes().len())),
        "metadata/heap" => Some(bytes(metadata::HEAP.len())),
        "metadata/rocksdb-incremental" => Some(bytes(metadata::ROCKSDB_INCREMENTAL.len())),
        "metadata/file-merging" => Some(bytes(metadata::FILE_MERGING.len())),
        "elector/leader" | "elector/candidate" => Some(Throughput::Elements(elector::TICKS)),
        "sessions/failover" => Some(Throughput::Elements(sessions::FAILOVERS)),
        _ => None,
    }
}

fn decisions(criterion: &mut Criterion) {
    for operation in COUNTED.iter().filter(|operation| !operation.name.starts_with("log/")) {
        let (group, name) = operation.name.split_once('/').expect("group/name");
        let mut group = criterion.benchmark_group(group);
        if let Some(throughput) = throughput(operation.name) {
            group.throughput(throughput);
        }
        let mut run = (operation.prepare)();
        group.bench_function(name, |bencher| bencher.iter(&mut run));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500));
    targets = decisions
}
criterion_main!(benches);
