//! Savepoints, and jobs that end with one.

use super::rig::{JOB, JOB_MANAGER, Options, Rig};
use crate::plan::{Job, Point, When};
use crate::trace::{Event, JobStatus, reached};

fn completed(event: &Event) -> bool {
    matches!(event, Event::CheckpointCompleted { .. })
}

fn saved(event: &Event) -> bool {
    matches!(event, Event::SavepointCompleted { .. })
}

fn restarting(event: &Event) -> bool {
    matches!(event, Event::JobRestarting { .. })
}

fn savepoint_ids(rig: &Rig) -> Vec<u64> {
    let id = |event| if let Event::SavepointCompleted { id, .. } = event { Some(id) } else { None };
    rig.events().into_iter().filter_map(id).collect()
}

fn restored(rig: &Rig) -> Vec<Option<u64>> {
    let from = |event| if let Event::JobRestored { from, .. } = event { Some(from) } else { None };
    rig.events().into_iter().filter_map(from).collect()
}

fn exits_with(rig: &mut Rig, code: i32) {
    let end_ms = rig.trace.now_ms() + 60_000;
    while rig.exit_codes().is_empty() {
        assert!(rig.trace.now_ms() < end_ms, "it does not end:\n{}", rig.story());
        rig.step();
    }
    assert_eq!(rig.exit_codes(), [code], "\n{}", rig.story());
}

fn status(rig: &Rig) -> Vec<JobStatus> {
    let status = |event| if let Event::JobEnded { status, .. } = event { Some(status) } else { None };
    rig.events().into_iter().filter_map(status).collect()
}

fn at_savepoint() -> Vec<When> {
    vec![When::On { point: Point::SavepointCompleted, nth: 1 }]
}

#[test]
fn a_savepoint_has_an_id_between_checkpoints_commits_nothing_and_stays() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, completed);
    rig.cluster.savepoint();
    rig.run_until(30_000, 1, saved);
    let id = savepoint_ids(&rig)[0];
    rig.run_until(30_000, 6, completed);
    let committed_for_it =
        rig.count(|event| matches!(event, Event::SinkCommitted { checkpoint, .. } if *checkpoint == id));
    assert_eq!(committed_for_it, 0, "\n{}", rig.story());
    let recorded = rig.count(|event| matches!(event, Event::AddAsked { id: added, .. } if *added == id));
    assert_eq!(recorded, 0, "it is no checkpoint");
    assert!(rig.cluster.has_files(JOB, id), "nobody but the user deletes it");
    assert_eq!(rig.count(restarting), 0);
    rig.require_exactly_once();
}

#[test]
fn a_job_that_fails_over_behind_a_savepoint_goes_on_from_the_checkpoint_before_it() {
    let mut rig = Rig::new(Options { when: at_savepoint(), ..Options::default() });
    rig.run_until(30_000, 2, completed);
    rig.cluster.savepoint();
    let due = rig.run_until_due(30_000);
    let newest = rig.newest_completed();
    assert!(newest < savepoint_ids(&rig).pop());
    rig.sim.crash(JOB_MANAGER);
    drop(due);
    rig.sim.bounce(JOB_MANAGER);
    let before = rig.count(completed);
    rig.run_until(60_000, before + 3, completed);
    assert_eq!(restored(&rig), [None, newest], "\n{}", rig.story());
    rig.require_exactly_once();
}

#[test]
fn a_job_that_is_stopped_with_a_savepoint_commits_all_of_it_finishes_and_stays_ended() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, completed);
    rig.cluster.stop_with_savepoint();
    exits_with(&mut rig, 0);
    assert_eq!(status(&rig), [JobStatus::Finished]);
    let offsets = rig.events().into_iter().find_map(|event| match event {
        Event::SavepointCompleted { stops: true, offsets, .. } => Some(offsets),
        _ => None,
    });
    let offsets: Vec<u64> = offsets.expect("a savepoint").into_values().collect();
    assert_eq!(rig.require_exactly_once(), offsets, "\n{}", rig.story());
    assert!(rig.cluster.has_files(JOB, savepoint_ids(&rig)[0]));
    assert!(!rig.cluster.has_files(JOB, rig.newest_completed().expect("checkpoints")), "discarded");

    rig.sim.bounce(JOB_MANAGER);
    rig.run_for(20_000);
    assert_eq!(rig.exit_codes(), [0, 0]);
    assert_eq!(restored(&rig).len(), 1, "\n{}", rig.story());
}

#[test]
fn a_stop_whose_savepoint_fails_restarts_the_job_and_the_user_tries_again() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, completed);
    rig.cluster.fail_checkpoint_files(true);
    rig.cluster.stop_with_savepoint();
    rig.run_until(30_000, 1, restarting);
    assert!(savepoint_ids(&rig).is_empty());
    rig.cluster.fail_checkpoint_files(false);
    exits_with(&mut rig, 0);
    assert_eq!(status(&rig), [JobStatus::Finished]);
    rig.require_exactly_once();
}

#[test]
fn a_savepoint_that_takes_too_long_restarts_a_job_only_if_it_was_to_end_it() {
    let job = Job { checkpoint_timeout_ms: 2_000, checkpoint_interval_ms: 60_000, ..Job::default() };
    let expired =
        |event: &Event| matches!(event, Event::CheckpointFailed { cause, .. } if cause == "expired");
    for stops in [false, true] {
        let mut rig = Rig::new(Options { job: job.clone(), ..Options::default() });
        rig.run_until(30_000, 1, |event| matches!(event, Event::JobRunning { .. }));
        rig.cluster.slow_checkpoint_files(3_000);
        if stops {
            rig.cluster.stop_with_savepoint()
        } else {
            rig.cluster.savepoint()
        }
        rig.run_until(30_000, 1, expired);
        rig.run_for(4_000);
        assert_eq!(rig.count(restarting) > 0, stops, "\n{}", rig.story());
        let late = rig.count(|event| *event == Event::Reached(reached::LATE_ACKNOWLEDGEMENT));
        assert_eq!(late > 0, !stops, "tasks that failed say nothing more:\n{}", rig.story());
    }
}

#[test]
fn a_job_that_loses_its_tasks_after_its_last_savepoint_is_there_has_failed_for_good() {
    let mut rig = Rig::new(Options { when: at_savepoint(), ..Options::default() });
    rig.run_until(30_000, 2, completed);
    rig.cluster.stop_with_savepoint();
    let due = rig.run_until_due(30_000);
    rig.sim.crash("task-manager-0");
    drop(due);
    rig.sim.bounce("task-manager-0");
    exits_with(&mut rig, 163);
    assert_eq!(status(&rig), [JobStatus::Failed]);
    assert_eq!(rig.count(restarting), 0, "\n{}", rig.story());
    assert!(rig.cluster.has_files(JOB, savepoint_ids(&rig)[0]));
}

#[test]
fn a_job_manager_that_dies_between_the_savepoint_and_the_result_leaves_a_job_that_is_stopped_again() {
    for point in [Point::SavepointCompleted, Point::BeforeResult] {
        let when = vec![When::On { point, nth: 1 }];
        let mut rig = Rig::new(Options { when, ..Options::default() });
        rig.run_until(30_000, 2, completed);
        rig.cluster.stop_with_savepoint();
        let due = rig.run_until_due(30_000);
        rig.sim.crash(JOB_MANAGER);
        drop(due);
        rig.sim.bounce(JOB_MANAGER);
        exits_with(&mut rig, 0);
        assert_eq!(rig.count(|event| *event == Event::Reached(reached::STOP_UNDONE)), 1, "{point:?}");
        assert_eq!(savepoint_ids(&rig).len(), 2, "{point:?}:\n{}", rig.story());
        assert!(savepoint_ids(&rig).iter().all(|id| rig.cluster.has_files(JOB, *id)));
        // Nobody was told to commit the first one, or the sinks were and do so again: Flink looks for no savepoint.
        assert_eq!(rig.exactly_once().is_ok(), point == Point::SavepointCompleted, "\n{}", rig.story());
    }
}

#[test]
fn acknowledgements_that_come_late_are_of_no_account_where_failed_checkpoints_are_tolerable() {
    let job = Job { checkpoint_timeout_ms: 2_000, checkpoint_failures_tolerable: 1_000, ..Job::default() };
    let mut rig = Rig::new(Options { job, ..Options::default() });
    rig.run_until(30_000, 2, completed);
    rig.cluster.slow_checkpoint_files(3_000);
    rig.run_until(60_000, 4, |event| *event == Event::Reached(reached::LATE_ACKNOWLEDGEMENT));
    rig.cluster.slow_checkpoint_files(0);
    let before = rig.count(completed);
    rig.run_until(60_000, before + 2, completed);
    assert_eq!(rig.count(restarting), 0, "\n{}", rig.story());
    rig.require_exactly_once();
}
