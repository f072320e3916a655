//! How many seconds are simulated in one second of processor time. What costs what in it: `make simulator-figures`.

use std::time::Duration;

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use mimalloc::MiMalloc;
use simulator::product::Product;
use simulator::{batch, run, scenario};

/// As `holdfast-sim` has it.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Elements a second are simulated seconds a second; the seconds are those of the thread's processor time, not of the clock.
fn standard(criterion: &mut Criterion) {
    let found = scenario::find("standard").expect("it is shipped");
    let plan = found.first().expect("a name is of one scenario").plan(1);
    let everything = |plan: &_| {
        let run = run::run(plan, &Product::default());
        (run.outcome, run.trace)
    };
    let mut group = criterion.benchmark_group("simulator");
    group.throughput(Throughput::Elements((plan.faulty_ms + plan.healed_ms) / 1_000));
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("standard", |bencher| {
        bencher.iter_custom(|times| {
            (0..times).map(|_| Duration::from_secs_f64(batch::alone(&everything, &plan).cpu_s)).sum()
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(5));
    targets = standard
}
criterion_main!(benches);
