//! The faults that are going on, as those see them who suffer from them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::plan::{Fault, What};
use crate::seed::Stream;

/// The faults that are going on. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Active(Arc<Mutex<BTreeMap<usize, Going>>>);

/// A fault that is going on.
#[derive(Debug, Clone)]
pub struct Going {
    /// What it is.
    pub what: What,
    /// Its own randomness.
    pub stream: Stream,
}

// === impl Active ===

impl Active {
    /// A fault begins.
    pub fn begin(&self, index: usize, fault: &Fault, seed: u64) {
        let going = Going { what: fault.what.clone(), stream: stream_of(fault, seed) };
        self.lock().insert(index, going);
    }

    /// It ends.
    pub fn end(&self, index: usize) {
        self.lock().remove(&index);
    }

    /// All of them, in the order of the plan.
    pub fn all(&self) -> Vec<Going> {
        self.lock().values().cloned().collect()
    }

    /// Whether this one goes on.
    pub fn has(&self, what: impl Fn(&What) -> bool) -> bool {
        self.lock().values().any(|going| what(&going.what))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<usize, Going>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The randomness of a fault hangs on what it is, not on its place in the plan: others may be taken out before it.
pub fn stream_of(fault: &Fault, seed: u64) -> Stream {
    Stream::new(seed, &format!("fault {fault:?}"))
}
