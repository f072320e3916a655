//! The planner: what a new generation restores, of a deployment with a full history.

use std::collections::BTreeMap;
use std::hint::black_box;

use ha_store::{DeploymentState, Epoch};
use sidecar::planner::{Circumstances, Found, Step, Wish, plan};

use crate::Run;
use crate::record;
use crate::same::NOW_MS;

/// Asks for what is to be verified, is told that it can be restored, and plans.
pub fn latest_state() -> Run {
    let (_, state) = record::sample();
    let wish = Wish::default();
    Box::new(move || assert!(planned(black_box(&state), &wish), "the newest one can be restored"))
}

fn planned(state: &DeploymentState, wish: &Wish) -> bool {
    let circumstances = Circumstances { generation: "2", epoch: Epoch::new(2), now_ms: NOW_MS };
    let mut found = BTreeMap::new();
    loop {
        match black_box(plan(state, wish, &circumstances, &found)) {
            Step::Verify(pointer) => {
                let id = pointer.rsplit('-').next().and_then(|id| id.parse().ok());
                found.insert(pointer, Found::Restorable { id: id.expect("ends in its id"), files: 4 });
            }
            Step::Plan(plan) => return plan.snapshot.is_some(),
            Step::Refuse(_) => return false,
        }
    }
}
