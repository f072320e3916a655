//! How patient an elector is.

/// How patient to be. `lease > renew deadline > 1.2 × retry period`, checked by [`Timings::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    lease_duration_ms: u64,
    renew_deadline_ms: u64,
    retry_period_ms: u64,
}

/// Timings that cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTimings(String);

// === impl Timings ===

impl Timings {
    /// Checks what client-go checks.
    pub fn new(
        lease_duration_ms: u64,
        renew_deadline_ms: u64,
        retry_period_ms: u64,
    ) -> Result<Self, InvalidTimings> {
        let invalid = |what: String| Err(InvalidTimings(what));
        if lease_duration_ms <= renew_deadline_ms {
            return invalid(format!(
                "lease-duration ({lease_duration_ms}ms) must be longer than renew-deadline ({renew_deadline_ms}ms)"
            ));
        }
        // Jitter makes a period up to 1.2 times as long.
        if renew_deadline_ms * 5 <= retry_period_ms * 6 {
            return invalid(format!(
                "renew-deadline ({renew_deadline_ms}ms) must be longer than 1.2 × retry-period ({retry_period_ms}ms)"
            ));
        }
        Ok(Self { lease_duration_ms, renew_deadline_ms, retry_period_ms })
    }

    /// After this long without a renewal nothing new is begun.
    pub fn renew_deadline_ms(&self) -> u64 {
        self.renew_deadline_ms
    }

    /// How often the Lease is renewed by its holder, and read by everybody else.
    pub fn retry_period_ms(&self) -> u64 {
        self.retry_period_ms
    }

    /// How often whoever waits looks at the holder's pod: often enough for a takeover within a retry period, requests
    /// included.
    pub fn look_interval_ms(&self) -> u64 {
        const LEAST_MS: u64 = 100;
        self.retry_period_ms.div_ceil(4).max(LEAST_MS).min(self.retry_period_ms)
    }

    /// What we promise to whoever reads our Lease.
    pub fn lease_duration_ms(&self) -> u64 {
        self.lease_duration_ms
    }
}
