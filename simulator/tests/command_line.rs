//! `holdfast-sim` as a user meets it: exit status, messages, and where they go.

use std::io::Read;
use std::process::{Command, Output, Stdio};

fn holdfast_sim(arguments: &[&str]) -> Output {
    command(arguments).output().expect("the binary starts")
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

#[test]
fn the_list_names_every_scenario_with_its_story() {
    let output = holdfast_sim(&["list"]);
    assert_eq!(output.status.code(), Some(0));
    let list = text(&output.stdout);
    for (name, file) in simulator::scenario::shipped() {
        let story = file.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a story");
        assert!(list.contains(name) && list.contains(story), "{name}\n{list}");
    }
}

#[test]
fn wrong_usage_and_broken_scenarios_end_with_2_and_say_why_on_standard_error() {
    let directory = tempfile::tempdir().expect("a directory");
    let broken = directory.path().join("broken.yaml");
    std::fs::write(&broken, "# A mistake.\nfaulty: 10s\nhealed: 10s\nfaults:\n  - kil: {}\n")
        .expect("a file");
    let broken = broken.display().to_string();
    let empty = directory.path().join("empty");
    std::fs::create_dir(&empty).expect("a directory");
    let empty = empty.display().to_string();
    let place = format!("{broken}:5:5: unknown name `kil`, expected one of kill, ");
    for (arguments, says) in [
        (vec!["run"], "required arguments were not provided"),
        (vec!["run", "standard", "--seeds", "0"], "0 is not in 1.."),
        (vec!["run", "standard", "--seeds", "3", "--seed", "4"], "cannot be used with"),
        (vec!["run", "standard", "--time-limit", "10"], "`10` is not a time"),
        (vec!["run", "standard", "--format", "xml"], "possible values: text, json, junit"),
        (vec!["run", "no-such-story"], "is neither a file nor the name of a shipped scenario"),
        (vec!["run", &empty], "has no `.yaml` file"),
        (vec!["run", &broken], &place),
        (vec!["replay", "7"], "`7` is not a replay token: it has too few parts"),
        (
            vec!["replay", "no-such-story.00000000.1.all.0000000000000000.0.1.0-x"],
            "neither a file nor the name",
        ),
    ] {
        let output = holdfast_sim(&arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{said}");
        assert!(said.contains(says), "{arguments:?}\n{said}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child =
        command(&["list"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    let status = child.wait().expect("it ends");
    let mut said = String::new();
    child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("UTF-8");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

/// Short, because debug builds are slow, and with a fault that reaches every part of the world.
const SHORT: &str = "# A short one.\nreaches: [session resumed]\nfaulty: 15s\nhealed: 30s\nfaults:\n  \
                     - kill: { process: sidecar }\n    at: 6s..10s\n  - store-slow: { by: 100ms..500ms }\n    for: 3s\n";

fn short(directory: &tempfile::TempDir) -> String {
    let path = directory.path().join("short.yaml");
    std::fs::write(&path, SHORT).expect("a file");
    path.display().to_string()
}

#[test]
fn a_run_is_the_same_in_this_process_and_in_fresh_ones_on_one_thread_and_on_two() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = short(&directory);
    let hash = |jobs: &str| {
        let output = holdfast_sim(&["run", &path, "--seeds", "2", "--jobs", jobs, "--format", "json"]);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(summary["simulated_seconds"], 90.0);
        summary["hash"].as_str().expect("a hash").to_owned()
    };
    assert_eq!(hash("1"), hash("2"));

    let scenario = simulator::scenario::find(&path).expect("it parses").remove(0);
    let here = simulator::run::run(&scenario.plan(2), &simulator::product::Product::default()).outcome;
    let token = simulator::token::Token::new(&scenario, 2, simulator::shrink::Cut::default(), &here.hash);
    let output = holdfast_sim(&["replay", &token.to_string(), "--scenario", &path]);
    assert_eq!((output.status.code(), text(&output.stderr).as_str()), (Some(0), ""), "no warning");
    assert!(text(&output.stdout).ends_with(&format!("\nok\nhash    {}\n", here.hash)));
}

#[test]
fn a_replay_of_another_run_warns() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = short(&directory);
    let output =
        holdfast_sim(&["replay", "short.00000000.1.all.0000000000000000.0.0.1-x", "--scenario", &path]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for says in ["the scenario is not the one of the token", "this build is", "this is another run"] {
        assert!(said.contains(says), "{said}");
    }
}

#[test]
fn a_report_and_a_summary_for_programs_are_written_beside_each_other() {
    let directory = tempfile::tempdir().expect("a directory");
    let (path, page) = (short(&directory), directory.path().join("report.html").display().to_string());
    let arguments = ["run", &path, "--seed", "3", "--format", "junit", "--report", &page];
    let output = holdfast_sim(&arguments);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("<testcase classname=\"short\" name=\"seed 3\""));
    let page = std::fs::read_to_string(&page).expect("it was written");
    assert!(page.contains("all promises held") && page.contains("job-manager-0"), "it shows the run");

    let nowhere = directory.path().join("no/such/directory.html").display().to_string();
    let output = holdfast_sim(&["run", &path, "--seed", "3", "--report", &nowhere]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot write the report"), "{}", text(&output.stderr));
}
