//! What the tests of this crate share.
#![allow(dead_code, reason = "each test uses a part of it")]

use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// One real `_metadata` file.
pub struct Fixture {
    pub name: String,
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub expected: Expected,
}

/// What Flink's own reader found in it: the output of `fixtures/job/Oracle.java`.
#[derive(Debug, Deserialize)]
pub struct Expected {
    pub version: u32,
    pub checkpoint_id: u64,
    pub master_states: usize,
    pub inline_bytes: u64,
    pub properties: serde_json::Map<String, serde_json::Value>,
    pub operators: Vec<ExpectedOperator>,
    pub files: BTreeMap<String, u64>,
}

#[derive(Debug, Deserialize)]
pub struct ExpectedOperator {
    pub id: String,
    pub name: Option<String>,
    pub uid: Option<String>,
    pub parallelism: u32,
    pub max_parallelism: u32,
    pub fully_finished: bool,
    pub subtasks: u32,
    pub finished_subtasks: u32,
    pub coordinator: bool,
}

pub fn fixtures_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// All of them, in the order of their names.
pub fn fixtures() -> Vec<Fixture> {
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
