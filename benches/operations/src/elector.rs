//! The elector, against an API server that answers at once.

use std::hint::black_box;

use sidecar::elector::{Action, Elector, HolderPod, Lease, Observation, Standing, Timings};

use crate::Run;

/// Steps of time in one run, each with whatever requests it leads to.
pub const TICKS: u64 = 1_000;

const LEASE_MS: u64 = 15_000;
const TICK_MS: u64 = 500;

/// Holds the Lease and renews it.
pub fn leads() -> Run {
    Box::new(|| {
        let end = campaign(black_box(None));
        assert_eq!(black_box(end), Standing::Ours);
    })
}

/// Waits for a holder that keeps renewing.
pub fn waits() -> Run {
    Box::new(|| {
        let end = campaign(black_box(Some("other")));
        assert!(matches!(black_box(end), Standing::Others { .. }));
    })
}

/// [`TICKS`] steps beside `rival`, who renews at every read.
fn campaign(rival: Option<&str>) -> Standing {
    let timings = Timings::new(LEASE_MS, 10_000, 2_000).expect("client-go's defaults");
    let mut elector = Elector::new("me".to_owned(), timings);
    let mut version = 0;
    let mut holder = rival.map(str::to_owned);
    for now_ms in (0..TICKS).map(|tick| tick * TICK_MS) {
        let mut asked = elector.step(now_ms, Observation::Tick);
        while let Some(action) = asked {
            version += 1;
            let lease = |holder: &str| Lease {
                version: version.to_string(),
                holder: holder.to_owned(),
                duration_ms: LEASE_MS,
            };
            let answer = match action {
                Action::Read => Observation::Read { sent_ms: now_ms, lease: holder.as_deref().map(lease) },
                Action::Create { .. } | Action::Hold { .. } => {
                    holder = Some("me".to_owned());
                    Observation::Written { sent_ms: now_ms, lease: lease("me") }
                }
                Action::Release { .. } => Observation::Written { sent_ms: now_ms, lease: lease("") },
                Action::LookAtPod { holder } => Observation::Pod { holder, pod: HolderPod::MayRun },
            };
            asked = elector.step(now_ms, answer);
        }
    }
    elector.standing(TICKS * TICK_MS)
}
