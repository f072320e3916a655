//! A JobManager's REST API, as far as the sidecar asks it.

#![allow(dead_code, reason = "each of the test crates that share it uses a part of it")]

use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpListener;

pub(crate) const JOB: &str = "00000000002efde30000000000000000";

/// What a JobManager's REST API says, and what it was asked to do.
#[derive(Default)]
pub(crate) struct Flink {
    pub(crate) savepoints: Vec<Value>,
    pub(crate) restored: Value,
    pub(crate) operation: Value,
    pub(crate) orders: Vec<(String, Value)>,
    pub(crate) runs: Vec<&'static str>,
    pub(crate) gone: bool,
    pub(crate) looks: u32,
    /// What is set in its configuration.
    pub(crate) configuration: Vec<(&'static str, &'static str)>,
}

pub(crate) type Shared = Arc<Mutex<Flink>>;

pub(crate) fn savepoint(id: u64, place: &str) -> Value {
    json!({"className": "completed", "id": id, "status": "COMPLETED", "is_savepoint": true, "trigger_timestamp": 1_000,
        "latest_ack_timestamp": 1_100, "external_path": place, "discarded": false})
}

/// Speaks for a JobManager; gives its URL.
pub(crate) async fn flink(shared: Shared) -> String {
    let overview = async |State(flink): State<Shared>| {
        let jobs: Vec<Value> = flink
            .lock()
            .unwrap()
            .runs
            .iter()
            .map(|jid| json!({"jid": jid, "name": "orders", "state": "RUNNING"}))
            .collect();
        Json(json!({"jobs": jobs}))
    };
    let checkpoints = async |State(flink): State<Shared>| {
        let mut flink = flink.lock().unwrap();
        flink.looks += 1;
        if flink.gone {
            return Err(StatusCode::SERVICE_UNAVAILABLE);
        }
        Ok(Json(json!({"latest": {"savepoint": flink.savepoints.first(), "restored": flink.restored},
            "history": flink.savepoints})))
    };
    let order = async |State(flink): State<Shared>,
                       Path((_, call)): Path<(String, String)>,
                       Json(body): Json<Value>| {
        let answer = json!({"request-id": body["triggerId"]});
        flink.lock().unwrap().orders.push((call, body));
        (StatusCode::ACCEPTED, Json(answer))
    };
    let operation = async |State(flink): State<Shared>| match &flink.lock().unwrap().operation {
        Value::Null => Err(StatusCode::NOT_FOUND),
        operation => Ok(Json(operation.clone())),
    };
    let configuration = async |State(flink): State<Shared>| {
        let entry = |(key, value): &(&str, &str)| json!({"key": key, "value": value});
        Json(flink.lock().unwrap().configuration.iter().map(entry).collect::<Vec<Value>>())
    };
    let router = Router::new()
        .route("/jobmanager/config", get(configuration))
        .route("/jobs/overview", get(overview))
        .route("/jobs/{job}/checkpoints", get(checkpoints))
        .route("/jobs/{job}/{call}", post(order))
        .route("/jobs/{job}/savepoints/{trigger}", get(operation))
        .with_state(shared);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

/// A job that runs, and a savepoint of it that Flink says is done.
pub(crate) fn done(id: u64, place: &str) -> Shared {
    let shared = Shared::default();
    {
        let mut flink = shared.lock().unwrap();
        (flink.runs, flink.savepoints) = (vec![JOB], vec![savepoint(id, place)]);
        flink.operation = json!({"status": {"id": "COMPLETED"}, "operation": {"location": place}});
    }
    shared
}
