//! What only reads: the same answer from both, and nothing written.

use serde_json::{Value, json};

use crate::deployment::{Deployment, JOB, NO, OK, Sidecar, UNKNOWN, USAGE, complaint, json_of, table};

/// Without what depends on when it was asked.
fn timeless(mut answer: Value) -> Value {
    answer["now_ms"] = json!(0);
    if answer["next"]["plan"].is_object() {
        answer["next"]["plan"]["planned_at_ms"] = json!(0);
    }
    answer
}

#[tokio::test]
async fn the_sidecar_and_its_store_give_the_same_answer_and_nothing_is_written() {
    let deployment = Deployment::new();
    let (sidecar, _job_manager) = deployment.ended().await;
    let before = deployment.objects();
    let commands: [&[&str]; 5] =
        [&["snapshots", "list"], &["snapshots", "show", "6"], &["history"], &["plan"], &["gc", "--dry-run"]];
    for command in commands {
        let told = json_of(&sidecar.args(command), OK);
        let read = json_of(&deployment.direct(command), OK);
        assert_eq!(timeless(told), timeless(read), "{command:?}");
    }
    let status = json_of(&deployment.direct(&["status"]), OK);
    let told = json_of(&sidecar.args(&["status"]), OK);
    assert_eq!((&status["role"], &told["role"]), (&json!("unknown"), &json!("leading")));
    for field in ["deployment", "generation", "newest_epoch", "grant", "jobs", "newest_snapshot", "plan"] {
        assert_eq!(status[field], told[field], "{field}");
    }
    assert_eq!(deployment.objects(), before);
}

#[tokio::test]
async fn tables_say_what_became_of_each_snapshot_and_why() {
    let deployment = Deployment::new();
    let (sidecar, _job_manager) = deployment.led().await;
    let list = table(&sidecar.args(&["snapshots", "list"]), OK);
    let line =
        |id: &str| list.lines().find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{id}: {list}"));
    assert!(line("7").contains("savepoint") && line("7").contains("newest"), "{list}");
    assert!(line("5").contains("subsumed") && line("5").contains("files are gone"), "{list}");
    let show = table(&sidecar.args(&["snapshots", "show", "7"]), OK);
    assert!(show.contains("this is what latest-state restores"), "{show}");
    let status = table(&sidecar.args(&["status"]), OK);
    assert!(status.contains("leading, under epoch 1") && status.contains(JOB), "{status}");
    let history = table(&sidecar.args(&["history"]), OK);
    assert!(history.contains("generation g1 (present)") && history.contains("epoch 1 to"), "{history}");
    let gc = table(&sidecar.args(&["gc", "--dry-run"]), OK);
    assert!(gc.contains("records  none would be removed"), "{gc}");
}

#[tokio::test]
async fn a_plan_says_beforehand_that_the_next_generation_would_be_refused() {
    let deployment = Deployment::new();
    let (sidecar, job_manager) = deployment.ended().await;
    let plan = json_of(&sidecar.args(&["plan"]), OK);
    assert_eq!(
        (&plan["next"]["outcome"], &plan["next"]["plan"]["snapshot"]["id"]),
        (&json!("plan"), &json!(7)),
        "{plan}"
    );
    assert_eq!(plan["present"]["restore"], "given", "the first start: {plan}");
    deployment.break_7();
    let refused = table(&sidecar.args(&["plan"]), NO);
    assert!(refused.contains("REFUSED") && refused.contains("is not there"), "{refused}");

    drop((sidecar, job_manager));
    assert!(table(&deployment.direct(&["plan"]), NO).contains("is not there"));
    let previous = json_of(&deployment.direct(&["plan", "--on-broken-snapshot", "previous"]), OK);
    assert_eq!(previous["next"]["plan"]["snapshot"]["id"], 6, "{previous}");
    let none = table(&deployment.direct(&["plan", "--restore", "none"]), OK);
    assert!(none.contains("starts without state"), "{none}");
}

#[tokio::test]
async fn a_sidecar_that_does_not_lead_is_a_no_with_its_reason() {
    let deployment = Deployment::new();
    let mut sidecar: Sidecar = deployment.run("g1");
    sidecar.wait_for("may-lead");
    let status = json_of(&sidecar.args(&["status"]), NO);
    assert_eq!(status["role"], "waiting", "{status}");
    let list = table(&sidecar.args(&["snapshots", "list"]), OK);
    assert!(list.contains("no snapshot was recorded for deployment orders"), "{list}");
    let plan = table(&sidecar.args(&["plan"]), OK);
    assert!(plan.contains("nobody ever led") && plan.contains("first start"), "{plan}");
}

#[tokio::test]
async fn what_is_not_known_is_a_no_that_says_where_to_look() {
    let deployment = Deployment::new();
    let (sidecar, _job_manager) = deployment.led().await;
    for args in [sidecar.args(&["snapshots", "show", "70"]), deployment.direct(&["snapshots", "show", "70"])]
    {
        let said = complaint(&args, NO);
        assert!(said.contains("\"70\"") && said.contains("holdfast snapshots list"), "{said}");
    }
    let mut other = deployment.direct(&["snapshots", "list"]);
    *other.last_mut().unwrap() = "payments".into();
    let said = complaint(&other, NO);
    assert!(said.contains("no deployment payments") && said.contains("--deployment"), "{said}");
}

#[test]
fn a_directory_that_is_not_there_is_not_made() {
    let deployment = Deployment::new();
    let said = complaint(&deployment.direct(&["status"]), NO);
    assert!(said.contains("no deployment orders"), "{said}");
    assert!(!std::path::Path::new(&deployment.store()).exists());
}

#[test]
fn who_does_not_answer_is_unknown_and_the_way_out_is_named() {
    let args = ["status", "--sidecar", "http://127.0.0.1:1"].map(str::to_owned);
    let said = complaint(&args, UNKNOWN);
    assert!(said.contains("http://127.0.0.1:1") && said.contains("--store URL --deployment NAME"), "{said}");
}

#[test]
fn wrong_usage_asks_nobody() {
    let refused = |args: &[&str], word: &str| {
        let said = complaint(&args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>(), USAGE);
        assert!(said.contains(word), "{args:?}: {said}");
    };
    refused(&["status", "--sidecar", "https://h:8480"], "--sidecar");
    refused(&["status", "--store", "/nowhere"], "--deployment");
    refused(&["status", "--store", "memory:///", "--deployment", "orders"], "--store");
    refused(&["status", "--store", "ftp://h/x", "--deployment", "orders"], "--store");
    refused(&["gc"], "--dry-run");
    refused(&["reset"], "--to");
    refused(&["snapshots", "pin", "7", "--depose"], "--store");
    refused(&["plan", "--restore", "none"], "--store");
}
