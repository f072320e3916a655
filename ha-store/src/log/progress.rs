//! How far something got that may take long: what a deadline needs to know about it.

use super::Trouble;
use crate::{StoreError, StoreOptions};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Shared between the one who works and the one who watches the deadline.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    doubtful: AtomicBool,
    trouble: Mutex<String>,
}

impl Progress {
    /// Whether a record may have been created that the work does not know of yet. If not, the work can be dropped.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.doubtful.load(Ordering::Relaxed)
    }

    pub(crate) fn set_doubtful(&self, doubtful: bool) {
        self.doubtful.store(doubtful, Ordering::Relaxed);
    }

    /// What went wrong last, for people.
    pub(crate) fn trouble(&self) -> String {
        let trouble = self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        match trouble.as_str() {
            "" => "the object store is slow".to_owned(),
            told => told.to_owned(),
        }
    }

    pub(crate) fn set_trouble(&self, reason: String) {
        tracing::debug!(reason, "the object store is asked again");
        *self.trouble.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = reason;
    }
}

/// Pauses between tries, twice as long each time, up to a limit.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
    max: Duration,
}

impl Backoff {
    pub(crate) fn new(options: &StoreOptions) -> Self {
        let next = Duration::from_millis(options.retry_initial_ms);
        Self { next, max: Duration::from_millis(options.retry_max_ms) }
    }

    pub(crate) async fn pause(&mut self) {
        let pause = self.next;
        self.next = (self.next * 2).min(self.max);
        tokio::time::sleep(pause).await;
    }

    /// Pauses after trouble that may pass; gives back trouble that will not.
    pub(crate) async fn after(&mut self, trouble: Trouble, progress: &Progress) -> Result<(), StoreError> {
        match trouble {
            Trouble::Corrupt(error) => Err(error),
            Trouble::Unclear(reason) => {
                progress.set_trouble(reason);
                self.pause().await;
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_the_limit() {
        let options = StoreOptions { retry_initial_ms: 10, retry_max_ms: 50, ..StoreOptions::default() };
        let mut backoff = Backoff::new(&options);
        for expected_ms in [10, 20, 40, 50, 50] {
            let before = Instant::now();
            backoff.pause().await;
            assert_eq!(before.elapsed().as_millis(), expected_ms);
        }
    }
}
