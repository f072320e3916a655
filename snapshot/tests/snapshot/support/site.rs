//! Snapshots whose files are really there, as empty as they may be.

use super::encode::{Encoder, Written};
use super::{Fixture, fixture};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A fixture's `_metadata` file in a directory, and all files that it refers to below the same root.
pub(crate) struct Site {
    pub(crate) root: TempDir,
    /// The directory of the `_metadata` file, as Flink would name it below the root.
    pub(crate) directory: String,
    /// Where each file is, by the name that the expectation has.
    pub(crate) files: Vec<(String, PathBuf)>,
}

impl Site {
    pub(crate) fn new(name: &str) -> Self {
        Self::of(&fixture(name))
    }

    pub(crate) fn of(fixture: &Fixture) -> Self {
        let root = tempfile::tempdir().unwrap();
        let directory = "/snapshots/chk-1".to_owned();
        let below = |path: &str| root.path().join(path.trim_start_matches('/'));
        let mut files = Vec::new();
        for (name, bytes) in &fixture.expected.files {
            let path = match name.strip_prefix("relative:") {
                Some(relative) => below(&format!("{directory}/{relative}")),
                None => below(name.strip_prefix("file:").unwrap()),
            };
            make(&path, *bytes);
            files.push((name.clone(), path));
        }
        let metadata = below(&format!("{directory}/_metadata"));
        fs::create_dir_all(metadata.parent().unwrap()).unwrap();
        fs::write(metadata, &fixture.bytes).unwrap();
        Self { root, directory, files }
    }

    pub(crate) fn metadata(&self) -> PathBuf {
        self.root.path().join(self.directory.trim_start_matches('/')).join("_metadata")
    }
}

/// A file of this length that takes no space.
pub(crate) fn make(path: &Path, bytes: u64) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    File::create(path).unwrap().set_len(bytes).unwrap();
}

/// The `_metadata` of one operator whose RocksDB state is in these files.
pub(crate) fn snapshot_of(files: &[(String, u64)], properties: &[u8]) -> Written {
    Encoder::with_shared_files(files, properties)
}
