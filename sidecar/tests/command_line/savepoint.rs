//! `holdfast savepoint`: what it says and its exit statuses, with a JobManager whose REST API says what a test wants.

use std::time::Duration;

use serde_json::{Value, json};

use crate::deployment::{
    Deployment, JOB, JobManager, NO, OK, Sidecar, UNKNOWN, USAGE, complaint, json_of, table,
};
use crate::flink::{Shared, done, flink};

const PLACE: &str = "file:/savepoints/savepoint-5";

/// A sidecar that leads, and asks this JobManager.
async fn leading(deployment: &Deployment, shared: &Shared) -> (Sidecar, JobManager) {
    let url = flink(shared.clone()).await;
    let mut sidecar = deployment.run_with("g1", &["--job-manager-rest", &url, "--observe-interval", "1h"]);
    sidecar.wait_for("may-lead");
    let job_manager = JobManager::granted(&sidecar).await;
    (sidecar, job_manager)
}

/// What `savepoint --stop` says with this exit status, when `then` follows once the savepoint is in the ledger.
async fn stopped(sidecar: &Sidecar, status: Option<i32>, then: impl AsyncFnOnce()) -> Value {
    let args = sidecar.args(&["savepoint", "--stop"]);
    let answer = tokio::task::spawn_blocking(move || json_of(&args, status));
    let shows = sidecar.args(&["snapshots", "list"]);
    let recorded = async {
        loop {
            let shows = shows.clone();
            let listed = tokio::task::spawn_blocking(move || json_of(&shows, OK)).await.unwrap();
            if listed["snapshots"].as_array().is_some_and(|all| !all.is_empty()) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), recorded).await.expect("it is recorded in time");
    assert!(!answer.is_finished(), "the job has not ended yet");
    then().await;
    answer.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_that_is_recorded_is_done() {
    let deployment = Deployment::new();
    let shared = done(5, PLACE);
    let (sidecar, _job_manager) = leading(&deployment, &shared).await;
    let args = ["savepoint", "--job", JOB, "--target-directory", "file:/savepoints", "--format", "native"];
    let taken = json_of(&sidecar.args(&args), OK);
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("completed"), &json!(true)), "{taken}");
    assert_eq!((&taken["external_pointer"], &taken["checkpoint_id"]), (&json!(PLACE), &json!(5)), "{taken}");
    assert_eq!(
        (&taken["job"], &taken["stop"], &taken["format"]),
        (&json!(JOB), &json!(false), &json!("NATIVE")),
        "{taken}"
    );
    let shown = table(&sidecar.args(&["savepoint"]), OK);
    assert!(shown.contains("completed") && shown.contains(PLACE), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_done_once_the_end_of_the_job_is_recorded() {
    let deployment = Deployment::new();
    let (sidecar, mut job_manager) = leading(&deployment, &done(5, PLACE)).await;
    let taken = stopped(&sidecar, OK, async || job_manager.finished().await).await;
    assert_eq!((&taken["status"], &taken["stop"]), (&json!("completed"), &json!(true)), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_whose_job_manager_dies_before_the_end_of_the_job_is_recorded_is_unknown() {
    let deployment = Deployment::new();
    let (sidecar, job_manager) = leading(&deployment, &done(5, PLACE)).await;
    let taken = stopped(&sidecar, UNKNOWN, async || drop(job_manager)).await;
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("unknown"), &json!(true)), "{taken}");
    assert!(taken["detail"].as_str().unwrap().contains("holdfast snapshots show 5"), "{taken}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_that_was_not_made_or_not_asked_for_is_a_no_with_the_reason() {
    let deployment = Deployment::new();
    let shared = done(5, PLACE);
    shared.lock().unwrap().operation = json!({"status": {"id": "COMPLETED"},
        "operation": {"failure-cause": {"class": "x", "stack-trace": "CheckpointException: declined\n\tat x"}}});
    let (sidecar, _job_manager) = leading(&deployment, &shared).await;
    let failed = table(&sidecar.args(&["savepoint"]), NO);
    assert!(failed.contains("failed") && failed.contains("CheckpointException: declined"), "{failed}");
    let unknown_job = "2".repeat(32);
    let said = complaint(&sidecar.args(&["savepoint", "--job", &unknown_job]), NO);
    assert!(said.contains(&unknown_job) && said.contains(JOB), "it names those that there are: {said}");
    shared.lock().unwrap().runs.clear();
    let said = complaint(&sidecar.args(&["savepoint"]), NO);
    assert!(said.contains("no job runs"), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_savepoint_of_which_nobody_can_tell_is_unknown_and_says_where_to_look() {
    let deployment = Deployment::new();
    let shared = done(5, PLACE);
    shared.lock().unwrap().operation = json!(null);
    let (sidecar, job_manager) = leading(&deployment, &shared).await;
    let lost = table(&sidecar.args(&["savepoint"]), UNKNOWN);
    assert!(lost.contains("unknown") && lost.contains("holdfast reset --to"), "{lost}");
    shared.lock().unwrap().operation = json!({"status": {"id": "IN_PROGRESS"}, "operation": null});
    let late = complaint(&sidecar.args(&["savepoint", "--timeout", "0s"]), UNKNOWN);
    assert!(
        late.contains("--timeout") && late.contains("goes on") && late.contains("snapshots list"),
        "{late}"
    );
    {
        let mut flink = shared.lock().unwrap();
        flink.savepoints.clear();
        flink.operation =
            json!({"status": {"id": "COMPLETED"}, "operation": {"location": "file:/nowhere/savepoint-5"}});
    }
    let unrecorded = json_of(&sidecar.args(&["savepoint"]), UNKNOWN);
    assert_eq!(
        (&unrecorded["status"], &unrecorded["recorded"]),
        (&json!("completed"), &json!(false)),
        "{unrecorded}"
    );

    drop((sidecar, job_manager));
    let mut idle = deployment.run("g1");
    idle.wait_for("may-lead");
    let said = complaint(&idle.args(&["savepoint"]), UNKNOWN);
    assert!(said.contains("no JobManager is granted here") && said.contains("nothing was done"), "{said}");
    let args = idle.args(&["savepoint"]);
    drop(idle);
    assert!(complaint(&args, UNKNOWN).contains("did not answer"));
}

#[test]
fn wrong_usage_asks_for_nothing_and_there_is_no_store_to_ask() {
    let nobody = "http://127.0.0.1:1";
    for wrong in [
        &["savepoint", "--drain"][..],
        &["savepoint", "--format", "fast"],
        &["savepoint", "--timeout", "soon"],
        &["savepoint", "--store", "file:///store", "--deployment", "orders"],
    ] {
        let args: Vec<String> =
            wrong.iter().chain(&["--sidecar", nobody]).map(|arg| (*arg).to_owned()).collect();
        let said = complaint(&args, USAGE);
        assert!(said.contains(wrong[1]), "it names what is wrong: {said}");
    }
}
