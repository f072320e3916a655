//! What can be configured, and the limits of everything that can grow.

use crate::StoreError;

/// Upper bounds. Lists that matter refuse what does not fit; histories drop their oldest entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one record. Changes that add something are refused beyond it; a claim, a removal or an end is
    /// always possible.
    pub record_bytes_max: u64,
    /// Bytes of one blob (a stored graph).
    pub blob_bytes_max: u64,
    /// Bytes of the payload of one terminal result.
    pub result_bytes_max: u64,
    /// Bytes of one pointer record, as JSON.
    pub pointer_bytes_max: u64,
    /// Jobs in a deployment. One that has ended, or is of an earlier generation, makes room for a new one, the oldest first;
    /// but not one that holds what is pinned or may have to be restored.
    pub jobs_max: usize,
    /// Terminal results of one kind that stand at a time.
    pub results_max: usize,
    /// Results of earlier generations that are kept for people.
    pub archived_results_max: usize,
    /// Live checkpoints of one job.
    pub live_checkpoints_max: usize,
    /// Snapshots of one job that are not live any more.
    pub snapshot_history_max: usize,
    /// Those among them whose files are gone: they are kept for people only.
    pub gone_snapshots_max: usize,
    /// Pinned snapshots of one job.
    pub pins_max: usize,
    /// Restore plans of earlier generations.
    pub plan_history_max: usize,
    /// Past grants of leadership.
    pub grant_history_max: usize,
    /// Writes whose answer is kept for a retry, per epoch. No caller may have more in flight.
    pub idempotency_keys_max: usize,
    /// Blobs that were let go and are remembered until the collector has passed the last record that names them.
    pub released_blobs_max: usize,
    /// Changes in one record.
    pub batch_max: usize,
    /// Requests that wait for the writer.
    pub queue_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            record_bytes_max: 8 * 1024 * 1024,
            blob_bytes_max: 64 * 1024 * 1024,
            result_bytes_max: 1024 * 1024,
            pointer_bytes_max: 64 * 1024,
            jobs_max: 100,
            results_max: 200,
            archived_results_max: 200,
            live_checkpoints_max: 1000,
            snapshot_history_max: 200,
            gone_snapshots_max: 50,
            pins_max: 100,
            plan_history_max: 50,
            grant_history_max: 50,
            idempotency_keys_max: 64,
            released_blobs_max: 256,
            batch_max: 64,
            queue_max: 256,
        }
    }
}

/// How the store behaves. [`Store::open`](crate::Store::open) validates it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOptions {
    /// Upper bounds.
    pub limits: Limits,
    /// How long one request to the object store may take. After it, the outcome of a write is unknown.
    pub call_timeout_ms: u64,
    /// How long a caller waits for a definite answer.
    pub commit_deadline_ms: u64,
    /// The pause after the first unclear answer; it doubles with every further one.
    pub retry_initial_ms: u64,
    /// The longest such pause.
    pub retry_max_ms: u64,
    /// How often a claim or resume that lost a race looks for the newest record and tries again.
    pub claim_attempts_max: u32,
    /// The hint for `open` is renewed after this many records.
    pub hint_every_records: u64,
    /// Collection keeps this many of the newest records.
    pub collect_keep_records: u64,
    /// Collection keeps every record and blob that is not older than this, by the store's own times.
    pub collect_min_age_ms: u64,
    /// Collection keeps this many of the records that begin an ownership, claims and adoptions, however old they are: each
    /// stands where a process that it took over from, and that has stalled ever since, would write next.
    pub collect_keep_takeovers: usize,
    /// Deletes in one round of collection.
    pub collect_deletes_max: usize,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            call_timeout_ms: 5_000,
            commit_deadline_ms: 20_000,
            retry_initial_ms: 50,
            retry_max_ms: 2_000,
            claim_attempts_max: 64,
            hint_every_records: 256,
            collect_keep_records: 100,
            collect_min_age_ms: 24 * 60 * 60 * 1000,
            collect_keep_takeovers: 1000,
            collect_deletes_max: 1000,
        }
    }
}

impl StoreOptions {
    /// Checks that the options make sense together.
    ///
    /// # Errors
    /// [`StoreError::Unfit`], naming the option, its value and what is allowed.
    pub fn validate(&self) -> Result<(), StoreError> {
        let limits = &self.limits;
        let positive = [
            ("call_timeout_ms", self.call_timeout_ms),
            ("retry_initial_ms", self.retry_initial_ms),
            ("claim_attempts_max", u64::from(self.claim_attempts_max)),
            ("hint_every_records", self.hint_every_records),
            // The newest record is the log: a collector that may delete it would end the deployment.
            ("collect_keep_records", self.collect_keep_records),
            ("record_bytes_max", limits.record_bytes_max),
            ("jobs_max", limits.jobs_max as u64),
            ("idempotency_keys_max", limits.idempotency_keys_max as u64),
            ("batch_max", limits.batch_max as u64),
            ("queue_max", limits.queue_max as u64),
        ];
        for (option, value) in positive {
            if value == 0 {
                return Err(unfit(option, value, "at least 1"));
            }
        }
        if self.commit_deadline_ms < self.call_timeout_ms {
            return Err(unfit("commit_deadline_ms", self.commit_deadline_ms, "at least call_timeout_ms"));
        }
        if self.collect_deletes_max < 2 {
            // A boundary that frees a single record is not worth the record that it takes.
            return Err(unfit("collect_deletes_max", self.collect_deletes_max as u64, "at least 2"));
        }
        if self.retry_max_ms < self.retry_initial_ms {
            return Err(unfit("retry_max_ms", self.retry_max_ms, "at least retry_initial_ms"));
        }
        let at_most_1024 = [
            ("grant_history_max", limits.grant_history_max),
            ("idempotency_keys_max", limits.idempotency_keys_max),
            ("released_blobs_max", limits.released_blobs_max),
        ];
        for (option, value) in at_most_1024 {
            // What these hold may be added to a record that is full already.
            if value > 1024 {
                return Err(unfit(option, value as u64, "at most 1024"));
            }
        }
        // A batch larger than the ring would push out answers that its own callers may ask for again.
        if limits.batch_max > limits.idempotency_keys_max {
            return Err(unfit("batch_max", limits.batch_max as u64, "at most idempotency_keys_max"));
        }
        Ok(())
    }
}

fn unfit(option: &str, value: u64, allowed: &str) -> StoreError {
    StoreError::Unfit {
        store: "the configuration".to_owned(),
        reason: format!("{option} is {value}, allowed is {allowed}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        StoreOptions::default().validate().unwrap();
    }

    #[test]
    fn a_bad_option_is_named_with_its_value_and_what_is_allowed() {
        let options = StoreOptions { commit_deadline_ms: 10, ..StoreOptions::default() };
        let error = options.validate().unwrap_err().to_string();
        assert!(error.contains("commit_deadline_ms is 10, allowed is at least call_timeout_ms"), "{error}");
        let options = StoreOptions { collect_keep_records: 0, ..StoreOptions::default() };
        assert!(options.validate().unwrap_err().to_string().contains("collect_keep_records"));
    }
}
