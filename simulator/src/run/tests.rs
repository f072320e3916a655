use super::*;
use crate::plan::{Fault, Job, PodChoice, Process, What, When, World as PlanWorld};
use crate::report::words;
use crate::trace::Event;

/// 20 s of the job, then these faults from there on, then everything mended and 60 s more.
fn plan(seed: u64, faults: Vec<Fault>) -> Plan {
    Plan {
        scenario: "test".into(),
        seed,
        world: PlanWorld::default(),
        job: Job::default(),
        faults,
        faulty_ms: 40_000,
        healed_ms: 60_000,
    }
}

fn at(at_ms: u64, what: What, for_ms: u64) -> Fault {
    Fault { when: When::AtMs(at_ms), what, for_ms }
}

fn kill(process: Process) -> What {
    What::Kill { pod: PodChoice::Leader, process }
}

/// Runs a plan that must break nothing.
fn holds(plan: &Plan) -> Run {
    let run = run(plan, &Product::default());
    assert_eq!(run.outcome.violation, None, "\n{}", story(&run));
    run
}

fn story(run: &Run) -> String {
    run.trace.entries().iter().map(|entry| format!("{}\n", words::entry(entry))).collect()
}

fn count(run: &Run, wanted: impl Fn(&Event) -> bool) -> usize {
    run.trace.entries().iter().filter(|entry| wanted(&entry.event)).count()
}

#[test]
fn a_pod_elects_itself_and_runs_the_job() {
    let run = holds(&plan(1, Vec::new()));
    assert_eq!(count(&run, |event| matches!(event, Event::Granted { .. })), 1, "\n{}", story(&run));
    let completed = count(&run, |event| matches!(event, Event::CheckpointCompleted { .. }));
    assert!(completed > 60, "{completed}\n{}", story(&run));
}

#[test]
fn the_same_plan_gives_the_same_hash_whatever_ran_before() {
    let faults = || vec![at(20_000, kill(Process::JobManager), 0), at(25_000, kill(Process::Sidecar), 0)];
    let first = holds(&plan(3, faults()));
    let other = holds(&plan(4, faults()));
    let again = holds(&plan(3, faults()));
    assert_ne!(first.outcome.hash, other.outcome.hash);
    assert_eq!(first.trace.entries(), again.trace.entries());
    assert_eq!(first.outcome, again.outcome);
}

#[test]
fn a_job_manager_that_is_killed_is_started_again_and_restores_the_newest_checkpoint() {
    let run = holds(&plan(2, vec![at(20_000, kill(Process::JobManager), 0)]));
    let restored = |event: &Event| matches!(event, Event::JobRestored { from: Some(_), failover: true, .. });
    assert_eq!(count(&run, restored), 1, "\n{}", story(&run));
    assert_eq!(count(&run, |event| matches!(event, Event::Granted { epoch: 2, .. })), 1, "\n{}", story(&run));
    assert!(run.outcome.worst_recovery_ms.is_some_and(|ms| ms < 10_000), "{:?}", run.outcome);
}

#[test]
fn a_sidecar_that_is_killed_comes_back_and_the_job_notices_nothing() {
    let run = holds(&plan(2, vec![at(20_000, kill(Process::Sidecar), 0)]));
    assert_eq!(count(&run, |event| matches!(event, Event::JobRestarting { .. })), 0, "\n{}", story(&run));
    let resumed = |event: &Event| matches!(event, Event::Granted { epoch: 1, resumed: true });
    assert_eq!(count(&run, resumed), 1, "\n{}", story(&run));
}
