//! What a checkpoint holds.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Keys of the keyed state of one partition: a record's key is its offset modulo this.
pub(super) const KEYS: u64 = 4;

/// Which execution of the job: the epoch of its JobManager, then the attempts under it. Older ones are smaller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Attempt {
    /// The epoch.
    pub(super) epoch: u64,
    /// Counted from 1 in each JobManager.
    pub(super) number: u32,
}

/// Records of one partition that a sink prepared and will commit together: `from` included, `to` not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Transaction {
    /// Who prepared it.
    pub(super) by: Attempt,
    /// The source partition of the records.
    pub(super) partition: u32,
    /// The checkpoint at whose barrier it was prepared.
    pub(super) checkpoint: u64,
    /// The first record.
    pub(super) from: u64,
    /// The record after the last.
    pub(super) to: u64,
}

/// The state of one task: its source, its keyed state and its sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PartitionState {
    /// The next record to be read.
    pub(super) offset: u64,
    /// Records per key so far.
    pub(super) counts: [u64; KEYS as usize],
    /// What the sink prepared and was not told to commit yet.
    pub(super) pending: Vec<Transaction>,
    /// The source has come to its end.
    pub(super) exhausted: bool,
}

/// A whole checkpoint: a state for each partition.
pub(super) type Snapshot = BTreeMap<u32, PartitionState>;

// === impl PartitionState ===

impl PartitionState {
    /// Processes the records up to `to`, not included.
    pub(super) fn process_until(&mut self, to: u64) {
        for (key, count) in (0..KEYS).zip(&mut self.counts) {
            *count += of_key_below(key, to) - of_key_below(key, self.offset);
        }
        self.offset = to;
    }

    /// Each record before the offset was counted exactly once.
    pub(super) fn is_consistent(&self) -> bool {
        (0..KEYS).zip(self.counts).all(|(key, count)| count == of_key_below(key, self.offset))
    }
}

/// How many records of that key there are before the offset.
fn of_key_below(key: u64, offset: u64) -> u64 {
    (offset + KEYS - 1 - key) / KEYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_state_counts_each_record_once_in_whatever_steps_it_is_processed() {
        let mut state = PartitionState::default();
        for to in [1, 2, 2, 7, 103] {
            state.process_until(to);
            assert!(state.is_consistent(), "{state:?}");
            assert_eq!(state.counts.iter().sum::<u64>(), to);
        }
        assert_eq!(state.counts, [26, 26, 26, 25]);
        state.offset -= 1;
        assert!(!state.is_consistent());
    }
}
