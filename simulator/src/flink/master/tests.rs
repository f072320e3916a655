use super::*;
use crate::plan::RestartStrategy;

const FIRST: Attempt = Attempt { epoch: 5, number: 1 };

fn job() -> Job {
    let restart = RestartStrategy::FixedDelay { attempts: 1, delay_ms: 1_000 };
    Job { parallelism: 3, checkpoint_interval_ms: 500, restart, ..Job::default() }
}

/// All tasks run since `at_ms`, at the workers 1 and 2.
fn running(at_ms: u64) -> Master {
    let mut master = Master::new(0, 5, &job());
    master.joined(0, 1, "a");
    master.joined(50, 2, "b");
    assert_eq!(master.poll(199), []);
    let at = BTreeMap::from([(1, vec![0, 2]), (2, vec![1])]);
    assert_eq!(master.poll(200), [Action::Deploy { by: FIRST, at }]);
    run(&mut master, at_ms, FIRST);
    master
}

fn run(master: &mut Master, at_ms: u64, by: Attempt) {
    assert_eq!(master.running(at_ms, by, 0), []);
    assert_eq!(master.running(at_ms, by, 1), []);
    assert_eq!(master.running(at_ms, by, 1), [], "twice is once");
    assert_eq!(master.running(at_ms, by, 2), [Action::Running]);
}

fn pending(master: &mut Master, now_ms: u64, id: u64) {
    assert_eq!(master.poll(now_ms), [Action::AskId]);
    let actions = master.id_given(now_ms, Some(id));
    assert!(
        matches!(&actions[..], [Action::Barrier { id: sent, workers, .. }] if *sent == id && workers.len() == 2)
    );
}

fn ends(actions: &[Action]) -> Vec<JobStatus> {
    actions
        .iter()
        .filter_map(|action| if let Action::End(status) = action { Some(*status) } else { None })
        .collect()
}

#[test]
fn tasks_start_again_from_the_newest_checkpoint_when_all_are_cancelled_and_the_delay_is_over() {
    let mut master = running(300);
    pending(&mut master, 800, 7);
    let actions = master.task_failed(900, FIRST, "x");
    assert!(
        matches!(&actions[..], [
            Action::Restarting { .. },
            Action::GiveUp { id: 7, .. },
            Action::Cancel { by: FIRST, workers },
        ] if workers.len() == 2),
        "{actions:?}"
    );
    assert_eq!(master.task_failed(901, FIRST, "y"), [], "a consequence of the first");
    master.canceled(1, FIRST);
    assert_eq!(master.poll(1_900), [], "one TaskManager still cancels");
    master.canceled(2, FIRST);
    assert_eq!(master.poll(1_899), []);
    assert_eq!(master.poll(1_900), [Action::Restore]);
    let second = Attempt { number: 2, ..FIRST };
    assert!(matches!(&master.poll(2_100)[..], [Action::Deploy { by, .. }] if *by == second));
    assert_eq!(master.running(2_200, FIRST, 0), [], "late");
    run(&mut master, 2_300, second);
}

#[test]
fn a_job_whose_restarts_are_used_up_has_failed() {
    let mut master = running(300);
    master.task_failed(900, FIRST, "x");
    master.canceled(1, FIRST);
    master.canceled(2, FIRST);
    master.poll(1_900);
    master.poll(2_100);
    let second = Attempt { number: 2, ..FIRST };
    run(&mut master, 2_200, second);
    let actions = master.task_failed(2_300, second, "x");
    assert!(matches!(&actions[..], [Action::Cancel { .. }]), "{actions:?}");
    master.canceled(1, second);
    master.canceled(2, second);
    assert_eq!(ends(&master.poll(2_301)), [JobStatus::Failed]);
    assert_eq!(master.wake_ms(), None);
}

#[test]
fn a_task_manager_that_is_gone_fails_its_tasks_and_needs_not_cancel_them() {
    let mut master = running(300);
    let actions = master.lost(900, 2);
    assert!(matches!(actions[0], Action::Restarting { .. }));
    master.canceled(1, FIRST);
    assert_eq!(master.poll(1_900), [Action::Restore]);
    let actions = master.poll(2_100);
    assert!(matches!(&actions[..], [Action::Deploy { at, .. }] if at.len() == 1), "{actions:?}");
}

#[test]
fn a_task_manager_that_registers_again_has_lost_what_it_ran() {
    let mut master = running(300);
    let actions = master.joined(900, 3, "b");
    assert!(matches!(actions[0], Action::Restarting { .. }));
    assert_eq!(master.lost(901, 2), [], "its old connection is known to be over");
}

#[test]
fn a_checkpoint_that_failed_fails_the_job_and_one_that_got_no_id_does_not() {
    let mut master = running(300);
    assert_eq!(master.poll(800), [Action::AskId]);
    assert_eq!(master.id_given(900, None), []);
    pending(&mut master, 1_300, 8);
    let actions = master.poll(11_300);
    assert!(
        matches!(&actions[..2], [Action::GiveUp { id: 8, .. }, Action::Restarting { .. }]),
        "{actions:?}"
    );
}

#[test]
fn a_checkpoint_that_could_not_be_recorded_fails_the_job() {
    let mut master = running(300);
    pending(&mut master, 800, 7);
    for partition in 0..2 {
        assert_eq!(master.acknowledged(900, FIRST, 7, partition, PartitionState::default()), []);
    }
    let actions = master.acknowledged(900, FIRST, 7, 2, PartitionState::default());
    assert!(matches!(&actions[..], [Action::Complete { id: 7, .. }]), "{actions:?}");
    let actions = master.settled(950, 7, Some("fenced"));
    assert!(matches!(&actions[..], [Action::Restarting { .. }, Action::Cancel { .. }]), "{actions:?}");
}

#[test]
fn a_job_is_finished_when_all_tasks_are() {
    let mut master = running(300);
    assert_eq!(master.finished(FIRST, 0), []);
    assert_eq!(master.finished(FIRST, 0), []);
    assert_eq!(master.finished(FIRST, 1), []);
    assert_eq!(ends(&master.finished(FIRST, 2)), [JobStatus::Finished]);
    assert_eq!(master.cancel(), []);
}

#[test]
fn a_user_can_cancel_a_job_at_any_time() {
    let mut waiting = Master::new(0, 5, &job());
    assert_eq!(waiting.cancel(), []);
    assert_eq!(ends(&waiting.poll(0)), [JobStatus::Canceled]);

    let mut master = running(300);
    master.task_failed(900, FIRST, "x");
    assert_eq!(master.cancel(), [], "its tasks are being cancelled already");
    master.canceled(1, FIRST);
    master.canceled(2, FIRST);
    assert_eq!(ends(&master.poll(901)), [JobStatus::Canceled]);
}

#[test]
fn a_job_without_slots_waits_and_has_failed_once_more_after_five_minutes() {
    let mut master = Master::new(0, 5, &job());
    assert_eq!(master.wake_ms(), Some(300_000));
    assert_eq!(master.poll(299_999), []);
    assert!(matches!(&master.poll(300_000)[..], [Action::Restarting { .. }]));
}
