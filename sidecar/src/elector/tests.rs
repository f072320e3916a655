mod waiting;
mod world;

use super::*;

const LEASE_MS: u64 = 15_000;
const RETRY_MS: u64 = 2_000;

fn timings() -> Timings {
    Timings::new(LEASE_MS, 10_000, RETRY_MS).expect("client-go's defaults")
}

fn elector() -> Elector {
    Elector::new("me".into(), timings())
}

fn lease(version: u64, holder: &str) -> Lease {
    Lease { version: version.to_string(), holder: holder.into(), duration_ms: LEASE_MS }
}

fn read(now_ms: u64, lease: Option<Lease>) -> Observation {
    Observation::Read { sent_ms: now_ms, lease }
}

fn written(sent_ms: u64, version: u64) -> Observation {
    Observation::Written { sent_ms, lease: lease(version, "me") }
}

fn conflict() -> Observation {
    Observation::Conflict { reason: "409".into() }
}

fn pod(pod: HolderPod) -> Observation {
    Observation::Pod { holder: "other".into(), pod }
}

fn unclear() -> Observation {
    Observation::Unclear { reason: "connection reset".into(), retry_after_ms: 0 }
}

fn busy(retry_after_ms: u64) -> Observation {
    Observation::Unclear { reason: "429".into(), retry_after_ms }
}

fn look_at(holder: &str) -> Option<Action> {
    Some(Action::LookAtPod { holder: holder.into() })
}

fn hold(version: u64, why: Taking) -> Option<Action> {
    Some(Action::Hold { version: version.to_string(), why })
}

/// Holds the Lease at version 1, confirmed at time 0.
fn holding() -> Elector {
    let mut elector = elector();
    assert_eq!(elector.step(0, Observation::Tick), Some(Action::Read));
    assert_eq!(elector.step(0, read(0, None)), Some(Action::Create { why: Taking::Free }));
    assert_eq!(elector.step(0, written(0, 1)), None);
    assert_eq!(elector.standing(0), Standing::Ours);
    elector
}

/// Follows `other`, whose version 1 was first seen at time 0 and whose pod may run.
fn following() -> Elector {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, Some(lease(1, "other")))), look_at("other"));
    assert_eq!(elector.step(0, pod(HolderPod::MayRun)), None);
    assert_eq!(elector.standing(0), Standing::Others { holder: "other".into() });
    elector
}

/// Reads `other`'s unchanged Lease once a period until `until_ms`; returns the first time at which it was taken.
fn taken_at(elector: &mut Elector, until_ms: u64) -> Option<u64> {
    let mut now_ms = 0;
    while now_ms <= until_ms {
        match elector.step(now_ms, Observation::Tick) {
            Some(Action::Read) => match elector.step(now_ms, read(now_ms, Some(lease(1, "other")))) {
                Some(Action::Hold { .. }) => return Some(now_ms),
                looks => assert_eq!(
                    (looks, elector.step(now_ms, pod(HolderPod::MayRun))),
                    (look_at("other"), None)
                ),
            },
            Some(Action::LookAtPod { .. }) => assert_eq!(elector.step(now_ms, pod(HolderPod::MayRun)), None),
            None => now_ms += 100,
            other => panic!("{other:?}"),
        }
    }
    None
}

#[test]
fn timings_are_refused_as_client_go_refuses_them() {
    assert!(Timings::new(10_000, 10_000, 2_000).is_err());
    assert!(Timings::new(15_000, 2_400, 2_000).is_err());
    assert!(Timings::new(15_000, 2_401, 2_000).is_ok());
}

#[test]
fn a_lease_that_nobody_holds_is_taken_by_naming_its_version() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, Some(lease(7, "")))), hold(7, Taking::Free));
}

#[test]
fn a_holder_renews_every_period_without_reading_first() {
    let mut elector = holding();
    assert_eq!(elector.step(RETRY_MS - 1, Observation::Tick), None);
    assert_eq!(elector.step(RETRY_MS, Observation::Tick), hold(1, Taking::Renewal));
    assert_eq!(elector.step(RETRY_MS, Observation::Tick), None, "one request is open at a time");
}

#[test]
fn an_old_view_that_shows_our_name_does_not_make_us_the_holder() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, conflict()), Some(Action::Read));
    elector.step(RETRY_MS, read(RETRY_MS, Some(lease(5, "other"))));
    elector.step(RETRY_MS, pod(HolderPod::MayRun));
    assert_eq!(elector.step(2 * RETRY_MS, Observation::Tick), Some(Action::Read));
    // The very state in which we held it.
    let renewal = elector.step(2 * RETRY_MS, read(2 * RETRY_MS, Some(lease(1, "me"))));
    assert_eq!(renewal, hold(1, Taking::Renewal), "a write tells");
    assert_eq!(elector.standing(2 * RETRY_MS), Standing::NotYet);
    assert_eq!(elector.step(2 * RETRY_MS, conflict()), Some(Action::Read));
    assert_ne!(elector.standing(2 * RETRY_MS), Standing::Ours);
}

#[test]
fn a_process_that_restarts_and_finds_its_own_name_writes_before_it_leads() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, Some(lease(7, "me")))), hold(7, Taking::Renewal));
    assert_eq!(elector.standing(0), Standing::NotYet);
    elector.step(0, written(0, 8));
    assert_eq!(elector.standing(0), Standing::Ours);
}

#[test]
fn a_rival_s_lease_is_taken_after_its_duration_of_observed_silence_and_not_before() {
    let taken_ms = taken_at(&mut following(), 60_000).expect("taken");
    assert!((LEASE_MS..LEASE_MS + 2 * RETRY_MS).contains(&taken_ms), "{taken_ms}");
}

#[test]
fn the_duration_is_the_holder_s_word_not_ours() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    let long = Lease { duration_ms: 60_000, ..lease(1, "other") };
    elector.step(0, read(0, Some(long.clone())));
    elector.step(0, pod(HolderPod::MayRun));
    let now_ms = LEASE_MS + RETRY_MS;
    assert_eq!(elector.step(now_ms, Observation::Tick), Some(Action::Read));
    assert_eq!(elector.step(now_ms, read(now_ms, Some(long))), look_at("other"));
}

#[test]
fn a_renewal_starts_the_silence_anew() {
    let mut elector = following();
    for now_ms in (RETRY_MS..10 * LEASE_MS).step_by(RETRY_MS as usize) {
        assert_eq!(elector.step(now_ms, Observation::Tick), Some(Action::Read));
        assert_eq!(elector.step(now_ms, read(now_ms, Some(lease(now_ms, "other")))), look_at("other"));
        elector.step(now_ms, pod(HolderPod::MayRun));
    }
}

#[test]
fn silence_proves_nothing_while_the_api_server_could_not_be_asked() {
    let mut elector = following();
    elector.step(RETRY_MS, Observation::Tick);
    elector.step(RETRY_MS, unclear());
    // Back after a minute: the holder could not renew either, and gets its time again.
    let back_ms = 60_000;
    assert_eq!(elector.step(back_ms, Observation::Tick), Some(Action::Read));
    assert_eq!(elector.step(back_ms, read(back_ms, Some(lease(1, "other")))), look_at("other"));
}

#[test]
fn a_holder_whose_pod_is_gone_is_followed_at_once() {
    for seen in [HolderPod::Gone, HolderPod::Terminated] {
        let mut elector = elector();
        elector.step(0, Observation::Tick);
        elector.step(0, read(0, Some(lease(1, "other"))));
        let evidence = Taking::Evidence { holder: "other".into(), pod: seen };
        assert_eq!(elector.step(0, pod(seen)), hold(1, evidence));
    }
}

#[test]
fn evidence_about_somebody_else_takes_nothing() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    elector.step(0, read(0, Some(lease(1, "other"))));
    assert_eq!(elector.step(0, Observation::Pod { holder: "third".into(), pod: HolderPod::Gone }), None);
}

#[test]
fn no_answer_takes_leadership_away_however_long() {
    let mut elector = holding();
    for now_ms in (RETRY_MS..3_600_000).step_by(RETRY_MS as usize) {
        if elector.step(now_ms, Observation::Tick).is_some() {
            elector.step(now_ms, unclear());
        }
    }
    assert_eq!(elector.standing(3_600_000), Standing::Unconfirmed { reason: "connection reset".into() });
}

#[test]
fn a_server_that_asks_for_patience_gets_it_up_to_the_renew_deadline() {
    for (asked_ms, until_ms) in [(0, 2 * RETRY_MS), (5_000, 7_000), (86_400_000, 10_000)] {
        let mut elector = holding();
        elector.step(RETRY_MS, Observation::Tick);
        assert_eq!(elector.step(RETRY_MS, busy(asked_ms)), None);
        assert_eq!(elector.next_tick_ms(), Some(until_ms));
    }
}

#[test]
fn a_server_that_asks_for_a_day_of_patience_does_not_cost_the_lease() {
    let mut elector = holding();
    let mut tried_ms = vec![];
    for now_ms in (0..60_000).step_by(100) {
        if elector.step(now_ms, Observation::Tick).is_some() {
            tried_ms.push(now_ms);
            elector.step(now_ms, busy(86_400_000));
        }
    }
    // At the deadline, then once a period until the Lease is over; from then on rarely.
    assert_eq!(tried_ms, [2_000, 10_000, 12_000, 14_000, 16_000, 26_000, 36_000, 46_000, 56_000]);
}

#[test]
fn a_request_that_hung_for_a_period_is_followed_by_the_next_at_once() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS + 5_000, unclear()), hold(1, Taking::Renewal));
}

#[test]
fn a_write_that_is_refused_again_and_again_is_not_sent_as_fast_as_it_is_refused() {
    let mut elector = holding();
    let mut requests = 0;
    for now_ms in (RETRY_MS..RETRY_MS + 60_000).step_by(100) {
        let mut next = elector.step(now_ms, Observation::Tick);
        while let Some(action) = next {
            requests += 1;
            next = match action {
                Action::Read => elector.step(now_ms, read(now_ms, Some(lease(1, "me")))),
                _ => elector.step(now_ms, conflict()),
            };
        }
    }
    assert!((60..=4 * 30).contains(&requests), "{requests} requests in 30 periods");
    assert_eq!(elector.trouble(), Some("409"));
    assert_eq!(elector.standing(RETRY_MS + 60_000), Standing::Ours, "every read showed that it is ours");
}

#[test]
fn a_conflict_with_our_own_earlier_write_is_not_a_loss() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    // Applied, the answer lost; then the next renewal names an old version.
    elector.step(RETRY_MS, unclear());
    elector.step(2 * RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(2 * RETRY_MS, conflict()), Some(Action::Read));
    let ours = read(2 * RETRY_MS, Some(lease(2, "me")));
    assert_eq!(elector.step(2 * RETRY_MS, ours), hold(2, Taking::Renewal));
    assert_eq!(elector.standing(2 * RETRY_MS), Standing::Ours);
}

#[test]
fn another_s_name_in_the_lease_is_a_loss_at_once() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, conflict()), Some(Action::Read));
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, Some(lease(9, "other")))), look_at("other"));
    assert_eq!(elector.standing(RETRY_MS), Standing::Others { holder: "other".into() });
}

#[test]
fn a_deleted_lease_is_created_again_and_takes_nothing_away() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, conflict()), Some(Action::Read));
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, None)), Some(Action::Create { why: Taking::Free }));
    assert_eq!(elector.standing(RETRY_MS), Standing::Ours);
}

#[test]
fn the_renew_deadline_counts_from_the_send() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    // Sent at 2 s, answered at 9 s.
    elector.step(9_000, written(RETRY_MS, 2));
    assert_eq!(elector.standing(11_999), Standing::Ours);
    assert!(matches!(elector.standing(12_000), Standing::Unconfirmed { .. }));
    assert_eq!(elector.expires_in_ms(12_000), Some(5_000));
}

#[test]
fn a_release_names_the_version_and_is_the_last_write() {
    let mut elector = holding();
    assert_eq!(elector.step(500, Observation::Release), Some(Action::Release { version: "1".into() }));
    elector.step(600, Observation::Written { sent_ms: 500, lease: lease(2, "") });
    assert_eq!(elector.standing(600), Standing::NotYet);
    let mut now_ms = 600;
    while now_ms < 60_000 {
        match elector.step(now_ms, Observation::Tick) {
            None => now_ms += 500,
            Some(Action::Read) => assert_eq!(elector.step(now_ms, read(now_ms, Some(lease(2, "")))), None),
            other => panic!("written after the release: {other:?}"),
        }
    }
}

#[test]
fn a_release_waits_for_the_renewal_that_is_under_way() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, Observation::Release), None);
    assert_eq!(elector.step(2_100, written(RETRY_MS, 2)), Some(Action::Release { version: "2".into() }));
}

#[test]
fn a_release_that_was_not_answered_is_tried_again_soon() {
    let mut elector = holding();
    elector.step(500, Observation::Release);
    assert_eq!(elector.step(500, unclear()), None);
    assert!(!elector.released());
    assert_eq!(elector.next_tick_ms(), Some(1_000));
    assert_eq!(elector.step(1_000, Observation::Tick), Some(Action::Read));
    let again = Some(Action::Release { version: "1".into() });
    assert_eq!(elector.step(1_000, read(1_000, Some(lease(1, "me")))), again);
    assert_eq!(elector.step(1_000, Observation::Written { sent_ms: 1_000, lease: lease(2, "") }), None);
    assert!(elector.released());
}
