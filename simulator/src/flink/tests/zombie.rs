//! A JobManager that is deposed while it works.

use super::rig::{Options, RIVAL, RIVAL_SIDECAR, Rig};
use crate::flink::Adapter;
use crate::plan::{Point, When};
use crate::trace::{AddAnswer, Event, reached};

/// A second sidecar claims the deployment for its own JobManager, just when the first is about to record checkpoint 4.
fn deposed(adapter: Adapter) -> Rig {
    let when = vec![When::On { point: Point::BeforeAdd, nth: 4 }];
    let mut rig = Rig::new(Options { adapter, when, rival: true, ..Options::default() });
    rig.sim.crash(RIVAL);
    rig.sim.crash(RIVAL_SIDECAR);
    let waiting = rig.run_until_due(30_000);
    rig.sim.bounce(RIVAL_SIDECAR);
    rig.sim.bounce(RIVAL);
    rig.run_until(30_000, 1, |event| matches!(event, Event::JobRestored { epoch: 2, from: Some(3), .. }));
    drop(waiting);
    rig
}

fn is_of_the_zombie(event: &Event) -> bool {
    matches!(
        event,
        Event::CheckpointCompleted { id: 4, epoch: 1, .. } | Event::SinkCommitted { checkpoint: 4, .. }
    )
}

#[test]
fn a_deposed_job_manager_records_and_commits_nothing_and_waits() {
    let mut rig = deposed(Adapter::default());
    rig.run_for(10_000);
    let refused = |event: &Event| match event {
        Event::AddAnswered { id: 4, answer: AddAnswer::NotRecorded { problem }, .. } => problem == "fenced",
        _ => false,
    };
    assert_eq!(rig.count(refused), 1, "\n{}", rig.story());
    assert_eq!(rig.count(|event| matches!(event, Event::Revoked { epoch: 1, .. })), 1);
    assert_eq!(rig.count(is_of_the_zombie), 0);
    assert!(rig.count(|event| matches!(event, Event::JobRestarting { .. })) == 0, "\n{}", rig.story());
    assert!(rig.trace.reached_counts().contains_key(reached::ZOMBIE_FENCED));
    assert!(rig.exit_codes().is_empty(), "it waits to be granted again");
}

#[test]
fn an_adapter_that_takes_fenced_for_done_commits_what_was_never_recorded() {
    let mut rig = deposed(Adapter { fenced_is_done: true, ..Adapter::default() });
    rig.run_for(1_000);
    assert_eq!(rig.count(is_of_the_zombie), 3, "\n{}", rig.story());
}
