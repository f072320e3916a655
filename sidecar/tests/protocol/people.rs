//! What people ask and want, over both listeners.

use std::sync::Arc;

use object_store::memory::InMemory;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sidecar::settings::Settings;

use crate::support::{JOB, JobManager, Sidecar, pointer, problem};

/// A sidecar whose job added 1, 2 and 3, and then subsumed 1.
struct Lineage {
    sidecar: Sidecar,
    _job_manager: JobManager,
    epoch: u64,
}

impl Lineage {
    async fn start() -> Self {
        let sidecar = Sidecar::start().await;
        let mut job_manager = JobManager::open(&sidecar).await;
        let epoch = job_manager.granted().await;
        let lineage = Self { sidecar, _job_manager: job_manager, epoch };
        for id in 1..=3 {
            let body = pointer(id);
            lineage.write(Method::PUT, &format!("checkpoints/{id}"), &body).await;
        }
        lineage.write(Method::DELETE, "checkpoints/1", &json!(null)).await;
        lineage
    }

    async fn write(&self, method: Method, path: &str, body: &Value) {
        let key = format!("{method}-{}", path.replace('/', "-"));
        let path = format!("/v1/jobs/{JOB}/{path}");
        let response = self.sidecar.write(method, &path, self.epoch, &key).json(body).send().await.unwrap();
        assert!(response.status().is_success(), "{}", response.text().await.unwrap());
    }

    async fn end(&self) {
        self.write(Method::POST, "end", &json!({"status": "FAILED", "discarded": [2]})).await;
        self.write(Method::DELETE, "checkpoints", &json!(null)).await;
    }

    async fn ask(&self, method: Method, path: &str) -> Response {
        self.sidecar.request(method, path).send().await.unwrap()
    }

    async fn told(&self, method: Method, path: &str) -> Value {
        let response = self.ask(method, path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.unwrap()
    }

    async fn reset(&self, to: &str) -> Response {
        self.sidecar.request(Method::POST, "/v1/reset").json(&json!({"to": to})).send().await.unwrap()
    }
}

#[tokio::test]
async fn both_listeners_show_every_snapshot_and_what_became_of_it() {
    let lineage = Lineage::start().await;
    let public = reqwest::get(format!("{}/v1/snapshots", lineage.sidecar.public_url)).await.unwrap();
    let public: Value = public.json().await.unwrap();
    let private = lineage.told(Method::GET, "/v1/snapshots").await;
    assert_eq!(public["snapshots"], private["snapshots"]);
    let shown: Vec<_> =
        private["snapshots"].as_array().unwrap().iter().map(|it| (&it["id"], &it["state"])).collect();
    let (active, subsumed) = (json!("active"), json!("subsumed"));
    assert_eq!(shown, [(&json!(3), &active), (&json!(2), &active), (&json!(1), &subsumed)]);
    assert_eq!(private["snapshots"][0]["generation"], "1", "{private}");
}

#[tokio::test]
async fn a_snapshot_is_asked_for_by_its_id_or_by_its_place() {
    let lineage = Lineage::start().await;
    let by_id = lineage.told(Method::GET, "/v1/snapshots/2").await;
    let place = format!("file%3A%2Fcheckpoints%2F{JOB}%2Fchk-2");
    let by_place = lineage.told(Method::GET, &format!("/v1/snapshots/{place}")).await;
    assert_eq!(by_id["snapshots"], by_place["snapshots"]);
    assert_eq!(by_id["snapshots"].as_array().unwrap().len(), 1);
    let response = lineage.ask(Method::GET, "/v1/snapshots/70").await;
    assert_eq!(problem(response, 404).await, "unknown-snapshot");
}

#[tokio::test]
async fn a_pin_is_durable_and_what_cannot_be_kept_is_not_pinned() {
    let lineage = Lineage::start().await;
    let pin = async |id: u64| lineage.ask(Method::POST, &format!("/v1/snapshots/{id}/pin")).await;
    assert_eq!(problem(pin(3).await, 409).await, "conflict", "live");
    assert_eq!(problem(pin(1).await, 409).await, "conflict", "gone");
    assert_eq!(problem(pin(70).await, 404).await, "unknown-snapshot");
    lineage.end().await;
    let answer: Value = pin(3).await.json().await.unwrap();
    assert_eq!(
        (&answer["changed"], &answer["snapshot"]["state"]),
        (&json!(true), &json!("pinned")),
        "{answer}"
    );
    let again: Value = pin(3).await.json().await.unwrap();
    assert_eq!(again["changed"], false, "{again}");
    let unpinned = lineage.told(Method::POST, "/v1/snapshots/3/unpin").await;
    assert_eq!(unpinned["snapshot"]["state"], "retained", "{unpinned}");
}

#[tokio::test]
async fn a_reset_names_a_snapshot_that_is_there_and_can_be_taken_back() {
    let lineage = Lineage::start().await;
    assert_eq!(problem(lineage.reset("1").await, 409).await, "conflict", "gone");
    assert_eq!(problem(lineage.reset("70").await, 404).await, "unknown-snapshot");
    let elsewhere = tempfile::tempdir().unwrap();
    let elsewhere = elsewhere.path().join("savepoint-1");
    assert_eq!(problem(lineage.reset(elsewhere.to_str().unwrap()).await, 409).await, "conflict", "broken");
    // Of the known ones the files are not there either, and that is found out.
    assert_eq!(problem(lineage.reset("3").await, 409).await, "conflict", "broken");
    let cancelled = lineage.told(Method::DELETE, "/v1/reset").await;
    assert_eq!(cancelled["changed"], false, "{cancelled}");
}

#[tokio::test]
async fn who_does_not_hold_the_newest_epoch_writes_nothing_for_people() {
    let lineage = Lineage::start().await;
    lineage.end().await;
    let backend = lineage.sidecar.kill().await;
    let idle = Sidecar::start_on(backend, Settings::default()).await;
    let before = idle.object_count().await;
    for path in ["/v1/snapshots/3/pin", "/v1/snapshots/3/unpin"] {
        let response = idle.request(Method::POST, path).send().await.unwrap();
        assert_eq!(problem(response, 503).await, "not-ready", "{path}");
    }
    let response = idle.request(Method::DELETE, "/v1/reset").send().await.unwrap();
    assert_eq!(problem(response, 503).await, "not-ready");
    assert_eq!(idle.object_count().await, before);
    let shown: Value = idle.get("/v1/snapshots").await.json().await.unwrap();
    assert_eq!(shown["snapshots"].as_array().unwrap().len(), 3, "but it can be asked");
}

#[tokio::test]
async fn the_history_has_each_generation_with_its_grants() {
    let lineage = Lineage::start().await;
    let backend = lineage.sidecar.kill().await;
    let upgraded =
        Settings { generation: Some("2".into()), restore: Some("none".into()), ..Settings::default() };
    let sidecar = Sidecar::start_on(backend, upgraded).await;
    let mut job_manager = JobManager::open(&sidecar).await;
    job_manager.granted().await;
    let history: Value = sidecar.get("/v1/history").await.json().await.unwrap();
    let generations: Vec<_> =
        history["generations"].as_array().unwrap().iter().map(|it| &it["generation"]).collect();
    assert_eq!(generations, ["1", "2"], "{history}");
    assert_eq!(history["generations"][1]["grants"][0]["epoch"], 2, "{history}");
}

#[tokio::test]
async fn a_collection_is_shown_before_it_is_done_and_on_the_private_listener_only() {
    let sidecar = Sidecar::start_on(Arc::new(InMemory::new()), Settings::default()).await;
    let before = sidecar.object_count().await;
    let shown: Value = sidecar.get("/v1/collection").await.json().await.unwrap();
    assert_eq!((&shown["records"], &shown["blobs"]), (&json!([]), &json!([])), "{shown}");
    assert_eq!(sidecar.object_count().await, before);
    let public = reqwest::get(format!("{}/v1/collection", sidecar.public_url)).await.unwrap();
    assert_eq!(problem(public, 404).await, "not-found");
    let public = reqwest::Client::new().post(format!("{}/v1/snapshots/1/pin", sidecar.public_url));
    assert_eq!(problem(public.send().await.unwrap(), 404).await, "not-found");
}
