//! The files to ask for: where each is, once, and in the order of their directories.

use super::report::Answer;
use crate::metadata::{Base, References};
use crate::place::{self, Place, StoreId};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::Range;

/// One file, and what is known of it. Its key is a part of its path, so a million of them need no second text each.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: String,
    pub(super) recorded_bytes: u64,
    pub(super) answer: Answer,
    /// Which of the stores, and where in the path its key begins.
    pub(super) store: usize,
    key_at: usize,
}

impl Target {
    pub(super) fn key(&self) -> &str {
        &self.path[self.key_at..]
    }

    fn parts(&self) -> (usize, &str, &str) {
        let key = self.key();
        let (directory, name) = key.rsplit_once('/').unwrap_or(("", key));
        (self.store, directory, name)
    }

    pub(super) fn directory(&self) -> &str {
        self.parts().1
    }

    pub(super) fn name(&self) -> &str {
        self.parts().2
    }

    fn order(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

/// All files of a snapshot. Those that no store has a client for are last and answered already.
#[derive(Debug)]
pub(super) struct Targets {
    pub(super) stores: Vec<StoreId>,
    pub(super) files: Vec<Target>,
}

impl Targets {
    /// `directory` is where the `_metadata` file is, with no slash at its end.
    pub(super) fn new(references: &References, directory: &str) -> Self {
        let mut stores = BTreeMap::new();
        let mut files = Vec::new();
        for (base, folder, name, reference) in references.iter() {
            let path = match base {
                Base::Absolute => format!("{folder}{name}"),
                Base::Snapshot => format!("{directory}/{folder}{name}"),
            };
            let recorded_bytes = reference.recorded_bytes;
            let (answer, store, key_at) = match place::parse(&path) {
                Ok(Place { store, key_at }) => {
                    let next = stores.len();
                    (Answer::NotAsked, *stores.entry(store).or_insert(next), key_at)
                }
                Err(error) => (Answer::Unknown(error.to_string()), usize::MAX, 0),
            };
            files.push(Target { path, recorded_bytes, answer, store, key_at });
        }
        files.sort_by(Target::order);
        files.dedup_by(|later, earlier| {
            let same = later.order(earlier) == Ordering::Equal;
            if same {
                earlier.recorded_bytes = earlier.recorded_bytes.max(later.recorded_bytes);
            }
            same
        });
        let mut by_number: Vec<(StoreId, usize)> = stores.into_iter().collect();
        by_number.sort_by_key(|(_, number)| *number);
        Self { stores: by_number.into_iter().map(|(store, _)| store).collect(), files }
    }

    /// The files of each directory: they lie side by side.
    pub(super) fn directories(&self) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut start = 0;
        for group in self.files.chunk_by(|a, b| a.store == b.store && a.directory() == b.directory()) {
            ranges.push(start..start + group.len());
            start += group.len();
        }
        ranges.retain(|range| self.files[range.start].answer == Answer::NotAsked);
        ranges
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_under_two_spellings_is_asked_for_once() {
        let mut references = References::default();
        references.note(Base::Absolute, "s3a://b/chk-1/x", 3);
        references.note(Base::Snapshot, "x", 5);
        references.note(Base::Absolute, "s3://b/chk-1/sub/y", 1);
        references.note(Base::Absolute, "hdfs://nn/z", 1);
        let targets = Targets::new(&references, "s3://b/chk-1");
        let keys: Vec<_> = targets.files.iter().map(|t| (t.key(), t.recorded_bytes)).collect();
        assert_eq!(keys, [("chk-1/x", 5), ("chk-1/sub/y", 1), ("hdfs://nn/z", 1)]);
        assert_eq!(targets.stores.len(), 1);
        assert_eq!(targets.directories(), [0..1, 1..2]);
        assert!(matches!(&targets.files[2].answer, Answer::Unknown(e) if e.contains("no client for hdfs")));
    }
}
