//! The adapter's planted defects do what they say, and without them it does not happen.

use super::rig::{JOB, JOB_MANAGER, Options, Rig, SIDECAR};
use crate::flink::Adapter;
use crate::flink::snapshots::{self, Kind};
use crate::plan::{Job, Point, When};
use crate::trace::Event;

fn keeping(checkpoints_retained: u32, adapter: Adapter) -> Options {
    Options { job: Job { checkpoints_retained, ..Job::default() }, adapter, ..Options::default() }
}

/// After so many checkpoints the JobManager dies, and its files may come to harm; what the next one restores.
fn restored_after(options: Options, harm: impl Fn(&Rig, u64)) -> Option<Option<u64>> {
    let mut rig = Rig::new(options);
    rig.run_until(30_000, 4, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash(JOB_MANAGER);
    let newest = rig.newest_completed().expect("some completed");
    harm(&rig, newest);
    rig.run_for(1_000);
    let before = rig.events().len();
    rig.sim.bounce(JOB_MANAGER);
    rig.run_for(10_000);
    rig.events().split_off(before).into_iter().find_map(|event| match event {
        Event::JobRestored { from, .. } => Some(from),
        _ => None,
    })
}

fn last_restored(rig: &Rig) -> Option<Option<u64>> {
    rig.events().into_iter().rev().find_map(|event| match event {
        Event::JobRestored { from, .. } => Some(from),
        _ => None,
    })
}

#[test]
fn the_newest_checkpoint_is_restored_and_not_the_oldest() {
    let unharmed = |_: &Rig, _| {};
    assert_eq!(restored_after(keeping(3, Adapter::default()), unharmed), Some(Some(4)));
    let adapter = Adapter { restores_oldest: true, ..Adapter::default() };
    assert_eq!(restored_after(keeping(3, adapter), unharmed), Some(Some(2)));
}

#[test]
fn a_checkpoint_whose_files_are_missing_is_not_skipped() {
    let lost = |rig: &Rig, newest| {
        assert!(rig.cluster.delete_files(&snapshots::pointer(JOB, newest, Kind::Checkpoint)))
    };
    assert_eq!(restored_after(keeping(3, Adapter::default()), lost), None);
    let adapter = Adapter { skip_unreadable_newest: true, ..Adapter::default() };
    assert_eq!(restored_after(keeping(3, adapter), lost), Some(Some(3)));
}

/// A new JobManager hears nothing for a while, from some moment after its grant on; whether it restored the newest one.
fn restores_in_spite_of_silence(after_ms: u64, unreadable_list_is_empty: bool) -> bool {
    let adapter = Adapter { unreadable_list_is_empty, ..Adapter::default() };
    let mut rig = Rig::new(Options { adapter, ..Options::default() });
    rig.run_until(30_000, 2, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.sim.crash(JOB_MANAGER);
    rig.run_for(1_000);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(30_000, 1, |event| matches!(event, Event::Granted { epoch: 2, .. }));
    let newest = rig.newest_completed();
    rig.run_for(after_ms);
    rig.sim.partition_oneway(SIDECAR, JOB_MANAGER);
    rig.run_for(7_000);
    rig.sim.repair_oneway(SIDECAR, JOB_MANAGER);
    rig.run_until(60_000, 2, |event| matches!(event, Event::JobRestored { failover: true, .. }));
    last_restored(&rig) == Some(newest)
}

#[test]
fn a_list_of_checkpoints_that_cannot_be_read_is_waited_for() {
    // The list is asked for at one of these moments.
    let mut moments_ms = (80..=500).step_by(20);
    assert!(moments_ms.clone().step_by(4).all(|after_ms| restores_in_spite_of_silence(after_ms, false)));
    assert!(!moments_ms.all(|after_ms| restores_in_spite_of_silence(after_ms, true)));
}

#[test]
fn no_sink_commits_before_the_checkpoint_is_recorded() {
    for commits_before_recorded in [false, true] {
        let adapter = Adapter { commits_before_recorded, ..Adapter::default() };
        let when = vec![When::On { point: Point::BeforeAdd, nth: 3 }];
        let mut rig = Rig::new(Options { adapter, when, ..Options::default() });
        let waiting = rig.run_until_due(30_000);
        rig.run_for(500);
        let early = rig.count(|event| matches!(event, Event::SinkCommitted { checkpoint: 3, .. }));
        assert_eq!(early > 0, commits_before_recorded, "\n{}", rig.story());
        drop(waiting);
    }
}

#[test]
fn ids_of_checkpoints_that_were_never_recorded_are_not_used_again() {
    for counts_in_memory in [false, true] {
        let adapter = Adapter { counts_in_memory, ..Adapter::default() };
        let when = vec![When::On { point: Point::BeforeAdd, nth: 3 }];
        let mut rig = Rig::new(Options { adapter, when, ..Options::default() });
        drop(rig.run_until_due(30_000));
        rig.sim.crash(JOB_MANAGER);
        rig.run_for(1_000);
        rig.sim.bounce(JOB_MANAGER);
        rig.run_until(30_000, 6, |event| matches!(event, Event::CheckpointCompleted { .. }));
        let collided = rig.count(|event| matches!(event, Event::CheckpointFailed { id: 3, .. }));
        assert_eq!(collided > 0, counts_in_memory, "\n{}", rig.story());
    }
}

#[test]
fn the_end_of_a_job_is_said_before_its_pointers_are_removed() {
    for end_is_not_said in [false, true] {
        let adapter = Adapter { end_is_not_said, ..Adapter::default() };
        let options = Options { adapter, ..Options::default() };
        let generation = options.generation.clone();
        let mut rig = Rig::new(options);
        rig.run_until(30_000, 4, |event| matches!(event, Event::CheckpointCompleted { .. }));
        rig.cluster.cancel();
        rig.run_for(5_000);
        assert_eq!(rig.exit_codes(), [0]);
        let newest = rig.newest_completed();
        *generation.lock().expect("not poisoned") = Some("2".into());
        rig.sim.crash(SIDECAR);
        rig.sim.bounce(SIDECAR);
        rig.sim.bounce(JOB_MANAGER);
        rig.run_for(15_000);
        let restored = |event: &Event| matches!(event, Event::JobRestored { failover: true, .. });
        // Whoever is not told takes the pointers for replaced, and refuses to go on from them.
        assert_eq!(rig.count(restored), if end_is_not_said { 1 } else { 2 }, "\n{}", rig.story());
        let expected = if end_is_not_said { None } else { newest };
        assert_eq!(last_restored(&rig), Some(expected), "\n{}", rig.story());
    }
}

/// A JobManager dies after it recorded a checkpoint, before or after the sinks were told of it; whether what they committed in
/// the end is each record once.
fn each_record_once(adapter: Adapter, before_they_know: bool) -> bool {
    let point = if before_they_know { Point::BeforeNotify } else { Point::CheckpointCompleted };
    let mut rig = Rig::new(Options { adapter, when: vec![When::On { point, nth: 3 }], ..Options::default() });
    let waiting = rig.run_until_due(30_000);
    rig.run_for(500);
    drop(waiting);
    rig.sim.crash(JOB_MANAGER);
    rig.run_for(1_000);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(60_000, 5, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.run_for(1_000);
    rig.exactly_once().is_ok()
}

#[test]
fn what_was_prepared_is_committed_by_whoever_restores_it_unless_it_was_before() {
    for before_they_know in [true, false] {
        assert!(each_record_once(Adapter::default(), before_they_know));
    }
    assert!(!each_record_once(Adapter { forgets_prepared: true, ..Adapter::default() }, true));
    assert!(!each_record_once(Adapter { commits_again: true, ..Adapter::default() }, false));
}
