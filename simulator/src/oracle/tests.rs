//! The oracles read what the product really writes.

use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use ha_store::{
    Change, Claim, ClaimMode, DeploymentName, Epoch, Expected, GraphEntry, IdempotencyKey, JobId, JobStatus,
    PlannedSnapshot, PointerRecord, RestorePlan, ResultId, ResultKind, SessionId, SnapshotKind, Store,
    StoreOptions,
};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

use super::testing::{JOB, plan};
use super::{judge, property};
use crate::outcome::Violation;
use crate::plan::{Job, Plan, RestartStrategy};
use crate::seed::Stream;
use crate::trace::{AddAnswer, Entry, Event, Observer};

/// A wall clock that stands still.
#[derive(Debug)]
struct Noon;

impl ha_store::Clock for Noon {
    fn wall_ms(&self) -> i64 {
        1_767_268_800_000
    }
}

fn pointer(id: u64) -> PointerRecord {
    PointerRecord {
        external_pointer: format!("s3://simulated/chk-{id}"),
        kind: SnapshotKind::Checkpoint,
        trigger_timestamp_ms: 1,
        completion_timestamp_ms: 2,
        properties: "AA==".to_owned(),
        restored_properties: None,
        discard_subsumed: None,
    }
}

fn planned(generation: &str, epoch: Epoch, id: Option<u64>) -> RestorePlan {
    let snapshot = |id| PlannedSnapshot {
        id,
        kind: SnapshotKind::Checkpoint,
        external_pointer: pointer(id).external_pointer,
    };
    RestorePlan {
        generation: generation.to_owned(),
        strategy: "latest-state".to_owned(),
        snapshot: id.map(snapshot),
        first_start: id.is_none(),
        claim_mode: ClaimMode::Claim,
        allow_non_restored_state: false,
        why: "it is the newest".to_owned(),
        planned_at_ms: 0,
        epoch,
        taken_by: None,
    }
}

fn claim(generation: &str, entropy: &Stream) -> Claim {
    let (holder, generation) = ("pod-a".to_owned(), generation.to_owned());
    Claim { session: SessionId::random(entropy), holder, generation, leads: true, epoch_hint: 0 }
}

/// A deployment's life, written by the product: two checkpoints, of which one is subsumed, a graph, the end and a second
/// rollout.
async fn write_history() -> Arc<dyn ObjectStore> {
    let backend: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let entropy = Stream::new(1, "history");
    let deployment = DeploymentName::try_from("orders").unwrap();
    let (options, clock) = (StoreOptions::default(), Arc::new(Noon));
    let prefix = object_store::path::Path::from("flink");
    let store = Store::open(backend.clone(), prefix, deployment, options, clock, Arc::new(entropy.clone()));
    let store = store.await.unwrap();
    let job: JobId = JOB.parse().unwrap();
    let epoch = store.claim(claim("1", &entropy)).await.unwrap().epoch;
    let graph = store.put_blob(Bytes::from_static(b"graph")).await.unwrap();
    let payload = store.put_blob(Bytes::from_static(b"result")).await.unwrap();
    let graph = GraphEntry { blob: graph, flink_version: "2.2.1".to_owned(), fingerprint: None };
    let changes = [
        Change::SetPlan { plan: planned("1", epoch, None) },
        Change::PutGraph { job: job.clone(), graph, expected: Expected::Absent },
        Change::NextCheckpointId { job: job.clone() },
        Change::AddCheckpoint { job: job.clone(), id: 1, pointer: pointer(1) },
        Change::NextCheckpointId { job: job.clone() },
        Change::AddCheckpoint { job: job.clone(), id: 2, pointer: pointer(2) },
        Change::RemoveCheckpoint { job: job.clone(), id: 1 },
        Change::CreateResult {
            kind: ResultKind::Jobs,
            id: ResultId::try_from(JOB).unwrap(),
            status: "FAILED".to_owned(),
            payload,
        },
        Change::EndJob { job: job.clone(), status: JobStatus::Failed, discarded: vec![] },
        Change::ClearCheckpoints { job: job.clone() },
        Change::CleanJob { job },
    ];
    for change in changes {
        store.commit(epoch, IdempotencyKey::random(&entropy), change).await.unwrap();
    }
    let epoch = store.claim(claim("2", &entropy)).await.unwrap().epoch;
    let plan = Change::SetPlan { plan: planned("2", epoch, Some(2)) };
    let restored = Change::AddCheckpoint { job: JOB.parse().unwrap(), id: 2, pointer: pointer(2) };
    for change in [plan, restored] {
        store.commit(epoch, IdempotencyKey::random(&entropy), change).await.unwrap();
    }
    backend
}

/// The first violation, when these things happen to the checkpoints of that deployment and are seen in its history.
async fn verdict(after: &[Event]) -> Option<Violation> {
    let backend = write_history().await;
    let none = RestartStrategy::None;
    let mut judge = judge(&Plan { job: Job { restart: none, ..plan().job }, ..plan() });
    let mut happens = |event: &Event| {
        let entry = Entry { at_ms: 0, actor: "store".to_owned(), event: event.clone() };
        judge.observe(&entry);
    };
    happens(&Event::LeaseWritten {
        lease: "orders".to_owned(),
        version: 1,
        named: None,
        holder: "pod-a".to_owned(),
        created: true,
    });
    [1, 2].into_iter().for_each(|id| happens(&Event::CheckpointWritten { job: JOB.to_owned(), id }));
    let mut found: Vec<_> = backend.list(None).try_collect().await.unwrap();
    // Blobs before the records that name them; the hint was put without a condition.
    found.sort_by_key(|meta| (meta.location.as_ref().contains("/log/"), meta.location.clone()));
    for meta in found {
        let (key, body) =
            (meta.location.to_string(), backend.get(&meta.location).await.unwrap().bytes().await.unwrap());
        happens(&match key.ends_with("/hint") {
            true => Event::StoreOverwritten { key, body },
            false => Event::StoreCreated { key, body },
        });
    }
    after.iter().for_each(happens);
    judge.finish()
}

fn restored(from: Option<u64>) -> Event {
    Event::JobRestored { job: JOB.to_owned(), epoch: 2, from, failover: true }
}

#[tokio::test]
async fn the_log_that_the_product_writes_holds_every_property() {
    let acknowledged =
        |id| Event::AddAnswered { job: JOB.to_owned(), id, epoch: 1, answer: AddAnswer::Recorded };
    let granted = Event::Granted { epoch: 2, resumed: false };
    let subsumed = Event::CheckpointFilesDeleted { job: JOB.to_owned(), id: 1 };
    let after = [acknowledged(1), acknowledged(2), subsumed, granted, restored(Some(2))];
    assert_eq!(verdict(&after).await, None);
}

#[tokio::test]
async fn what_the_product_wrote_is_what_the_oracles_judge_by() {
    let deleted = Event::CheckpointFilesDeleted { job: JOB.to_owned(), id: 2 };
    let committed = Event::SinkCommitted { job: JOB.to_owned(), partition: 0, from: 0, to: 1, checkpoint: 3 };
    let granted = Event::Granted { epoch: 3, resumed: false };
    for (event, broken) in [
        (restored(None), property::NEVER_BACK),
        (restored(Some(1)), property::NEVER_BACK),
        (deleted, property::NO_DANGLING),
        (committed, property::COMMIT_RECORDED),
        (granted, property::EPOCH_UNIQUE),
        (
            Event::StoreDeleted { key: "flink/orders/log/00000000000000000001.json".to_owned() },
            property::REFERENCED_KEPT,
        ),
        (
            Event::JobRestored { job: JOB.to_owned(), epoch: 1, from: None, failover: true },
            property::ENDED_STAYS_ENDED,
        ),
    ] {
        let violation = verdict(std::slice::from_ref(&event)).await;
        assert_eq!(violation.map(|violation| violation.property), Some(broken), "{event:?}");
    }
}

#[tokio::test]
async fn only_the_first_violation_counts() {
    let events = [restored(None), Event::Granted { epoch: 9, resumed: false }];
    let violation = verdict(&events).await.unwrap();
    assert_eq!(violation.property, property::NEVER_BACK);
    assert!(violation.what.contains("checkpoint 2"), "{}", violation.what);
}
