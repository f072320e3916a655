//! Savepoints: those that the JobManager tells of, and those that are taken through the sidecar.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sidecar::settings::Settings;

use super::flink::{Shared, done, flink, savepoint};
use super::support::{JOB, JobManager, Sidecar, problem};

/// A sidecar with a granted JobManager that publishes this REST address.
async fn leading(shared: &Shared, observe_interval: &str) -> (Sidecar, JobManager, u64) {
    let settings = Settings { observe_interval: Some(observe_interval.into()), ..Settings::default() };
    let sidecar = Sidecar::start_on(Arc::new(object_store::memory::InMemory::new()), settings).await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let url = flink(shared.clone()).await;
    let leaders = json!({"leaders": {"restserver": {"session": "s", "address": url}}});
    let published =
        sidecar.write(Method::PUT, "/v1/leaders", epoch, "l").json(&leaders).send().await.unwrap();
    assert_eq!(published.status(), 204);
    (sidecar, job_manager, epoch)
}

async fn until<T>(sidecar: &Sidecar, path: &str, found: impl Fn(&Value) -> Option<T>) -> T {
    let limit = std::time::Duration::from_secs(20);
    let search = async {
        loop {
            let answer = sidecar.get(path).await.json().await.expect("JSON");
            if let Some(found) = found(&answer) {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(limit, search).await.expect("in time")
}

fn known(answer: &Value, id: u64) -> Option<Value> {
    answer["snapshots"].as_array()?.iter().find(|snapshot| snapshot["id"] == id).cloned()
}

async fn ended(sidecar: &Sidecar, id: &Value) -> Value {
    let path = format!("/v1/savepoints/{}", id.as_str().expect("an id"));
    until(sidecar, &path, |taken| (taken["status"] != "in-progress").then(|| taken.clone())).await
}

async fn take(sidecar: &Sidecar, body: Value) -> Value {
    let accepted = sidecar.request(Method::POST, "/v1/savepoints").json(&body).send().await.unwrap();
    assert_eq!(accepted.status(), 202);
    accepted.json::<Value>().await.unwrap()["id"].clone()
}

#[tokio::test]
async fn a_savepoint_that_somebody_else_took_is_known_and_later_that_its_job_rolled_back_behind_it() {
    let shared = Shared::default();
    shared.lock().unwrap().runs = vec![JOB];
    let (sidecar, _job_manager, _) = leading(&shared, "100ms").await;
    shared.lock().unwrap().savepoints = vec![savepoint(7, "file:/savepoints/savepoint-7")];
    let seen = until(&sidecar, "/v1/snapshots", |answer| known(answer, 7)).await;
    assert_eq!(seen["kind"], "savepoint", "{seen}");
    assert_ne!(seen["rolled_back"], true, "{seen}");
    shared.lock().unwrap().restored = json!({"id": 6, "restore_timestamp": 1_200, "is_savepoint": false});
    let rolled_back = |answer: &Value| known(answer, 7).filter(|snapshot| snapshot["rolled_back"] == true);
    until(&sidecar, "/v1/snapshots", rolled_back).await;
    let observer = &sidecar.status().await["observer"];
    assert_eq!(
        (&observer["trouble"], &observer["savepoints_recorded"]),
        (&json!(null), &json!(1)),
        "{observer}"
    );
    sidecar.stop().await;
}

#[tokio::test]
async fn before_a_jobs_result_is_recorded_its_last_savepoint_is() {
    let shared = Shared::default();
    shared.lock().unwrap().savepoints = vec![savepoint(9, "file:/savepoints/savepoint-9")];
    // Nothing is observed by itself in this time.
    let (sidecar, _job_manager, epoch) = leading(&shared, "1h").await;
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    let written = sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send().await.unwrap();
    assert_eq!(written.status(), 201);
    assert!(known(&sidecar.get("/v1/snapshots").await.json().await.unwrap(), 9).is_some());
    sidecar.stop().await;
}

#[tokio::test]
async fn a_jobs_last_savepoint_is_known_even_if_flinks_first_answer_is_an_old_one() {
    let shared = Shared::default();
    let (sidecar, _job_manager, epoch) = leading(&shared, "1h").await;
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    let written = tokio::spawn(sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send());
    let asked = async {
        while shared.lock().unwrap().looks == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), asked).await.expect("it is looked at");
    let mut stopped = savepoint(9, "file:/savepoints/savepoint-9");
    stopped["checkpoint_type"] = json!("SYNC_SAVEPOINT");
    shared.lock().unwrap().savepoints = vec![stopped];
    assert_eq!(written.await.unwrap().unwrap().status(), 201);
    assert!(known(&sidecar.get("/v1/snapshots").await.json().await.unwrap(), 9).is_some());
    sidecar.stop().await;
}

/// Tells the end of the job, and shows the savepoint so long after the sidecar looked first. How long the answer took.
async fn end_with_a_savepoint_that_shows_after(shared: &Shared, hidden: Duration) -> (bool, Duration) {
    let (sidecar, _job_manager, epoch) = leading(shared, "1h").await;
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    let told = tokio::time::Instant::now();
    let written = tokio::spawn(sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send());
    let later = shared.clone();
    let shows = tokio::spawn(async move {
        tokio::time::sleep(hidden).await;
        later.lock().unwrap().savepoints = vec![savepoint(9, "file:/savepoints/savepoint-9")];
    });
    assert_eq!(written.await.unwrap().unwrap().status(), 201);
    let took = told.elapsed();
    shows.abort();
    let is_known = known(&sidecar.get("/v1/snapshots").await.json().await.unwrap(), 9).is_some();
    sidecar.stop().await;
    (is_known, took)
}

#[tokio::test]
async fn a_jobs_end_waits_for_as_long_as_flinks_configuration_says_that_its_answers_may_be_old() {
    let shared = Shared::default();
    shared.lock().unwrap().configuration = vec![("web.refresh-interval", "5 s")];
    let (is_known, took) = end_with_a_savepoint_that_shows_after(&shared, Duration::from_secs(4)).await;
    assert!(is_known && took >= Duration::from_secs(5), "{is_known}, {took:?}");
}

#[tokio::test]
async fn a_jobs_end_waits_no_longer_than_flinks_configuration_says_and_no_longer_than_ten_seconds() {
    let short = Shared::default();
    let (cache, web) = ("rest.cache.checkpoint-statistics.timeout", "web.refresh-interval");
    short.lock().unwrap().configuration = vec![(web, "1 h"), (cache, "100")];
    let long = Shared::default();
    long.lock().unwrap().configuration = vec![(web, "1 h")];
    let never = Duration::from_secs(3_600);
    let ((_, short), (_, long)) = tokio::join!(
        end_with_a_savepoint_that_shows_after(&short, never),
        end_with_a_savepoint_that_shows_after(&long, never)
    );
    assert!(short < Duration::from_secs(3), "{short:?}");
    assert!((10..13).contains(&long.as_secs()), "{long:?}");
}

#[tokio::test]
async fn a_result_is_recorded_even_if_the_job_cannot_be_observed_any_more() {
    let shared = Shared::default();
    shared.lock().unwrap().gone = true;
    let (sidecar, _job_manager, epoch) = leading(&shared, "1h").await;
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    let written = sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send().await.unwrap();
    assert_eq!(written.status(), 201);
    sidecar.stop().await;
}

#[tokio::test]
async fn a_savepoint_that_is_done_is_in_the_ledger_with_the_id_that_flink_gave_it() {
    let place = "file:/savepoints/savepoint-5";
    let shared = done(5, place);
    let (sidecar, _job_manager, _) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({"target_directory": "file:/savepoints", "format": "NATIVE"})).await;
    let taken = ended(&sidecar, &id).await;
    assert_eq!(taken["status"], "completed", "{taken}");
    assert_eq!((&taken["external_pointer"], &taken["checkpoint_id"]), (&json!(place), &json!(5)), "{taken}");
    assert_eq!((&taken["recorded"], &taken["job"]), (&json!(true), &json!(JOB)), "{taken}");
    assert!(known(&sidecar.get("/v1/snapshots").await.json().await.unwrap(), 5).is_some());
    let (call, order) = shared.lock().unwrap().orders[0].clone();
    assert_eq!(call, "savepoints");
    assert_eq!(order["triggerId"], id, "{order}");
    assert_eq!(
        (&order["target-directory"], &order["formatType"]),
        (&json!("file:/savepoints"), &json!("NATIVE"))
    );
    sidecar.stop().await;
}

/// A savepoint that Flink says is done, and that its statistics do not show: more were made since than they hold.
fn done_unseen(place: &str) -> Shared {
    let shared = done(7, place);
    shared.lock().unwrap().savepoints.clear();
    shared
}

#[tokio::test]
async fn a_savepoint_that_flink_does_not_show_is_recorded_with_the_id_in_its_own_metadata_file() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshot/fixtures/whole");
    let directory = fixtures.join("2.2.1-stop-with-savepoint").canonicalize().unwrap();
    let place = format!("file:{}", directory.display());
    let (sidecar, _job_manager, _) = leading(&done_unseen(&place), "1h").await;
    let id = take(&sidecar, json!({})).await;
    let taken = ended(&sidecar, &id).await;
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("completed"), &json!(true)), "{taken}");
    assert_eq!((&taken["checkpoint_id"], &taken["external_pointer"]), (&json!(7), &json!(place)), "{taken}");
    let recorded =
        known(&sidecar.get("/v1/snapshots").await.json().await.unwrap(), 7).expect("it is recorded");
    assert_eq!(
        (&recorded["kind"], &recorded["external_pointer"]),
        (&json!("savepoint"), &json!(place)),
        "{recorded}"
    );
    sidecar.stop().await;
}

#[tokio::test]
async fn a_savepoint_whose_id_nobody_tells_is_complete_and_not_recorded_and_says_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let place = format!("file:{}", directory.path().join("savepoint-7").display());
    let (sidecar, _job_manager, _) = leading(&done_unseen(&place), "1h").await;
    let id = take(&sidecar, json!({})).await;
    let taken = ended(&sidecar, &id).await;
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("completed"), &json!(false)), "{taken}");
    assert_eq!(
        (&taken["checkpoint_id"], &taken["external_pointer"]),
        (&json!(null), &json!(place)),
        "{taken}"
    );
    let detail = taken["detail"].as_str().unwrap();
    assert!(detail.contains("_metadata is not there"), "{taken}");
    assert!(detail.contains(&format!("holdfast reset --to {place}")), "{taken}");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_stop_is_done_when_the_job_has_ended() {
    let place = "file:/savepoints/savepoint-5";
    let shared = done(5, place);
    let (sidecar, _job_manager, epoch) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({"stop": true})).await;
    let path = format!("/v1/savepoints/{}", id.as_str().unwrap());
    let complete = |taken: &Value| (taken["external_pointer"] == place).then(|| taken.clone());
    let taken = until(&sidecar, &path, complete).await;
    assert_eq!(taken["status"], "in-progress", "{taken}");
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send().await.unwrap();
    assert_eq!(ended(&sidecar, &id).await["status"], "completed");
    assert_eq!(shared.lock().unwrap().orders[0].0, "stop");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_stop_whose_job_manager_is_gone_before_the_jobs_end_is_recorded_is_unknown_and_never_completed() {
    let place = "file:/savepoints/savepoint-5";
    let shared = done(5, place);
    let (sidecar, job_manager, _) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({"stop": true})).await;
    let path = format!("/v1/savepoints/{}", id.as_str().unwrap());
    until(&sidecar, &path, |taken| (taken["external_pointer"] == place).then_some(())).await;
    until(&sidecar, "/v1/snapshots", |answer| known(answer, 5)).await;
    drop(job_manager);
    let taken = ended(&sidecar, &id).await;
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("unknown"), &json!(true)), "{taken}");
    assert_eq!((&taken["external_pointer"], &taken["checkpoint_id"]), (&json!(place), &json!(5)), "{taken}");
    let detail = taken["detail"].as_str().unwrap();
    assert!(detail.contains("whether job") && detail.contains("holdfast snapshots show 5"), "{taken}");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_stop_whose_job_manager_goes_right_after_the_jobs_end_is_recorded_is_completed() {
    let place = "file:/savepoints/savepoint-5";
    let shared = done(5, place);
    let (sidecar, job_manager, epoch) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({"stop": true})).await;
    until(&sidecar, "/v1/snapshots", |answer| known(answer, 5)).await;
    let result = json!({"status": "FINISHED", "payload": ""});
    let path = format!("/v1/results/jobs/{JOB}");
    let written = sidecar.write(Method::PUT, &path, epoch, "r").json(&result).send().await.unwrap();
    assert_eq!(written.status(), 201);
    drop(job_manager);
    let taken = ended(&sidecar, &id).await;
    assert_eq!((&taken["status"], &taken["recorded"]), (&json!("completed"), &json!(true)), "{taken}");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_savepoint_that_flink_gave_up_is_failed_with_its_reason() {
    let shared = Shared::default();
    {
        let mut flink = shared.lock().unwrap();
        flink.runs = vec![JOB];
        flink.operation = json!({"status": {"id": "COMPLETED"},
            "operation": {"failure-cause": {"class": "x", "stack-trace": "CheckpointException: declined\n\tat x"}}});
    }
    let (sidecar, _job_manager, _) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({})).await;
    let taken = ended(&sidecar, &id).await;
    assert_eq!(
        (&taken["status"], &taken["detail"]),
        (&json!("failed"), &json!("CheckpointException: declined"))
    );
    sidecar.stop().await;
}

#[tokio::test]
async fn a_savepoint_that_nobody_knows_of_any_more_is_unknown_and_says_the_way_out() {
    let shared = Shared::default();
    shared.lock().unwrap().runs = vec![JOB];
    let (sidecar, _job_manager, _) = leading(&shared, "1h").await;
    let id = take(&sidecar, json!({})).await;
    let taken = ended(&sidecar, &id).await;
    assert_eq!(taken["status"], "unknown", "{taken}");
    assert!(taken["detail"].as_str().unwrap().contains("holdfast reset --to"), "{taken}");
    sidecar.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_refused_and_nothing_is_asked_for() {
    let other = "11111111111111111111111111111111";
    let shared = Shared::default();
    let (sidecar, job_manager, _) = leading(&shared, "1h").await;
    let refused = async |body: Value, status| {
        let answer = sidecar.request(Method::POST, "/v1/savepoints").json(&body).send().await.unwrap();
        problem(answer, status).await
    };
    assert_eq!(refused(json!({}), 409).await, "conflict", "nothing runs");
    shared.lock().unwrap().runs = vec![JOB, other];
    assert_eq!(refused(json!({}), 409).await, "conflict", "two jobs run");
    assert_eq!(refused(json!({"job": "2".repeat(32)}), 404).await, "unknown-job");
    assert_eq!(refused(json!({"drain": true}), 400).await, "malformed");
    assert_eq!(refused(json!({"sotp": true}), 400).await, "malformed");
    assert_eq!(problem(sidecar.get("/v1/savepoints/x").await, 404).await, "unknown-savepoint");
    drop(job_manager);
    until(&sidecar, "/status", |status| (status["session"] == json!(null)).then_some(())).await;
    assert_eq!(refused(json!({}), 503).await, "not-ready");
    assert!(shared.lock().unwrap().orders.is_empty());
    sidecar.stop().await;
}

#[tokio::test]
async fn an_address_that_needs_tls_is_shown_as_trouble_with_the_way_out() {
    let sidecar = Sidecar::start_on(
        Arc::new(object_store::memory::InMemory::new()),
        Settings { observe_interval: Some("100ms".into()), ..Settings::default() },
    )
    .await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let leaders = json!({"leaders": {"restserver": {"session": "s", "address": "https://jobmanager:8081"}}});
    sidecar.write(Method::PUT, "/v1/leaders", epoch, "l").json(&leaders).send().await.unwrap();
    let told = |status: &Value| {
        status["observer"]["trouble"]
            .as_str()
            .filter(|trouble| trouble.contains("--job-manager-ca"))
            .map(drop)
    };
    until(&sidecar, "/status", told).await;
    sidecar.stop().await;
}
