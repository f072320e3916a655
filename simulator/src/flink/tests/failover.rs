//! Processes die, and the job goes on.

use super::rig::{JOB_MANAGER, Options, Rig, SIDECAR};
use crate::flink::Adapter;
use crate::plan::{Point, When};
use crate::trace::{Event, reached};

#[test]
fn a_job_that_loses_its_job_manager_restores_the_newest_checkpoint_and_commits_everything_once() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 4, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash(JOB_MANAGER);
    let newest = rig.newest_completed();
    rig.run_for(3_000);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(30_000, 2, |event| matches!(event, Event::JobRunning { .. }));
    let restored = rig.events().into_iter().rev().find_map(|event| match event {
        Event::JobRestored { from, failover: true, .. } => Some(from),
        _ => None,
    });
    assert_eq!(restored, Some(newest), "\n{}", rig.story());
    rig.run_until(30_000, 8, |event| matches!(event, Event::CheckpointCompleted { .. }));
    assert!(rig.require_exactly_once().iter().all(|end| *end > 400), "\n{}", rig.story());
    assert_eq!(rig.trace.reached_counts().get(reached::RESTORED), Some(&1));
    assert!(rig.exit_codes().is_empty());
}

#[test]
fn a_job_notices_nothing_of_a_sidecar_that_restarts() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 3, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash(SIDECAR);
    rig.run_for(5_000);
    rig.sim.bounce(SIDECAR);
    rig.run_until(30_000, 8, |event| matches!(event, Event::CheckpointCompleted { .. }));
    assert_eq!(rig.count(|event| matches!(event, Event::JobRestarting { .. })), 0, "\n{}", rig.story());
    assert_eq!(rig.count(|event| matches!(event, Event::JobRunning { .. })), 1);
    assert_eq!(rig.count(|event| matches!(event, Event::Granted { epoch: 1, resumed: true })), 1);
    assert_eq!(rig.trace.reached_counts().get(reached::SESSION_RESUMED), Some(&1));
    rig.require_exactly_once();
}

#[test]
fn an_adapter_that_takes_a_broken_session_for_a_lost_leadership_restarts_the_job() {
    let adapter = Adapter { broken_session_is_revoked: true, ..Adapter::default() };
    let mut rig = Rig::new(Options { adapter, ..Options::default() });
    rig.run_until(30_000, 3, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash(SIDECAR);
    rig.sim.bounce(SIDECAR);
    rig.run_until(30_000, 2, |event| matches!(event, Event::JobRunning { .. }));
    assert_eq!(rig.count(|event| matches!(event, Event::Granted { epoch: 2, resumed: false })), 1);
    rig.require_exactly_once();
}

#[test]
fn a_task_that_fails_is_started_again_from_the_newest_checkpoint() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 3, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.cluster.fail_task();
    rig.run_until(30_000, 2, |event| matches!(event, Event::JobRunning { .. }));
    assert_eq!(
        rig.count(|event| matches!(event, Event::JobRestored { from: Some(3), failover: false, .. })),
        1
    );
    rig.run_until(30_000, 6, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.require_exactly_once();
}

#[test]
fn a_job_goes_on_with_the_task_managers_that_are_left() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 3, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash("task-manager-1");
    rig.run_until(30_000, 2, |event| matches!(event, Event::JobRunning { .. }));
    rig.run_until(30_000, 6, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.require_exactly_once();
}

#[test]
fn nothing_is_lost_or_repeated_wherever_in_a_checkpoint_the_job_manager_dies() {
    for point in [Point::Granted, Point::BeforeAdd, Point::BeforeNotify, Point::CheckpointCompleted] {
        let nth = if point == Point::Granted { 1 } else { 3 };
        let mut rig = Rig::new(Options { when: vec![When::On { point, nth }], ..Options::default() });
        drop(rig.run_until_due(30_000));
        rig.sim.crash(JOB_MANAGER);
        rig.run_for(2_000);
        rig.sim.bounce(JOB_MANAGER);
        rig.run_until(60_000, 8, |event| matches!(event, Event::CheckpointCompleted { .. }));
        rig.require_exactly_once();
    }
}

#[test]
fn a_plan_that_is_run_twice_is_the_same_run() {
    let run = || {
        let mut rig = Rig::new(Options::default());
        rig.run_for(8_000);
        rig.sim.crash(JOB_MANAGER);
        rig.run_for(1_000);
        rig.sim.bounce(JOB_MANAGER);
        rig.run_for(10_000);
        assert!(rig.newest_completed() > Some(10), "\n{}", rig.story());
        rig.trace.hash()
    };
    assert_eq!(run(), run());
}
