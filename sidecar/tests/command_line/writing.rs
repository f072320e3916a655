//! What writes: through the sidecar that leads, or with an epoch of its own when that deposes nobody.

use reqwest::Method;
use serde_json::{Value, json};

use crate::deployment::{Deployment, JobManager, NO, OK, UNKNOWN, complaint, json_of, table};

#[tokio::test]
async fn a_pin_is_asked_of_the_sidecar_that_leads() {
    let deployment = Deployment::new();
    let (sidecar, _job_manager) = deployment.led().await;
    let pinned = json_of(&sidecar.args(&["snapshots", "pin", "7"]), OK);
    assert_eq!(
        (&pinned["changed"], &pinned["snapshot"]["state"]),
        (&json!(true), &json!("pinned")),
        "{pinned}"
    );
    let again = table(&sidecar.args(&["snapshots", "pin", "7"]), OK);
    assert!(again.contains("pinned already"), "{again}");
    let live = complaint(&sidecar.args(&["snapshots", "pin", "6"]), NO);
    assert!(live.contains("holdfast savepoint"), "{live}");
    let unpinned = json_of(&sidecar.args(&["snapshots", "unpin", "7"]), OK);
    assert_eq!(unpinned["snapshot"]["state"], "active", "{unpinned}");

    let mut public = sidecar.args(&["snapshots", "pin", "7"]);
    *public.last_mut().unwrap() = sidecar.public_url.clone();
    let said = complaint(&public, UNKNOWN);
    assert!(said.contains("public listener"), "{said}");
}

#[tokio::test]
async fn a_reset_is_what_the_next_generation_starts_from() {
    let deployment = Deployment::new();
    let (sidecar, job_manager) = deployment.ended().await;
    let reset = json_of(&sidecar.args(&["reset", "--to", "6"]), OK);
    assert_eq!((&reset["verified"], &reset["changed"]), (&json!(true), &json!(true)), "{reset}");
    let plan = json_of(&sidecar.args(&["plan"]), OK);
    assert_eq!(plan["next"]["plan"]["snapshot"]["id"], 6, "{plan}");
    let cancelled = json_of(&sidecar.args(&["reset", "--cancel"]), OK);
    assert_eq!(cancelled["changed"], true, "{cancelled}");
    let plan = json_of(&sidecar.args(&["plan"]), OK);
    assert_eq!(
        (&plan["reset"], &plan["next"]["plan"]["snapshot"]["id"]),
        (&Value::Null, &json!(7)),
        "{plan}"
    );

    json_of(&sidecar.args(&["reset", "--to", "6"]), OK);
    drop((sidecar, job_manager));
    let mut sidecar = deployment.run("g2");
    sidecar.wait_for("may-lead");
    let _job_manager = JobManager::granted(&sidecar).await;
    let plan = json_of(&sidecar.args(&["plan"]), OK);
    assert_eq!(
        (&plan["present"]["strategy"], &plan["present"]["snapshot"]["id"]),
        (&json!("reset"), &json!(6)),
        "{plan}"
    );
    assert_eq!(plan["reset"], Value::Null, "granted once: {plan}");
}

#[tokio::test]
async fn a_reset_to_what_cannot_be_restored_is_refused_with_what_is_missing() {
    let deployment = Deployment::new();
    let (sidecar, _job_manager) = deployment.ended().await;
    deployment.break_7();
    let elsewhere = deployment.snapshot(9);
    for to in ["7", elsewhere.to_str().unwrap()] {
        for args in [sidecar.args(&["reset", "--to", to]), deployment.direct(&["reset", "--to", to])] {
            let said = complaint(&args, NO);
            assert!(said.contains("cannot be restored") && said.contains("is not there"), "{said}");
        }
    }
    let gone = complaint(&sidecar.args(&["reset", "--to", "5"]), NO);
    assert!(gone.contains("subsumed") && gone.contains("snapshots list"), "{gone}");
}

#[tokio::test]
async fn with_the_store_alone_a_job_that_may_run_is_deposed_only_on_demand() {
    let deployment = Deployment::new();
    let (mut sidecar, _job_manager) = deployment.led().await;
    let before = deployment.objects();
    for args in [["snapshots", "pin", "7"].as_slice(), &["reset", "--to", "6"]] {
        let said = complaint(&deployment.direct(args), NO);
        assert!(said.contains("--depose") && said.contains("has not ended"), "{said}");
    }
    let idle = json_of(&deployment.direct(&["reset", "--cancel"]), OK);
    assert_eq!(idle["changed"], false, "there is nothing to take back: {idle}");
    assert_eq!(deployment.objects(), before, "a refusal writes nothing");

    let pinned = json_of(&deployment.direct(&["snapshots", "pin", "7", "--depose"]), OK);
    assert_eq!(pinned["snapshot"]["state"], "pinned", "{pinned}");
    sidecar.wait_for("revoked");
    let history = table(&deployment.direct(&["history"]), OK);
    assert!(history.contains("epoch 2 to holdfast snapshots pin"), "{history}");
}

#[tokio::test]
async fn with_the_store_alone_a_job_that_ended_can_be_written_about() {
    let deployment = Deployment::new();
    let (sidecar, job_manager) = deployment.ended().await;
    drop((sidecar, job_manager));
    let pinned = json_of(&deployment.direct(&["snapshots", "pin", "6"]), OK);
    assert_eq!(pinned["snapshot"]["state"], "pinned", "{pinned}");
    let reset = table(&deployment.direct(&["reset", "--to", "6"]), OK);
    assert!(reset.contains("the next generation starts from this snapshot"), "{reset}");
    let list = json_of(&deployment.direct(&["snapshots", "list"]), OK);
    let states: Vec<_> = list["snapshots"].as_array().unwrap().iter().map(|it| &it["state"]).collect();
    assert_eq!(states, ["retained", "pinned", "subsumed"], "{list}");
    let history = json_of(&deployment.direct(&["history"]), OK);
    assert_eq!(history["generations"].as_array().unwrap().len(), 1, "the generation goes on: {history}");
}

#[tokio::test]
async fn a_sidecar_that_does_not_lead_writes_nothing_and_is_unknown() {
    let deployment = Deployment::new();
    let (sidecar, mut job_manager) = deployment.led().await;
    job_manager.write(Method::POST, "end", &json!({"status": "CANCELED", "discarded": []})).await;
    drop((sidecar, job_manager));
    let mut idle = deployment.run("g1");
    idle.wait_for("may-lead");
    let before = deployment.objects();
    let said = complaint(&idle.args(&["snapshots", "pin", "7"]), UNKNOWN);
    assert!(said.contains("does not hold the newest epoch") && said.contains("--store"), "{said}");
    assert_eq!(deployment.objects(), before);
}
