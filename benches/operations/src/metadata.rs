//! The reader of `_metadata`, on files that Flink 2.2.1 wrote.

use std::hint::black_box;

use bytes::Bytes;
use snapshot::metadata::{Limits, read_bytes};

use crate::Run;

/// State on the heap: one file per subtask.
pub const HEAP: &[u8] = include_bytes!("../../../snapshot/fixtures/2.2.1-heap.metadata");
/// RocksDB's incremental state: many shared files.
pub const ROCKSDB_INCREMENTAL: &[u8] =
    include_bytes!("../../../snapshot/fixtures/2.2.1-rocksdb-incremental.metadata");
/// Many segments of few files.
pub const FILE_MERGING: &[u8] = include_bytes!("../../../snapshot/fixtures/2.2.1-file-merging.metadata");

/// Reads [`HEAP`].
pub fn heap() -> Run {
    reads(HEAP)
}

/// Reads [`ROCKSDB_INCREMENTAL`].
pub fn rocksdb_incremental() -> Run {
    reads(ROCKSDB_INCREMENTAL)
}

/// Reads [`FILE_MERGING`].
pub fn file_merging() -> Run {
    reads(FILE_MERGING)
}

/// Reads this file.
pub fn reads(file: &'static [u8]) -> Run {
    let limits = Limits::default();
    Box::new(move || {
        let read = read_bytes(Bytes::from_static(black_box(file)), &limits);
        assert!(black_box(read).is_ok(), "what Flink wrote is read");
    })
}
