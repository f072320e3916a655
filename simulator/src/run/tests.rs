use super::*;
use crate::plan::{Fault, Job, PodChoice, Process, What, When, World as PlanWorld};
use crate::trace::{Event, JobStatus};
use crate::words;

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

#[test]
fn an_outage_of_the_api_server_leaves_a_healthy_job_alone() {
    for what in
        [What::ApiDown, What::ApiSilent, What::ApiRefuses { status: 503, permille: 1_000, retry_after_s: 1 }]
    {
        let run = holds(&plan(5, vec![at(10_000, what.clone(), 25_000)]));
        assert_eq!(
            count(&run, |event| matches!(event, Event::Granted { .. })),
            1,
            "{what:?}\n{}",
            story(&run)
        );
        assert_eq!(count(&run, |event| matches!(event, Event::JobRestarting { .. })), 0, "{what:?}");
    }
}

#[test]
fn a_pod_on_a_node_that_is_cut_off_is_replaced_while_it_runs_on() {
    let what = What::PartitionNode { pod: PodChoice::Leader, reaches_store: false };
    let run = holds(&plan(6, vec![at(10_000, what, 29_000)]));
    assert_eq!(count(&run, |event| matches!(event, Event::PodCreated { .. })), 2, "\n{}", story(&run));
    let entries = run.trace.entries();
    let second = entries.iter().position(|entry| matches!(entry.event, Event::Granted { epoch: 2, .. }));
    let second = second.unwrap_or_else(|| panic!("nobody took over\n{}", story(&run)));
    let old_ended = entries.iter().position(|entry| {
        entry.actor == "sidecar-0"
            && matches!(entry.event, Event::ProcessEnded { .. } | Event::ProcessKilled { .. })
    });
    assert!(old_ended.is_some_and(|ended| ended > second), "\n{}", story(&run));
}

#[test]
fn a_deleted_pod_is_replaced_and_the_next_one_need_not_wait_for_the_lease() {
    for force in [false, true] {
        let what = What::DeletePod { pod: PodChoice::Leader, force };
        let run = holds(&plan(7, vec![at(10_000, what, 0)]));
        assert_eq!(count(&run, |event| matches!(event, Event::PodDeleted { .. })), 1, "\n{}", story(&run));
        assert!(run.outcome.worst_recovery_ms.is_some_and(|ms| ms < 15_000), "{:?}", run.outcome);
    }
}

#[test]
fn an_upgrade_goes_on_from_the_last_checkpoint_in_a_new_generation() {
    let run = holds(&plan(
        8,
        vec![at(
            10_000,
            What::Upgrade { restore: Default::default(), claims: false, previous: false, mends: false },
            0,
        )],
    ));
    let generations: std::collections::BTreeSet<_> = generations(&run).into_iter().collect();
    assert_eq!(generations.len(), 2);
    let restored = |event: &Event| matches!(event, Event::JobRestored { from: Some(_), failover: true, .. });
    assert_eq!(count(&run, restored), 1, "\n{}", story(&run));
}

#[test]
fn a_cancelled_job_ends_and_its_pod_with_it() {
    let run = holds(&plan(9, vec![at(10_000, What::Cancel, 0)]));
    assert_eq!(count(&run, |event| matches!(event, Event::JobEnded { .. })), 1, "\n{}", story(&run));
    let ended = |event: &Event| matches!(event, Event::ProcessEnded { kind: "job-manager", code: 0 });
    assert_eq!(count(&run, ended), 1, "\n{}", story(&run));
    assert_eq!(count(&run, |event| matches!(event, Event::PodCreated { .. })), 1, "\n{}", story(&run));
}

#[test]
fn a_job_that_is_stopped_with_a_savepoint_finishes_and_its_pod_with_it() {
    let run = holds(&plan(11, vec![at(10_000, What::Savepoint, 0), at(20_000, What::StopWithSavepoint, 0)]));
    let saved = |event: &Event| matches!(event, Event::SavepointCompleted { .. });
    assert_eq!(count(&run, saved), 2, "\n{}", story(&run));
    let finished = |event: &Event| matches!(event, Event::JobEnded { status: JobStatus::Finished, .. });
    assert_eq!(count(&run, finished), 1, "\n{}", story(&run));
    let ended = |event: &Event| matches!(event, Event::ProcessEnded { kind: "job-manager", code: 0 });
    assert_eq!(count(&run, ended), 1, "\n{}", story(&run));
    assert_eq!(count(&run, |event| matches!(event, Event::PodCreated { .. })), 1, "\n{}", story(&run));
}

/// The generations of which pods were made, in their order.
fn generations(run: &Run) -> Vec<String> {
    let generation = |event: &Event| match event {
        Event::PodCreated { generation, .. } => Some(generation.clone()),
        _ => None,
    };
    run.trace.entries().iter().filter_map(|entry| generation(&entry.event)).collect()
}

#[test]
fn a_suspended_job_has_no_pod_and_goes_on_in_the_same_generation_when_it_is_resumed() {
    let run = holds(&plan(12, vec![at(10_000, What::Suspend, 20_000)]));
    let generations = generations(&run);
    assert!(matches!(&generations[..], [first, second] if first == second), "\n{}", story(&run));
    let entries = run.trace.entries();
    let made = entries.iter().filter(|entry| matches!(entry.event, Event::PodCreated { .. })).nth(1);
    assert!(made.is_some_and(|entry| entry.at_ms >= 30_000), "\n{}", story(&run));
    let restored = |event: &Event| matches!(event, Event::JobRestored { from: Some(_), failover: true, .. });
    assert_eq!(count(&run, restored), 1, "\n{}", story(&run));
}

#[test]
fn a_job_that_is_deleted_and_made_again_goes_on_from_its_newest_checkpoint_in_a_new_generation() {
    let run = holds(&plan(13, vec![at(10_000, What::DeleteJob, 15_000)]));
    let generations = generations(&run);
    assert!(matches!(&generations[..], [first, second] if first != second), "\n{}", story(&run));
    let restored = |event: &Event| matches!(event, Event::JobRestored { from: Some(_), failover: true, .. });
    assert_eq!(count(&run, restored), 1, "\n{}", story(&run));
}

#[test]
fn a_fault_that_is_tied_to_a_point_strikes_while_whoever_came_there_waits() {
    let when = When::On { point: crate::plan::Point::BeforeCreateAnswer, nth: 20 };
    let run = holds(&plan(10, vec![Fault { when, what: kill(Process::Sidecar), for_ms: 0 }]));
    assert_eq!(
        run.outcome.reached.get(crate::trace::reached::CRASH_IN_COMMIT),
        Some(&1),
        "\n{}",
        story(&run)
    );
}
