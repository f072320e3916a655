//! Whatever is wrong with a request: a problem with a stable type, and nothing written.

use reqwest::Method;
use serde_json::json;

use crate::support::{JOB, JobManager, Sidecar, pointer, problem};

#[tokio::test]
async fn bad_requests_are_named_and_write_nothing() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let before = sidecar.object_count().await;
    let checkpoint = format!("/v1/jobs/{JOB}/checkpoints/7");
    let put = |path: &str, key: &str| sidecar.write(Method::PUT, path, epoch, key);

    let no_epoch = sidecar.request(Method::PUT, &checkpoint).header("Idempotency-Key", "k").json(&pointer(7));
    assert_eq!(problem(no_epoch.send().await.unwrap(), 400).await, "missing-header");
    let no_key = sidecar.request(Method::PUT, &checkpoint).header("Holdfast-Epoch", epoch).json(&pointer(7));
    assert_eq!(problem(no_key.send().await.unwrap(), 400).await, "missing-header");
    let odd_epoch = sidecar.request(Method::PUT, &checkpoint).header("Idempotency-Key", "k");
    let odd_epoch = odd_epoch.header("Holdfast-Epoch", "three").json(&pointer(7));
    assert_eq!(problem(odd_epoch.send().await.unwrap(), 400).await, "malformed");
    let long_key = put(&checkpoint, &"k".repeat(65)).json(&pointer(7));
    assert_eq!(problem(long_key.send().await.unwrap(), 400).await, "malformed");
    assert_eq!(problem(put(&checkpoint, "k").body("{").send().await.unwrap(), 400).await, "malformed");
    let mut extra = pointer(7);
    extra["surprise"] = json!(1);
    assert_eq!(problem(put(&checkpoint, "k").json(&extra).send().await.unwrap(), 400).await, "malformed");
    let odd_job = put("/v1/jobs/xyz/checkpoints/7", "k").json(&pointer(7));
    assert_eq!(problem(odd_job.send().await.unwrap(), 400).await, "malformed");
    let odd_id = put(&format!("/v1/jobs/{JOB}/checkpoints/seven"), "k").json(&pointer(7));
    assert_eq!(problem(odd_id.send().await.unwrap(), 400).await, "malformed");
    let mut large = pointer(7);
    large["properties"] = json!("A".repeat(200_000));
    assert_eq!(problem(put(&checkpoint, "k").json(&large).send().await.unwrap(), 413).await, "too-large");
    let graph = put(&format!("/v1/jobs/{JOB}/graph"), "k").header("Flink-Version", "2.2.1");
    let graph = graph.header("If-None-Match", "*").body(vec![0; 100_001]);
    assert_eq!(problem(graph.send().await.unwrap(), 413).await, "too-large");
    let no_condition = put(&format!("/v1/jobs/{JOB}/graph"), "k").header("Flink-Version", "2.2.1").body("g");
    assert_eq!(problem(no_condition.send().await.unwrap(), 400).await, "missing-header");
    let end = sidecar.write(Method::POST, &format!("/v1/jobs/{JOB}/end"), epoch, "k");
    let end = end.json(&json!({"status": "RUNNING", "discarded": []}));
    assert_eq!(problem(end.send().await.unwrap(), 400).await, "malformed");

    assert_eq!(sidecar.object_count().await, before, "bad input changes nothing in the store");
}

#[tokio::test]
async fn what_is_not_there_is_certainly_absent() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    let before = sidecar.object_count().await;
    let get = |path: String| sidecar.request(Method::GET, &path).header("Holdfast-Epoch", epoch).send();

    assert_eq!(problem(get(format!("/v1/jobs/{JOB}/checkpoints")).await.unwrap(), 404).await, "unknown-job");
    assert_eq!(problem(get(format!("/v1/jobs/{JOB}/counter")).await.unwrap(), 404).await, "unknown-job");
    assert_eq!(problem(get(format!("/v1/jobs/{JOB}/graph")).await.unwrap(), 404).await, "no-graph");
    assert_eq!(problem(get(format!("/v1/results/jobs/{JOB}")).await.unwrap(), 404).await, "unknown-result");
    assert_eq!(problem(get("/v1/results/things".into()).await.unwrap(), 400).await, "malformed");
    assert_eq!(problem(get("/v2/leaders".into()).await.unwrap(), 404).await, "not-found");
    let replace = sidecar.write(Method::PUT, &format!("/v1/jobs/{JOB}/graph"), epoch, "k");
    let replace = replace.header("If-Match", "\"x\"").header("Flink-Version", "2.2.1").body("");
    assert_eq!(problem(replace.send().await.unwrap(), 404).await, "no-graph");
    let clean = sidecar.write(Method::POST, &format!("/v1/results/jobs/{JOB}/clean"), epoch, "k");
    assert_eq!(problem(clean.send().await.unwrap(), 404).await, "unknown-result");
    let close = sidecar.request(Method::DELETE, "/v1/sessions/0123456789abcdef0123456789abcdef").send();
    assert_eq!(problem(close.await.unwrap(), 404).await, "unknown-session");

    assert_eq!(sidecar.object_count().await, before);
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_the_right_ones() {
    let sidecar = Sidecar::start().await;
    let response = sidecar.request(Method::PATCH, "/v1/leaders").send().await.unwrap();
    let allow = response.headers().get("allow").expect("names them").to_str().unwrap().to_owned();
    assert!(allow.contains("GET") && allow.contains("PUT"), "{allow}");
    assert_eq!(problem(response, 405).await, "method-not-allowed");
}

#[tokio::test]
async fn a_stale_epoch_is_fenced_and_so_is_one_that_was_never_claimed() {
    let sidecar = Sidecar::start().await;
    let mut first = JobManager::open(&sidecar).await;
    let old = first.granted().await;
    drop(first);
    let mut second = JobManager::open(&sidecar).await;
    let epoch = second.granted().await;
    assert!(epoch > old);
    let before = sidecar.object_count().await;
    let add = |epoch| {
        let path = format!("/v1/jobs/{JOB}/checkpoints/7");
        sidecar.write(Method::PUT, &path, epoch, "k").json(&pointer(7)).send()
    };
    assert_eq!(problem(add(old).await.unwrap(), 412).await, "fenced");
    assert_eq!(problem(add(epoch + 1).await.unwrap(), 412).await, "fenced");
    assert_eq!(sidecar.object_count().await, before);
}

#[tokio::test]
async fn the_public_listener_writes_nothing() {
    let sidecar = Sidecar::start().await;
    let client = reqwest::Client::new();
    let session = client.post(format!("{}/v1/sessions", sidecar.public_url)).body("{}").send().await.unwrap();
    assert_eq!(problem(session, 404).await, "not-found");
    let publish = client.put(format!("{}/v1/leaders", sidecar.public_url)).body("{}").send().await.unwrap();
    assert_eq!(problem(publish, 405).await, "method-not-allowed");
}
