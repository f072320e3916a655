//! Whoever waits: how soon it sees that the holder is gone, what that costs, and whom it leaves a deleted Lease to.

use proptest::prelude::*;

use super::*;

/// What a waiting candidate asked, and when.
#[derive(Default)]
struct Asked {
    reads_ms: Vec<u64>,
    looks_ms: Vec<u64>,
}

/// Lets a candidate wait from time 0 until it takes the Lease; every answer takes `latency_ms`. The holder renews every period
/// until `gone_ms`, so the version that was read last is often old. A look shows `before`, and then that its pod is gone.
fn wait(
    elector: &mut Elector,
    timings: Timings,
    until_ms: u64,
    latency_ms: u64,
    (before, gone_ms): (HolderPod, u64),
) -> (Asked, Option<u64>) {
    let mut asked = Asked::default();
    let mut now_ms = 0;
    let mut next = elector.step(now_ms, Observation::Tick);
    while now_ms < until_ms {
        let Some(action) = next else {
            now_ms = elector.next_tick_ms().expect("nothing is awaited").max(now_ms);
            next = elector.step(now_ms, Observation::Tick);
            continue;
        };
        let sent_ms = now_ms;
        now_ms += latency_ms;
        let version = sent_ms.min(gone_ms) / timings.retry_period_ms();
        let pod = if sent_ms < gone_ms { before } else { HolderPod::Gone };
        let answer = match action {
            Action::Read => {
                asked.reads_ms.push(sent_ms);
                Observation::Read { sent_ms, lease: Some(lease(version, "other")) }
            }
            Action::LookAtPod { holder } => {
                asked.looks_ms.push(sent_ms);
                Observation::Pod { holder, pod }
            }
            Action::Hold { version: named, .. } if named != version.to_string() => conflict(),
            Action::Hold { why: Taking::Evidence { .. }, .. } => return (asked, Some(now_ms)),
            other => panic!("{other:?}"),
        };
        next = elector.step(now_ms, answer);
    }
    (asked, None)
}

#[test]
fn the_holder_s_pod_is_looked_at_every_quarter_of_a_period_and_the_lease_read_once() {
    let stays = (HolderPod::MayRun, u64::MAX);
    let (asked, _) = wait(&mut elector(), timings(), 2 * RETRY_MS, 0, stays);
    assert_eq!(asked.reads_ms, [0, 2_000]);
    assert_eq!(asked.looks_ms, [0, 500, 1_000, 1_500, 2_000, 2_500, 3_000, 3_500]);
}

#[test]
fn a_short_period_is_not_divided_below_a_tenth_of_a_second() {
    for (retry_ms, interval_ms) in [(2_000, 500), (400, 100), (200, 100), (50, 50)] {
        let timings = Timings::new(LEASE_MS, 10_000, retry_ms).expect("good");
        assert_eq!(timings.look_interval_ms(), interval_ms);
    }
}

#[test]
fn who_cannot_judge_by_pods_tries_once_a_period() {
    let (asked, _) = wait(&mut elector(), timings(), 5 * RETRY_MS, 0, (HolderPod::Unknown, u64::MAX));
    assert_eq!(asked.looks_ms, [0, 2_000, 4_000, 6_000, 8_000]);
    assert_eq!(asked.reads_ms, asked.looks_ms);
}

#[test]
fn who_may_not_look_at_pods_tries_once_a_period() {
    let mut elector = elector();
    let mut looks_ms = vec![];
    for now_ms in (0..5 * RETRY_MS).step_by(50) {
        let mut next = elector.step(now_ms, Observation::Tick);
        while let Some(action) = next {
            next = match action {
                Action::Read => elector.step(now_ms, read(now_ms, Some(lease(now_ms, "other")))),
                Action::LookAtPod { .. } => {
                    looks_ms.push(now_ms);
                    elector.step(now_ms, unclear())
                }
                other => panic!("{other:?}"),
            };
        }
    }
    assert_eq!(looks_ms, [0, 2_000, 4_000, 6_000, 8_000]);
}

#[test]
fn whoever_waits_is_patient_with_a_busy_server_too() {
    let mut elector = following();
    assert_eq!(elector.step(500, Observation::Tick), look_at("other"));
    assert_eq!(elector.step(500, busy(7_000)), None);
    assert_eq!(elector.next_tick_ms(), Some(7_500));
    assert_eq!(elector.step(7_499, Observation::Tick), None);
    assert_eq!(elector.step(7_500, Observation::Tick), Some(Action::Read));
}

#[test]
fn a_lease_that_vanished_is_left_to_its_holder_for_as_long_as_it_would_have_lasted() {
    let mut elector = following();
    let mut created_ms = None;
    for now_ms in (RETRY_MS..60_000).step_by(100) {
        let mut next = elector.step(now_ms, Observation::Tick);
        while let Some(action) = next {
            next = match action {
                Action::Read => elector.step(now_ms, read(now_ms, None)),
                Action::LookAtPod { .. } => elector.step(now_ms, pod(HolderPod::MayRun)),
                Action::Create { why } => {
                    assert_eq!(why, Taking::Expired { holder: "other".into() });
                    created_ms = created_ms.or(Some(now_ms));
                    elector.step(now_ms, written(now_ms, 1))
                }
                Action::Hold { .. } => elector.step(now_ms, written(now_ms, 2)),
                other => panic!("{other:?}"),
            };
        }
    }
    let vanished_ms = RETRY_MS;
    let window = vanished_ms + LEASE_MS..vanished_ms + LEASE_MS + 2 * RETRY_MS;
    assert!(created_ms.is_some_and(|at_ms| window.contains(&at_ms)), "{created_ms:?}");
}

#[test]
fn a_lease_that_vanished_with_its_holder_s_pod_is_made_again_at_once() {
    let mut elector = following();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, None)), look_at("other"));
    let why = Taking::Evidence { holder: "other".into(), pod: HolderPod::Gone };
    assert_eq!(elector.step(RETRY_MS, pod(HolderPod::Gone)), Some(Action::Create { why }));
}

#[test]
fn who_never_saw_a_lease_makes_it_at_once() {
    let mut elector = elector();
    elector.step(0, Observation::Tick);
    assert_eq!(elector.step(0, read(0, None)), Some(Action::Create { why: Taking::Free }));
}

#[test]
fn a_released_lease_that_vanishes_is_left_to_nobody() {
    let mut elector = following();
    elector.step(RETRY_MS, Observation::Tick);
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, Some(lease(2, "")))), hold(2, Taking::Free));
    assert_eq!(elector.step(RETRY_MS, conflict()), Some(Action::Read));
    assert_eq!(elector.step(RETRY_MS, read(RETRY_MS, None)), Some(Action::Create { why: Taking::Free }));
}

proptest! {
    /// Whenever the pod vanishes, whatever was read when, and with every request as slow as a twentieth of a period: the
    /// Lease is taken in less than a period.
    #[test]
    fn a_holder_whose_pod_is_gone_is_replaced_within_a_retry_period(
        gone_ms in 5_000u64..15_000,
        retry_ms in 400u64..=2_000,
        latency_percent in 0u64..=5,
    ) {
        let timings = Timings::new(LEASE_MS, 10_000, retry_ms).expect("good");
        let mut elector = Elector::new("me".into(), timings);
        let latency_ms = retry_ms * latency_percent / 100;
        let (asked, taken_ms) = wait(&mut elector, timings, 60_000, latency_ms, (HolderPod::MayRun, gone_ms));
        let taken_ms = taken_ms.expect("never taken");
        prop_assert!(taken_ms - gone_ms < retry_ms, "gone at {gone_ms}, taken at {taken_ms}");
        let before_ms = gone_ms - gone_ms % retry_ms;
        let periods = gone_ms.div_ceil(retry_ms) + 1;
        let reads = asked.reads_ms.iter().filter(|ms| **ms < before_ms).count() as u64;
        let looks = asked.looks_ms.iter().filter(|ms| **ms < before_ms).count() as u64;
        prop_assert!(reads <= periods && looks <= 4 * periods, "{reads} reads, {looks} looks in {periods} periods");
    }

    /// The clocks of holder and rival differ as much as lease duration and renew deadline do: the Lease is the holder's
    /// again after every deletion.
    #[test]
    fn a_deleted_lease_is_its_holder_s_again(
        deletions_ms in proptest::collection::vec(0u64..100_000, 1..10),
        rates_percent in proptest::array::uniform2(85u64..=115),
        phase_ms in 0u64..2_000,
    ) {
        let mut server = None::<Lease>;
        let mut versions = 0;
        let mut electors = ["holder", "rival"].map(|name| Elector::new(name.into(), timings()));
        for true_ms in (0u64..120_000).step_by(50) {
            if deletions_ms.iter().any(|at_ms| at_ms / 50 == (true_ms.saturating_sub(5_000)) / 50 && true_ms >= 5_000) {
                server = None;
            }
            for (index, name) in ["holder", "rival"].into_iter().enumerate() {
                // The rival comes second, and sees the Lease held before anybody deletes it.
                if index == 1 && true_ms < 1_000 + phase_ms {
                    continue;
                }
                let now_ms = true_ms * rates_percent[index] / 100;
                let mut next = electors[index].step(now_ms, Observation::Tick);
                while let Some(action) = next {
                    let current = |version: &str| server.as_ref().is_some_and(|lease| lease.version == version);
                    let answer = match &action {
                        Action::Read => read(now_ms, server.clone()),
                        Action::LookAtPod { holder } => {
                            Observation::Pod { holder: holder.clone(), pod: HolderPod::MayRun }
                        }
                        Action::Create { .. } if server.is_some() => conflict(),
                        Action::Hold { version, .. } if !current(version) => conflict(),
                        Action::Create { .. } | Action::Hold { .. } => {
                            prop_assert_eq!(name, "holder", "at {} ms: {:?}", true_ms, action);
                            versions += 1;
                            server = Some(lease(versions, name));
                            Observation::Written { sent_ms: now_ms, lease: lease(versions, name) }
                        }
                        Action::Release { .. } => unreachable!("nobody stops"),
                    };
                    next = electors[index].step(now_ms, answer);
                }
            }
        }
        prop_assert!(server.is_some_and(|lease| lease.holder == "holder"));
    }
}
