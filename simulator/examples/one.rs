#![allow(clippy::print_stdout, missing_docs)]
use simulator::run::{Product, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let scenario = simulator::scenario::find(&args[1]).unwrap().remove(0);
    let seeds: Vec<u64> = args[2].split(',').map(|s| s.parse().unwrap()).collect();
    for seed in seeds {
        let plan = scenario.plan(seed);
        let started = std::process::Command::new("true").status();
        drop(started);
        let run = std::thread::Builder::new()
            .stack_size(32 << 20)
            .spawn({
                let plan = plan.clone();
                move || run(&plan, &Product::default())
            })
            .unwrap()
            .join()
            .unwrap();
        println!(
            "== seed {seed} {:?} hash {} sim {} ms recovery {:?} reached {:?}",
            run.outcome.violation,
            run.outcome.hash,
            run.outcome.simulated_ms,
            run.outcome.worst_recovery_ms,
            run.outcome.reached
        );
        if args.len() > 3 {
            for (i, fault) in plan.faults.iter().enumerate() {
                println!("fault {} {}", i + 1, simulator::report::words::fault(fault));
            }
            for (i, entry) in run.trace.entries().iter().enumerate() {
                println!("{i} {}", simulator::report::words::entry(entry));
            }
        }
    }
}
