//! Requests with a time-out, repeated where that helps, and counted.

use super::client::{Client, Stat, Trouble};
use bytes::Bytes;
use serde::Serialize;
use std::future::Future;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How many requests were sent, each try counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// Questions for the length of one file (HEAD; `stat` for a local file).
    pub heads: u64,
    /// Reads of a part of the `_metadata` file.
    pub gets: u64,
    /// Pages of listings, as far as they can be told apart: one for every begun thousand of keys.
    pub list_pages: u64,
}

/// How long to wait, and how often to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Patience {
    pub(crate) request_timeout_ms: u64,
    pub(crate) attempts_max: u32,
    pub(crate) retry_initial_ms: u64,
}

/// Asks stores, patiently.
#[derive(Debug)]
pub(crate) struct Asker {
    patience: Patience,
    heads: AtomicU64,
    gets: AtomicU64,
    list_pages: AtomicU64,
}

impl Asker {
    pub(crate) fn new(patience: Patience) -> Self {
        Self {
            patience,
            heads: AtomicU64::default(),
            gets: AtomicU64::default(),
            list_pages: AtomicU64::default(),
        }
    }

    pub(crate) fn requests(&self) -> Requests {
        let (heads, gets, list_pages) = (&self.heads, &self.gets, &self.list_pages);
        Requests {
            heads: heads.load(Relaxed),
            gets: gets.load(Relaxed),
            list_pages: list_pages.load(Relaxed),
        }
    }

    pub(crate) async fn stat(&self, client: &Client, key: &str) -> Result<Stat, Trouble> {
        self.ask(&self.heads, || client.stat(key)).await
    }

    pub(crate) async fn get(
        &self,
        client: &Client,
        key: &str,
        range: Range<u64>,
        stat: &Stat,
    ) -> Result<Bytes, Trouble> {
        self.ask(&self.gets, || client.get(key, range.clone(), stat)).await
    }

    pub(crate) fn count_list_page(&self) {
        self.list_pages.fetch_add(1, Relaxed);
    }

    pub(crate) async fn in_time<T>(
        &self,
        answer: impl Future<Output = Result<T, Trouble>>,
    ) -> Result<T, Trouble> {
        let timeout_ms = self.patience.request_timeout_ms;
        match timeout(Duration::from_millis(timeout_ms), answer).await {
            Ok(answer) => answer,
            Err(_) => Err(Trouble::Transient(format!("no answer within {timeout_ms} ms"))),
        }
    }

    /// Waits before try number `attempt` + 1. False when that was the last one.
    pub(crate) async fn may_retry(&self, attempt: u32) -> bool {
        if attempt >= self.patience.attempts_max {
            return false;
        }
        let pause_ms = self.patience.retry_initial_ms.saturating_mul(1 << (attempt - 1).min(16));
        sleep(Duration::from_millis(pause_ms)).await;
        true
    }

    async fn ask<T, A>(&self, counter: &AtomicU64, question: impl Fn() -> A) -> Result<T, Trouble>
    where
        A: Future<Output = Result<T, Trouble>>,
    {
        let mut attempt = 1;
        loop {
            counter.fetch_add(1, Relaxed);
            match self.in_time(question()).await {
                Err(Trouble::Transient(_)) if self.may_retry(attempt).await => attempt += 1,
                Err(Trouble::Transient(error)) if attempt > 1 => {
                    return Err(Trouble::Transient(format!("{error} ({attempt} tries)")));
                }
                answer => return answer,
            }
        }
    }
}
