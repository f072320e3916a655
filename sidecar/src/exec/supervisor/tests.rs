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

/// So many sightings, two a second, none of which shows the sessions of anybody but `others`; the actions of all of them.
fn sight(
    supervisor: &mut Supervisor,
    from_ms: u64,
    sightings: u32,
    others: &[Session],
) -> (u64, Vec<Action>) {
    let times = (1..=u64::from(sightings)).map(|number| from_ms + number * 500);
    let actions = times.flat_map(|now_ms| supervisor.step(now_ms, Observation::Sessions(others))).collect();
    (from_ms + u64::from(sightings) * 500, actions)
}

/// With `--hang-limit` five pings.
const LOST: u32 = LOST_SIGHTINGS + 5 * SIGHTINGS_PER_PING;

#[test]
fn one_that_does_not_come_back_to_a_sidecar_that_was_started_anew_is_killed() {
    let mut supervisor = supervisor(false);
    supervisor.step(5_000, Observation::Sessions(&[session(1, true, 0)]));
    supervisor.step(5_500, Observation::SidecarAway);
    let (now_ms, actions) = sight(&mut supervisor, 6_000, LOST - 1, &[]);
    assert_eq!(actions, [], "it has the time to open another session");
    let (now_ms, actions) = sight(&mut supervisor, now_ms, 10, &[]);
    assert_eq!(killed(&actions), [Slot::First], "once");
    let actions = supervisor.step(now_ms, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(actions, [start(Slot::First, 2)]);
}

#[test]
fn a_frozen_one_that_lost_its_session_does_not_keep_the_place_of_the_next_spare() {
    let mut supervisor = with_spare();
    let took_over = [session(2, true, 0)];
    let (now_ms, actions) = sight(&mut supervisor, 30_000, LOST, &took_over);
    assert_eq!(killed(&actions), [Slot::First]);
    let actions = supervisor.step(now_ms, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(actions, []);
    assert_eq!(supervisor.step(now_ms + 10_000, Observation::Tick), [start(Slot::First, 3)]);
}

#[test]
fn a_sidecar_that_is_away_again_and_again_ends_nobody() {
    let mut supervisor = supervisor(false);
    let mut now_ms = 5_000;
    supervisor.step(now_ms, Observation::Sessions(&[session(1, true, 0)]));
    for _ in 0..10 {
        let (then_ms, actions) = sight(&mut supervisor, now_ms, LOST - 1, &[]);
        assert_eq!(actions, []);
        assert_eq!(supervisor.step(then_ms + 1, Observation::SidecarAway), []);
        now_ms = then_ms + 3_600_000;
    }
    supervisor.step(now_ms, Observation::Sessions(&[session(1, true, 0)]));
    assert_eq!(sight(&mut supervisor, now_ms, LOST - 1, &[]).1, [], "nor one that was back in between");
}

#[test]
fn one_that_hangs_before_it_opens_a_session_is_killed_if_others_had_one() {
    let mut supervisor = supervisor(false);
    supervisor.step(90_000, Observation::Sessions(&[session(1, true, 0)]));
    let actions = supervisor.step(100_000, Observation::Ended(Slot::First, End::Killed(SIGKILL)));
    assert_eq!(actions, [start(Slot::First, 2)]);
    let (now_ms, actions) = sight(&mut supervisor, 100_000, NEVER_SIGHTINGS, &[]);
    assert_eq!(actions, [], "the one before took 90 s, so this one has four times as long");
    let actions = supervisor.step(now_ms + 60_000, Observation::Sessions(&[]));
    assert_eq!(killed(&actions), [Slot::First]);
}

#[test]
fn without_a_session_by_our_names_nothing_is_known_of_a_hang() {
    let mut supervisor = supervisor(false);
    let of_an_older_adapter = Session { process: "5f0c".into(), granted: true, unanswered_pings: None };
    assert_eq!(sight(&mut supervisor, 0, 100_000, &[of_an_older_adapter]).1, []);
    assert_eq!(sight(&mut supervisor, 50_000_000, 100_000, &[]).1, [], "it may be somebody else's sidecar");
}

#[test]
fn one_that_ends_in_order_has_given_up_its_session_and_is_not_killed() {
    let mut supervisor = supervisor(false);
    supervisor.step(5_000, Observation::Sessions(&[session(1, true, 0)]));
    supervisor.step(6_000, Observation::AskedToEnd(SIGTERM));
    assert_eq!(sight(&mut supervisor, 6_000, 2 * LOST, &[]).1, []);
}
