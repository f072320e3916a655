//! Checkpoints, counter, graphs, results and clean-up.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures::TryStreamExt;
use object_store::ObjectStoreExt;
use reqwest::Method;
use serde_json::{Value, json};
use sidecar::settings::Settings;

use crate::support::{JOB, JobManager, Sidecar, pointer, problem};

struct Leading {
    sidecar: Sidecar,
    _job_manager: JobManager,
    epoch: u64,
    keys: std::cell::Cell<u64>,
}

impl Leading {
    async fn start() -> Self {
        Self::on(Sidecar::start().await).await
    }

    async fn on(sidecar: Sidecar) -> Self {
        let mut job_manager = JobManager::open(&sidecar).await;
        let epoch = job_manager.granted().await;
        Self { sidecar, _job_manager: job_manager, epoch, keys: 0.into() }
    }

    fn write(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.keys.set(self.keys.get() + 1);
        let key = format!("{}-{}", self.epoch, self.keys.get());
        self.sidecar.write(method, path, self.epoch, &key)
    }

    async fn read(&self, path: &str) -> reqwest::Response {
        self.sidecar.request(Method::GET, path).header("Holdfast-Epoch", self.epoch).send().await.unwrap()
    }

    async fn add(&self, id: u64) -> u16 {
        let path = format!("/v1/jobs/{JOB}/checkpoints/{id}");
        self.write(Method::PUT, &path).json(&pointer(id)).send().await.unwrap().status().as_u16()
    }

    async fn live(&self) -> Vec<u64> {
        let listing: Value = self.read(&format!("/v1/jobs/{JOB}/checkpoints")).await.json().await.unwrap();
        let ids = listing["checkpoints"].as_array().expect("a list").iter();
        ids.map(|listed| listed["id"].as_u64().expect("a number")).collect()
    }
}

#[tokio::test]
async fn a_pointer_is_added_once_and_kept_word_for_word() {
    let leading = Leading::start().await;
    assert_eq!(leading.add(7).await, 201);
    assert_eq!(leading.add(7).await, 200, "the same pointer again");
    let mut other = pointer(7);
    other["external_pointer"] = json!("file:/elsewhere");
    let path = format!("/v1/jobs/{JOB}/checkpoints/7");
    let response = leading.write(Method::PUT, &path).json(&other).send().await.unwrap();
    assert_eq!(problem(response, 409).await, "already-exists");
    let listing: Value = leading.read(&format!("/v1/jobs/{JOB}/checkpoints")).await.json().await.unwrap();
    assert_eq!(listing["checkpoints"], json!([{"id": 7, "pointer": pointer(7)}]));
}

#[tokio::test]
async fn what_flink_removes_becomes_a_tombstone() {
    let leading = Leading::start().await;
    for id in 1..=3 {
        leading.add(id).await;
    }
    let remove = |id: u64| leading.write(Method::DELETE, &format!("/v1/jobs/{JOB}/checkpoints/{id}")).send();
    let removed: Value = remove(1).await.unwrap().json().await.unwrap();
    assert_eq!(removed, json!({"removed": true}));
    let removed: Value = remove(1).await.unwrap().json().await.unwrap();
    assert_eq!(removed, json!({"removed": false}));
    assert_eq!(leading.live().await, [2, 3]);
    let cleared = leading.write(Method::DELETE, &format!("/v1/jobs/{JOB}/checkpoints")).send().await.unwrap();
    assert_eq!(cleared.json::<Value>().await.unwrap(), json!({"removed": 2}));
    assert!(leading.live().await.is_empty());
}

#[tokio::test]
async fn an_id_is_given_out_once_and_a_retry_gets_the_same_one() {
    let leading = Leading::start().await;
    let next = format!("/v1/jobs/{JOB}/counter/next");
    let ask = |key: &str| leading.sidecar.write(Method::POST, &next, leading.epoch, key).send();
    let value =
        async |key: &str| ask(key).await.unwrap().json::<Value>().await.unwrap()["value"].as_u64().unwrap();
    assert_eq!(value("a").await, 1);
    assert_eq!(value("a").await, 1, "a retry of the same write");
    assert_eq!(value("b").await, 2);
    leading.add(40).await;
    assert_eq!(value("c").await, 41, "the counter stays above every checkpoint");
    let set = leading.write(Method::PUT, &format!("/v1/jobs/{JOB}/counter")).json(&json!({"value": 5}));
    let set: Value = set.send().await.unwrap().json().await.unwrap();
    assert_eq!(set, json!({"value": 42}), "and never goes down");
}

#[tokio::test]
async fn a_graph_is_stored_read_replaced_and_dropped() {
    let leading = Leading::start().await;
    let path = format!("/v1/jobs/{JOB}/graph");
    let put = |condition: &str, value: &str, body: &'static str| {
        let request = leading.write(Method::PUT, &path).header("Flink-Version", "2.2.1");
        request.header(condition, value).body(body).send()
    };
    assert_eq!(problem(put("If-Match", "\"x\"", "one").await.unwrap(), 404).await, "no-graph");
    assert_eq!(put("If-None-Match", "*", "one").await.unwrap().status(), 201);
    assert_eq!(put("If-None-Match", "*", "one").await.unwrap().status(), 200);
    assert_eq!(problem(put("If-None-Match", "*", "two").await.unwrap(), 409).await, "already-exists");
    let stored = leading.read(&path).await;
    let etag = stored.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(stored.bytes().await.unwrap(), "one");
    assert_eq!(problem(put("If-Match", "\"0\"", "two").await.unwrap(), 409).await, "stale-version");
    assert!(put("If-Match", &etag, "two").await.unwrap().status().is_success());
    assert_eq!(leading.read(&path).await.bytes().await.unwrap(), "two");
    let graphs: Value = leading.read("/v1/graphs").await.json().await.unwrap();
    assert_eq!(graphs["graphs"][0]["job"], JOB, "{graphs}");
    let dropped = leading.write(Method::DELETE, &path).send().await.unwrap();
    assert_eq!(dropped.json::<Value>().await.unwrap(), json!({"removed": true}));
    assert_eq!(problem(leading.read(&path).await, 404).await, "no-graph");
}

#[tokio::test]
async fn a_graph_keeps_the_fingerprint_that_it_came_with() {
    let leading = Leading::start().await;
    let put = |fingerprint: Option<&str>| {
        let put =
            leading.write(Method::PUT, &format!("/v1/jobs/{JOB}/graph")).header("Flink-Version", "2.2.1");
        let put = put.header("If-None-Match", "*").body("one");
        fingerprint.into_iter().fold(put, |put, value| put.header("Holdfast-Fingerprint", value)).send()
    };
    for wrong in [String::new(), "x".repeat(257), "a b".into()] {
        assert_eq!(problem(put(Some(&wrong)).await.unwrap(), 400).await, "malformed", "{wrong:?}");
    }
    assert_eq!(put(Some("jar-1:args-2")).await.unwrap().status(), 201);
    let graphs: Value = leading.read("/v1/graphs").await.json().await.unwrap();
    assert_eq!(graphs["graphs"][0]["fingerprint"], "jar-1:args-2", "{graphs}");

    let dropped = leading.write(Method::DELETE, &format!("/v1/jobs/{JOB}/graph")).send().await.unwrap();
    assert_eq!(dropped.status(), 200);
    assert_eq!(put(None).await.unwrap().status(), 201);
    let graphs: Value = leading.read("/v1/graphs").await.json().await.unwrap();
    assert_eq!(graphs["graphs"][0]["fingerprint"], Value::Null, "{graphs}");
}

#[tokio::test]
async fn what_a_job_rolls_back_behind_is_marked_once() {
    let leading = Leading::start().await;
    for id in 1..=3 {
        leading.add(id).await;
    }
    for id in 2..=3 {
        leading.write(Method::DELETE, &format!("/v1/jobs/{JOB}/checkpoints/{id}")).send().await.unwrap();
    }
    let restored = async |id: Value| {
        let path = format!("/v1/jobs/{JOB}/restored");
        leading.write(Method::POST, &path).json(&json!({"id": id})).send().await.unwrap()
    };
    assert_eq!(problem(restored(json!("two")).await, 400).await, "malformed");
    assert_eq!(restored(json!(2)).await.json::<Value>().await.unwrap(), json!({"rolled_back": 1}));
    assert_eq!(restored(json!(2)).await.json::<Value>().await.unwrap(), json!({"rolled_back": 0}));
    assert_eq!(restored(json!(1)).await.json::<Value>().await.unwrap(), json!({"rolled_back": 1}));
    assert_eq!(leading.live().await, [1], "what is live is what is restored from");
}

#[tokio::test]
async fn a_blob_that_was_changed_from_outside_is_corrupt_and_never_served() {
    let leading = Leading::start().await;
    let path = format!("/v1/jobs/{JOB}/graph");
    let put = leading.write(Method::PUT, &path).header("Flink-Version", "2.2.1").header("If-None-Match", "*");
    assert_eq!(put.body("one").send().await.unwrap().status(), 201);
    let backend = &leading.sidecar.backend;
    let blobs = backend.list(Some(&"orders/blob".into())).try_collect::<Vec<_>>().await.unwrap();
    let [blob] = blobs.as_slice() else { panic!("one blob, not {blobs:?}") };
    backend.put(&blob.location, "two".into()).await.unwrap();
    let response = leading.read(&path).await;
    assert_eq!(problem(response, 500).await, "corrupt");
}

#[tokio::test]
async fn a_result_goes_from_dirty_to_clean_and_stays() {
    let leading = Leading::start().await;
    let path = format!("/v1/results/jobs/{JOB}");
    let body = json!({"status": "FAILED", "payload": BASE64.encode("why")});
    let put = |key: &str| leading.sidecar.write(Method::PUT, &path, leading.epoch, key).json(&body).send();
    assert_eq!(put("a").await.unwrap().status(), 201);
    assert_eq!(put("a").await.unwrap().status(), 201, "a retry gets the first answer again");
    assert_eq!(problem(put("b").await.unwrap(), 409).await, "already-exists");
    let dirty: Value = leading.read("/v1/results/jobs?state=dirty").await.json().await.unwrap();
    let shown = json!({"id": JOB, "state": "dirty", "status": "FAILED", "payload": BASE64.encode("why")});
    assert_eq!(dirty["results"], json!([shown]));
    for _ in 0..2 {
        let clean = leading.write(Method::POST, &format!("{path}/clean")).send().await.unwrap();
        assert_eq!(clean.status(), 200);
    }
    let dirty: Value = leading.read("/v1/results/jobs?state=dirty").await.json().await.unwrap();
    assert_eq!(dirty["results"], json!([]));
    assert_eq!(leading.write(Method::POST, "/v1/cleanup").send().await.unwrap().status(), 200);
    let shown: Value = leading.read(&path).await.json().await.unwrap();
    assert_eq!(shown["state"], "clean", "Flink cannot make us forget that it ended");
}

#[tokio::test]
async fn a_clean_up_keeps_what_can_be_restored_for_the_next_generation() {
    let leading = Leading::start().await;
    leading.add(6).await;
    leading.add(7).await;
    let end = leading.write(Method::POST, &format!("/v1/jobs/{JOB}/end"));
    let end = end.json(&json!({"status": "FAILED", "discarded": [6]})).send().await.unwrap();
    assert_eq!(end.json::<Value>().await.unwrap(), json!({"retained": 1, "discarded": 1}));
    for id in [6, 7] {
        leading.write(Method::DELETE, &format!("/v1/jobs/{JOB}/checkpoints/{id}")).send().await.unwrap();
    }
    leading.write(Method::POST, &format!("/v1/jobs/{JOB}/cleanup")).send().await.unwrap();
    assert!(leading.live().await.is_empty());

    let backend = leading.sidecar.kill().await;
    let upgraded =
        Settings { generation: Some("2".into()), restore: Some("none".into()), ..Settings::default() };
    let leading = Leading::on(Sidecar::start_on(backend, upgraded).await).await;
    assert!(leading.live().await.is_empty(), "what it restores is the plan's to say, not the store's");
    let view: Value = leading.sidecar.get("/v1/snapshots").await.json().await.unwrap();
    let states: Vec<_> =
        view["snapshots"].as_array().unwrap().iter().map(|it| (&it["id"], &it["state"])).collect();
    assert_eq!(states, [(&json!(7), &json!("retained")), (&json!(6), &json!("discarded"))], "{view}");
}

#[tokio::test]
async fn metrics_and_status_show_what_was_written() {
    let leading = Leading::start().await;
    leading.add(7).await;
    let metrics = leading.sidecar.get("/metrics").await.text().await.unwrap();
    assert!(metrics.contains("holdfast_is_leader{deployment=\"orders\"} 1"), "{metrics}");
    assert!(
        metrics.contains(&format!("holdfast_checkpoint_id{{deployment=\"orders\",job=\"{JOB}\"}} 7")),
        "{metrics}"
    );
    let status = leading.sidecar.status().await;
    assert_eq!(status["role"], "leading", "{status}");
    assert_eq!(status["jobs"][JOB]["checkpoints"], json!([7]), "{status}");
    assert_eq!(leading.sidecar.get("/ready").await.status(), 200);
    assert_eq!(leading.sidecar.get("/live").await.status(), 200);
}
