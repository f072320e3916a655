//! Snapshots in directories.

use super::{quick, stores, verified};
use crate::support::site::{Site, make, snapshot_of};
use crate::support::{fixture, fixtures, fixtures_directory, properties};
use snapshot::{Stores, Verdict, VerifyError, VerifyOptions, verify};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

#[tokio::test]
async fn a_snapshot_with_all_of_its_files_is_ok() {
    for fixture in fixtures() {
        let site = Site::of(&fixture);
        let found = verified(&stores(&site), &site.directory).await;
        assert_eq!(found.verdict, Verdict::Ok, "{}: {found:?}", fixture.name);
        assert!(found.ok);
        assert_eq!(found.references.len(), fixture.expected.files.len());
        assert!(found.references.iter().all(|file| file.found_bytes == Some(file.recorded_bytes)));
        assert_eq!(found.requests.heads, 1 + fixture.expected.files.len() as u64, "each file once");
    }
}

#[tokio::test]
async fn a_whole_snapshot_of_real_flink_is_ok() {
    let whole = fixtures_directory().join("whole");
    let savepoint = whole.join("2.2.1-stop-with-savepoint");
    let found = verified(&Stores::default(), savepoint.to_str().unwrap()).await;
    assert_eq!((found.verdict, found.references.len()), (Verdict::Ok, 6), "{found:?}");

    // Its changelog files are one byte longer than recorded.
    let root = whole.join("2.2.1-changelog-files");
    let stores = Stores::default().with_local_root(root);
    let job = "/tmp/holdfast-fixtures/2.2.1/changelog-files/checkpoints/900f742e31e7d05d53aab28a75cc4825";
    let found = verified(&stores, &format!("file:{job}/chk-6")).await;
    assert_eq!(found.verdict, Verdict::Ok, "{found:?}");
    let longer = found.references.iter().filter(|file| file.found_bytes == Some(file.recorded_bytes + 1));
    assert_eq!(longer.filter(|file| file.path.contains("/dstl/")).count(), 13);
}

#[tokio::test]
async fn each_deleted_file_is_named() {
    let site = Site::new("2.2.1-rocksdb-incremental");
    assert!(site.files.len() > 10);
    for (name, path) in &site.files {
        let length = fs::metadata(path).unwrap().len();
        fs::remove_file(path).unwrap();
        let found = verified(&stores(&site), &site.directory).await;
        assert_eq!(found.verdict, Verdict::Broken, "{name}");
        let expected = name.replace("relative:", &format!("{}/", site.directory));
        assert_eq!(found.missing, [expected.as_str()]);
        let reference = found.references.iter().find(|file| file.path == expected).unwrap();
        assert_eq!((reference.recorded_bytes, reference.found_bytes), (length, None));
        make(path, length);
    }
}

#[tokio::test]
async fn a_file_that_lacks_its_last_byte_is_too_short_and_one_with_more_is_not() {
    let site = Site::new("2.2.1-file-merging");
    for (name, path) in &site.files {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length - 1).unwrap();
        let found = verified(&stores(&site), &site.directory).await;
        assert_eq!(found.verdict, Verdict::Broken, "{name}");
        assert_eq!(found.too_short, [name.as_str()]);
        assert_eq!(found.missing, Vec::<String>::new());
        file.set_len(length + 1).unwrap();
        assert!(verified(&stores(&site), &site.directory).await.ok, "{name}");
        file.set_len(length).unwrap();
    }
}

#[tokio::test]
async fn a_directory_without_its_metadata_file_is_broken() {
    // lyft/flinkk8soperator#289
    let site = Site::new("1.20.5-heap");
    fs::remove_file(site.metadata()).unwrap();
    let found = verified(&stores(&site), &site.directory).await;
    assert_eq!(found.verdict, Verdict::Broken);
    assert_eq!(found.missing, [format!("{}/_metadata", site.directory)]);
    assert_eq!((found.version, found.checkpoint_id), (None, None));
    let found = verified(&stores(&site), "/snapshots/chk-2").await;
    assert_eq!(found.missing, ["/snapshots/chk-2/_metadata"]);
}

#[tokio::test]
async fn a_half_written_metadata_file_says_which_byte_does_not_parse() {
    let site = Site::new("2.3.0-heap");
    File::options().write(true).open(site.metadata()).unwrap().set_len(500).unwrap();
    let found = verified(&stores(&site), &site.directory).await;
    assert_eq!(found.verdict, Verdict::Broken);
    let unreadable = found.unreadable.unwrap();
    assert!((400..=500).contains(&unreadable.finding.position), "{unreadable:?}");
    assert!(unreadable.message.starts_with("corrupt: byte "), "{unreadable:?}");
    assert!(unreadable.message.contains("(in operator "), "{unreadable:?}");

    File::options().write(true).open(site.metadata()).unwrap().set_len(0).unwrap();
    let found = verified(&stores(&site), &site.directory).await;
    assert_eq!(found.unreadable.unwrap().finding.position, 0);
}

#[tokio::test]
async fn a_version_of_a_newer_flink_is_unknown_and_not_broken() {
    let site = Site::new("2.3.0-heap");
    let mut bytes = fs::read(site.metadata()).unwrap();
    bytes[7] = 9;
    fs::write(site.metadata(), bytes).unwrap();
    let found = verified(&stores(&site), &site.directory).await;
    assert_eq!(found.verdict, Verdict::Unknown);
    assert_eq!(found.unreadable.unwrap().finding.position, 4);
}

#[tokio::test]
async fn the_metadata_file_alone_is_enough_when_nothing_else_is_asked_for() {
    let options = VerifyOptions { metadata_only: true, ..quick() };
    let name = "2.2.1-rocksdb-incremental";
    let path = fixtures_directory().join(format!("{name}.metadata"));
    let found = verify(&Stores::default(), path.to_str().unwrap(), &options).await.unwrap();
    assert!(found.ok && found.metadata_only);
    assert_eq!(found.references.len(), fixture(name).expected.files.len());
    assert!(found.references.iter().all(|file| file.found_bytes.is_none()));
    // Looked for as a directory first, then found as a file.
    assert_eq!((found.requests.heads, found.requests.gets), (2, 1));
}

#[tokio::test]
async fn every_spelling_of_a_snapshots_place_leads_to_it() {
    let site = Site::new("2.0.1-heap");
    let directory = &site.directory;
    let spellings = [
        directory.clone(),
        format!("{directory}/"),
        format!("{directory}/_metadata"),
        format!("file:{directory}"),
        format!("file://{directory}/"),
        format!("file://localhost{directory}/_metadata"),
    ];
    for spelling in spellings {
        assert!(verified(&stores(&site), &spelling).await.ok, "{spelling}");
    }
    for nowhere in ["hdfs://namenode:8020/chk-1", "s3:///chk-1", "file:chk-1", "http://host/chk-1"] {
        let error = verify(&stores(&site), nowhere, &quick()).await.unwrap_err();
        assert!(matches!(error, VerifyError::Place(_)), "{nowhere}: {error}");
    }
}

#[tokio::test]
async fn names_with_characters_that_urls_would_encode_are_found() {
    let root = tempfile::tempdir().unwrap();
    let names = ["a b", "x#1", "50%20", "q?*[]", "ü€🚀", "~", "a\"b", "c\\d", "e:f@g", "+&="];
    let files: Vec<_> = names.iter().map(|name| (format!("file:/shared dir/{name}"), 10)).collect();
    for name in names {
        make(&root.path().join("shared dir").join(name), 10);
    }
    let written = snapshot_of(&files, &properties());
    fs::create_dir(root.path().join("chk 1#")).unwrap();
    fs::write(root.path().join("chk 1#/_metadata"), written.bytes).unwrap();
    let stores = Stores::default().with_local_root(root.path());
    let found = verified(&stores, "/chk 1#").await;
    assert_eq!((found.verdict, found.references.len()), (Verdict::Ok, names.len()), "{found:?}");
}

#[tokio::test]
async fn a_file_system_without_a_client_leaves_its_files_unknown() {
    let root = tempfile::tempdir().unwrap();
    let files = [("hdfs://namenode:8020/shared/x".to_owned(), 10), ("/here".to_owned(), 10)];
    make(&root.path().join("here"), 10);
    let written = snapshot_of(&files, &properties());
    fs::write(root.path().join("_metadata"), written.bytes).unwrap();
    let found = verified(&Stores::default().with_local_root(root.path()), "/_metadata").await;
    assert_eq!(found.verdict, Verdict::Unknown);
    assert_eq!(found.missing, Vec::<String>::new());
    assert_eq!(found.unknown[0].path, files[0].0);
    assert!(found.unknown[0].error.contains("no client for hdfs"), "{found:?}");
}

#[tokio::test]
async fn state_of_gigabytes_in_the_metadata_file_is_passed_over() {
    const STATE_BYTES: u64 = 2_000_000_000;
    let small = fixture("2.2.1-heap-inline").bytes;
    // The first inlined state: type 1, a name (of a file that it would have been), its length.
    let named = |at: usize| small[at] == 1 && small[at + 1] == 0 && small[at + 3..].starts_with(b"file:/");
    let at = (0..small.len() - 50).find(|at| named(*at)).expect("inlined state");
    let length_at = at + 3 + usize::from(small[at + 2]);
    let old = u64::from(u32::from_be_bytes(small[length_at..length_at + 4].try_into().unwrap()));
    let root = tempfile::tempdir().unwrap();
    let mut file = File::create(root.path().join("_metadata")).unwrap();
    file.write_all(&small[..length_at]).unwrap();
    file.write_all(&u32::try_from(STATE_BYTES).unwrap().to_be_bytes()).unwrap();
    file.seek(SeekFrom::Current(STATE_BYTES.cast_signed())).unwrap();
    file.write_all(&small[length_at + 4 + usize::try_from(old).unwrap()..]).unwrap();

    let found = verified(&Stores::default().with_local_root(root.path()), "/_metadata").await;
    assert!(found.ok, "{found:?}");
    assert_eq!(found.metadata_bytes, Some(small.len() as u64 + STATE_BYTES - old));
    assert_eq!(found.inline_bytes, fixture("2.2.1-heap-inline").expected.inline_bytes + STATE_BYTES - old);
    assert_eq!(found.requests.gets, 2, "what is before it, and what is after it");
}

#[tokio::test]
async fn the_json_has_the_fields_that_it_is_documented_with() {
    let site = Site::new("2.2.1-heap");
    fs::remove_file(&site.files[0].1).unwrap();
    let json = serde_json::to_value(verified(&stores(&site), &site.directory).await).unwrap();
    assert_eq!(json["version"], 6);
    assert_eq!(json["checkpoint_id"], 6);
    assert_eq!(json["operators"].as_array().unwrap().len(), 4);
    assert_eq!(json["operators"][0]["parallelism"], 2);
    assert_eq!(json["references"].as_array().unwrap().len(), 6);
    let reference = json["references"].as_array().unwrap().iter().find(|file| !file["found_bytes"].is_null());
    assert_eq!(reference.unwrap()["recorded_bytes"], reference.unwrap()["found_bytes"]);
    assert!(reference.unwrap()["path"].is_string());
    assert_eq!(json["inline_bytes"], 16);
    assert_eq!(json["missing"].as_array().unwrap().len(), 1);
    assert_eq!(json["ok"], false);
    assert_eq!(json["verdict"], "broken");
    assert_eq!(json["properties"]["kind"], "checkpoint");
    assert_eq!(json["unreadable"], serde_json::Value::Null);
}
