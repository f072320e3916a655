//! A deployment on a directory: `holdfast run`, a JobManager that speaks the protocol, and the commands.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};

use futures::StreamExt;
use reqwest::{Client, Method};
use serde_json::{Value, json};

pub(crate) const OK: Option<i32> = Some(0);
pub(crate) const NO: Option<i32> = Some(1);
pub(crate) const USAGE: Option<i32> = Some(2);
pub(crate) const UNKNOWN: Option<i32> = Some(3);

pub(crate) use crate::flink::JOB;

/// A directory with the log and with real snapshots of Flink: 6 has its state in `_metadata`, 7 is a savepoint with files.
pub(crate) struct Deployment {
    directory: tempfile::TempDir,
}

/// A running sidecar; killed when dropped.
pub(crate) struct Sidecar {
    process: Child,
    log: Receiver<String>,
    pub(crate) url: String,
    pub(crate) public_url: String,
}

/// A JobManager that leads.
pub(crate) struct JobManager {
    url: String,
    client: Client,
    /// Held open: its end is the end of the process.
    _stream: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    epoch: u64,
    keys: u64,
}

// === impl Deployment ===

impl Deployment {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshot/fixtures");
        let deployment = Self { directory };
        for id in [6, 7] {
            fs::create_dir(deployment.snapshot(id)).unwrap();
        }
        let inline = fixtures.join("2.2.1-heap-inline.metadata");
        fs::copy(inline, deployment.snapshot(6).join("_metadata")).unwrap();
        for file in fs::read_dir(fixtures.join("whole/2.2.1-stop-with-savepoint")).unwrap() {
            let file = file.unwrap();
            fs::copy(file.path(), deployment.snapshot(7).join(file.file_name())).unwrap();
        }
        deployment
    }

    pub(crate) fn store(&self) -> String {
        self.directory.path().join("store").to_str().unwrap().to_owned()
    }

    /// Where a snapshot is.
    pub(crate) fn snapshot(&self, id: u64) -> PathBuf {
        self.directory.path().join(format!("snapshot-{id}"))
    }

    /// A file that 7 needs goes away.
    pub(crate) fn break_7(&self) {
        let files = fs::read_dir(self.snapshot(7)).unwrap().map(|file| file.unwrap().path());
        let state = files.into_iter().find(|path| !path.ends_with("_metadata")).unwrap();
        fs::remove_file(state).unwrap();
    }

    /// Every object in the store, with its content.
    pub(crate) fn objects(&self) -> Vec<(PathBuf, Vec<u8>)> {
        fn walk(directory: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push((path.clone(), fs::read(path).unwrap()));
                }
            }
        }
        let mut found = Vec::new();
        walk(Path::new(&self.store()), &mut found);
        found.sort();
        found
    }

    pub(crate) fn run(&self, generation: &str) -> Sidecar {
        self.run_with(generation, &[])
    }

    /// With further options.
    pub(crate) fn run_with(&self, generation: &str, options: &[&str]) -> Sidecar {
        let mut command = holdfast(&["run", "--deployment", "orders", "--election", "none"]);
        command.args(["--store", &self.store(), "--generation", generation, "--retry-period", "100ms"]);
        command.args(["--listen", "127.0.0.1:0", "--public-listen", "127.0.0.1:0"]).args(options);
        Sidecar::start(command)
    }

    /// A job of generation `g1` that added 5, 6 and 7, and whose 5 was subsumed.
    pub(crate) async fn led(&self) -> (Sidecar, JobManager) {
        let mut sidecar = self.run("g1");
        sidecar.wait_for("may-lead");
        let mut job_manager = JobManager::granted(&sidecar).await;
        for id in [5, 6, 7] {
            let kind = if id == 7 { "savepoint" } else { "checkpoint" };
            let place = format!("file:{}", self.snapshot(id).display());
            let body = json!({"external_pointer": place, "kind": kind, "trigger_timestamp_ms": 1_763_668_000_000_i64,
                "completion_timestamp_ms": 1_763_668_000_412_i64, "properties": "rO0ABQ==", "restored_properties": null});
            job_manager.write(Method::PUT, &format!("checkpoints/{id}"), &body).await;
        }
        job_manager.write(Method::DELETE, "checkpoints/5", &Value::Null).await;
        (sidecar, job_manager)
    }

    /// The same, and the job failed.
    pub(crate) async fn ended(&self) -> (Sidecar, JobManager) {
        let (sidecar, mut job_manager) = self.led().await;
        job_manager.write(Method::POST, "end", &json!({"status": "FAILED", "discarded": []})).await;
        job_manager.write(Method::DELETE, "checkpoints", &Value::Null).await;
        (sidecar, job_manager)
    }

    /// A command that asks the store.
    pub(crate) fn direct(&self, args: &[&str]) -> Vec<String> {
        let store = self.store();
        let rest = ["--store", &store, "--deployment", "orders"];
        args.iter().chain(&rest).map(|arg| (*arg).to_owned()).collect()
    }
}

// === impl Sidecar ===

impl Sidecar {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::null()).spawn().unwrap();
        let log = lines(process.stderr.take().unwrap());
        let mut sidecar = Self { process, log, url: String::new(), public_url: String::new() };
        let line = sidecar.wait_for("serving");
        let field = |name: &str| line.split_whitespace().find_map(|field| field.strip_prefix(name)).unwrap();
        sidecar.url = format!("http://{}", field("listen="));
        sidecar.public_url = format!("http://{}", field("public_listen="));
        sidecar
    }

    /// Reads its log until a line has `word` in it.
    pub(crate) fn wait_for(&mut self, word: &str) -> String {
        loop {
            let line = self.log.recv().unwrap_or_else(|_| panic!("the log ended without {word:?}"));
            if line.contains(word) {
                return line;
            }
        }
    }

    /// A command that asks this sidecar.
    pub(crate) fn args(&self, args: &[&str]) -> Vec<String> {
        args.iter().chain(&["--sidecar", &self.url]).map(|arg| (*arg).to_owned()).collect()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// All of its log is read, or the process would wait for a reader.
#[allow(clippy::disallowed_methods, reason = "a pipe is read by a thread of its own")]
fn lines(log: ChildStderr) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        // Whoever does not wait for a line any more has dropped the receiver; the rest is read all the same.
        BufReader::new(log).lines().map_while(Result::ok).for_each(|line| drop(sender.send(line)));
    });
    receiver
}

// === impl JobManager ===

impl JobManager {
    pub(crate) async fn granted(sidecar: &Sidecar) -> Self {
        let client = Client::new();
        let asked = json!({"process": "p1", "flink_version": "2.2.1", "cluster_id": "orders"});
        let url = sidecar.url.clone();
        let opened = client.post(format!("{url}/v1/sessions")).json(&asked).send().await.unwrap();
        let mut stream = opened.bytes_stream().boxed();
        let mut text = String::new();
        let epoch = loop {
            let grant = text.lines().find(|line| line.contains("\"grant\"") && line.ends_with('}'));
            if let Some(grant) = grant {
                break serde_json::from_str::<Value>(grant).unwrap()["epoch"].as_u64().unwrap();
            }
            let chunk = stream.next().await.expect("the stream goes on").unwrap();
            text.push_str(std::str::from_utf8(&chunk).unwrap());
        };
        Self { url, client, _stream: stream, epoch, keys: 0 }
    }

    pub(crate) async fn write(&mut self, method: Method, path: &str, body: &Value) {
        self.write_at(method, &format!("jobs/{JOB}/{path}"), body).await;
    }

    /// The job ended as FINISHED.
    pub(crate) async fn finished(&mut self) {
        let result = json!({"status": "FINISHED", "payload": ""});
        self.write_at(Method::PUT, &format!("results/jobs/{JOB}"), &result).await;
    }

    async fn write_at(&mut self, method: Method, path: &str, body: &Value) {
        self.keys += 1;
        let request = self.client.request(method, format!("{}/v1/{path}", self.url));
        let request = request.header("Holdfast-Epoch", self.epoch).header("Idempotency-Key", self.keys);
        let response = request.json(body).send().await.unwrap();
        assert!(response.status().is_success(), "{path}: {}", response.text().await.unwrap());
    }
}

/// The binary, without this machine's environment.
fn holdfast(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    command.args(args).env_clear().stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn output(args: &[String]) -> Output {
    holdfast(&args.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap()
}

/// What it printed, with the exit status that it must have. An answer leaves nothing on standard error.
pub(crate) fn table(args: &[String], status: Option<i32>) -> String {
    let output = output(args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), err.as_str()), (status, ""), "{args:?}:\n{out}");
    out
}

/// The same as JSON.
pub(crate) fn json_of(args: &[String], status: Option<i32>) -> Value {
    let mut args = args.to_vec();
    args.extend(["-o".to_owned(), "json".to_owned()]);
    serde_json::from_str(&table(&args, status)).unwrap()
}

/// What it complained of; then there is no answer.
pub(crate) fn complaint(args: &[String], status: Option<i32>) -> String {
    let output = output(args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!((output.status.code(), out.as_str()), (status, ""), "{args:?}:\n{err}");
    err
}
