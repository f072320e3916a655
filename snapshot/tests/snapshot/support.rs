//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses a part of it")]

pub(crate) mod encode;
#[cfg(feature = "verify")]
pub(crate) mod far;
pub(crate) mod site;

use serde::Deserialize;
use snapshot::metadata::{Base, Metadata};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One real `_metadata` file.
pub(crate) struct Fixture {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) bytes: Vec<u8>,
    pub(crate) expected: Expected,
}

/// What Flink's own reader found in it: the output of `fixtures/job/Oracle.java`.
#[derive(Debug, Deserialize)]
pub(crate) struct Expected {
    pub(crate) version: u32,
    pub(crate) checkpoint_id: u64,
    pub(crate) master_states: usize,
    pub(crate) inline_bytes: u64,
    pub(crate) properties: serde_json::Map<String, serde_json::Value>,
    pub(crate) operators: Vec<ExpectedOperator>,
    pub(crate) files: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ExpectedOperator {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) uid: Option<String>,
    pub(crate) parallelism: u32,
    pub(crate) max_parallelism: u32,
    pub(crate) fully_finished: bool,
    pub(crate) subtasks: u32,
    pub(crate) finished_subtasks: u32,
    pub(crate) coordinator: bool,
}

pub(crate) fn fixtures_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All of them, in the order of their names.
pub(crate) fn fixtures() -> Vec<Fixture> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(fixtures_directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "metadata"));
    paths
        .into_iter()
        .map(|path| {
            let expected = fs::read_to_string(path.with_extension("expected.json")).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let bytes = fs::read(&path).unwrap();
            let expected = serde_json::from_str(&expected).unwrap_or_else(|error| panic!("{name}: {error}"));
            Fixture { name, path, bytes, expected }
        })
        .collect()
}

/// The largest needed byte of each file, by the name that `fixtures/job/Oracle.java` gives it.
pub(crate) fn files(metadata: &Metadata) -> BTreeMap<String, u64> {
    let name = |base, directory, name| match base {
        Base::Absolute => format!("{directory}{name}"),
        Base::Snapshot => format!("relative:{directory}{name}"),
    };
    metadata.references.iter().map(|(base, d, n, r)| (name(base, d, n), r.recorded_bytes)).collect()
}

/// One fixture by its name.
pub(crate) fn fixture(name: &str) -> Fixture {
    fixtures().into_iter().find(|fixture| fixture.name == name).unwrap_or_else(|| panic!("no fixture {name}"))
}

/// The serialized `CheckpointProperties` of a real file.
pub(crate) fn properties() -> Vec<u8> {
    let bytes = fixture("2.2.1-heap").bytes;
    let start = bytes.windows(4).rposition(|window| window == [0xAC, 0xED, 0x00, 0x05]).unwrap();
    bytes[start..].to_vec()
}
