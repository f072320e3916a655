//! Every snapshot in `fixtures/`, against what Flink's own reader finds in it.

use crate::support::{Expected, files, fixture, fixtures};
use snapshot::metadata::{self, Base, Limits, Metadata};
use std::fs::File;

fn check(metadata: &Metadata, expected: &Expected) {
    assert_eq!(metadata.version, expected.version);
    assert_eq!(metadata.checkpoint_id, expected.checkpoint_id);
    assert_eq!(metadata.master_states.len(), expected.master_states);
    assert_eq!(metadata.inline_bytes, expected.inline_bytes);
    assert_eq!(metadata.trailing_bytes, 0);
    assert_eq!(files(metadata), expected.files);
    let mut operators = metadata.operators.clone();
    operators.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(operators.len(), expected.operators.len());
    for (found, wanted) in operators.iter().zip(&expected.operators) {
        assert_eq!(&found.id, &wanted.id);
        assert_eq!((&found.name, &found.uid), (&wanted.name, &wanted.uid));
        assert_eq!(found.parallelism, wanted.parallelism);
        assert_eq!(found.max_parallelism, wanted.max_parallelism);
        assert_eq!(found.fully_finished, wanted.fully_finished);
        assert_eq!(found.subtasks, wanted.subtasks);
        assert_eq!(found.finished_subtasks, wanted.finished_subtasks);
        assert_eq!(found.coordinator, wanted.coordinator);
    }
    let found = metadata.properties.as_ref().expect("the properties of a known Flink");
    let mut found = serde_json::to_value(found).unwrap();
    let found = found.as_object_mut().unwrap();
    let kind = found.remove("kind").unwrap();
    found.insert("savepoint".to_owned(), (kind == "savepoint").into());
    let kind_name = found.remove("kind_name").unwrap();
    found.insert("type".to_owned(), kind_name);
    for (name, value) in &expected.properties {
        assert_eq!(found.get(name), Some(value), "{name}");
    }
}

#[test]
fn every_fixture_reads_as_flink_reads_it() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 45, "{} fixtures", fixtures.len());
    for fixture in fixtures {
        println!("{}", fixture.name);
        let metadata = metadata::read_bytes(fixture.bytes.clone(), &Limits::default()).unwrap();
        check(&metadata, &fixture.expected);
    }
}

#[test]
fn a_file_reads_as_its_bytes_do() {
    for fixture in fixtures() {
        let length = fixture.bytes.len() as u64;
        let from_file =
            metadata::read_from(File::open(&fixture.path).unwrap(), length, &Limits::default()).unwrap();
        assert_eq!(from_file, metadata::read_bytes(fixture.bytes, &Limits::default()).unwrap());
    }
}

#[test]
fn the_fixtures_have_what_they_are_named_for() {
    let read = |name: &str| metadata::read_bytes(fixture(name).bytes, &Limits::default()).unwrap();
    for version in ["1.20.5", "2.0.1", "2.2.1", "2.3.0"] {
        let kind = |name: &str| {
            let properties = read(&format!("{version}-{name}")).properties.unwrap();
            (properties.format.unwrap_or_default(), properties.post_action.unwrap_or_default())
        };
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(kind("heap"), pair("", ""));
        assert_eq!(kind("savepoint-canonical"), pair("CANONICAL", "NONE"));
        assert_eq!(kind("savepoint-native"), pair("NATIVE", "NONE"));
        assert_eq!(kind("stop-with-savepoint"), pair("CANONICAL", "SUSPEND"));
        assert_eq!(kind("drain-with-savepoint"), pair("NATIVE", "TERMINATE"));

        let finished = read(&format!("{version}-finished-tasks"));
        assert!(finished.operators.iter().any(|operator| operator.fully_finished), "{version}");
        let shared = read(&format!("{version}-rocksdb-incremental"));
        assert!(shared.references.iter().any(|(_, directory, ..)| directory.ends_with("/shared/")));
        let changelog = read(&format!("{version}-changelog-files"));
        assert!(changelog.references.iter().any(|(_, directory, ..)| directory.ends_with("/dstl/")));
        let merged = read(&format!("{version}-file-merging"));
        assert!(merged.references.iter().any(|(.., reference)| reference.handles > 1), "{version}");
        let savepoint = read(&format!("{version}-savepoint-native"));
        assert!(savepoint.references.iter().all(|(base, ..)| base == Base::Snapshot), "{version}");
    }
}
