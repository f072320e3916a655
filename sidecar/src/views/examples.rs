//! A deployment that has been through something, for the tests of views.

use ha_store::DeploymentState;
use serde_json::{Value, json};

pub(crate) const JOB: &str = "00000000002efde30000000000000000";

fn snapshot(id: u64, state: &str, epoch: u64) -> Value {
    let pointer = json!({"external_pointer": format!("file:/cp/chk-{id}"), "kind": "checkpoint",
        "trigger_timestamp_ms": id * 100, "completion_timestamp_ms": id * 100 + 10, "properties": ""});
    json!({"id": id, "pointer": pointer, "state": state, "epoch": epoch, "added_at_ms": id * 100 + 20,
        "left_epoch": if state == "active" { Value::Null } else { json!(epoch) }})
}

fn with(mut snapshot: Value, field: &str, value: Value) -> Value {
    snapshot[field] = value;
    snapshot
}

fn grant(epoch: u64, generation: &str) -> Value {
    json!({"session": format!("session-{epoch}"), "holder": format!("pod-{epoch}"), "generation": generation,
        "epoch": epoch, "claimed_at_ms": epoch * 1_000})
}

fn plan(generation: &str, epoch: u64) -> Value {
    json!({"generation": generation, "strategy": "latest-state", "first_start": false, "claim_mode": "CLAIM",
        "snapshot": {"id": 6, "kind": "checkpoint", "external_pointer": "file:/cp/chk-6"},
        "allow_non_restored_state": false, "why": "checkpoint 6 is the newest", "planned_at_ms": 1, "epoch": epoch,
        "taken_by": JOB})
}

fn result() -> Value {
    json!({"status": "FAILED", "payload": {"hash": "blake3-0", "bytes": 1, "copy": "00000000000000000000000000000001"},
        "clean": true, "created_by": "k"})
}

/// Two generations. In g1 (epochs 1 and 2) the job failed: 5 was discarded and 6 is pinned. In g2 (epoch 3) 7 was subsumed, 8
/// is live, and the savepoint 9 was rolled back.
pub(crate) fn lineage() -> DeploymentState {
    let history = json!([
        snapshot(5, "discarded", 1),
        with(snapshot(6, "retained", 2), "pinned", json!(true)),
        snapshot(7, "subsumed", 3),
        with(snapshot(9, "retained", 3), "rolled_back", json!(true)),
    ]);
    let job = json!({"checkpoints": {"8": snapshot(8, "active", 3)}, "history": history, "next_checkpoint_id": 10,
        "graph": null, "ended": null, "touched_at": 1});
    let nothing = serde_json::to_value(DeploymentState::default()).expect("plain data");
    let mut state = nothing;
    state["generation"] = json!("g2");
    state["grant"] = grant(3, "g2");
    state["grants"] = json!([grant(1, "g1"), grant(2, "g1")]);
    state["jobs"] = json!({JOB: job});
    state["snapshots_seen"] = json!(true);
    state["plan"] = plan("g2", 3);
    state["plans"] = json!([plan("g1", 1)]);
    state["archived_results"] = json!([{"generation": "g1", "kind": "jobs", "id": JOB, "result": result()}]);
    serde_json::from_value(state).expect("a state")
}
