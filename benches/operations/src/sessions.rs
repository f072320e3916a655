//! The sessions: one JobManager ends, and the one that waits is granted.

use std::hint::black_box;

use ha_store::{Epoch, SessionId};
use sidecar::sessions::{Action, Attachment, Observation, Sessions};

use crate::Run;

/// Failovers in one run.
pub const FAILOVERS: u64 = 100;

/// [`FAILOVERS`] times: a standby opens its stream, the leader's ends, the store records the claim.
pub fn fails_over() -> Run {
    Box::new(|| assert_eq!(campaign(black_box(FAILOVERS)), FAILOVERS))
}

/// How often somebody was granted.
fn campaign(failovers: u64) -> u64 {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    let name = |n: u64| SessionId::try_from(format!("session-{n}")).expect("a session id");
    let opened = |n: u64| Observation::Opened {
        session: name(n),
        attachment: Attachment(n),
        resume: None,
        waited: false,
    };
    let mut granted = 0;
    sessions.step(0, opened(0));
    for n in 0..failovers {
        let now_ms = n * 1_000;
        let claimed = Observation::Claimed { session: name(n), epoch: Epoch::new(n + 1) };
        let actions = sessions.step(now_ms, claimed);
        granted += actions.iter().filter(|action| matches!(action, Action::Grant { .. })).count() as u64;
        sessions.step(now_ms, opened(n + 1));
        sessions.step(now_ms, Observation::LeaseRenewed { sent_ms: now_ms });
        sessions.step(now_ms, Observation::Tick);
        sessions.step(now_ms, Observation::Closed { session: name(n), attachment: Attachment(n) });
    }
    granted
}
