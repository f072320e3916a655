//! Processes die, and the job goes on.

use super::rig::{JOB_MANAGER, Options, Rig};
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
