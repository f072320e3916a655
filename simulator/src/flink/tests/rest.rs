//! What the JobManager answers over REST.

use std::sync::{Arc, Mutex};

use http::Method;
use serde_json::{Value, json};

use super::rig::{JOB, JOB_MANAGER, Options, Rig};
use crate::flink::http::{Call, Client};
use crate::flink::scope::Scope;
use crate::trace::Event;

fn completed(event: &Event) -> bool {
    matches!(event, Event::CheckpointCompleted { .. })
}

/// Asks, and runs the rig until there is an answer: its status and what it says.
fn ask(rig: &mut Rig, call: Call) -> (u16, Value) {
    let (answered, answer) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None::<(u16, Value)>)));
    *answered.lock().expect("not poisoned") = Some(answer.clone());
    let name = format!("observer-{}", rig.trace.now_ms());
    rig.sim.client(name, async move {
        let answer = Scope::run(|scope| async move {
            let client = Client::new(format!("{JOB_MANAGER}:8081"), scope);
            client.call(&call, 5_000).await
        });
        let answer = answer.await.map_err(|failure| failure.to_string())?;
        let body = serde_json::from_slice(&answer.body).expect("JSON");
        let to = answered.lock().expect("not poisoned").take().expect("one answer");
        *to.lock().expect("not poisoned") = Some((answer.status, body));
        Ok(())
    });
    let end_ms = rig.trace.now_ms() + 10_000;
    loop {
        if let Some(answer) = answer.lock().expect("not poisoned").take() {
            return answer;
        }
        assert!(rig.trace.now_ms() < end_ms, "no answer:\n{}", rig.story());
        rig.step();
    }
}

fn get(rig: &mut Rig, path: &str) -> Value {
    let (status, value) = ask(rig, Call::plain(Method::GET, path));
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Posts it, and waits for what comes of it.
fn operate(rig: &mut Rig, path: &str, body: &Value) -> Value {
    let (status, value) = ask(rig, Call::plain(Method::POST, path).json(body));
    assert_eq!(status, 202, "{value}");
    let trigger = value["request-id"].as_str().expect("a trigger id").to_owned();
    loop {
        let operation = get(rig, &format!("/jobs/{JOB}/savepoints/{trigger}"));
        if operation["status"]["id"] == "COMPLETED" {
            return operation["operation"].clone();
        }
        rig.run_for(200);
    }
}

#[test]
fn rest_shows_the_newest_checkpoint_and_savepoint_and_what_was_restored() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 3, completed);
    // The sidecar asks, too, and Flink answers both out of a cache of three seconds.
    rig.run_for(3_500);
    assert_eq!(get(&mut rig, "/jobs/overview")["jobs"][0]["state"], "RUNNING");
    assert_eq!(get(&mut rig, "/overview")["flink-version"], "2.2.1");
    let shown = get(&mut rig, &format!("/jobs/{JOB}/checkpoints"));
    assert_eq!(shown["latest"]["restored"], Value::Null);
    assert!(shown["latest"]["completed"]["id"].as_u64() >= Some(3), "{shown}");
    assert_eq!(ask(&mut rig, Call::plain(Method::GET, "/jobs/x/checkpoints")).0, 404);

    let done = operate(&mut rig, &format!("/jobs/{JOB}/savepoints"), &json!({"target-directory": null}));
    let location = done["location"].as_str().expect("a location").to_owned();
    let (id, _) = rig.cluster.read_files(&location).expect("a savepoint");
    // What is answered may be three seconds old.
    rig.run_for(3_500);
    rig.cluster.fail_task();
    rig.run_until(30_000, 1, |event| matches!(event, Event::JobRestored { failover: false, .. }));
    rig.run_for(3_500);
    let shown = get(&mut rig, &format!("/jobs/{JOB}/checkpoints"));
    let savepoint = &shown["latest"]["savepoint"];
    assert_eq!((&savepoint["id"], &savepoint["external_path"]), (&json!(id), &json!(location)));
    let restored = &shown["latest"]["restored"];
    assert!(restored["id"].as_u64() > Some(id), "{shown}");
    assert!(restored["restore_timestamp"].as_i64() > savepoint["latest_ack_timestamp"].as_i64(), "{shown}");
}

#[test]
fn a_job_that_is_stopped_over_rest_finishes_with_a_savepoint_where_it_was_wanted() {
    let mut rig = Rig::new(Options::default());
    rig.run_until(30_000, 2, completed);
    let directory = "s3://flink/flink/elsewhere";
    let body = json!({"targetDirectory": directory, "drain": false});
    let (status, value) = ask(&mut rig, Call::plain(Method::POST, format!("/jobs/{JOB}/stop")).json(&body));
    assert_eq!(status, 202, "{value}");
    rig.run_until(30_000, 1, |event| matches!(event, Event::JobEnded { .. }));
    let stopped = rig.events().into_iter().find_map(|event| match event {
        Event::SavepointCompleted { id, stops: true, .. } => Some(id),
        _ => None,
    });
    let pointer = crate::flink::snapshots::savepoint_in(directory, JOB, stopped.expect("a savepoint"));
    assert!(rig.cluster.read_files(&pointer).is_ok());
}
