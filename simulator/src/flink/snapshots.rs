//! Checkpoints and savepoints as files: a `_metadata` that the product's reader can read, and a file for each partition that
//! it refers to. Checkpoints name their files absolutely, savepoints relatively, as Flink's do.

mod metadata;

use snapshot::metadata::{Base, FILE_NAME, Limits, read_bytes};

use super::files::{BUCKET, ROOT, StateFiles};
use super::state::Snapshot;
use crate::plan::Harm;

/// What a snapshot was taken for, which decides where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Checkpoint,
    Savepoint,
}

/// Where Flink writes the snapshot of this kind and id: its external pointer.
pub(super) fn pointer(job: &str, id: u64, kind: Kind) -> String {
    match kind {
        Kind::Checkpoint => format!("{BUCKET}/{ROOT}checkpoints/{job}/chk-{id}"),
        Kind::Savepoint => savepoint_in(&format!("{BUCKET}/{ROOT}savepoints"), job, id),
    }
}

/// What a snapshot at this pointer was taken for.
pub(super) fn kind_of(pointer: &str) -> Kind {
    match pointer.rsplit('/').next().is_some_and(|name| name.starts_with("chk-")) {
        true => Kind::Checkpoint,
        false => Kind::Savepoint,
    }
}

/// Where Flink writes a savepoint below a directory that somebody named.
pub(super) fn savepoint_in(directory: &str, job: &str, id: u64) -> String {
    format!("{}/savepoint-{}-{id:012x}", directory.trim_end_matches('/'), &job[..6])
}

/// Writes the files of a snapshot, `_metadata` last. False: there is one already, and nothing was changed.
pub(super) fn write(files: &StateFiles, pointer: &str, id: u64, kind: Kind, snapshot: &Snapshot) -> bool {
    let metadata_key = format!("{}/{FILE_NAME}", key(pointer));
    if files.get(&metadata_key).is_some() {
        return false;
    }
    let mut references = Vec::with_capacity(snapshot.len());
    for (partition, state) in snapshot {
        let (name, bytes) = (format!("part-{partition}"), serde_json::to_vec(state).expect("plain data"));
        let length = bytes.len() as u64;
        files.put(&format!("{}/{name}", key(pointer)), bytes);
        references.push(match kind {
            Kind::Checkpoint => metadata::Reference::Absolute(format!("{pointer}/{name}"), length),
            Kind::Savepoint => metadata::Reference::Relative(name, length),
        });
    }
    files.put(&metadata_key, metadata::write(id, kind, &references));
    true
}

/// Reads a snapshot as Flink does when it restores it: its id and its states; an error says what is wrong with it.
pub(super) fn read(files: &StateFiles, pointer: &str) -> Result<(u64, Snapshot), String> {
    let directory = key(pointer);
    let metadata = files.get(&format!("{directory}/{FILE_NAME}"));
    let metadata = metadata.ok_or_else(|| format!("{pointer} has no {FILE_NAME}"))?;
    let metadata =
        read_bytes(metadata.bytes, &Limits::default()).map_err(|error| format!("{pointer}: {error}"))?;
    let mut snapshot = Snapshot::new();
    for (base, folder, name, _) in metadata.references.iter() {
        let key = match base {
            Base::Absolute => format!("{}{name}", key(folder)),
            Base::Snapshot => format!("{directory}/{folder}{name}"),
        };
        let file = files.get(&key).ok_or_else(|| format!("{key} is missing"))?;
        let state = serde_json::from_slice(&file.bytes).map_err(|error| format!("{key}: {error}"))?;
        let partition = name.strip_prefix("part-").and_then(|number| number.parse().ok());
        snapshot.insert(partition.ok_or_else(|| format!("{key} is not a task's"))?, state);
    }
    Ok((metadata.checkpoint_id, snapshot))
}

/// A snapshot that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: u64,
    pub(super) pointer: String,
}

/// All snapshots that can be restored.
pub(super) fn all(files: &StateFiles) -> Vec<Found> {
    let below = files.below(ROOT);
    let directories = below.iter().filter_map(|(key, _)| key.strip_suffix(FILE_NAME)?.strip_suffix('/'));
    let found = |directory: &str| {
        let pointer = format!("{BUCKET}/{directory}");
        read(files, &pointer).ok().map(|(id, _)| Found { id, pointer })
    };
    directories.filter_map(found).collect()
}

/// Harms a snapshot that is there.
pub(super) fn harm(files: &StateFiles, pointer: &str, how: Harm) {
    let directory = key(pointer);
    let metadata = format!("{directory}/{FILE_NAME}");
    let part = || files.below(&format!("{directory}/part-")).pop().map(|(key, _)| key);
    let cut = |key: &str| {
        if let Some(file) = files.get(key) {
            files.put(key, file.bytes.slice(..file.bytes.len() / 2));
        }
    };
    match how {
        Harm::Dispose => drop(delete(files, pointer)),
        Harm::DeleteMetadata => drop(files.delete(&metadata)),
        Harm::TruncateMetadata => cut(&metadata),
        Harm::DeleteFile => drop(part().map(|key| files.delete(&key))),
        Harm::TruncateFile => drop(part().map(|key| cut(&key))),
    }
}

/// Whether a snapshot's `_metadata` is there.
pub(super) fn exists(files: &StateFiles, pointer: &str) -> bool {
    files.get(&format!("{}/{FILE_NAME}", key(pointer))).is_some()
}

/// Deletes what is below the snapshot's directory. True: there was something.
pub(super) fn delete(files: &StateFiles, pointer: &str) -> bool {
    let below = files.below(&format!("{}/", key(pointer)));
    below.iter().fold(false, |any, (key, _)| files.delete(key) || any)
}

/// The key of a path in the bucket.
fn key(path: &str) -> &str {
    path.strip_prefix(BUCKET).map_or(path, |key| key.trim_start_matches('/'))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use snapshot::{Stores, Verdict, VerifyOptions, verify};

    use super::super::state::PartitionState;
    use super::*;

    const JOB: &str = "00000000000000000000000000000001";

    fn written(kind: Kind) -> (StateFiles, String, Snapshot) {
        let (files, pointer) = (StateFiles::default(), pointer(JOB, 7, kind));
        let mut state = PartitionState::default();
        state.process_until(9);
        let snapshot = Snapshot::from([(0, PartitionState::default()), (1, state)]);
        assert!(write(&files, &pointer, 7, kind, &snapshot));
        (files, pointer, snapshot)
    }

    fn verdict(files: &StateFiles, pointer: &str) -> Verdict {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        let stores = Stores::default();
        stores.register(BUCKET, Arc::new(files.clone())).expect("a bucket");
        let found = runtime.block_on(verify(&stores, pointer, &VerifyOptions::default()));
        found.expect("a path in the bucket").verdict
    }

    #[test]
    fn what_was_written_is_read_again_and_the_product_says_that_it_can_be_restored() {
        for kind in [Kind::Checkpoint, Kind::Savepoint] {
            let (files, pointer, snapshot) = written(kind);
            assert_eq!(read(&files, &pointer), Ok((7, snapshot)));
            assert_eq!(verdict(&files, &pointer), Verdict::Ok);
            let metadata = files.get(&format!("{}/_metadata", key(&pointer))).expect("it is there");
            let metadata = read_bytes(metadata.bytes, &Limits::default()).expect("it is whole");
            let kind_read = metadata.properties.expect("version 6").kind;
            let savepoint = kind_read == snapshot::metadata::PropertiesKind::Savepoint;
            assert_eq!((metadata.version, savepoint), (6, kind == Kind::Savepoint));
        }
    }

    #[test]
    fn a_snapshot_with_a_part_that_is_missing_or_half_there_is_restored_by_nobody() {
        for (name, bytes) in [("part-1", None), ("part-1", Some("{")), ("_metadata", None)] {
            let (files, pointer, _) = written(Kind::Checkpoint);
            let key = format!("{}/{name}", key(&pointer));
            match bytes {
                None => assert!(files.delete(&key)),
                Some(bytes) => files.put(&key, bytes),
            }
            assert!(read(&files, &pointer).is_err(), "{name}");
            assert_eq!(verdict(&files, &pointer), Verdict::Broken, "{name}");
        }
    }

    #[test]
    fn a_snapshot_is_written_once_and_deleted_as_a_whole() {
        let (files, pointer, snapshot) = written(Kind::Checkpoint);
        assert!(!write(&files, &pointer, 7, Kind::Checkpoint, &snapshot));
        assert!(exists(&files, &pointer) && delete(&files, &pointer));
        assert!(!exists(&files, &pointer) && !delete(&files, &pointer));
        assert!(files.below("").is_empty());
    }
}
