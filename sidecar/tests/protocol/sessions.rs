//! Who is granted leadership, as JobManagers see it.

use sidecar::settings::Settings;

use crate::support::{JOB, JobManager, Sidecar, pointer, problem};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_job_manager_is_granted_and_the_next_one_waits_until_it_ends() {
    let sidecar = Sidecar::start().await;
    let mut first = JobManager::open(&sidecar).await;
    assert_eq!(first.granted().await, 1);
    let mut second = JobManager::open(&sidecar).await;
    let told = second.event().await;
    assert_eq!(told["event"], "waiting", "{told}");
    drop(first);
    assert_eq!(second.granted().await, 2);
}

#[tokio::test]
async fn a_job_manager_that_answers_no_ping_is_shown_as_such() {
    let sidecar = Sidecar::start().await;
    let mut silent = JobManager::open_as(&sidecar, json!({"process": "silent", "answers_pings": true})).await;
    silent.granted().await;
    let _older = JobManager::open_as(&sidecar, json!({"process": "older"})).await;
    let shown = sidecar.session_where("silent", |shown| shown["unanswered_pings"].as_u64() >= Some(2)).await;
    assert_eq!(shown["granted"], true, "{shown}");
    let older = sidecar.session_where("older", |_| true).await;
    assert_eq!(older["granted"], false, "{older}");
    assert!(older["unanswered_pings"].is_null(), "an adapter that knows no pongs is not frozen: {older}");

    let path = format!("/v1/sessions/{}/pong", silent.session);
    let pong = sidecar.request(Method::POST, &path).send().await.unwrap();
    assert_eq!(pong.status(), 204);
    sidecar.session_where("silent", |shown| shown["unanswered_pings"].as_u64() <= Some(1)).await;
    let path = "/v1/sessions/00000000-0000-0000-0000-000000000000/pong";
    let nobody = sidecar.request(Method::POST, path).send().await.unwrap();
    assert_eq!(problem(nobody, 404).await, "unknown-session");
}

#[tokio::test]
async fn a_sidecar_that_was_killed_goes_on_under_the_same_epoch() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let (session, epoch) = (job_manager.session.clone(), job_manager.granted().await);
    let backend = sidecar.kill().await;

    let sidecar = Sidecar::start_on(backend, Settings::default()).await;
    let path = format!("/v1/jobs/{JOB}/checkpoints/7");
    let early = sidecar.write(Method::PUT, &path, epoch, "k").json(&pointer(7)).send().await.unwrap();
    let why = "before the session is back, a write of the dead process may still arrive";
    assert_eq!(problem(early, 504).await, "unknown-outcome", "{why}");

    let mut job_manager = JobManager::resume(&sidecar, &session, epoch).await;
    let event = job_manager.decision().await;
    assert_eq!((&event["event"], &event["resumed"]), (&"grant".into(), &true.into()), "{event}");
    assert_eq!(event["epoch"], epoch);
    assert_eq!(job_manager.session, session);
    let again = sidecar.write(Method::PUT, &path, epoch, "k").json(&pointer(7)).send().await.unwrap();
    assert_eq!(again.status(), 201);
}

#[tokio::test]
async fn two_sidecars_on_one_store_the_older_is_fenced_and_says_so() {
    let older = Sidecar::start().await;
    let mut zombie = JobManager::open(&older).await;
    let old = zombie.granted().await;

    let newer = Sidecar::start_on(older.backend.clone(), Settings::default()).await;
    let mut job_manager = JobManager::open(&newer).await;
    let epoch = job_manager.granted().await;
    assert!(epoch > old);

    let event = zombie.decision().await;
    assert_eq!((&event["event"], &event["reason"]), (&"revoke".into(), &"fenced".into()), "{event}");
    let path = format!("/v1/jobs/{JOB}/checkpoints/7");
    let late = older.write(Method::PUT, &path, old, "k").json(&pointer(7)).send().await.unwrap();
    assert_eq!(problem(late, 412).await, "fenced");
    let status = older.status().await;
    assert_eq!(status["role"], "fenced", "{status}");
    assert!(status["reason"].as_str().unwrap().contains("when it is restarted"), "{status}");
    let ready = older.get("/ready").await;
    assert_eq!(ready.status(), 503);
}

#[tokio::test]
async fn a_stale_session_is_revoked_and_then_granted_anew() {
    let sidecar = Sidecar::start().await;
    let mut first = JobManager::open(&sidecar).await;
    let (session, old) = (first.session.clone(), first.granted().await);
    drop(first);
    let mut second = JobManager::open(&sidecar).await;
    let newer = second.granted().await;
    let mut back = JobManager::resume(&sidecar, &session, old).await;
    let event = back.decision().await;
    assert_eq!((&event["event"], &event["epoch"]), (&"revoke".into(), &old.into()), "{event}");
    drop(second);
    assert!(back.granted().await > newer);
}

#[tokio::test]
async fn a_session_that_was_given_up_may_still_clean_up_under_its_epoch() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let path = format!("/v1/sessions/{}", job_manager.session);
    assert_eq!(sidecar.request(Method::DELETE, &path).send().await.unwrap().status(), 204);
    let cleanup = sidecar.write(Method::POST, "/v1/cleanup", epoch, "c").send().await.unwrap();
    assert_eq!(cleanup.status(), 200);
    let mut next = JobManager::open(&sidecar).await;
    next.granted().await;
    let late = sidecar.write(Method::POST, "/v1/cleanup", epoch, "d").send().await.unwrap();
    assert_eq!(problem(late, 412).await, "fenced");
}

#[tokio::test]
async fn more_streams_than_the_limit_are_refused() {
    let settings = Settings { max_sessions: Some(2), ..Settings::default() };
    let sidecar =
        Sidecar::start_on(std::sync::Arc::new(object_store::memory::InMemory::new()), settings).await;
    let _first = JobManager::open(&sidecar).await;
    let _second = JobManager::open(&sidecar).await;
    let body = serde_json::json!({"process": "p", "flink_version": "2.2.1", "cluster_id": "c"});
    let third = sidecar.request(Method::POST, "/v1/sessions").json(&body).send().await.unwrap();
    assert_eq!(problem(third, 503).await, "too-many-streams");
}

#[tokio::test]
async fn a_stop_ends_the_streams_without_a_revocation() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    job_manager.granted().await;
    sidecar.stop().await;
    assert_eq!(job_manager.rest().await, Vec::<serde_json::Value>::new());
}
