//! Many runs: each seed on a thread of its own, results in the order of the seeds however many threads there are.
//!
//! Runs share nothing. A fresh thread for each keeps thread-locals and counters of one run out of the next one, so that what
//! a seed does cannot depend on which seeds ran before it. This is the only place of the simulator that starts threads, and
//! no run ever sees them.

use std::collections::BTreeMap;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use rustix::time::{ClockId, clock_gettime};

use crate::outcome::{Outcome, Violation};
use crate::plan::Plan;
use crate::trace::Trace;

/// Whatever runs a plan.
pub type Runner<'a> = &'a (dyn Fn(&Plan) -> (Outcome, Trace) + Sync);

/// One run that is over.
#[derive(Debug)]
pub struct Ran {
    /// How it ended.
    pub outcome: Outcome,
    /// Everything that happened; empty when it panicked.
    pub trace: Trace,
    /// The CPU time of its thread, seconds.
    pub cpu_s: f64,
}

/// The property that a run breaks in which something panics: the product or the simulator itself.
pub const NO_PANIC: &str = "no-panic";

/// More than any run needs; the nested futures of a debug build need more than a thread's usual 2 MiB.
const STACK_BYTES: usize = 16 << 20;

/// Runs one plan on a thread of its own. A panic is a violation like any other.
pub fn alone(runner: Runner<'_>, plan: &Plan) -> Ran {
    thread::scope(|scope| {
        let body = || {
            let ran = panic::catch_unwind(AssertUnwindSafe(|| runner(plan)));
            let (outcome, trace) = ran.unwrap_or_else(|payload| (panicked(&*payload), Trace::default()));
            Ran { outcome, trace, cpu_s: cpu_s(ClockId::ThreadCPUTime) }
        };
        let named = thread::Builder::new().name(format!("seed {}", plan.seed)).stack_size(STACK_BYTES);
        let thread = named.spawn_scoped(scope, body).expect("the system gives one more thread");
        thread.join().expect("every panic of a run is caught in its thread")
    })
}

/// Runs the plans on `jobs` threads, and gives each result to `each` in the order of the plans. Once `stop` says so no further
/// plan is begun, and those that ran are the first ones.
pub fn all<P: Fn(usize) -> Plan + Sync>(
    runner: Runner<'_>,
    plan: P,
    count: usize,
    jobs: usize,
    stop: &(dyn Fn() -> bool + Sync),
    each: &mut dyn FnMut(usize, &Ran),
) {
    // Traces are large; whoever wants one runs the plan again.
    let work = |index| Ran { trace: Trace::default(), ..alone(runner, &plan(index)) };
    in_order(&work, count, jobs, stop, &mut |index, ran| each(index, &ran));
}

/// Does `count` pieces of work on `jobs` threads, and gives each result to `each` in their order. Once `stop` says so no
/// further piece is begun, and those that were done are the first ones.
pub fn in_order<T: Send>(
    work: &(dyn Fn(usize) -> T + Sync),
    count: usize,
    jobs: usize,
    stop: &(dyn Fn() -> bool + Sync),
    each: &mut dyn FnMut(usize, T),
) {
    let next = AtomicUsize::new(0);
    let (done, results) = mpsc::channel();
    thread::scope(|scope| {
        for job in 0..jobs.clamp(1, count.max(1)) {
            let (done, next) = (done.clone(), &next);
            let work = move || {
                // The first piece is done in any case: a summary of nothing helps nobody.
                while next.load(Ordering::Relaxed) == 0 || !stop() {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= count || done.send((index, work(index))).is_err() {
                        return;
                    }
                }
            };
            let named = thread::Builder::new().name(format!("worker {job}"));
            named.spawn_scoped(scope, work).expect("the system gives one more thread");
        }
        drop(done);
        let (mut waiting, mut following) = (BTreeMap::new(), 0);
        for (index, result) in results {
            waiting.insert(index, result);
            while let Some(result) = waiting.remove(&following) {
                each(following, result);
                following += 1;
            }
        }
    });
}

/// The CPU time of this process so far, seconds.
pub fn process_cpu_s() -> f64 {
    cpu_s(ClockId::ProcessCPUTime)
}

fn cpu_s(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn panicked(payload: &(dyn std::any::Any + Send)) -> Outcome {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
    Outcome {
        violation: Some(Violation { property: NO_PANIC, at_ms: 0, entry: 0, what: text.to_owned() }),
        hash: blake3::hash(text.as_bytes()).to_hex()[..16].to_owned(),
        simulated_ms: 0,
        worst_recovery_ms: None,
        reached: BTreeMap::new(),
        checks: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    fn seeds_of(jobs: usize, count: usize) -> Vec<(usize, String)> {
        let mut seen = Vec::new();
        let scenario = testing::scenario();
        all(&testing::run, |index| scenario.plan(index as u64), count, jobs, &|| false, &mut |index, ran| {
            seen.push((index, ran.outcome.hash.clone()));
        });
        seen
    }

    #[test]
    fn results_come_in_order_and_are_the_same_on_any_number_of_threads() {
        let alone = seeds_of(1, 40);
        assert_eq!(alone.iter().map(|(index, _)| *index).collect::<Vec<_>>(), (0..40).collect::<Vec<_>>());
        assert_eq!(seeds_of(4, 40), alone);
    }

    #[test]
    fn a_stop_leaves_the_first_ones_and_at_least_one() {
        for stop_after in [0, 1, 7] {
            let begun = AtomicUsize::new(0);
            let scenario = testing::scenario();
            let plan = |index| {
                begun.fetch_add(1, Ordering::Relaxed);
                scenario.plan(index as u64)
            };
            let mut seen = Vec::new();
            let stop = || begun.load(Ordering::Relaxed) >= stop_after;
            all(&testing::run, plan, 100, 3, &stop, &mut |index, _| seen.push(index));
            assert_eq!(seen, (0..seen.len()).collect::<Vec<_>>());
            assert!(
                (stop_after.max(1)..stop_after + 4).contains(&seen.len()),
                "{} after {stop_after}",
                seen.len()
            );
        }
    }

    #[test]
    fn a_panic_is_a_violation_of_its_run_and_of_no_other() {
        let scenario = testing::scenario();
        let fragile = |plan: &Plan| {
            assert!(plan.seed != 3, "seed {} is one too many", plan.seed);
            testing::run(plan)
        };
        let mut broken = Vec::new();
        all(&fragile, |index| scenario.plan(index as u64), 5, 2, &|| false, &mut |index, ran| {
            broken.extend(ran.outcome.violation.clone().map(|violation| (index, violation)));
        });
        let of_seed_3: Vec<_> =
            broken.iter().filter(|(_, violation)| violation.property == NO_PANIC).collect();
        assert_eq!(of_seed_3.len(), 1);
        assert_eq!((of_seed_3[0].0, &*of_seed_3[0].1.what), (3, "seed 3 is one too many"));
    }
}
