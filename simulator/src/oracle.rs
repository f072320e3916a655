//! The promises, checked at every event.

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The name of the property: stable, for people who count them. For example `fenced` or `exactly-once`.
    pub property: &'static str,
    /// When, in simulated milliseconds.
    pub at_ms: u64,
    /// Which event of the trace showed it.
    pub entry: usize,
    /// What was seen and why it must not be.
    pub what: String,
}
