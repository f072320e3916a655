//! Jobs end for good, and stay ended.

use super::rig::{JOB, JOB_MANAGER, Options, Rig, SIDECAR};
use crate::flink::Adapter;
use crate::plan::{Job, RestartStrategy};
use crate::trace::{Event, JobStatus};

/// A job that meets a record that it cannot process, after some checkpoints.
fn poisoned() -> Job {
    let restart = RestartStrategy::FixedDelay { attempts: 2, delay_ms: 500 };
    Job { poison_offset: Some(350), restart, ..Job::default() }
}

fn ended(rig: &Rig) -> Vec<JobStatus> {
    let status = |event| if let Event::JobEnded { status, .. } = event { Some(status) } else { None };
    rig.events().into_iter().filter_map(status).collect()
}

fn restored(rig: &Rig) -> Vec<Option<u64>> {
    let from = |event| if let Event::JobRestored { from, .. } = event { Some(from) } else { None };
    rig.events().into_iter().filter_map(from).collect()
}

fn exit(rig: &mut Rig, count: usize) {
    let end_ms = rig.trace.now_ms() + 120_000;
    while rig.exit_codes().len() < count {
        assert!(rig.trace.now_ms() < end_ms, "it does not end:\n{}", rig.story());
        rig.step();
    }
}

#[test]
fn a_job_whose_restarts_are_used_up_is_not_started_again_by_a_restart() {
    let mut rig = Rig::new(Options { job: poisoned(), ..Options::default() });
    exit(&mut rig, 1);
    assert_eq!(rig.exit_codes(), [163]);
    assert_eq!(ended(&rig), [JobStatus::Failed]);
    let restores = restored(&rig);
    assert_eq!(restores.len(), 3, "{restores:?}");
    let newest = rig.newest_completed().expect("checkpoints");
    assert!(rig.cluster.has_files(JOB, newest), "retained");

    rig.sim.bounce(JOB_MANAGER);
    exit(&mut rig, 2);
    assert_eq!(rig.exit_codes(), [163, 0]);
    assert_eq!(restored(&rig).len(), 3, "\n{}", rig.story());
    rig.require_exactly_once();
}

#[test]
fn a_new_generation_goes_on_from_what_the_old_one_retained() {
    let options = Options { job: poisoned(), ..Options::default() };
    let generation = options.generation.clone();
    let mut rig = Rig::new(options);
    exit(&mut rig, 1);
    let newest = rig.newest_completed();
    *generation.lock().expect("not poisoned") = Some("2".into());
    rig.sim.crash(SIDECAR);
    rig.sim.bounce(SIDECAR);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(30_000, 4, |event| matches!(event, Event::JobRestored { .. }));
    assert_eq!(restored(&rig).pop(), Some(newest), "\n{}", rig.story());
    rig.require_exactly_once();
}

#[test]
fn a_job_that_is_cancelled_keeps_its_files() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 3, |event| matches!(event, Event::CheckpointCompleted { .. }));
    rig.cluster.cancel();
    exit(&mut rig, 1);
    assert_eq!(rig.exit_codes(), [0]);
    assert_eq!(ended(&rig), [JobStatus::Canceled]);
    let newest = rig.newest_completed().expect("checkpoints");
    assert!(rig.cluster.has_files(JOB, newest), "\n{}", rig.story());
    rig.require_exactly_once();
}

#[test]
fn a_job_whose_sources_end_commits_every_record_and_keeps_no_files() {
    let job = Job { records: Some(777), ..Job::default() };
    let mut rig = Rig::new(Options { job, ..Options::default() });
    exit(&mut rig, 1);
    assert_eq!(rig.exit_codes(), [0]);
    assert_eq!(ended(&rig), [JobStatus::Finished]);
    assert_eq!(rig.require_exactly_once(), [777, 777]);
    assert!(!rig.cluster.has_files(JOB, rig.newest_completed().expect("checkpoints")));
}

#[test]
fn an_adapter_that_forgets_results_runs_an_ended_job_again() {
    let adapter = Adapter { starts_ended_jobs: true, ..Adapter::default() };
    let mut rig = Rig::new(Options { job: poisoned(), adapter, ..Options::default() });
    exit(&mut rig, 1);
    rig.sim.bounce(JOB_MANAGER);
    rig.run_until(30_000, 4, |event| matches!(event, Event::JobRestored { .. }));
}
