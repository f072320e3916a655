//! Places in a run to which faults can be tied: *before the answer of the third create*.
//!
//! Whoever comes to such a place calls [`Points::reach`]. When a fault of the plan is tied to just this visit, the caller waits
//! there until the world's driver has begun the fault; otherwise it goes on at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::plan::{Plan, Point, When};

/// The places of one run. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Points(Arc<Mutex<Inner>>);

/// A fault whose time has come, and whoever waits for it to begin.
#[derive(Debug)]
pub struct Due {
    /// Its index in the plan.
    pub fault: usize,
    /// Who came to the place.
    pub actor: String,
    /// Dropping it lets them go on.
    pub waiting: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Inner {
    visits: BTreeMap<Point, u32>,
    /// Which fault begins at which visit of which place.
    armed: BTreeMap<(Point, u32), Vec<usize>>,
    due: Vec<Due>,
}

impl Points {
    /// The places to which this plan ties faults.
    pub fn of(plan: &Plan) -> Self {
        let mut armed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (index, fault) in plan.faults.iter().enumerate() {
            if let When::On { point, nth } = fault.when {
                armed.entry((point, nth)).or_default().push(index);
            }
        }
        Self(Arc::new(Mutex::new(Inner { armed, ..Inner::default() })))
    }

    /// `actor` comes to this place.
    pub async fn reach(&self, point: Point, actor: &str) {
        let waits: Vec<_> = {
            let inner = &mut *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let visits = inner.visits.entry(point).or_default();
            *visits += 1;
            let faults = inner.armed.remove(&(point, *visits)).unwrap_or_default();
            let arm = |fault| {
                let (waiting, wait) = oneshot::channel();
                inner.due.push(Due { fault, actor: actor.to_owned(), waiting });
                wait
            };
            faults.into_iter().map(arm).collect()
        };
        for wait in waits {
            // The sender is dropped, not used: either way the driver is through with it.
            drop(wait.await);
        }
    }

    /// The faults that became due since the last call. For the world's driver, once per tick.
    pub fn take_due(&self) -> Vec<Due> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner).due)
    }
}
