//! How a snapshot is verified.

use crate::metadata::Limits;
use crate::stores::Patience;

/// How to verify, and what that may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyOptions {
    /// Reads the `_metadata` file and asks for no other.
    pub metadata_only: bool,
    /// Requests that wait for an answer at the same time.
    pub concurrency: usize,
    /// How long one request may take. A local file system that hangs is given up too, but its thread is not. A client of
    /// [`Stores`](crate::Stores) has a time-out of its own, `BackendOptions::call_timeout_ms`: the shorter one counts.
    pub request_timeout_ms: u64,
    /// How often a request is sent at most while its answers are transient errors.
    pub attempts_max: u32,
    /// The pause before the second try; it doubles with every further one.
    pub retry_initial_ms: u64,
    /// A directory is listed when at least this many of its files are needed. Below, each is asked for by itself.
    pub list_from_files: usize,
    /// What a page of a listing costs, in requests for one file. Pages come one after the other, so a page takes as long as
    /// a hundred or more requests that wait together, and its price is that of ten. A listing that finds fewer needed
    /// files per page than this is given up.
    pub list_page_costs_heads: u64,
    /// No further files are asked for once this many could not be: the store is away, and every further question
    /// would wait for all of its tries.
    pub unanswered_max: usize,
    /// How much memory the reader may need.
    pub limits: Limits,
}

impl Default for VerifyOptions {
    fn default() -> Self {
        Self {
            metadata_only: false,
            concurrency: 64,
            request_timeout_ms: 10_000,
            attempts_max: 3,
            retry_initial_ms: 200,
            list_from_files: 32,
            list_page_costs_heads: 100,
            unanswered_max: 100,
            limits: Limits::default(),
        }
    }
}

impl VerifyOptions {
    pub(crate) fn patience(&self) -> Patience {
        Patience {
            request_timeout_ms: self.request_timeout_ms,
            attempts_max: self.attempts_max,
            retry_initial_ms: self.retry_initial_ms,
        }
    }
}
