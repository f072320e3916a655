//! A small world of candidates whose answers get lost and whose clocks drift.

use proptest::prelude::*;

use super::*;

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
            Action::Create { .. } if self.lease.is_some() => conflict(),
            Action::Hold { version, .. } | Action::Release { version } if stale(version, &self.lease) => {
                conflict()
            }
            Action::Create { .. } | Action::Hold { .. } | Action::Release { .. } => {
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
