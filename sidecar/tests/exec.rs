//! `holdfast exec` as a container runs it: real processes, and a sidecar that is not there unless a test makes one.

#![allow(clippy::unwrap_used)] // in a test, an unwrap is an assertion
#![allow(clippy::disallowed_methods)] // what is waited for is other processes, which have no paused clock

#[path = "process/running.rs"]
mod running;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use running::{Running, SIGTERM, kill};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";
/// For conditions that come at once, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(60);

const SIGKILL: i32 = 9;

/// `holdfast exec` of a command, with few crashes allowed.
fn exec(sidecar: &str, flags: &[&str], command: &[&str]) -> Command {
    let mut exec = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    exec.args(["exec", "--sidecar", sidecar, "--crashes-max", "3"]).args(flags).arg("--").args(command);
    exec.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    exec.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    exec
}

/// `holdfast exec` of a shell command.
fn shell(flags: &[&str], script: &str) -> Command {
    exec(NOBODY, flags, &["sh", "-c", script])
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The process that it starts next.
fn next_start(exec: &mut Running) -> i32 {
    number_after(&exec.wait_for("started a JobManager"), "pid=")
}

/// How it ends, and what it logs until then.
fn end(mut exec: Running) -> (Option<i32>, String) {
    let log = exec.rest_of_log();
    (exec.process.wait().unwrap().code(), log)
}

fn number_after(line: &str, word: &str) -> i32 {
    let at = line.find(word).unwrap_or_else(|| panic!("no {word:?} in {line}")) + word.len();
    let digits: String = line[at..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

fn wait_until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    let give_up = Instant::now() + LIMIT;
    loop {
        if let Some(seen) = seen() {
            return seen;
        }
        assert!(Instant::now() < give_up, "waited too long for {what}");
        sleep(Duration::from_millis(20));
    }
}

/// It runs, or nobody has asked yet how it ended.
fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}

fn text_of(path: &Path) -> Option<String> {
    std::fs::read_to_string(path).ok().filter(|text| text.ends_with('\n'))
}

/// A sidecar's list of sessions, as far as `holdfast exec` looks at it: `sessions` makes the body of each answer.
fn sidecar(sessions: impl Fn() -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let mut head = BufReader::new(connection.try_clone().unwrap()).lines();
            while head.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let body = sessions();
            let length = body.len();
            let answer =
                format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
            // Who asked may be gone.
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn a_status_of_the_job_is_passed_through_at_once() {
    for status in [0, 163] {
        let output = shell(&[], &format!("exit {status}")).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{}", said(&output));
        assert_eq!(said(&output).matches("started a JobManager").count(), 1, "{}", said(&output));
    }
}

#[test]
fn a_crash_loop_pauses_and_is_given_up_with_the_last_status() {
    let dir = tempfile::tempdir().unwrap();
    let count = dir.path().join("count");
    let script = format!("echo >> {0}; exit $((40 + $(wc -l < {0})))", count.display());
    let started = Instant::now();
    let output = shell(&[], &script).output().unwrap();
    assert_eq!(output.status.code(), Some(43), "{}", said(&output));
    assert_eq!(said(&output).matches("started a JobManager").count(), 3, "{}", said(&output));
    assert!(said(&output).contains("crashed 3 times"), "{}", said(&output));
    assert!(started.elapsed() >= Duration::from_secs(1), "the third start waits for a second");
}

#[test]
fn what_cannot_be_run_ends_like_in_a_shell() {
    let output = exec(NOBODY, &[], &["/nowhere/standalone-job.sh"]).output().unwrap();
    assert_eq!(output.status.code(), Some(127), "{}", said(&output));
    assert!(said(&output).contains("/nowhere/standalone-job.sh"), "{}", said(&output));
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("script.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let output = exec(NOBODY, &[], &[script.to_str().unwrap()]).output().unwrap();
    assert_eq!(output.status.code(), Some(126), "{}", said(&output));
    let output = exec(NOBODY, &["--hang-limit=never"], &["true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
}

#[test]
fn output_passes_through_and_the_variables_do() {
    let mut command = shell(&[], "echo out-$GIVEN-$HOLDFAST_PROCESS; echo err-$GIVEN >&2");
    let output = command.env("GIVEN", "value").output().unwrap();
    let out = String::from_utf8(output.stdout.clone()).unwrap();
    assert!(out.starts_with("out-value-exec-") && out.ends_with("-1\n"), "{out}");
    assert!(said(&output).lines().any(|line| line == "err-value"), "{}", said(&output));
}

#[test]
fn sigterm_ends_the_job_manager_and_then_us_with_its_status() {
    let mut by_the_signal = Running::start(shell(&[], "exec sleep 1000"));
    let pid = next_start(&mut by_the_signal);
    by_the_signal.signal(SIGTERM);
    let (status, log) = end(by_the_signal);
    assert_eq!(status, Some(128 + SIGTERM), "{log}");
    assert!(!is_alive(pid));

    let mut by_itself =
        Running::start(shell(&[], "trap 'exit 7' TERM; echo ready >&2; while :; do sleep 0.05; done"));
    by_itself.wait_for("ready");
    by_itself.signal(SIGTERM);
    let (status, log) = end(by_itself);
    assert_eq!(status, Some(7), "it decides with what it ends when it is asked to: {log}");
}

#[test]
fn signals_that_do_not_ask_for_the_end_reach_the_job_manager_and_end_nothing_here() {
    let script =
        "trap 'echo got-QUIT >&2' QUIT; trap 'echo got-HUP >&2' HUP; trap 'exit 163' USR1; echo ready >&2;
                  while :; do sleep 0.05; done";
    let mut running = Running::start(shell(&[], script));
    running.wait_for("ready");
    for (signal, name) in [(3, "got-QUIT"), (1, "got-HUP")] {
        running.signal(signal);
        running.wait_for(name);
    }
    running.signal(10);
    let (status, log) = end(running);
    assert_eq!(status, Some(163), "{log}");
}

#[test]
fn one_that_is_killed_is_started_again_at_once() {
    let mut running = Running::start(shell(&[], "exec sleep 1000"));
    let first = next_start(&mut running);
    let killed = Instant::now();
    kill(first, SIGKILL);
    assert!(running.wait_for("job-manager-ended").contains("signal 9"));
    let second = next_start(&mut running);
    assert_ne!(first, second);
    assert!(killed.elapsed() < Duration::from_secs(8), "the kubelet would have waited for ten");
    running.signal(SIGTERM);
    assert_eq!(end(running).0, Some(128 + SIGTERM));
}

/// A script that starts something and stays its parent, and the file to which that writes its id.
fn parent(dir: &Path) -> (String, PathBuf) {
    let file = dir.join("pid");
    (format!("sh -c 'echo $$ >> {}; exec sleep 1000'; true", file.display()), file)
}

fn last_pid(file: &Path, number: usize) -> i32 {
    wait_until("the child of the script", || {
        text_of(file).filter(|text| text.lines().count() >= number)?.lines().nth(number - 1)?.parse().ok()
    })
}

#[test]
fn what_a_script_started_that_died_does_not_stay_beside_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    let (script, file) = parent(dir.path());
    let mut running = Running::start(shell(&[], &script));
    let shell = next_start(&mut running);
    let child = last_pid(&file, 1);
    kill(shell, SIGKILL);
    next_start(&mut running);
    wait_until("the child of the dead script to be gone", || (!is_alive(child)).then_some(()));
    let next = last_pid(&file, 2);
    assert!(is_alive(next));
    running.signal(SIGTERM);
    assert_eq!(end(running).0, Some(128 + SIGTERM));
    wait_until("the child of the next script to be gone", || (!is_alive(next)).then_some(()));
}

#[test]
fn one_that_hangs_is_killed_and_so_is_what_its_script_started() {
    let dir = tempfile::tempdir().unwrap();
    let (script, file) = parent(dir.path());
    let name = dir.path().join("name");
    let script = format!("echo $HOLDFAST_PROCESS > {}; {script}", name.display());
    let sessions = move || {
        let hangs = text_of(&name).filter(|name| name.ends_with("-1\n"));
        let session = hangs.map(|name| {
            format!(r#"{{"session":"s","process":"{}","granted":true,"unanswered_pings":5}}"#, name.trim())
        });
        format!(r#"{{"sessions":[{}]}}"#, session.unwrap_or_default())
    };
    // Not before the script is where it is to be.
    let child = file.clone();
    let url = sidecar(move || if child.exists() { sessions() } else { r#"{"sessions":[]}"#.to_owned() });
    let mut running = Running::start(exec(&url, &[], &["sh", "-c", &script]));
    let first = last_pid(&file, 1);
    assert!(running.wait_for("killing").contains("5 pings"));
    next_start(&mut running);
    wait_until("the child of the killed script to be gone", || (!is_alive(first)).then_some(()));
    running.signal(SIGTERM);
    assert_eq!(end(running).0, Some(128 + SIGTERM));
}

/// Something that is called like a JVM, for everybody.
fn java(dir: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;
    let java = dir.join("java");
    std::fs::copy("/bin/sleep", &java).unwrap();
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    java
}

#[test]
fn a_process_of_its_own_user_is_learned_and_started_directly() {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("exec {} 1000", java(dir.path()).display());
    let mut running = Running::start(shell(&[], &script));
    assert!(running.wait_for("started a JobManager").contains("by its command"));
    running.wait_for("event=\"learned\"");
    running.signal(SIGTERM);
    assert_eq!(end(running).0, Some(128 + SIGTERM));
}

#[test]
fn what_runs_as_another_user_than_its_entry_point_is_not_learned_and_the_way_out_is_named() {
    if !rustix::process::geteuid().is_root() {
        return; // Rights cannot be dropped that are not there.
    }
    let dir = tempfile::tempdir().unwrap();
    let java = java(dir.path());
    let script = format!("exec setpriv --reuid=65534 --regid=65534 --clear-groups {} 1000", java.display());
    let mut running = Running::start(shell(&["--warm-spare"], &script));
    let line = running.wait_for("not-learned");
    assert!(line.contains("user 65534") && line.contains("runAsUser"), "{line}");
    assert!(line.contains("there is no spare"), "{line}");
    running.signal(SIGTERM);
    assert_eq!(end(running).0, Some(128 + SIGTERM));
}
