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

/// All three tasks acknowledge it.
fn acknowledged(master: &mut Master, now_ms: u64, id: u64) -> Vec<Action> {
    (0..3)
        .flat_map(|partition| master.acknowledged(now_ms, FIRST, id, partition, PartitionState::default()))
        .collect()
}

/// Running, with the savepoint 7 on its way that is to end the job.
fn stopping(job: &Job) -> Master {
    let mut master = Master::new(0, 5, job);
    master.joined(0, 1, "a");
    master.joined(50, 2, "b");
    master.poll(200);
    run(&mut master, 300, FIRST);
    assert!(master.hears(400));
    assert_eq!(master.stop_with_savepoint(), []);
    assert_eq!(master.poll(400), [Action::AskId]);
    assert!(matches!(&master.id_given(410, Some(7))[..], [Action::Barrier { id: 7, stops: true, .. }]));
    master
}

#[test]
fn nobody_hears_the_user_while_the_tasks_do_not_run() {
    let mut master = Master::new(0, 5, &job());
    assert!(!master.hears(0));
    master.joined(0, 1, "a");
    master.poll(200);
    assert!(!master.hears(200), "they start");
    run(&mut master, 300, FIRST);
    assert!(master.hears(300));
    master.task_failed(400, FIRST, "x");
    assert!(!master.hears(400));
}

#[test]
fn a_savepoint_leaves_the_job_alone_when_it_fails_in_the_job_manager_and_counts_when_it_fails_in_a_task() {
    let wanted = || {
        let mut master = running(300);
        master.savepoint();
        pending(&mut master, 400, 7);
        master
    };
    let mut expired = wanted();
    assert!(matches!(&expired.poll(10_400)[..], [Action::GiveUp { id: 7, .. }]));
    let mut unwritten = wanted();
    assert!(matches!(
        &acknowledged(&mut unwritten, 500, 7)[..],
        [Action::Complete { purpose: Purpose::Savepoint, .. }]
    ));
    assert_eq!(unwritten.settled(510, 7, Some("no space")), []);
    let mut declined = wanted();
    let actions = declined.declined(500, FIRST, 7, "no space");
    assert!(
        matches!(&actions[..2], [Action::GiveUp { id: 7, .. }, Action::Restarting { .. }]),
        "{actions:?}"
    );
}

#[test]
fn checkpoints_may_fail_in_a_row_as_often_as_is_tolerable_and_one_that_completes_starts_the_count_anew() {
    let mut master = Master::new(0, 5, &Job { checkpoint_failures_tolerable: 1, ..job() });
    master.joined(0, 1, "a");
    master.joined(50, 2, "b");
    master.poll(200);
    run(&mut master, 300, FIRST);
    pending(&mut master, 800, 7);
    assert!(matches!(&master.declined(900, FIRST, 7, "x")[..], [Action::GiveUp { id: 7, .. }]));
    assert_eq!(master.acknowledged(910, FIRST, 7, 0, PartitionState::default()), [Action::Late(7)]);
    pending(&mut master, 1_300, 8);
    acknowledged(&mut master, 1_400, 8);
    assert_eq!(master.settled(1_410, 8, None), []);
    pending(&mut master, 1_800, 9);
    assert!(matches!(&master.declined(1_900, FIRST, 9, "x")[..], [Action::GiveUp { id: 9, .. }]));
    pending(&mut master, 2_300, 10);
    let actions = master.declined(2_400, FIRST, 10, "x");
    assert!(
        matches!(&actions[..2], [Action::GiveUp { id: 10, .. }, Action::Restarting { .. }]),
        "{actions:?}"
    );
}

#[test]
fn a_job_that_is_stopped_gives_up_what_is_pending_and_ends_when_all_its_tasks_have_committed_the_savepoint() {
    let mut master = running(300);
    pending(&mut master, 800, 6);
    assert!(matches!(&master.stop_with_savepoint()[..], [Action::GiveUp { id: 6, .. }]));

    let mut master = stopping(&job());
    assert!(matches!(
        &acknowledged(&mut master, 500, 7)[..],
        [Action::Complete { purpose: Purpose::Stop, .. }]
    ));
    assert_eq!(master.settled(510, 7, None), []);
    assert_eq!(master.finished(FIRST, 0), []);
    assert_eq!(master.finished(FIRST, 2), []);
    assert_eq!(master.lost(600, 1), [], "both of its tasks have finished");
    assert_eq!(ends(&master.finished(FIRST, 1)), [JobStatus::Finished]);
}

#[test]
fn a_stop_that_fails_before_its_savepoint_is_there_leaves_the_job_to_be_restarted() {
    let mut declined = stopping(&Job { checkpoint_failures_tolerable: 9, ..job() });
    let actions = declined.declined(500, FIRST, 7, "x");
    assert!(
        matches!(&actions[..2], [Action::GiveUp { id: 7, .. }, Action::Restarting { .. }]),
        "{actions:?}"
    );

    let mut expired = stopping(&job());
    assert!(
        matches!(&expired.poll(10_410)[..], [Action::GiveUp { id: 7, .. }]),
        "the tasks fail by themselves"
    );
    let actions = expired.task_failed(10_420, FIRST, "stop-with-savepoint has failed");
    assert!(matches!(&actions[..], [Action::Restarting { .. }, Action::Cancel { .. }]), "{actions:?}");
}

#[test]
fn a_job_that_fails_after_its_last_savepoint_is_there_is_not_restarted() {
    let mut master = stopping(&job());
    acknowledged(&mut master, 500, 7);
    master.settled(510, 7, None);
    let actions = master.task_failed(520, FIRST, "x");
    assert!(matches!(&actions[..], [Action::Cancel { .. }]), "{actions:?}");
    master.canceled(1, FIRST);
    master.canceled(2, FIRST);
    assert_eq!(ends(&master.poll(530)), [JobStatus::Failed]);
}
