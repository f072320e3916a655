use super::*;

const SIGTERM: u8 = 15;
const SIGKILL: u8 = 9;

fn supervisor(warm_spare: bool) -> Supervisor {
    let crashes = BudgetLimits { crashes_max: 3, window_ms: 600_000 };
    let policy = Policy { warm_spare, spare_delay_ms: 10_000, hang_pings: Some(5), crashes };
    let mut supervisor = Supervisor::new(policy, "exec".into(), false);
    let actions = supervisor.step(0, Observation::Tick);
    assert_eq!(actions, [start(Slot::First, 1)]);
    assert_eq!(supervisor.step(0, Observation::CanStartSpares), []);
    supervisor
}

fn start(slot: Slot, number: u32) -> Action {
    Action::Start { slot, process: format!("exec-{number}") }
}

fn session(number: u32, granted: bool, unanswered_pings: u32) -> Session {
    Session { process: format!("exec-{number}"), granted, unanswered_pings: Some(unanswered_pings) }
}

/// The first process leads and the second one waits.
fn with_spare() -> Supervisor {
    let mut supervisor = supervisor(true);
    assert_eq!(supervisor.step(5_000, Observation::Sessions(&[session(1, true, 0)])), []);
    assert_eq!(supervisor.next_tick_ms(), Some(15_000));
    assert_eq!(supervisor.step(15_000, Observation::Tick), [start(Slot::Second, 2)]);
    let both = [session(1, true, 0), session(2, false, 0)];
    assert_eq!(supervisor.step(20_000, Observation::Sessions(&both)), []);
    supervisor
}

fn finish(actions: &[Action]) -> Option<u8> {
    actions.iter().find_map(|action| match action {
        Action::Finish { status, .. } => Some(*status),
        _ => None,
    })
}

fn killed(actions: &[Action]) -> Vec<Slot> {
    let slots = actions.iter().filter_map(|action| match action {
        Action::Kill { slot, .. } => Some(*slot),
        _ => None,
    });
    slots.collect()
}

#[test]
fn a_job_manager_that_was_killed_is_started_again_at_once() {
    let mut supervisor = supervisor(false);
    let actions = supervisor.step(60_000, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(actions, [start(Slot::First, 2)]);
}

#[test]
fn one_that_crashes_again_and_again_is_given_up_with_its_last_status() {
    let mut supervisor = supervisor(false);
    supervisor.step(100, Observation::Ended(Slot::First, End::Exited(1)));
    assert_eq!(supervisor.step(200, Observation::Ended(Slot::First, End::Exited(1))), []);
    assert_eq!(supervisor.next_tick_ms(), Some(1_200), "the pauses grow");
    assert_eq!(supervisor.step(1_200, Observation::Tick), [start(Slot::First, 3)]);
    let actions = supervisor.step(1_300, Observation::Ended(Slot::First, End::Exited(239)));
    assert_eq!(finish(&actions), Some(239));
}

#[test]
fn the_end_of_the_job_is_passed_through() {
    for status in [0, JOB_FAILED] {
        let mut supervisor = supervisor(false);
        let actions = supervisor.step(60_000, Observation::Ended(Slot::First, End::Exited(status)));
        assert_eq!(finish(&actions), Some(status), "its result is recorded: nothing is left to restart");
    }
}

#[test]
fn a_spare_is_started_once_the_leader_has_led_for_a_while() {
    with_spare();
    let mut without = supervisor(false);
    without.step(5_000, Observation::Sessions(&[session(1, true, 0)]));
    assert_eq!((without.next_tick_ms(), without.step(99_000, Observation::Tick)), (None, vec![]));
    let mut not_granted = supervisor(true);
    not_granted.step(5_000, Observation::Sessions(&[session(1, false, 0)]));
    assert_eq!(not_granted.step(99_000, Observation::Tick), []);
}

#[test]
fn a_spare_takes_over_and_is_replaced_after_a_while() {
    let mut supervisor = with_spare();
    let actions = supervisor.step(30_000, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(actions, [], "the one that waits is granted by the sidecar");
    assert_eq!(supervisor.step(30_500, Observation::Sessions(&[session(2, true, 0)])), []);
    assert_eq!(
        supervisor.step(40_500, Observation::Tick),
        [start(Slot::First, 3)],
        "with the ports of the configuration"
    );
    let actions = supervisor.step(60_000, Observation::Ended(Slot::Second, End::Exited(0)));
    assert_eq!(killed(&actions), [Slot::First], "what it leads is over, so nobody waits for it any more");
    let actions = supervisor.step(60_010, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(finish(&actions), Some(0), "the status is the leader's");
}

#[test]
fn the_end_of_the_job_outlasts_the_kill_of_who_led_before() {
    for status in [0, JOB_FAILED] {
        let mut supervisor = with_spare();
        // Granted so lately that no sighting told yet: the first process still counts as the leader.
        let actions = supervisor.step(30_000, Observation::Ended(Slot::Second, End::Exited(status)));
        assert_eq!(killed(&actions), [Slot::First]);
        let actions = supervisor.step(30_010, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
        assert_eq!(finish(&actions), Some(status));
    }
}

#[test]
fn a_spare_that_crashes_costs_the_leader_nothing() {
    let mut supervisor = with_spare();
    let mut now_ms = 30_000;
    for number in 3..5 {
        assert_eq!(supervisor.step(now_ms, Observation::Ended(Slot::Second, End::Exited(1))), []);
        assert_eq!(supervisor.next_tick_ms(), Some(now_ms + 10_000));
        now_ms += 10_000;
        assert_eq!(supervisor.step(now_ms, Observation::Tick), [start(Slot::Second, number)]);
    }
    assert_eq!(supervisor.step(now_ms, Observation::Ended(Slot::Second, End::Exited(1))), []);
    assert_eq!(
        supervisor.next_tick_ms(),
        Some(now_ms + 600_000),
        "after the last of its budget it is left alone for long"
    );
}

#[test]
fn a_leader_that_hangs_is_killed_once_and_a_quiet_sidecar_means_nothing() {
    let mut supervisor = with_spare();
    let hangs = [session(1, true, 5), session(2, false, 0)];
    let actions = supervisor.step(30_000, Observation::Sessions(&hangs));
    assert_eq!(killed(&actions), [Slot::First]);
    assert_eq!(supervisor.step(31_000, Observation::Sessions(&hangs)), [], "it is being killed already");
    assert_eq!(supervisor.step(31_010, Observation::Ended(Slot::First, End::Killed(SIGKILL))), []);
    assert_eq!(
        supervisor.step(32_000, Observation::Sessions(&[session(2, true, 4)])),
        [],
        "one ping less than the limit"
    );
    assert_eq!(supervisor.step(33_000, Observation::Sessions(&[])), [], "no session is no sign of a hang");
    let older = Session { process: "exec-2".into(), granted: true, unanswered_pings: None };
    assert_eq!(
        supervisor.step(34_000, Observation::Sessions(&[older])),
        [],
        "nor is an adapter that answers no pings"
    );
}

#[test]
fn asked_to_end_the_spare_goes_first_and_the_status_is_the_leaders() {
    let mut supervisor = with_spare();
    let actions = supervisor.step(30_000, Observation::AskedToEnd(SIGTERM));
    let why = "it is not needed any more".into();
    let signal = Action::Signal { slot: Slot::First, signal: SIGTERM };
    assert_eq!(actions, [Action::Kill { slot: Slot::Second, why }, signal]);
    assert_eq!(supervisor.step(30_010, Observation::Ended(Slot::Second, End::Killed(SIGKILL))), []);
    let actions = supervisor.step(31_000, Observation::Ended(Slot::First, End::Exited(143)));
    assert_eq!(finish(&actions), Some(143));
}

#[test]
fn asked_to_end_in_a_pause_it_ends_at_once() {
    let mut supervisor = supervisor(false);
    supervisor.step(100, Observation::Ended(Slot::First, End::Exited(1)));
    supervisor.step(200, Observation::Ended(Slot::First, End::Exited(1)));
    assert_eq!(finish(&supervisor.step(300, Observation::AskedToEnd(SIGTERM))), Some(143));
}

#[test]
fn other_signals_are_for_the_leader_only() {
    const SIGQUIT: u8 = 3;
    let mut supervisor = with_spare();
    supervisor.step(30_000, Observation::Sessions(&[session(1, false, 0), session(2, true, 0)]));
    let actions = supervisor.step(30_001, Observation::Signalled(SIGQUIT));
    assert_eq!(actions, [Action::Signal { slot: Slot::Second, signal: SIGQUIT }], "whoever leads now");
}
