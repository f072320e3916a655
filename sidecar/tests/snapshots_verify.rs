//! `holdfast snapshots verify`, as people and scripts use it.

#![allow(clippy::unwrap_used)] // in a test, an unwrap is an assertion

use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const OK: Option<i32> = Some(0);
const BROKEN: Option<i32> = Some(1);
const USAGE: Option<i32> = Some(2);
const UNKNOWN: Option<i32> = Some(3);

/// Of the savepoint: one of its six files, and how long it is.
const FILE: &str = "9dbfc4e5-a5db-4995-94e0-55aeca2031c3";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshot/fixtures")
}

/// A savepoint of Flink 2.2.1 with all of its files, to be damaged.
fn savepoint() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().unwrap();
    for file in fs::read_dir(fixtures().join("whole/2.2.1-stop-with-savepoint")).unwrap() {
        let file = file.unwrap();
        fs::copy(file.path(), directory.path().join(file.file_name())).unwrap();
    }
    let path = directory.path().to_str().unwrap().to_owned();
    (directory, path)
}

fn verify(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(["snapshots", "verify"]).args(args).env_clear();
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The table. Nothing goes to standard error with a verdict.
fn table(args: &[&str], status: Option<i32>) -> String {
    let output = verify(args).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (status, ""), "{out}");
    out
}

/// The JSON, which has the verdict of the exit status.
fn json(args: &[&str], status: Option<i32>) -> Value {
    let output = verify(args).args(["-o", "json"]).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (status, ""), "{out}");
    let found: Value = serde_json::from_str(&out).unwrap();
    let verdict = match status {
        OK => "ok",
        BROKEN => "broken",
        _ => "unknown",
    };
    assert_eq!((&found["verdict"], &found["ok"]), (&json!(verdict), &json!(status == OK)));
    found
}

/// What is said when there is no verdict: nothing on standard output.
fn refused(args: &[&str]) -> String {
    let output = verify(args).output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), out.as_str()), (USAGE, ""), "{err}");
    err
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

fn truncate(path: impl AsRef<Path>, length: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(length).unwrap();
}

#[test]
fn a_snapshot_with_all_of_its_files_is_ok_and_summed_up() {
    let (_directory, path) = savepoint();
    let shown = table(&[&path], OK);
    for line in [
        format!("snapshot   {path}/_metadata\n"),
        "verdict    ok: the _metadata file is sound, and every file is there".to_owned(),
        "format     version 6 (Flink 2.1 to 2.3), 1888 bytes\n".to_owned(),
        "kind       Suspend Savepoint, CANONICAL\n".to_owned(),
        "kept       until somebody deletes it\n".to_owned(),
        "files      6, ".to_owned(),
        "requests   7 for a file's length, 0 list pages, 1 reads\n".to_owned(),
    ] {
        assert!(shown.contains(&line), "{line:?} in:\n{shown}");
    }
    assert!(!shown.contains("what to do"), "{shown}");
    for spelling in [format!("{path}/"), format!("file:{path}"), format!("{path}/_metadata")] {
        assert_eq!(json(&[&spelling], OK)["missing"], json!([]), "{spelling}");
    }
    let output = verify(&["."]).current_dir(&path).output().unwrap();
    assert_eq!(output.status.code(), OK, "a relative path: {}", texts(&output).0);
}

#[test]
fn the_json_has_the_promised_fields() {
    let (_directory, path) = savepoint();
    let found = json(&[&path], OK);
    // In alphabetical order, as `serde_json` keeps them.
    let fields: Vec<&str> = found.as_object().unwrap().keys().map(String::as_str).collect();
    let promised = "checkpoint_id inline_bytes master_states metadata_bytes metadata_only metadata_path missing ok \
                    operators properties references requests too_short unknown unreadable verdict version";
    assert_eq!(fields, promised.split_whitespace().collect::<Vec<_>>());
    // What Flink itself says of this scenario; ids and names are another run's.
    let flink = fs::read(fixtures().join("2.2.1-stop-with-savepoint.expected.json")).unwrap();
    let flink: Value = serde_json::from_slice(&flink).unwrap();
    for field in ["version", "inline_bytes"] {
        assert_eq!(found[field], flink[field], "{field}");
    }
    assert!(found["checkpoint_id"].is_u64(), "{found:#}");
    let sorted = |found: &Value| {
        let mut operators = found["operators"].as_array().unwrap().clone();
        operators.sort_by_key(|operator| operator["id"].to_string());
        operators
    };
    for (operator, of_flink) in sorted(&found).iter().zip(sorted(&flink)) {
        for field in ["id", "parallelism", "max_parallelism", "subtasks", "coordinator"] {
            assert_eq!(operator[field], of_flink[field], "{field}");
        }
    }
    assert_eq!(sorted(&found).len(), sorted(&flink).len());
    let references = found["references"].as_array().unwrap();
    assert_eq!(references.len(), 6);
    for file in references {
        let length = fs::metadata(file["path"].as_str().unwrap()).unwrap().len();
        assert_eq!(*file, json!({ "path": file["path"], "recorded_bytes": length, "found_bytes": length }));
    }
    assert_eq!(found["requests"], json!({ "heads": 7, "gets": 1, "list_pages": 0 }));
}

#[test]
fn a_deleted_file_is_named_with_the_way_out() {
    let (_directory, path) = savepoint();
    let file = format!("{path}/{FILE}");
    let length = fs::metadata(&file).unwrap().len();
    fs::remove_file(&file).unwrap();
    let found = json(&[&path], BROKEN);
    assert_eq!((&found["missing"], &found["too_short"]), (&json!([file]), &json!([])));
    let reference =
        found["references"].as_array().unwrap().iter().find(|found| found["path"] == file.as_str());
    assert_eq!(reference, Some(&json!({ "path": file, "recorded_bytes": length, "found_bytes": null })));
    let shown = table(&["--output", "table", &path], BROKEN);
    assert!(shown.contains("verdict    broken: no Flink restores it\n"), "{shown}");
    assert!(shown.contains(&format!("\nmissing: 1 file\n  {file}\n  what to do: ")), "{shown}");
}

#[test]
fn a_truncated_file_is_named_with_both_of_its_lengths() {
    let (_directory, path) = savepoint();
    let file = format!("{path}/{FILE}");
    let length = fs::metadata(&file).unwrap().len();
    truncate(&file, length - 1);
    let found = json(&[&path], BROKEN);
    assert_eq!((&found["missing"], &found["too_short"]), (&json!([]), &json!([file])));
    let shown = table(&[&path], BROKEN);
    let line = format!("\ntoo short: 1 file\n  {file}: {} of {length} bytes\n  what to do: ", length - 1);
    assert!(shown.contains(&line), "{shown}");
}

#[test]
fn a_truncated_metadata_file_is_broken_at_a_byte() {
    let (_directory, path) = savepoint();
    truncate(format!("{path}/_metadata"), 1000);
    for args in [vec![path.as_str()], vec![path.as_str(), "--metadata-only"]] {
        let found = json(&args, BROKEN);
        let position = found["unreadable"]["position"].as_u64().unwrap();
        assert!(position <= 1000, "{found:#}");
        assert_eq!((&found["version"], &found["references"]), (&Value::Null, &json!([])));
        let shown = table(&args, BROKEN);
        assert!(shown.contains(&format!("_metadata: corrupt: byte {position}: found ")), "{shown}");
        assert!(shown.contains("what to do: the file was damaged"), "{shown}");
    }
}

#[test]
fn a_version_that_is_not_known_is_never_called_broken() {
    let (_directory, path) = savepoint();
    let mut bytes = fs::read(format!("{path}/_metadata")).unwrap();
    bytes[7] = 7;
    fs::write(format!("{path}/_metadata"), bytes).unwrap();
    let shown = table(&[&path], UNKNOWN);
    assert!(shown.contains("not supported: byte 4") && shown.contains("use a newer holdfast"), "{shown}");
}

#[test]
fn a_metadata_file_alone_is_enough_with_metadata_only() {
    let file = fixtures().join("2.2.1-rocksdb-incremental.metadata");
    let file = file.to_str().unwrap();
    let found = json(&["--metadata-only", file], OK);
    assert_eq!((&found["metadata_only"], &found["version"]), (&json!(true), &json!(6)));
    let references = found["references"].as_array().unwrap();
    assert!(references.len() > 10 && references.iter().all(|file| file["found_bytes"].is_null()));
    assert_eq!(found["missing"], json!([]));
    let shown = table(&["--metadata-only", file], OK);
    assert!(
        shown.contains("no other file was asked for") && shown.contains("recorded, not asked for"),
        "{shown}"
    );
    // Without the flag its files are looked for, and are not there.
    let missing = json(&[file], BROKEN);
    assert_eq!(missing["missing"].as_array().unwrap().len(), references.len());
}

#[test]
fn a_volume_that_is_mounted_elsewhere_has_its_root_there() {
    let root = fixtures().join("whole/2.2.1-changelog-files");
    let job = "/tmp/holdfast-fixtures/2.2.1/changelog-files/checkpoints/900f742e31e7d05d53aab28a75cc4825";
    let snapshot = format!("{job}/chk-6");
    let found = json(&[&snapshot, "--local-root", root.to_str().unwrap()], OK);
    assert_eq!(found["metadata_path"], json!(format!("{snapshot}/_metadata")));
    assert_eq!(found["properties"]["kind"], json!("checkpoint"));
}

#[test]
fn a_path_with_no_snapshot_says_to_check_the_path() {
    let (_directory, path) = savepoint();
    let nowhere = format!("{path}/chk-7");
    assert_eq!(json(&[&nowhere], BROKEN)["missing"], json!([format!("{nowhere}/_metadata")]));
    let shown = table(&[&nowhere], BROKEN);
    assert!(shown.contains("there is no snapshot here: check the path"), "{shown}");
    assert!(
        !shown.contains("not recorded") && !shown.contains("files   "),
        "nothing is known of it: {shown}"
    );
}

#[test]
fn a_store_that_is_away_is_unknown_and_never_broken() {
    let mut command = verify(&["s3://bucket/job/chk-7", "--store-timeout", "200ms", "-o", "json"]);
    command.env("AWS_ENDPOINT", "http://127.0.0.1:1").env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "very-secret");
    let output = command.output().unwrap();
    let (out, err) = texts(&output);
    assert_eq!((output.status.code(), err.as_str()), (UNKNOWN, ""), "{out}");
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(found["unknown"][0]["path"], "s3://bucket/job/chk-7/_metadata");
    assert!(found["unknown"][0]["error"].as_str().unwrap().contains("(3 tries)"), "{out}");
    assert!(!out.contains("very-secret"), "a secret was shown: {out}");
}

#[test]
fn what_leads_to_no_store_is_refused_with_the_way_out() {
    let said = refused(&["hdfs://nn:8020/checkpoints/chk-7"]);
    assert!(said.contains("no client for hdfs:// is built in") && said.contains("--metadata-only"), "{said}");
    let said = refused(&["s3://key:very-secret@bucket/chk-7"]);
    assert!(said.contains("come from the environment") && !said.contains("very-secret"), "{said}");
    let said = refused(&["/snapshot", "--store-timeout", "never"]);
    assert!(said.contains("store-timeout = \"never\"") && said.contains("500ms"), "{said}");
    let said = refused(&["/snapshot", "-o", "xml"]);
    assert!(said.contains("xml") && said.contains("json"), "{said}");
    assert!(refused(&[]).contains("SNAPSHOT"));
}

#[test]
fn a_reader_that_goes_away_changes_neither_the_verdict_nor_makes_a_panic() {
    let (_directory, path) = savepoint();
    fs::remove_file(format!("{path}/{FILE}")).unwrap();
    for format in ["table", "json"] {
        let mut process = verify(&[&path, "-o", format]).spawn().unwrap();
        drop(process.stdout.take());
        let output = process.wait_with_output().unwrap();
        assert_eq!((output.status.code(), texts(&output).1.as_str()), (BROKEN, ""));
    }
}

#[test]
fn an_answer_that_cannot_be_printed_is_no_answer() {
    let (_directory, path) = savepoint();
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = verify(&[&path]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), UNKNOWN);
    assert!(texts(&output).1.contains("the answer cannot be printed"), "{}", texts(&output).1);
}

#[test]
fn the_exit_statuses_are_in_the_help() {
    let output = verify(&["--help"]).output().unwrap();
    let help = texts(&output).0;
    assert_eq!(output.status.code(), OK);
    for status in ["  0  ok", "  1  broken", "  2  wrong usage", "  3  unknown"] {
        assert!(help.contains(status), "{status:?} in:\n{help}");
    }
}

#[test]
fn nothing_is_written_beside_a_snapshot() {
    let (directory, path) = savepoint();
    let names = || {
        let mut names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort_unstable();
        names
    };
    let before = names();
    table(&[&path], OK);
    table(&[&format!("{path}/no/such/directory")], BROKEN);
    assert_eq!(names(), before);
}
