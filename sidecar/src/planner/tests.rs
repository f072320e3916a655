use super::*;
use ha_store::{Grant, JobState, PointerRecord, Reset, Sequence, SnapshotState};
use serde_json::json;

const NOW_MS: i64 = 1_000_000;

/// A state as the log would have it, and what verification would find there.
struct World {
    state: DeploymentState,
    wish: Wish,
    found: BTreeMap<String, Found>,
    asked: Vec<String>,
}

fn job(n: u64) -> JobId {
    format!("{n:032x}").parse().expect("a job id")
}

fn path(id: u64) -> String {
    format!("s3://b/chk-{id}")
}

impl World {
    fn new() -> Self {
        let grant: Grant =
            serde_json::from_value(json!({"session": "s", "holder": "p", "epoch": 2, "claimed_at_ms": 0}))
                .expect("a grant");
        let state =
            DeploymentState { grant: Some(grant), snapshots_seen: true, ..DeploymentState::default() };
        Self { state, wish: Wish::default(), found: BTreeMap::new(), asked: Vec::new() }
    }

    fn job(&mut self, n: u64) -> &mut JobState {
        self.state.jobs.entry(job(n)).or_insert_with(|| JobState::new(Sequence::new(1)))
    }

    /// A snapshot that left the live ones under epoch 1, or under the newest.
    fn knows(&mut self, n: u64, id: u64, kind: SnapshotKind, state: SnapshotState) -> &mut Snapshot {
        let place = match kind {
            SnapshotKind::Checkpoint => path(id),
            SnapshotKind::Savepoint => format!("s3://b/savepoint-{id}"),
        };
        let pointer = PointerRecord {
            external_pointer: place,
            kind,
            trigger_timestamp_ms: 0,
            completion_timestamp_ms: NOW_MS - 10_000,
            properties: String::new(),
            restored_properties: None,
            discard_subsumed: None,
        };
        let left_epoch = Some(Epoch::new(1));
        let snapshot = Snapshot {
            id,
            pointer,
            state,
            epoch: Epoch::new(1),
            added_at_ms: 0,
            left_epoch,
            rolled_back: false,
            pinned: false,
        };
        let history = &mut self.job(n).history;
        history.push_back(snapshot);
        history.back_mut().expect("just added")
    }

    fn retained(&mut self, id: u64) -> &mut Snapshot {
        self.knows(1, id, SnapshotKind::Checkpoint, SnapshotState::Retained)
    }

    fn savepoint(&mut self, id: u64) -> &mut Snapshot {
        self.knows(1, id, SnapshotKind::Savepoint, SnapshotState::Retained)
    }

    fn finds(&mut self, pointer: &str, found: Found) {
        self.found.insert(pointer.to_owned(), found);
    }

    fn breaks(&mut self, id: u64) {
        self.finds(&path(id), Found::Broken { what: "1 file is missing".into() });
    }

    /// What comes out when everything that was not set otherwise can be restored.
    fn decide(&mut self) -> Result<RestorePlan, String> {
        let circumstances = Circumstances { generation: "g2", epoch: Epoch::new(3), now_ms: NOW_MS };
        loop {
            match plan(&self.state, &self.wish, &circumstances, &self.found) {
                Step::Verify(pointer) => {
                    assert!(!self.found.contains_key(&pointer), "asked twice for {pointer}");
                    let digits: String = pointer.chars().rev().take_while(char::is_ascii_digit).collect();
                    let id = digits.chars().rev().collect::<String>().parse().expect("ends in its id");
                    self.asked.push(pointer.clone());
                    self.found.insert(pointer, Found::Restorable { id, files: 4 });
                }
                Step::Plan(plan) => return Ok(*plan),
                Step::Refuse(reason) => return Err(reason),
            }
        }
    }

    fn chosen(&mut self) -> u64 {
        self.decide().expect("a plan").snapshot.expect("a snapshot").id
    }
}

#[test]
fn a_deployment_that_never_completed_a_snapshot_starts_without() {
    let mut world = World::new();
    world.state.snapshots_seen = false;
    world.job(1).next_checkpoint_id = 9;
    let plan = world.decide().unwrap();
    assert_eq!((plan.snapshot, plan.first_start), (None, true), "{}", plan.why);
}

#[test]
fn once_there_was_a_snapshot_nothing_but_none_starts_without_state() {
    let mut world = World::new();
    let refusal = world.decide().unwrap_err();
    assert!(refusal.contains("--restore none"), "{refusal}");
    world.wish.strategy = Strategy::None;
    let plan = world.decide().unwrap();
    assert_eq!((plan.snapshot, plan.first_start), (None, false));
}

#[test]
fn the_newest_of_checkpoints_and_savepoints_is_restored_by_id_and_not_by_time() {
    let mut world = World::new();
    world.retained(36);
    world.savepoint(37).pointer.completion_timestamp_ms = 0;
    assert_eq!(world.chosen(), 37);
    world.retained(38);
    assert_eq!(world.chosen(), 38);
    assert_eq!(world.asked, ["s3://b/savepoint-37", "s3://b/chk-38"], "what is not needed is not verified");
}

#[test]
fn a_snapshot_that_the_job_went_back_behind_is_not_newer() {
    let mut world = World::new();
    world.retained(36);
    world.savepoint(37).rolled_back = true;
    assert_eq!(world.chosen(), 36);
}

#[test]
fn a_newest_whose_files_are_gone_is_where_the_lineage_stands_all_the_same() {
    let mut world = World::new();
    world.retained(5);
    world.knows(1, 11, SnapshotKind::Checkpoint, SnapshotState::Discarded);
    let refusal = world.decide().unwrap_err();
    assert!(refusal.contains("checkpoint 11") && refusal.contains("checkpoint 5"), "{refusal}");
    assert!(world.asked.is_empty());
    world.wish.on_broken = OnBroken::Previous;
    assert_eq!(world.chosen(), 5);
}

#[test]
fn a_broken_newest_is_refused_and_passed_over_only_when_that_is_allowed() {
    let mut world = World::new();
    world.retained(1);
    world.retained(2);
    world.breaks(2);
    let refusal = world.decide().unwrap_err();
    assert!(refusal.contains("1 file is missing") && refusal.contains("previous"), "{refusal}");
    world.wish.on_broken = OnBroken::Previous;
    let plan = world.decide().unwrap();
    assert!(plan.why.contains("chk-1") && plan.why.contains("chk-2"), "{}", plan.why);
    assert_eq!(
        plan.claim_mode,
        ClaimMode::NoClaim,
        "somebody may still mend the newest, which may share its files"
    );
}

#[test]
fn an_unanswered_question_never_leads_to_an_older_snapshot() {
    let mut world = World::new();
    world.wish.on_broken = OnBroken::Previous;
    world.retained(1);
    world.retained(2);
    world.finds(&path(2), Found::Unknown { why: "the store is away".into() });
    let refusal = world.decide().unwrap_err();
    assert!(refusal.contains("the store is away"), "{refusal}");
}

#[test]
fn a_metadata_file_of_another_checkpoint_is_not_this_one() {
    let mut world = World::new();
    world.retained(2);
    world.finds(&path(2), Found::Restorable { id: 1, files: 0 });
    assert!(world.decide().unwrap_err().contains("checkpoint 1"));
}

#[test]
fn a_store_that_only_flink_can_read_is_left_to_flink_and_said_so() {
    let mut world = World::new();
    world.retained(2);
    world.finds(&path(2), Found::Unverifiable { why: "no client for hdfs".into() });
    let plan = world.decide().unwrap();
    assert!(plan.why.contains("not verified: no client for hdfs"), "{}", plan.why);
}

#[test]
fn the_newest_savepoint_may_be_older_than_checkpoints() {
    let mut world = World::new();
    world.wish.strategy = Strategy::LatestSavepoint;
    world.savepoint(3);
    world.retained(9);
    assert_eq!(world.chosen(), 3);
    world.state.jobs.clear();
    world.retained(9);
    assert!(world.decide().unwrap_err().contains("no savepoint"));
}

#[test]
fn a_snapshot_is_named_by_its_id_or_by_any_spelling_of_its_path() {
    for name in ["2", "s3://b/chk-2", "s3://b/chk-2/", "s3://b/chk-2/_metadata"] {
        let mut world = World::new();
        world.retained(2).rolled_back = true;
        world.retained(3);
        world.wish.strategy = Strategy::Snapshot(name.into());
        assert_eq!(world.chosen(), 2, "{name}");
    }
}

#[test]
fn an_id_that_nobody_knows_or_that_two_have_is_refused() {
    let mut world = World::new();
    world.retained(3);
    world.wish.strategy = Strategy::Snapshot("7".into());
    assert!(world.decide().unwrap_err().contains("no snapshot with the id 7"));
    world.wish.strategy = Strategy::Snapshot("3".into());
    world.knows(2, 3, SnapshotKind::Savepoint, SnapshotState::Retained);
    assert!(world.decide().unwrap_err().contains("2 snapshots"));
}

#[test]
fn a_snapshot_from_elsewhere_is_verified_and_never_claimed_by_itself() {
    let mut world = World::new();
    world.state.snapshots_seen = false;
    world.wish.strategy = Strategy::Snapshot("s3://other/savepoint-88".into());
    let plan = world.decide().unwrap();
    assert_eq!(plan.snapshot.unwrap().id, 88);
    assert_eq!(plan.claim_mode, ClaimMode::NoClaim);
    world.found.clear();
    world.finds("s3://other/savepoint-88", Found::Broken { what: "not there".into() });
    assert!(world.decide().unwrap_err().contains("not there"));
}

#[test]
fn a_reset_goes_before_every_strategy() {
    let mut world = World::new();
    world.retained(2);
    world.retained(3);
    world.wish.strategy = Strategy::None;
    world.state.reset = Some(Reset { external_pointer: path(2), asked_at_ms: 0 });
    let plan = world.decide().unwrap();
    assert_eq!((plan.snapshot.unwrap().id, plan.strategy.as_str()), (2, "reset"));
    assert_eq!(plan.claim_mode, ClaimMode::NoClaim, "the way forward again stays open");
    world.wish.claim_mode = Some(ClaimMode::Claim);
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::NoClaim, "whatever is wished");
}

#[test]
fn what_was_reset_to_is_not_claimed_by_a_later_generation_while_what_came_after_it_is_kept() {
    let mut world = World::new();
    world.retained(5);
    world.retained(9).rolled_back = true;
    let plan = world.decide().unwrap();
    assert_eq!(
        (plan.snapshot.unwrap().id, plan.claim_mode),
        (5, ClaimMode::NoClaim),
        "9 may share its files"
    );
    world.job(1).history[1].state = SnapshotState::Discarded;
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::Claim, "its files are gone");
    world.job(1).history[1].state = SnapshotState::Retained;
    world.retained(10);
    let plan = world.decide().unwrap();
    assert_eq!((plan.snapshot.unwrap().id, plan.claim_mode), (10, ClaimMode::Claim), "9 is not built on it");
}

#[test]
fn a_savepoint_that_was_rolled_back_is_built_on_no_checkpoint() {
    let mut world = World::new();
    world.retained(5);
    world.savepoint(6).rolled_back = true;
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::Claim);
}

#[test]
fn a_snapshot_over_the_age_limit_is_refused_not_replaced() {
    let mut world = World::new();
    world.retained(2);
    world.wish.max_age_ms = Some(9_999);
    assert!(world.decide().unwrap_err().contains("--max-snapshot-age"));
    world.wish.max_age_ms = Some(10_000);
    assert_eq!(world.chosen(), 2);
}

#[test]
fn the_age_of_a_snapshot_from_elsewhere_counts_from_when_it_was_recorded() {
    let mut world = World::new();
    let from_elsewhere = world.retained(2);
    from_elsewhere.pointer.completion_timestamp_ms = 0;
    from_elsewhere.added_at_ms = NOW_MS - 10_000;
    world.wish.max_age_ms = Some(10_000);
    assert_eq!(world.chosen(), 2, "it was not completed in 1970");
    world.wish.max_age_ms = Some(9_999);
    let refusal = world.decide().unwrap_err();
    assert!(refusal.contains("recorded 10 s ago"), "{refusal}");
}

#[test]
fn only_the_newest_checkpoint_is_claimed_and_not_beside_a_pinned_one() {
    let mut world = World::new();
    world.retained(1);
    world.retained(2);
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::Claim);
    world.wish.claim_mode = Some(ClaimMode::NoClaim);
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::NoClaim);
    world.wish.claim_mode = Some(ClaimMode::Claim);
    world.job(1).history[0].pinned = true;
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::NoClaim, "they may share files");
    world.job(1).history[0].pinned = false;
    world.savepoint(3);
    world.wish.claim_mode = None;
    assert_eq!(world.decide().unwrap().claim_mode, ClaimMode::NoClaim, "a savepoint is its owner's");
}

#[test]
fn two_jobs_that_ran_side_by_side_are_not_mistaken_for_one_lineage() {
    let mut world = World::new();
    world.retained(5).left_epoch = Some(Epoch::new(2));
    world.knows(2, 9, SnapshotKind::Checkpoint, SnapshotState::Retained).left_epoch = Some(Epoch::new(2));
    assert!(world.decide().unwrap_err().contains("side by side"));
    world.job(1).history[0].left_epoch = Some(Epoch::new(1));
    assert_eq!(world.chosen(), 9, "one that ran before is the same lineage");
    world.job(2).history[0].left_epoch = Some(Epoch::new(1));
    assert!(world.decide().unwrap_err().contains("side by side"), "though no job has run since");
    world.knows(3, 11, SnapshotKind::Checkpoint, SnapshotState::Active).left_epoch = None;
    assert_eq!(world.chosen(), 11, "one that runs now follows them");
}
