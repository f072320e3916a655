//! The rules of the observer, over answers as Flink gives them.

use ha_store::{Snapshot, SnapshotState};
use serde_json::{Value, json};

use super::*;

const EPOCH: Epoch = Epoch::new(3);

fn job() -> JobId {
    "00000000002efde30000000000000000".parse().expect("an id")
}

fn savepoint(id: u64, at_ms: i64) -> Value {
    json!({"className": "completed", "id": id, "status": "COMPLETED", "is_savepoint": true,
        "trigger_timestamp": at_ms - 5, "latest_ack_timestamp": at_ms, "external_path": place(id), "discarded": false})
}

fn place(id: u64) -> String {
    format!("file:/savepoints/savepoint-{id}")
}

fn answer(savepoints: &[Value], restored: Option<(u64, i64)>) -> Checkpoints {
    let restored =
        restored.map(|(id, at_ms)| json!({"id": id, "restore_timestamp": at_ms, "is_savepoint": false}));
    let latest = json!({"savepoint": savepoints.first(), "restored": restored, "completed": null});
    serde_json::from_value(json!({"latest": latest, "history": savepoints})).expect("an answer")
}

/// Which savepoints are told, and whether as rolled back; and from which checkpoint a restore is.
fn told(changes: &[Change]) -> (Vec<(u64, bool)>, Option<u64>) {
    let mut savepoints = Vec::new();
    let mut restore = None;
    for change in changes {
        match change {
            Change::RecordSavepoint { id, rolled_back, .. } => savepoints.push((*id, *rolled_back)),
            Change::RecordRestore { id, .. } => restore = Some(*id),
            other => panic!("an observer does not ask for {other:?}"),
        }
    }
    (savepoints, restore)
}

/// A state that holds these snapshots as not live: id, completion, epoch.
fn ledger(history: &[(u64, i64, u64)]) -> DeploymentState {
    let mut known = JobState::new(ha_store::Sequence::new(1));
    for (id, at_ms, epoch) in history {
        let pointer = PointerRecord {
            external_pointer: place(*id),
            kind: SnapshotKind::Savepoint,
            trigger_timestamp_ms: *at_ms,
            completion_timestamp_ms: *at_ms,
            properties: String::new(),
            restored_properties: None,
            discard_subsumed: None,
        };
        known.history.push_back(Snapshot {
            id: *id,
            pointer,
            state: SnapshotState::Retained,
            epoch: Epoch::new(*epoch),
            added_at_ms: 0,
            left_epoch: Some(Epoch::new(*epoch)),
            rolled_back: false,
            pinned: false,
        });
    }
    DeploymentState { jobs: [(job(), known)].into(), ..DeploymentState::default() }
}

/// Observes with a store that records everything.
fn observe(observer: &mut Observer, answer: &Checkpoints) -> (Vec<(u64, bool)>, Option<u64>) {
    let changes = observer.observe(&job(), answer, &DeploymentState::default());
    changes.iter().for_each(|change| observer.recorded(change));
    told(&changes)
}

#[test]
fn a_savepoint_is_told_once_with_its_place_and_times() {
    let mut observer = Observer::new(EPOCH);
    let seen = answer(&[savepoint(7, 1_000)], None);
    let changes = observer.observe(&job(), &seen, &DeploymentState::default());
    let [Change::RecordSavepoint { id: 7, pointer, rolled_back: false, .. }] = &changes[..] else {
        panic!("{changes:?}")
    };
    assert_eq!(pointer.external_pointer, place(7));
    assert_eq!((pointer.trigger_timestamp_ms, pointer.completion_timestamp_ms), (995, 1_000));
    assert_eq!(pointer.kind, SnapshotKind::Savepoint);
    observer.recorded(&changes[0]);
    assert_eq!(observer.observe(&job(), &seen, &DeploymentState::default()), []);
}

#[test]
fn what_was_not_recorded_is_told_again_with_the_same_judgement() {
    let mut observer = Observer::new(EPOCH);
    let seen = answer(&[savepoint(7, 1_000)], Some((6, 1_500)));
    let first = observer.observe(&job(), &seen, &DeploymentState::default());
    assert_eq!(told(&first).0, [(7, true)]);
    assert_eq!(observer.observe(&job(), &seen, &DeploymentState::default()), first);
}

#[test]
fn a_savepoint_in_progress_failed_or_discarded_is_not_told() {
    for (field, value) in
        [("status", json!("IN_PROGRESS")), ("status", json!("FAILED")), ("discarded", json!(true))]
    {
        let mut it = savepoint(7, 1_000);
        it[field] = value;
        assert_eq!(observe(&mut Observer::new(EPOCH), &answer(&[it], None)), (vec![], None));
    }
}

#[test]
fn a_checkpoint_is_not_told_as_a_savepoint() {
    let mut it = savepoint(7, 1_000);
    it["is_savepoint"] = json!(false);
    assert_eq!(observe(&mut Observer::new(EPOCH), &answer(&[it], None)).0, []);
}

#[test]
fn a_savepoint_that_fell_out_of_the_history_is_told_by_the_latest_one() {
    let mut seen = answer(&[savepoint(7, 1_000)], None);
    seen.history.clear();
    assert_eq!(observe(&mut Observer::new(EPOCH), &seen).0, [(7, false)]);
}

#[test]
fn a_savepoint_is_rolled_back_by_a_restore_from_something_older_after_it() {
    let seen = answer(&[savepoint(7, 1_000)], Some((6, 1_000)));
    assert_eq!(observe(&mut Observer::new(EPOCH), &seen).0, [(7, true)]);
}

#[test]
fn a_savepoint_is_not_rolled_back_by_a_restore_before_it_or_from_itself_or_something_newer() {
    for restored in [(6, 999), (7, 2_000), (8, 2_000)] {
        let seen = answer(&[savepoint(7, 1_000)], Some(restored));
        assert_eq!(observe(&mut Observer::new(EPOCH), &seen).0, [(7, false)], "{restored:?}");
    }
}

#[test]
fn a_savepoint_that_was_recorded_is_told_again_when_its_job_rolls_back_behind_it() {
    let mut observer = Observer::new(EPOCH);
    observe(&mut observer, &answer(&[savepoint(7, 1_000)], None));
    let seen = answer(&[savepoint(7, 1_000)], Some((6, 1_500)));
    assert_eq!(observe(&mut observer, &seen).0, [(7, true)]);
    assert_eq!(observe(&mut observer, &seen).0, []);
}

#[test]
fn the_order_in_which_things_were_seen_counts_for_more_than_a_clock_that_was_set_back() {
    let mut observer = Observer::new(EPOCH);
    observe(&mut observer, &answer(&[], Some((6, 9_000))));
    let seen = answer(&[savepoint(7, 1_000)], Some((6, 9_000)));
    assert_eq!(observe(&mut observer, &seen).0, [(7, false)], "the restore was seen before the savepoint");
}

#[test]
fn an_old_answer_that_comes_late_rolls_nothing_back() {
    let fresh = answer(&[savepoint(37, 3_000)], Some((36, 2_000)));
    for old in [answer(&[], Some((20, 1_000))), answer(&[], None)] {
        let mut observer = Observer::new(EPOCH);
        assert_eq!(observe(&mut observer, &fresh), (vec![(37, false)], None));
        assert_eq!(observe(&mut observer, &old), (vec![], None), "{old:?}");
        let known = ledger(&[(37, 3_000, 3)]);
        assert_eq!(observer.observe(&job(), &old, &known), [], "{old:?}");
        // And it does not make the restore that is known a new one for a savepoint that comes with it.
        let later = answer(&[savepoint(38, 1_900), savepoint(37, 3_000)], Some((36, 2_000)));
        assert_eq!(observe(&mut observer, &later), (vec![(38, false)], None), "{old:?}");
    }
}

#[test]
fn a_restore_in_the_same_millisecond_as_the_one_before_is_a_later_one() {
    let mut observer = Observer::new(EPOCH);
    let seen = answer(&[savepoint(37, 2_000)], Some((36, 1_800)));
    assert_eq!(observe(&mut observer, &seen).0, [(37, false)]);
    let again = answer(&[savepoint(37, 2_000)], Some((20, 1_800)));
    assert_eq!(observe(&mut observer, &again).0, [(37, true)]);
}

#[test]
fn a_restore_is_told_when_the_ledger_has_something_newer_that_it_went_back_behind() {
    let mut observer = Observer::new(EPOCH);
    let changes =
        observer.observe(&job(), &answer(&[], Some((6, 1_500))), &ledger(&[(5, 800, 3), (7, 1_000, 3)]));
    assert_eq!(told(&changes), (vec![], Some(6)));
}

#[test]
fn a_restore_is_not_told_when_it_would_also_mark_what_came_after_it() {
    for later in [&[(7, 1_000, 3), (8, 2_000, 3)][..], &[(7, 1_000, 2)], &[(5, 800, 3)], &[]] {
        let mut observer = Observer::new(EPOCH);
        let changes = observer.observe(&job(), &answer(&[], Some((6, 1_500))), &ledger(later));
        assert_eq!(changes, [], "{later:?}");
    }
    let mut gone_on = ledger(&[(7, 1_000, 3)]);
    let known = gone_on.jobs.get_mut(&job()).expect("it is there");
    let live = Snapshot { id: 8, left_epoch: None, ..known.history[0].clone() };
    known.checkpoints.insert(8, live);
    assert_eq!(Observer::new(EPOCH).observe(&job(), &answer(&[], Some((6, 1_500))), &gone_on), []);
}

#[test]
fn memory_is_bounded_whatever_flink_is_configured_to_show() {
    let mut observer = Observer::new(EPOCH);
    let many: Vec<Value> = (1..=1_000).rev().map(|id| savepoint(id, 1_000)).collect();
    assert_eq!(observe(&mut observer, &answer(&many, None)).0.len(), SAVEPOINTS_MAX);
    assert_eq!(observer.jobs[&job()].savepoints.len(), SAVEPOINTS_MAX);
    observer.keep(&[]);
    assert!(observer.jobs.is_empty());
}
