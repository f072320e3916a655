use proptest::prelude::*;

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

fn unclear() -> Observation {
    Observation::Unclear { reason: "connection reset".into(), retry_after_ms: 0 }
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
    assert_eq!(elector.step(0, read(0, None)), Some(Action::Create));
    assert_eq!(elector.step(0, written(0, 1)), None);
    assert_eq!(elector.standing(0), Standing::Ours);
    elector
}

/// Follows `other`, whose version 1 was first seen at time 0 and whose pod may run.
fn following() -> Elector {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, Some(lease(1, "other")))), look_at("other"));
    let may_run = Observation::Pod { holder: "other".into(), pod: HolderPod::MayRun };
    assert_eq!(elector.step(0, may_run), None);
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
                Some(Action::LookAtPod { holder }) => {
                    elector.step(now_ms, Observation::Pod { holder, pod: HolderPod::MayRun });
                }
                other => panic!("{other:?}"),
            },
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
    elector.step(0, Observation::Pod { holder: "other".into(), pod: HolderPod::MayRun });
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
        elector.step(now_ms, Observation::Pod { holder: "other".into(), pod: HolderPod::MayRun });
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
    for pod in [HolderPod::Gone, HolderPod::Terminated] {
        let mut elector = elector();
        elector.step(0, Observation::Tick);
        elector.step(0, read(0, Some(lease(1, "other"))));
        let evidence = Taking::Evidence { holder: "other".into(), pod };
        assert_eq!(elector.step(0, Observation::Pod { holder: "other".into(), pod }), hold(1, evidence));
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
    for (asked_ms, given_ms) in [(0, RETRY_MS), (5_000, 5_000), (3_600_000, 10_000)] {
        let mut elector = holding();
        elector.step(RETRY_MS, Observation::Tick);
        elector.step(RETRY_MS, Observation::Unclear { reason: "429".into(), retry_after_ms: asked_ms });
        assert_eq!(elector.next_tick_ms(), Some(RETRY_MS + given_ms));
    }
}

#[test]
fn a_conflict_with_our_own_earlier_write_is_not_a_loss() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    // Applied, the answer lost; then the next renewal names an old version.
    elector.step(RETRY_MS, unclear());
    elector.step(2 * RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(2 * RETRY_MS, Observation::Conflict), Some(Action::Read));
    let ours = read(2 * RETRY_MS, Some(lease(2, "me")));
    assert_eq!(elector.step(2 * RETRY_MS, ours), hold(2, Taking::Renewal));
    assert_eq!(elector.standing(2 * RETRY_MS), Standing::Ours);
}

#[test]
fn another_s_name_in_the_lease_is_a_loss_at_once() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, Observation::Conflict), Some(Action::Read));
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, Some(lease(9, "other")))), look_at("other"));
    assert_eq!(elector.standing(RETRY_MS), Standing::Others { holder: "other".into() });
}

#[test]
fn a_deleted_lease_is_created_again_and_takes_nothing_away() {
    let mut elector = holding();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, Observation::Conflict), Some(Action::Read));
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, None)), Some(Action::Create));
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
fn a_restarted_process_recognises_its_own_lease() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, Some(lease(5, "me")))), hold(5, Taking::Renewal));
    assert_eq!(elector.standing(0), Standing::Ours);
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

/// An API server and a few candidates on clocks that drift, in one thread: every answer may be lost.
struct World {
    version: u64,
    lease: Option<Lease>,
    renewed_true_ms: u64,
}

impl World {
    /// Applies a request at the true time and answers it.
    fn serve(&mut self, true_ms: u64, now_ms: u64, me: &str, action: &Action) -> Observation {
        let stale =
            |version: &String, lease: &Option<Lease>| lease.as_ref().is_none_or(|l| l.version != *version);
        match action {
            Action::Read => read(now_ms, self.lease.clone()),
            Action::Create if self.lease.is_some() => Observation::Conflict,
            Action::Hold { version, .. } | Action::Release { version } if stale(version, &self.lease) => {
                Observation::Conflict
            }
            Action::Create | Action::Hold { .. } | Action::Release { .. } => {
                self.version += 1;
                let holder = if matches!(action, Action::Release { .. }) { "" } else { me };
                let lease = lease(self.version, holder);
                self.lease = Some(lease.clone());
                self.renewed_true_ms = true_ms;
                Observation::Written { sent_ms: now_ms, lease }
            }
            Action::LookAtPod { holder } => {
                Observation::Pod { holder: holder.clone(), pod: HolderPod::MayRun }
            }
        }
    }
}

/// What becomes of each request: answered, lost before, lost after it was applied.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    LostBefore,
    LostAfter,
    Deleted,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        12 => Just(Fate::Answered),
        1 => Just(Fate::LostBefore),
        1 => Just(Fate::LostAfter),
        1 => Just(Fate::Deleted),
    ]
}

proptest! {
    /// With clocks whose rates differ less than lease duration and renew deadline do, and offsets of hours: nobody
    /// takes a Lease whose holder still counts it as confirmed, and whoever believes so is in the Lease or was at
    /// its last confirmation.
    #[test]
    fn a_live_holder_is_not_robbed_whatever_the_clocks_say(
        fates in proptest::collection::vec(fate(), 600),
        rates_percent in proptest::array::uniform3(85u64..=115),
        offsets_ms in proptest::array::uniform3(0u64..10_000_000),
    ) {
        let names = ["a", "b", "c"];
        let mut world = World { version: 0, lease: None, renewed_true_ms: 0 };
        let mut electors = names.map(|name| Elector::new(name.into(), timings()));
        let mut fates = fates.into_iter();
        'run: for true_ms in (0u64..).step_by(100) {
            for (index, elector) in electors.iter_mut().enumerate() {
                let now_ms = offsets_ms[index] + true_ms * rates_percent[index] / 100;
                let mut next = elector.step(now_ms, Observation::Tick);
                while let Some(action) = next {
                    let Some(fate) = fates.next() else { break 'run };
                    if let Action::Hold { why: Taking::Expired { .. }, .. } = &action {
                        let silent_ms = true_ms - world.renewed_true_ms;
                        prop_assert!(silent_ms * 115 / 100 + 200 >= LEASE_MS, "robbed after {silent_ms} ms");
                    }
                    let answer = match fate {
                        Fate::LostBefore => unclear(),
                        Fate::LostAfter => {
                            world.serve(true_ms, now_ms, names[index], &action);
                            unclear()
                        }
                        Fate::Deleted => {
                            world.lease = None;
                            world.serve(true_ms, now_ms, names[index], &action)
                        }
                        Fate::Answered => world.serve(true_ms, now_ms, names[index], &action),
                    };
                    next = elector.step(now_ms, answer);
                }
            }
        }
    }

    /// Once answers come through again, somebody holds the Lease within its duration and a few periods.
    #[test]
    fn somebody_holds_the_lease_soon_after_the_trouble_is_over(
        fates in proptest::collection::vec(fate(), 0..200),
        dead in 0usize..3,
    ) {
        let names = ["a", "b", "c"];
        let mut world = World { version: 0, lease: None, renewed_true_ms: 0 };
        let mut electors = names.map(|name| Elector::new(name.into(), timings()));
        let mut fates = fates.into_iter().peekable();
        let mut healed_ms = None;
        for now_ms in (0u64..600_000).step_by(100) {
            if fates.peek().is_none() && healed_ms.is_none() {
                healed_ms = Some(now_ms);
            }
            for (index, elector) in electors.iter_mut().enumerate() {
                // One of them is dead from the moment of healing on, whether it held the Lease or not.
                if healed_ms.is_some() && index == dead {
                    continue;
                }
                let mut next = elector.step(now_ms, Observation::Tick);
                while let Some(action) = next {
                    let answer = match fates.next() {
                        None | Some(Fate::Answered | Fate::Deleted) => {
                            world.serve(now_ms, now_ms, names[index], &action)
                        }
                        Some(Fate::LostBefore) => unclear(),
                        Some(Fate::LostAfter) => {
                            world.serve(now_ms, now_ms, names[index], &action);
                            unclear()
                        }
                    };
                    next = elector.step(now_ms, answer);
                }
            }
            if let Some(healed_ms) = healed_ms
                && now_ms >= healed_ms + LEASE_MS + 3 * RETRY_MS
            {
                let held = electors.iter().enumerate().filter(|(i, _)| *i != dead);
                let leaders = held.filter(|(_, e)| e.standing(now_ms) == Standing::Ours).count();
                prop_assert_eq!(leaders, 1, "at {} ms, healed at {} ms", now_ms, healed_ms);
                break;
            }
        }
    }
}
