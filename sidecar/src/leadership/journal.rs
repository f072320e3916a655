//! The last decisions, for `/status`: what an operator asks first is "what happened here?".

use std::sync::Arc;

use serde::Serialize;

/// One decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// When, by the wall clock.
    pub at_ms: i64,
    /// A stable word, the same as the log's `event` field.
    pub event: &'static str,
    /// For people.
    pub detail: String,
}

/// A bounded list; the oldest entry goes first.
#[derive(Debug, Default)]
pub(super) struct Journal {
    /// Shared with whoever looks: it is copied when something is added, not each time somebody looks.
    entries: Arc<Vec<Entry>>,
}

const ENTRIES_MAX: usize = 50;

impl Journal {
    /// Logs a decision and remembers it.
    pub(super) fn note(&mut self, at_ms: i64, event: &'static str, detail: String) {
        tracing::info!(event, "{detail}");
        self.remember(at_ms, event, detail);
    }

    /// The same for what needs a person.
    pub(super) fn alarm(&mut self, at_ms: i64, event: &'static str, detail: String) {
        tracing::error!(event, "{detail}");
        self.remember(at_ms, event, detail);
    }

    fn remember(&mut self, at_ms: i64, event: &'static str, detail: String) {
        let entries = Arc::make_mut(&mut self.entries);
        if entries.len() == ENTRIES_MAX {
            entries.remove(0);
        }
        entries.push(Entry { at_ms, event, detail });
    }

    pub(super) fn snapshot(&self) -> Arc<Vec<Entry>> {
        self.entries.clone()
    }
}
