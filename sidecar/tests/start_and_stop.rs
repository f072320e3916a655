//! The binary as a user starts and stops it.

#![allow(clippy::unwrap_used)] // in a test, an unwrap is an assertion
#![allow(clippy::disallowed_methods)] // what is waited for is other processes, which have no paused clock

#[path = "process/running.rs"]
mod running;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use running::{Running, SIGTERM};

fn holdfast(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(args).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `holdfast run` on free ports, unless a flag says otherwise.
fn run(store: &str, extra: &[&str]) -> Command {
    let mut command = holdfast(&["run", "--deployment", "orders", "--election", "none", "--store", store]);
    command.env("HOLDFAST_LISTEN", "127.0.0.1:0").env("HOLDFAST_PUBLIC_LISTEN", "127.0.0.1:0").args(extra);
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("holdfast.yaml");
    std::fs::write(
        &file,
        "deployment: from-file\ngeneration: from-file\nstore: memory:///\nelection: none\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let output = holdfast(&["check-config", "--config", file, "--deployment", "from-flag"])
        .env("HOLDFAST_DEPLOYMENT", "from-environment")
        .env("HOLDFAST_GENERATION", "from-environment")
        .output()
        .unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{shown}");
    assert!(shown.contains("deployment: from-flag"), "{shown}");
    assert!(shown.contains("generation: from-environment"), "{shown}");
    assert!(shown.contains("store: memory:///"), "{shown}");
    assert!(shown.contains("retry-period: 2000ms"), "defaults are in force too: {shown}");
}

#[test]
fn bad_configuration_is_refused_with_the_key_and_its_value() {
    let output = run("memory:///", &["--retry-period", "never"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("retry-period = \"never\""), "{}", said(&output));
    let output = run("ftp://host/dir", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("store = \"ftp://host/dir\""), "{}", said(&output));
    let output = run("s3://key:secret@bucket/prefix", &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!said(&output).contains("secret"), "a secret reached the log: {}", said(&output));
    let output = holdfast(&["run", "--config", "/nowhere/holdfast.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("/nowhere/holdfast.yaml"), "{}", said(&output));
}

#[test]
fn a_store_that_cannot_be_reached_refuses_the_start_and_says_what_to_do() {
    let output = run("s3://bucket/prefix", &[])
        .env("AWS_ACCESS_KEY_ID", "id")
        .env("AWS_SECRET_ACCESS_KEY", "very-secret")
        .env("AWS_ENDPOINT", "http://127.0.0.1:1")
        .env("AWS_ALLOW_HTTP", "true")
        .output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("s3://bucket/prefix cannot be used, so nothing was started"), "{said}");
    assert!(said.contains("check its URL, the network and the credentials"), "{said}");
    assert!(!said.contains("very-secret"), "a secret reached the log: {said}");
}

#[test]
fn a_kubeconfig_that_does_not_parse_is_named_and_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("kubeconfig");
    std::fs::write(&file, "users: [{name: a, user: {token: very-secret}}]]").unwrap();
    let mut command =
        holdfast(&["run", "--deployment", "o", "--store", "memory:///", "--election", "kubernetes"]);
    command.args(["--namespace", "n", "--identity", "uid", "--pod-name", "p"]);
    let output = command.env("KUBECONFIG", &file).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains(file.to_str().unwrap()), "{}", said(&output));
    assert!(!said(&output).contains("very-secret"), "a secret reached the log: {}", said(&output));
}

#[test]
fn a_corrupt_newest_record_refuses_the_start_and_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("orders/log/00000000000000000001.json");
    std::fs::create_dir_all(record.parent().unwrap()).unwrap();
    std::fs::write(&record, "{\"header\": {").unwrap();
    let output = run(dir.path().to_str().unwrap(), &[]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("orders/log/00000000000000000001.json") && said.contains("corrupt"), "{said}");
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "{\"header\": {");
}

#[test]
fn a_blob_that_does_not_match_its_hash_refuses_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().to_str().unwrap();
    let mut sidecar = Running::start(run(store, &[]));
    let client = Client::of(&mut sidecar);
    sidecar.wait_for("may-lead");
    let _job_manager =
        client.post("/v1/sessions", "", r#"{"process":"p","flink_version":"2.2.1","cluster_id":"c"}"#);
    sidecar.wait_for("granted");
    let headers = "Holdfast-Epoch: 1\r\nIdempotency-Key: k\r\nFlink-Version: 2.2.1\r\nIf-None-Match: *\r\n";
    client.put("/v1/jobs/00000000002efde30000000000000000/graph", headers, "graph");
    drop(sidecar);
    let blobs = std::fs::read_dir(dir.path().join("orders/blob")).unwrap();
    let [blob] = blobs.map(|blob| blob.unwrap().path()).collect::<Vec<_>>().try_into().expect("one blob");
    std::fs::write(&blob, "grape").unwrap();

    let output = run(store, &[]).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let name = blob.file_name().unwrap().to_str().unwrap();
    assert!(said.contains(name) && said.contains("corrupt") && said.contains("restore"), "{said}");
}

#[test]
fn a_stop_is_in_order_and_json_logs_have_one_event_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut sidecar = Running::start(run(dir.path().to_str().unwrap(), &["--log-format", "json"]));
    let line = sidecar.wait_for("may-lead");
    let event: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(event["event"], "may-lead", "{line}");
    sidecar.signal(SIGTERM);
    assert!(sidecar.rest_of_log().contains("stopped in order"));
    assert_eq!(sidecar.process.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_signal_forces_the_stop() {
    let dir = tempfile::tempdir().unwrap();
    let mut sidecar = Running::start(run(dir.path().to_str().unwrap(), &["--stop-wait", "1h"]));
    let client = Client::of(&mut sidecar);
    sidecar.wait_for("may-lead");
    // A JobManager that does not end keeps the stop waiting.
    let _job_manager =
        client.post("/v1/sessions", "", r#"{"process":"p","flink_version":"2.2.1","cluster_id":"c"}"#);
    sidecar.wait_for("granted");
    sidecar.signal(SIGTERM);
    sidecar.wait_for("a second signal forces it");
    sidecar.signal(SIGTERM);
    sidecar.wait_for("told to stop twice");
    assert_eq!(sidecar.process.wait().unwrap().code(), Some(1));
}

#[test]
fn a_port_that_is_taken_is_named_with_its_option() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = run("memory:///", &["--public-listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said(&output).contains(&format!("cannot listen on {address} (--public-listen)")),
        "{}",
        said(&output)
    );
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let store = file.join("store");
    let output = run(store.to_str().unwrap(), &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("a-file/store"), "{}", said(&output));
    assert!(!Path::new(&store).exists());
}

#[test]
fn the_adapter_is_installed_whole_or_the_missing_place_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (jar, lib) = (dir.path().join("a.jar"), dir.path().join("lib"));
    std::fs::write(&jar, "jar").unwrap();
    // A class-data archive fits jars of the time that it was made with: a copy keeps it.
    let modified = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
    std::fs::File::options().write(true).open(&jar).unwrap().set_modified(modified).unwrap();
    let install = |to: &Path| {
        let mut command =
            holdfast(&["install-adapter", "--from", jar.to_str().unwrap(), "--to", to.to_str().unwrap()]);
        command.output().unwrap()
    };
    let refused = install(&lib);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains(lib.to_str().unwrap()), "{}", said(&refused));
    std::fs::create_dir(&lib).unwrap();
    assert!(install(&lib).status.success());
    assert!(install(&lib).status.success(), "again is fine");
    let names: Vec<_> = std::fs::read_dir(&lib).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["holdfast-flink-adapter.jar"]);
    let copied = std::fs::metadata(lib.join("holdfast-flink-adapter.jar")).unwrap();
    assert_eq!(copied.modified().unwrap(), modified);
}

/// A client of the private listener that needs no runtime.
struct Client {
    address: String,
}

impl Client {
    /// Of a sidecar that has just been started.
    fn of(sidecar: &mut Running) -> Self {
        let line = sidecar.wait_for("serving");
        let address = line.split_whitespace().find_map(|field| field.strip_prefix("listen=")).unwrap();
        Self { address: address.to_owned() }
    }

    /// Sends a request that must succeed, and holds its connection open.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let (host, length) = (&self.address, body.len());
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{headers}\r\n");
        stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
        let mut first = [0; 10];
        stream.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 2");
        stream
    }

    fn post(&self, path: &str, headers: &str, body: &str) -> TcpStream {
        self.send("POST", path, headers, body)
    }

    fn put(&self, path: &str, headers: &str, body: &str) {
        self.send("PUT", path, headers, body);
    }
}
