//! The last look at a job, before its end is recorded.
//!
//! Flink answers until we have answered, and with stop-with-savepoint it ends its process right after. Its answers come out of a
//! cache, so it is asked until one must be fresh. That must not hold the end back for long, so it may fail.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use ha_store::{Epoch, JobId};
use tokio::time::{Instant, timeout, timeout_at};

use super::{Observation, Trouble};
use crate::job_manager::{AskError, CacheAge, JobManager};

/// What is known about Flink's cache, and about the ends that are being recorded, under one epoch.
#[derive(Debug, Default)]
pub(super) struct Ends(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    epoch: Option<Epoch>,
    cache: Option<CacheAge>,
    looks: BTreeMap<JobId, Look>,
}

/// The last look at a job. Its end is told again when the answer takes longer than the adapter waits for it, and a look that
/// began anew each time would never be over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Look {
    /// When its end was told first.
    began: Instant,
    /// Nothing more is to be seen, or it was given up.
    is_over: bool,
}

/// How much longer than its cache says an answer of Flink's may be old: it is made before it is put there.
const MARGIN: Duration = Duration::from_millis(200);
/// How long a job's result waits at most for an answer that must be fresh. The adapter repeats a result for 30 s unless
/// configured (`high-availability.holdfast.add-deadline`), and the store must have its share of that.
const WAIT_MAX: Duration = Duration::from_secs(10);
/// How long that answer itself may take, and the one about the cache.
const ANSWER: Duration = Duration::from_millis(1_800);
const POLL: Duration = Duration::from_millis(400);

// === impl Ends ===

impl Ends {
    /// What is known under this epoch; nothing that was under an older one.
    fn under<T>(&self, epoch: Epoch, work: impl FnOnce(&mut Known) -> T) -> T {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.epoch != Some(epoch) {
            *known = Known { epoch: Some(epoch), ..Known::default() };
        }
        work(&mut known)
    }

    fn begin(&self, epoch: Epoch, job: &JobId) -> Look {
        let new = || Look { began: Instant::now(), is_over: false };
        self.under(epoch, |known| *known.looks.entry(job.clone()).or_insert_with(new))
    }

    fn end(&self, epoch: Epoch, job: &JobId) {
        self.under(epoch, |known| {
            if let Some(look) = known.looks.get_mut(job) {
                look.is_over = true;
            }
        });
    }
}

/// How long after its end a job must be asked about for an answer that cannot be older than the end.
fn wait_for(cache: &CacheAge) -> Duration {
    cache.max.saturating_add(MARGIN).min(WAIT_MAX)
}

fn is_hidden_for_long(cache: &CacheAge) -> bool {
    cache.max.saturating_add(MARGIN) > WAIT_MAX
}

// === impl Observation ===

impl Observation {
    /// Looks at a job for the last time. Returns at most 12 s after its end was told first.
    pub async fn last_look(&self, epoch: Epoch, job: &JobId, status: &str) {
        let Look { began, is_over } = self.inner.ends.begin(epoch, job);
        if is_over {
            return;
        }
        let looked = self.look_last(epoch, job, began).await;
        self.inner.ends.end(epoch, job);
        let Err(trouble) = looked else { return };
        tracing::warn!(
            event = "end-not-observed",
            %job,
            status,
            "job {job} ended ({status}), and its last savepoints could not be observed: {trouble}. If it was stopped with a \
             savepoint, and not by `holdfast savepoint --stop`, that one may be unknown here: name it with `holdfast reset --to`"
        );
    }

    async fn look_last(&self, epoch: Epoch, job: &JobId, began: Instant) -> Result<(), String> {
        let job_manager = self.job_manager(epoch).map_err(|trouble| trouble.to_string())?;
        let cache = match timeout(ANSWER, self.learn_cache_age(epoch, &job_manager)).await {
            Ok(Some(cache)) => cache,
            Ok(None) | Err(_) => CacheAge::default(),
        };
        let fresh_at = began + wait_for(&cache);
        let look = async {
            loop {
                let asked_at = Instant::now();
                let answer = self.look_at(epoch, &job_manager, job).await?;
                if answer.ends_with_a_stop() {
                    return Ok::<bool, Trouble>(true);
                }
                if asked_at >= fresh_at {
                    return Ok(!is_hidden_for_long(&cache));
                }
                tokio::time::sleep_until(fresh_at.min(Instant::now() + POLL)).await;
            }
        };
        match timeout_at(fresh_at.max(Instant::now()) + ANSWER, look).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(hidden(&cache)),
            Ok(Err(trouble)) => Err(trouble.to_string()),
            Err(_) => Err(format!("it took longer than {} ms", (wait_for(&cache) + ANSWER).as_millis())),
        }
    }

    /// How old this JobManager's answers may be, asked once if it answers. One that hides the end of a job for longer than that
    /// can be waited for is told of at once, and not only when a savepoint may be lost.
    pub(super) async fn learn_cache_age(&self, epoch: Epoch, asked: &JobManager) -> Option<CacheAge> {
        if let Some(cache) = self.inner.ends.under(epoch, |known| known.cache.clone()) {
            return Some(cache);
        }
        let cache = match asked.cache_age().await {
            Ok(cache) => cache,
            Err(error @ (AskError::Unreachable { .. } | AskError::NoAnswer { .. })) => {
                tracing::debug!("how old Flink's answers may be is not known yet: {error}");
                return None;
            }
            // It will say the same the next time.
            Err(error @ (AskError::Refused { .. } | AskError::Unreadable { .. })) => {
                let cache = CacheAge::default();
                let assumed_ms = cache.max.as_millis();
                tracing::warn!(
                    event = "cache-age-unknown",
                    "how old Flink's answers about checkpoints may be is not known, {assumed_ms} ms are assumed: {error}"
                );
                cache
            }
        };
        let is_first = self.inner.ends.under(epoch, |known| known.cache.replace(cache.clone()).is_none());
        if is_first && is_hidden_for_long(&cache) {
            tracing::warn!(event = "cache-age-too-long", "{}", hidden(&cache));
        }
        Some(cache)
    }
}

/// Why what a job was stopped with may not be seen, and the way out.
fn hidden(cache: &CacheAge) -> String {
    let set_by = cache.set_by.as_deref().unwrap_or("its default");
    format!(
        "the JobManager's answers about checkpoints may be {} ms old ({set_by}), and a job's end is held back for at most {} ms \
         (fixed), so that a savepoint that the job was stopped with may not be seen. Set \
         rest.cache.checkpoint-statistics.timeout: 3 s in Flink's configuration",
        cache.max.as_millis(),
        WAIT_MAX.as_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(seconds: u64) -> CacheAge {
        CacheAge { max: Duration::from_secs(seconds), set_by: None }
    }

    #[test]
    fn an_end_waits_for_what_flinks_cache_may_hide_and_never_without_bound() {
        assert_eq!(wait_for(&cache(1)), Duration::from_millis(1_200));
        assert_eq!(wait_for(&CacheAge::default()), Duration::from_millis(3_200));
        assert_eq!(wait_for(&cache(3_600)), WAIT_MAX);
        assert_eq!(wait_for(&cache(u64::MAX)), WAIT_MAX);
        assert!(is_hidden_for_long(&cache(10)) && !is_hidden_for_long(&cache(9)));
    }

    #[test]
    fn a_cache_that_hides_ends_is_told_with_the_setting_and_the_way_out() {
        let cache = CacheAge { set_by: Some("web.refresh-interval: 1 min".to_owned()), ..cache(60) };
        let told = hidden(&cache);
        assert!(told.contains("web.refresh-interval: 1 min") && told.contains("60000 ms"), "{told}");
        assert!(told.contains("Set rest.cache.checkpoint-statistics.timeout"), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_end_that_is_told_again_goes_on_waiting_and_does_not_begin_anew() {
        let ends = Ends::default();
        let job: JobId = "a".repeat(32).parse().expect("an id");
        let look = ends.begin(Epoch::new(3), &job);
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(ends.begin(Epoch::new(3), &job), look);
        ends.end(Epoch::new(3), &job);
        assert!(ends.begin(Epoch::new(3), &job).is_over);
        assert!(!ends.begin(Epoch::new(4), &job).is_over, "another JobManager tells");
    }
}
