//! What a new generation restores is decided, verified and durable before anybody is granted.

use http::Method;
use serde_json::{Value, json};
use sidecar::settings::Settings;

use crate::support::{JOB, JobManager, Sidecar, pointer};

/// A deployment whose first generation recorded checkpoint 7, in a place where nothing is.
async fn next_generation(settings: Settings) -> Sidecar {
    let sidecar = Sidecar::start().await;
    let epoch = JobManager::open(&sidecar).await.granted().await;
    let add = sidecar.write(Method::PUT, &format!("/v1/jobs/{JOB}/checkpoints/7"), epoch, "add");
    assert_eq!(add.json(&pointer(7)).send().await.unwrap().status(), 201);
    let backend = sidecar.kill().await;
    Sidecar::start_on(backend, Settings { generation: Some("2".into()), ..settings }).await
}

async fn plan(sidecar: &Sidecar, epoch: u64) -> Value {
    let asked = sidecar.request(Method::GET, &format!("/v1/jobs/{JOB}/plan"));
    asked.header("Holdfast-Epoch", epoch).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_first_start_leaves_the_jobs_own_settings() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let plan = plan(&sidecar, epoch).await;
    assert_eq!((&plan["restore"], &plan["snapshot"]), (&json!("given"), &Value::Null), "{plan}");
}

#[tokio::test]
async fn nobody_is_granted_while_the_newest_snapshot_is_missing_and_nothing_is_written() {
    let sidecar = next_generation(Settings::default()).await;
    let before = sidecar.object_count().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let reason = loop {
        let event = job_manager.event().await;
        assert_eq!(event["event"], "waiting", "{event}");
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        if reason.contains("cannot be restored") {
            break reason;
        }
    };
    assert!(reason.contains("chk-7/_metadata is not there"), "{reason}");
    let status = sidecar.status().await;
    assert_eq!((&status["role"], &status["newest_epoch"]), (&json!("waiting"), &json!(1)), "{status}");
    assert_eq!(status["reason"], reason, "{status}");
    assert_eq!(sidecar.get("/ready").await.status(), 503);
    assert_eq!(sidecar.object_count().await, before);
}

#[tokio::test]
async fn strategy_none_clears_whatever_a_job_was_configured_with_and_the_plan_is_durable() {
    let sidecar = next_generation(Settings { restore: Some("none".into()), ..Settings::default() }).await;
    let epoch = JobManager::open(&sidecar).await.granted().await;
    let planned = plan(&sidecar, epoch).await;
    assert_eq!((&planned["restore"], &planned["generation"]), (&json!("empty"), &json!("2")), "{planned}");

    let backend = sidecar.kill().await;
    let same_generation = Settings { generation: Some("2".into()), ..Settings::default() };
    let sidecar = Sidecar::start_on(backend, same_generation).await;
    let epoch = JobManager::open(&sidecar).await.granted().await;
    assert_eq!(plan(&sidecar, epoch).await, planned, "another strategy counts from the next generation on");
}

#[tokio::test]
async fn a_job_manager_of_an_earlier_generation_is_refused_and_deposes_nobody() {
    let old = Sidecar::start().await;
    let mut led = JobManager::open(&old).await;
    led.granted().await;
    let none = Settings { generation: Some("2".into()), restore: Some("none".into()), ..Settings::default() };
    let new = Sidecar::start_on(old.backend.clone(), none).await;
    let mut leads = JobManager::open(&new).await;
    let epoch = leads.granted().await;
    assert_eq!(led.decision().await["event"], "revoke");
    drop(led);

    // The same pod again: its sidecar is new, so nothing but the store tells it.
    let backend = old.kill().await;
    let before = new.object_count().await;
    let returned = Sidecar::start_on(backend, Settings::default()).await;
    let mut job_manager = JobManager::open(&returned).await;
    let reason = loop {
        let event = job_manager.event().await;
        assert_eq!(event["event"], "waiting", "{event}");
        let reason = event["reason"].as_str().unwrap_or_default().to_owned();
        if reason.contains("is over") {
            break reason;
        }
    };
    assert!(reason.contains("generation 1") && reason.contains("generation 2"), "{reason}");
    assert!(reason.contains("holdfast reset --to"), "{reason}");
    let status = returned.status().await;
    assert_eq!((&status["role"], &status["newest_epoch"]), (&json!("waiting"), &json!(epoch)), "{status}");
    assert_eq!(status["reason"], reason, "{status}");
    assert_eq!(returned.get("/ready").await.status(), 503);
    assert_eq!(new.object_count().await, before);
    assert_eq!(new.status().await["role"], "leading");
}
