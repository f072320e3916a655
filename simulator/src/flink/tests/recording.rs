//! What becomes of a checkpoint that is being recorded when something fails.

use super::rig::{JOB, JOB_MANAGER, Options, Rig, SIDECAR};
use crate::flink::Adapter;
use crate::plan::{Point, When};
use crate::trace::{AddAnswer, Event, reached};

fn at_the_third_add() -> Options {
    Options { when: vec![When::On { point: Point::BeforeAdd, nth: 3 }], ..Options::default() }
}

#[test]
fn an_add_that_gets_no_answer_ends_the_process_and_the_next_one_restores_what_was_recorded() {
    let mut rig = Rig::new(at_the_third_add());
    drop(rig.run_until_due(30_000));
    // The request is on its way when nobody answers any more.
    rig.sim.hold(JOB_MANAGER, SIDECAR);
    rig.run_for(40_000);
    assert_eq!(rig.exit_codes(), [75], "\n{}", rig.story());
    assert_eq!(rig.trace.reached_counts().get(reached::AMBIGUOUS_ADD), Some(&1));
    let unknown =
        |event: &Event| matches!(event, Event::AddAnswered { id: 3, answer: AddAnswer::Unknown, .. });
    assert_eq!(rig.count(unknown), 1);
    assert!(rig.cluster.has_files(JOB, 3), "it may be recorded");
    rig.sim.release(JOB_MANAGER, SIDECAR);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(60_000, 2, |event| matches!(event, Event::JobRunning { .. }));
    rig.run_until(60_000, 6, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.require_exactly_once();
}

#[test]
fn an_adapter_that_takes_unknown_for_failed_deletes_the_files_and_rolls_back() {
    let adapter = Adapter { unknown_is_failed: true, ..Adapter::default() };
    let mut rig = Rig::new(Options { adapter, ..at_the_third_add() });
    drop(rig.run_until_due(30_000));
    rig.sim.hold(JOB_MANAGER, SIDECAR);
    rig.run_for(40_000);
    assert!(rig.exit_codes().is_empty());
    assert!(!rig.cluster.has_files(JOB, 3));
    // The sidecar hears of a restore before the tasks do.
    rig.sim.release(JOB_MANAGER, SIDECAR);
    rig.run_until(30_000, 1, |event| {
        matches!(event, Event::JobRestored { from: Some(2), failover: false, .. })
    });
}

#[test]
fn an_add_whose_answer_is_lost_is_sent_again_and_counts_once() {
    let mut rig = Rig::new(at_the_third_add());
    drop(rig.run_until_due(30_000));
    rig.sim.partition_oneway(SIDECAR, JOB_MANAGER);
    rig.run_for(3_000);
    rig.sim.repair_oneway(SIDECAR, JOB_MANAGER);
    rig.run_until(60_000, 5, |event| matches!(event, Event::CheckpointCompleted { .. }));
    let recorded =
        |event: &Event| matches!(event, Event::AddAnswered { id: 3, answer: AddAnswer::Recorded, .. });
    assert_eq!(rig.count(recorded), 1, "\n{}", rig.story());
    assert!(rig.exit_codes().is_empty());
    rig.require_exactly_once();
}

#[test]
fn an_adapter_that_takes_its_own_earlier_attempt_for_a_stranger_deletes_a_recorded_checkpoint() {
    let adapter = Adapter { conflict_is_loss: true, ..Adapter::default() };
    let mut rig = Rig::new(Options { adapter, ..at_the_third_add() });
    drop(rig.run_until_due(30_000));
    rig.sim.partition_oneway(SIDECAR, JOB_MANAGER);
    rig.run_for(3_000);
    rig.sim.repair_oneway(SIDECAR, JOB_MANAGER);
    rig.run_until(60_000, 1, |event| matches!(event, Event::CheckpointFilesDeleted { id: 3, .. }));
}

#[test]
fn a_checkpoint_that_stalls_expires_and_fails_the_job() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.cluster.stall_checkpoints(true);
    rig.run_until(30_000, 1, |event| matches!(event, Event::JobRestarting { .. }));
    assert_eq!(rig.count(|event| matches!(event, Event::CheckpointFailed { .. })), 1);
    rig.cluster.stall_checkpoints(false);
    rig.run_until(30_000, 4, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.require_exactly_once();
}

#[test]
fn checkpoint_files_that_cannot_be_written_fail_the_job_until_they_can() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.cluster.fail_checkpoint_files(true);
    rig.run_until(30_000, 3, |event| matches!(event, Event::JobRestarting { .. }));
    rig.cluster.fail_checkpoint_files(false);
    rig.run_until(30_000, 4, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.require_exactly_once();
}
