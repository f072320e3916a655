mod restore;

use super::*;
use crate::state::{BlobRef, GraphEntry, JobState, PointerRecord, ResultKind, SnapshotKind, SnapshotState};
use crate::{Claim, Expected, JobId, JobStatus, Nonce, ResultId, SessionId};
use proptest::prelude::*;

fn limits() -> Limits {
    Limits {
        jobs_max: 3,
        results_max: 2,
        archived_results_max: 2,
        live_checkpoints_max: 4,
        snapshot_history_max: 5,
        gone_snapshots_max: 3,
        plan_history_max: 2,
        pins_max: 4,
        grant_history_max: 2,
        idempotency_keys_max: 6,
        released_blobs_max: 2,
        ..Limits::default()
    }
}

fn job(n: u64) -> JobId {
    JobId::try_from(format!("{n:032x}")).unwrap()
}

fn pointer(id: u64) -> PointerRecord {
    PointerRecord {
        external_pointer: format!("s3://b/chk-{id}"),
        kind: SnapshotKind::Checkpoint,
        trigger_timestamp_ms: 0,
        completion_timestamp_ms: 1,
        properties: String::new(),
        restored_properties: None,
        discard_subsumed: None,
    }
}

fn blob(n: u64) -> BlobRef {
    let copy = Nonce::try_from(format!("copy-{n}")).unwrap();
    BlobRef { hash: format!("blake3-{n:064x}"), bytes: n, copy }
}

fn graph(n: u64) -> GraphEntry {
    GraphEntry { blob: blob(n), flink_version: "2.2.1".to_owned(), fingerprint: None }
}

/// A state and what changes it, as the writer does: one record per step.
#[derive(Debug, Clone)]
struct World {
    state: DeploymentState,
    at: u64,
    limits: Limits,
}

impl World {
    fn new() -> Self {
        let mut world = Self { state: DeploymentState::default(), at: 0, limits: limits() };
        world.claim("first");
        world
    }

    fn step<T>(&mut self, f: impl FnOnce(&mut DeploymentState, &Applying<'_>) -> T, epoch: Epoch) -> T {
        self.at += 1;
        let ctx = Applying { at: Sequence::new(self.at), epoch, now_ms: 5, limits: &self.limits };
        f(&mut self.state, &ctx)
    }

    fn claim(&mut self, generation: &str) {
        self.claim_as(generation, true);
    }

    fn claim_as(&mut self, generation: &str, leads: bool) {
        self.try_claim(generation, leads).unwrap();
    }

    fn try_claim(&mut self, generation: &str, leads: bool) -> Result<(), Refusal> {
        let claim = Claim {
            session: SessionId::try_from("session").unwrap(),
            holder: "pod".to_owned(),
            generation: generation.to_owned(),
            leads,
            epoch_hint: 0,
        };
        let epoch = self.state.epoch().next();
        self.step(|state, ctx| apply_claim(state, &claim, ctx), epoch)
    }

    fn keyed(&mut self, key: &str, change: Change) -> Result<Outcome, Refusal> {
        let key = IdempotencyKey::try_from(key).unwrap();
        let epoch = self.state.epoch();
        self.step(|state, ctx| apply(state, &key, &change, ctx), epoch)
    }

    fn change(&mut self, change: Change) -> Result<Answer, Refusal> {
        let key = format!("key-{}", self.at);
        self.keyed(&key, change).map(|outcome| outcome.answer)
    }

    fn add(&mut self, n: u64, id: u64) -> Result<Answer, Refusal> {
        self.change(Change::AddCheckpoint { job: job(n), id, pointer: pointer(id) })
    }

    fn put(&mut self, n: u64, graph_n: u64, expected: Expected) -> Result<Answer, Refusal> {
        self.change(Change::PutGraph { job: job(n), graph: graph(graph_n), expected })
    }

    fn end(&mut self, n: u64, discarded: &[u64]) -> Result<Answer, Refusal> {
        let discarded = discarded.to_vec();
        self.change(Change::EndJob { job: job(n), status: JobStatus::Failed, discarded })
    }

    fn job(&self, n: u64) -> &JobState {
        &self.state.jobs[&job(n)]
    }
}

#[test]
fn a_snapshot_raises_the_counter_above_its_id() {
    let mut world = World::new();
    assert_eq!(world.add(1, 7), Ok(Answer::Created));
    assert_eq!(world.change(Change::NextCheckpointId { job: job(1) }), Ok(Answer::Value(8)));
    assert_eq!(world.add(1, 3), Ok(Answer::Created));
    assert_eq!(world.job(1).next_checkpoint_id, 9, "never down");
}

#[test]
fn the_first_checkpoint_id_is_1_and_none_is_given_out_twice() {
    let mut world = World::new();
    let next = Change::NextCheckpointId { job: job(1) };
    assert_eq!(world.change(next.clone()), Ok(Answer::Value(1)));
    assert_eq!(world.change(next.clone()), Ok(Answer::Value(2)));
    assert_eq!(world.change(Change::SetCheckpointId { job: job(1), value: 2 }), Ok(Answer::Value(3)));
    assert_eq!(world.change(Change::SetCheckpointId { job: job(1), value: 10 }), Ok(Answer::Value(10)));
    assert_eq!(world.change(next), Ok(Answer::Value(10)));
}

#[test]
fn a_retry_is_answered_from_the_record_and_counts_once() {
    let mut world = World::new();
    let next = Change::NextCheckpointId { job: job(1) };
    let first = world.keyed("same", next.clone()).unwrap();
    let retry = world.keyed("same", next).unwrap();
    assert_eq!((first.answer, first.changed), (Answer::Value(1), true));
    assert_eq!((retry.answer, retry.changed), (Answer::Value(1), false));
}

#[test]
fn a_checkpoint_that_stands_is_not_replaced() {
    let mut world = World::new();
    world.add(1, 7).unwrap();
    assert_eq!(world.add(1, 7), Ok(Answer::Unchanged));
    let other = Change::AddCheckpoint { job: job(1), id: 7, pointer: pointer(8) };
    assert!(matches!(world.change(other), Err(Refusal::AlreadyExists { .. })));
}

#[test]
fn what_a_job_removes_while_it_runs_was_subsumed() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.add(1, 2).unwrap();
    assert_eq!(world.change(Change::RemoveCheckpoint { job: job(1), id: 1 }), Ok(Answer::Removed(1)));
    assert_eq!(world.change(Change::RemoveCheckpoint { job: job(1), id: 1 }), Ok(Answer::Removed(0)));
    assert_eq!(world.job(1).history[0].state, SnapshotState::Subsumed);
    assert_eq!(world.change(Change::ClearCheckpoints { job: job(9) }), Ok(Answer::Removed(0)));
}

#[test]
fn an_end_says_what_becomes_of_live_snapshots_when_they_are_removed() {
    let mut world = World::new();
    for id in 1..=3 {
        world.add(1, id).unwrap();
    }
    assert_eq!(world.end(1, &[1, 2, 77]), Ok(Answer::Ended { retained: 1, discarded: 2 }));
    assert_eq!(world.job(1).checkpoints.len(), 3, "they stay live until Flink removes them");
    world.change(Change::ClearCheckpoints { job: job(1) }).unwrap();
    let fates: Vec<_> = world.job(1).history.iter().map(|s| s.state).collect();
    assert_eq!(fates, [SnapshotState::Discarded, SnapshotState::Discarded, SnapshotState::Retained]);
}

#[test]
fn cleaning_up_retains_what_was_not_said_to_be_discarded() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.put(1, 1, Expected::Absent).unwrap();
    assert_eq!(world.change(Change::CleanDeployment), Ok(Answer::Changed));
    assert_eq!(world.job(1).history[0].state, SnapshotState::Retained);
    assert_eq!(world.job(1).graph, None);
    assert_eq!(world.change(Change::CleanDeployment), Ok(Answer::Unchanged));
}

#[test]
fn a_graph_is_replaced_only_by_who_knows_what_stands_there() {
    let mut world = World::new();
    assert!(matches!(world.put(1, 1, Expected::Version(blob(1).hash)), Err(Refusal::NoGraph { .. })));
    assert_eq!(world.put(1, 1, Expected::Absent), Ok(Answer::Created));
    assert_eq!(world.put(1, 1, Expected::Absent), Ok(Answer::Unchanged));
    assert!(matches!(world.put(1, 2, Expected::Absent), Err(Refusal::AlreadyExists { .. })));
    let stale = world.put(1, 2, Expected::Version("blake3-0".to_owned()));
    assert!(matches!(stale, Err(Refusal::StaleVersion { .. })));
    assert_eq!(world.put(1, 2, Expected::Version(blob(1).hash)), Ok(Answer::Changed));
    assert_eq!(world.change(Change::DropGraph { job: job(1) }), Ok(Answer::Removed(1)));
    assert_eq!(world.change(Change::DropGraph { job: job(1) }), Ok(Answer::Removed(0)));
}

#[test]
fn a_result_is_created_once_however_late_the_retry() {
    let mut world = World::new();
    let create = |n: u64| Change::CreateResult {
        kind: ResultKind::Jobs,
        id: ResultId::from(job(n)),
        status: "FINISHED".to_owned(),
        payload: blob(n),
    };
    assert_eq!(world.keyed("mine", create(1)).unwrap().answer, Answer::Created);
    for _ in 0..10 {
        world.change(Change::NextCheckpointId { job: job(1) }).unwrap();
    }
    assert_eq!(world.keyed("mine", create(1)).unwrap().answer, Answer::Unchanged, "beyond the ring");
    assert!(matches!(world.keyed("other", create(1)), Err(Refusal::AlreadyExists { .. })));
    world.change(create(2)).unwrap();
    assert!(matches!(world.change(create(3)), Err(Refusal::LimitReached { limit: "results_max", .. })));
    let clean = |n: u64| Change::CleanResult { kind: ResultKind::Jobs, id: job(n).into() };
    assert_eq!(world.change(clean(1)), Ok(Answer::Changed));
    assert_eq!(world.change(clean(1)), Ok(Answer::Unchanged));
    assert!(matches!(world.change(clean(3)), Err(Refusal::UnknownResult { .. })));
}

#[test]
fn a_new_job_takes_the_place_of_one_that_ended_but_never_of_one_that_holds_something() {
    let mut world = World::new();
    for n in 1..=3 {
        world.add(n, 4 - n).unwrap();
    }
    assert!(matches!(world.add(4, 4), Err(Refusal::LimitReached { limit: "jobs_max", .. })));
    world.end(2, &[]).unwrap();
    assert!(world.add(4, 4).is_err(), "its snapshot is still live");
    world.change(Change::CleanJob { job: job(2) }).unwrap();
    world.end(3, &[1]).unwrap();
    world.change(Change::CleanJob { job: job(3) }).unwrap();
    world.add(4, 4).unwrap();
    assert!(world.state.jobs.contains_key(&job(2)), "it left something to restore");
    assert!(!world.state.jobs.contains_key(&job(3)));
}

#[test]
fn a_write_of_the_epoch_before_is_still_known_after_a_claim() {
    let mut world = World::new();
    world.keyed("k", Change::NextCheckpointId { job: job(1) }).unwrap();
    world.claim("first");
    let key = IdempotencyKey::try_from("k").unwrap();
    assert_eq!(world.state.answer_of(&key), Some(&Answer::Value(1)));
    world.claim("first");
    assert_eq!(world.state.answer_of(&key), None);
}

#[test]
fn a_blob_counts_as_named_until_the_collector_has_passed_its_release() {
    let mut world = World::new();
    world.put(1, 1, Expected::Absent).unwrap();
    assert!(world.state.may_be_named(&blob(1)));
    assert!(!world.state.may_be_named(&blob(2)));
    world.change(Change::DropGraph { job: job(1) }).unwrap();
    let released_at = world.at;
    assert!(world.state.may_be_named(&blob(1)), "the record before the drop names it");
    assert!(collect_before(&mut world.state, Sequence::new(released_at - 1)));
    assert!(world.state.may_be_named(&blob(1)));
    assert!(collect_before(&mut world.state, Sequence::new(released_at)));
    assert!(!world.state.may_be_named(&blob(1)));
    assert!(!collect_before(&mut world.state, Sequence::new(released_at)), "the boundary only rises");
}

#[test]
fn a_release_that_was_forgotten_holds_every_blob_until_it_is_passed() {
    let mut world = World::new();
    for n in 1..=3 {
        world.put(1, n, Expected::Absent).unwrap();
        world.change(Change::DropGraph { job: job(1) }).unwrap();
    }
    assert_eq!(world.state.released_blobs.len(), 2);
    assert!(world.state.may_be_named(&blob(1)), "forgotten, but not yet passed");
    let forgotten_at = world.state.released_forgotten_at;
    collect_before(&mut world.state, forgotten_at);
    assert!(!world.state.may_be_named(&blob(1)));
    assert!(world.state.may_be_named(&blob(3)));
}

#[test]
fn a_pointer_over_its_limit_is_refused_with_both_sizes() {
    let mut world = World::new();
    world.limits.pointer_bytes_max = 10;
    let Err(Refusal::TooLarge { bytes, max_bytes: 10, limit: "pointer_bytes_max", .. }) = world.add(1, 1)
    else {
        panic!("it must be refused");
    };
    assert!(bytes > 10);
}

#[test]
fn ids_beyond_what_flink_can_count_are_refused() {
    let mut world = World::new();
    for id in [u64::MAX, i64::MAX as u64] {
        assert!(world.add(1, id).is_err());
        assert!(world.change(Change::SetCheckpointId { job: job(1), value: id }).is_err());
    }
}

fn changes() -> impl Strategy<Value = Change> {
    let job = (1..6_u64).prop_map(job);
    let id = 1..8_u64;
    let kind = prop_oneof![Just(ResultKind::Jobs), Just(ResultKind::Applications)];
    let expected =
        prop_oneof![Just(Expected::Absent), (1..4_u64).prop_map(|n| Expected::Version(blob(n).hash))];
    prop_oneof![
        4 => (job.clone(), id.clone(), 1..8_u64)
            .prop_map(|(job, id, at)| Change::AddCheckpoint { job, id, pointer: pointer(at) }),
        2 => (job.clone(), id.clone()).prop_map(|(job, id)| Change::RemoveCheckpoint { job, id }),
        1 => job.clone().prop_map(|job| Change::ClearCheckpoints { job }),
        2 => (job.clone(), proptest::collection::vec(id.clone(), 0..3))
            .prop_map(|(job, discarded)| Change::EndJob { job, status: JobStatus::Canceled, discarded }),
        2 => job.clone().prop_map(|job| Change::NextCheckpointId { job }),
        1 => (job.clone(), id).prop_map(|(job, value)| Change::SetCheckpointId { job, value }),
        2 => (job.clone(), 1..4_u64, expected)
            .prop_map(|(job, n, expected)| Change::PutGraph { job, graph: graph(n), expected }),
        1 => job.clone().prop_map(|job| Change::DropGraph { job }),
        1 => (kind.clone(), 1..4_u64).prop_map(|(kind, n)| Change::CreateResult {
            kind,
            id: ResultId::from(self::job(n)),
            status: "FAILED".to_owned(),
            payload: blob(n),
        }),
        1 => (kind, 1..4_u64).prop_map(|(kind, n)| Change::CleanResult { kind, id: self::job(n).into() }),
        1 => job.prop_map(|job| Change::CleanJob { job }),
        1 => Just(Change::CleanDeployment),
    ]
}

/// Every list is within its limit, and every counter above every id.
fn check_invariants(state: &DeploymentState, limits: &Limits) {
    assert!(state.jobs.len() <= limits.jobs_max);
    assert!(state.results.jobs.len().max(state.results.applications.len()) <= limits.results_max);
    assert!(state.archived_results.len() <= limits.archived_results_max);
    assert!(state.grants.len() <= limits.grant_history_max);
    assert!(state.applied.len().max(state.applied_before.len()) <= limits.idempotency_keys_max);
    assert!(state.released_blobs.len() <= limits.released_blobs_max);
    for job in state.jobs.values() {
        assert!(job.checkpoints.len() <= limits.live_checkpoints_max);
        assert!(job.history.len() <= limits.snapshot_history_max);
        assert!(job.checkpoints.keys().all(|id| *id < job.next_checkpoint_id));
        assert!(job.checkpoints.iter().all(|(id, live)| *id == live.id && live.left_epoch.is_none()));
        assert!(job.history.iter().all(|s| s.state != SnapshotState::Active && s.left_epoch.is_some()));
    }
}

proptest! {
    #[test]
    fn refusals_and_repetitions_leave_the_state_as_it_was(
        steps in proptest::collection::vec((changes(), 0..12_u8), 1..80),
    ) {
        let mut world = World::new();
        for (change, dice) in steps {
            if dice == 0 {
                let before = world.state.clone();
                let refused = world.try_claim(&format!("generation-{}", world.at % 3), true).is_err();
                prop_assert!(!refused || world.state == before);
            }
            let before = world.state.clone();
            let outcome = world.keyed(&format!("key-{}", world.at), change);
            let changed = outcome.as_ref().is_ok_and(|outcome| outcome.changed);
            prop_assert_eq!(changed, world.state != before, "{:?}", outcome);
            check_invariants(&world.state, &world.limits);
        }
    }

    #[test]
    fn counters_never_go_down(steps in proptest::collection::vec((changes(), 0..12_u8), 1..80)) {
        let mut world = World::new();
        for (change, dice) in steps {
            if dice == 0 {
                world.claim(&format!("generation-{}", world.at));
            }
            let before = world.state.jobs.clone();
            let _ = world.change(change);
            for (id, job) in &world.state.jobs {
                let floor = before.get(id).map_or(1, |job| job.next_checkpoint_id);
                prop_assert!(job.next_checkpoint_id >= floor);
            }
        }
    }

    #[test]
    fn every_blob_that_a_kept_state_names_may_be_named(
        steps in proptest::collection::vec((changes(), 0..12_u8), 1..80),
    ) {
        let mut world = World::new();
        let mut history = vec![(world.at, world.state.clone())];
        for (change, dice) in steps {
            match dice {
                0 => world.claim(&format!("generation-{}", world.at)),
                1 => {
                    collect_before(&mut world.state, Sequence::new(world.at / 2));
                }
                _ => drop(world.change(change)),
            }
            history.push((world.at, world.state.clone()));
            let boundary = world.state.collected_before.get();
            for (_, kept) in history.iter().filter(|(at, _)| *at >= boundary) {
                for blob in kept.blobs() {
                    prop_assert!(world.state.may_be_named(blob));
                }
            }
        }
    }
}
