//! The ledger and the restore plan.

use super::*;
use crate::state::{ClaimMode, PlannedSnapshot, Reset, RestorePlan, Snapshot};

fn plan(generation: &str, restored: Option<u64>, claim_mode: ClaimMode) -> RestorePlan {
    let planned = |id| PlannedSnapshot {
        id,
        kind: SnapshotKind::Checkpoint,
        external_pointer: pointer(id).external_pointer,
    };
    RestorePlan {
        generation: generation.to_owned(),
        strategy: "latest-state".to_owned(),
        snapshot: restored.map(planned),
        first_start: false,
        claim_mode,
        allow_non_restored_state: false,
        why: "because".to_owned(),
        planned_at_ms: 0,
        epoch: Epoch::new(1),
        taken_by: None,
    }
}

fn savepoint(id: u64) -> PointerRecord {
    let external_pointer = format!("s3://b/savepoint-{id}");
    PointerRecord { external_pointer, kind: SnapshotKind::Savepoint, ..pointer(id) }
}

impl World {
    fn saw_savepoint(&mut self, id: u64, rolled_back: bool) -> Result<Answer, Refusal> {
        self.change(Change::RecordSavepoint { job: job(1), id, pointer: savepoint(id), rolled_back })
    }

    fn set(&mut self, plan: RestorePlan) -> Result<Answer, Refusal> {
        self.change(Change::SetPlan { plan })
    }

    fn pin(&mut self, external_pointer: &str, pinned: bool) -> Result<Answer, Refusal> {
        self.change(Change::Pin { external_pointer: external_pointer.to_owned(), pinned })
    }

    fn rolled_back(&self) -> Vec<u64> {
        self.state.snapshots().filter(|(_, s)| s.rolled_back).map(|(_, s)| s.id).collect()
    }

    fn known(&self, id: u64) -> Vec<SnapshotState> {
        self.state.snapshots().filter(|(_, s)| s.id == id).map(|(_, s)| s.state).collect()
    }
}

#[test]
fn a_new_generation_finds_nothing_live_and_an_announced_discard_counts() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.add(1, 2).unwrap();
    world.end(1, &[1]).unwrap();
    world.claim("second");
    assert!(world.job(1).checkpoints.is_empty());
    assert_eq!(world.known(1), [SnapshotState::Discarded]);
    assert_eq!(world.known(2), [SnapshotState::Retained]);
    assert_eq!(world.job(1).ended, None);
}

#[test]
fn a_generation_that_was_followed_by_another_never_comes_back() {
    let mut world = World::new();
    world.end(1, &[]).unwrap();
    world.claim("first");
    world.claim("second");
    world.put(1, 1, Expected::Absent).unwrap();
    let before = world.state.clone();
    let over = Refusal::GenerationOver { returning: "first".into(), present: "second".into() };
    assert_eq!(world.try_claim("first", true), Err(over.clone()));
    assert_eq!(world.state, before, "nobody is deposed, no result set aside, no graph dropped");
    let told = over.to_string();
    assert!(["first", "second", "reset --to"].iter().all(|word| told.contains(word)), "{told}");
    world.claim("second");
    world.claim("third");
    assert!(world.try_claim("second", true).is_err());
}

#[test]
fn a_generation_is_remembered_by_its_plan_when_its_grants_are_forgotten() {
    let mut world = World::new();
    world.set(plan("first", None, ClaimMode::NoClaim)).unwrap();
    world.claim("second");
    for _ in 0..world.limits.grant_history_max + 1 {
        world.claim("second");
    }
    assert!(world.state.grants.iter().all(|grant| grant.generation != "first"));
    assert!(world.try_claim("first", true).is_err());
}

#[test]
fn what_a_new_generation_finds_live_left_with_the_epoch_before_it() {
    let mut world = World::new();
    for id in 7..=9 {
        world.add(1, id).unwrap();
    }
    let ran_in = world.state.epoch();
    world.claim("second");
    world.add(2, 9).unwrap();
    assert_eq!(world.job(1).history.iter().map(|s| s.left_epoch).collect::<Vec<_>>(), [Some(ran_in); 2]);
    let runs_in = world.state.epoch();
    world.change(Change::CleanJob { job: job(2) }).unwrap();
    assert_eq!(world.job(2).history[0].left_epoch, Some(runs_in), "its job ended in this one");
}

#[test]
fn what_is_restored_moves_from_the_history_to_the_live_ones() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.claim("second");
    world.set(plan("second", Some(1), ClaimMode::Claim)).unwrap();
    world.put(2, 1, Expected::Absent).unwrap();
    world.add(2, 1).unwrap();
    assert_eq!(world.known(1), [SnapshotState::Active], "known once, under the job that holds it now");
    world.add(2, 2).unwrap();
    world.change(Change::RemoveCheckpoint { job: job(2), id: 1 }).unwrap();
    assert_eq!(world.known(1), [SnapshotState::Subsumed]);
}

/// As Flink adds a snapshot that a job is restored from.
fn restored(pointer: PointerRecord, kind: SnapshotKind) -> PointerRecord {
    PointerRecord {
        kind,
        trigger_timestamp_ms: 0,
        completion_timestamp_ms: 0,
        properties: "restored".into(),
        ..pointer
    }
}

#[test]
fn a_snapshot_that_is_restored_keeps_its_times_and_its_kind() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.claim("second");
    world.set(plan("second", Some(1), ClaimMode::NoClaim)).unwrap();
    let pointer = restored(pointer(1), SnapshotKind::Savepoint);
    let add = Change::AddCheckpoint { job: job(2), id: 1, pointer };
    assert_eq!(world.change(add.clone()), Ok(Answer::Created));
    assert_eq!(world.change(add), Ok(Answer::Unchanged), "said again");
    let found = &world.job(2).checkpoints[&1].pointer;
    assert_eq!((found.kind, found.completion_timestamp_ms), (SnapshotKind::Checkpoint, 1));
    assert_eq!(found.properties, "restored", "those under which the job holds it");
}

#[test]
fn of_a_snapshot_from_elsewhere_the_times_are_unknown_and_its_place_tells_its_kind() {
    for (place, kind) in
        [("/backup/chk-7", SnapshotKind::Checkpoint), ("/backup/sp-7", SnapshotKind::Savepoint)]
    {
        let mut world = World::new();
        let elsewhere = PointerRecord { external_pointer: place.into(), ..pointer(7) };
        let pointer = restored(elsewhere, SnapshotKind::Savepoint);
        world.change(Change::AddCheckpoint { job: job(1), id: 7, pointer }).unwrap();
        let found = &world.job(1).checkpoints[&7].pointer;
        assert_eq!((found.kind, found.has_times()), (kind, false), "{place}");
    }
}

#[test]
fn a_snapshot_that_was_not_claimed_stays_when_a_newer_one_takes_its_place() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.claim("second");
    world.set(plan("second", Some(1), ClaimMode::NoClaim)).unwrap();
    world.add(1, 1).unwrap();
    world.add(1, 2).unwrap();
    world.change(Change::RemoveCheckpoint { job: job(1), id: 1 }).unwrap();
    assert_eq!(world.known(1), [SnapshotState::Retained]);
}

#[test]
fn whether_flink_deletes_what_it_lets_go_is_in_the_properties_of_the_snapshot() {
    for (discards, fate) in [(true, SnapshotState::Subsumed), (false, SnapshotState::Retained)] {
        let mut world = World::new();
        world.set(RestorePlan { first_start: true, ..plan("first", None, ClaimMode::NoClaim) }).unwrap();
        let given = PointerRecord { discard_subsumed: Some(discards), ..savepoint(1) };
        world.change(Change::AddCheckpoint { job: job(1), id: 1, pointer: given }).unwrap();
        world.add(1, 2).unwrap();
        world.change(Change::RemoveCheckpoint { job: job(1), id: 1 }).unwrap();
        assert_eq!(world.known(1), [fate], "discards: {discards}");
    }
}

#[test]
fn a_snapshot_is_the_same_however_its_place_is_written() {
    for named in ["/backup/sp-1", "/backup/sp-1/", "file:///backup/sp-1/_metadata"] {
        let mut world = World::new();
        let recorded = PointerRecord { external_pointer: "file:/backup/sp-1".into(), ..savepoint(1) };
        let planned =
            PlannedSnapshot { id: 1, kind: SnapshotKind::Savepoint, external_pointer: named.into() };
        let snapshot = Some(planned);
        world.set(RestorePlan { snapshot, ..plan("first", None, ClaimMode::NoClaim) }).unwrap();
        world.change(Change::AddCheckpoint { job: job(1), id: 1, pointer: recorded }).unwrap();
        world.add(1, 2).unwrap();
        world.change(Change::RemoveCheckpoint { job: job(1), id: 1 }).unwrap();
        assert_eq!(world.known(1), [SnapshotState::Retained], "{named}: its owner's");
        assert_eq!(world.pin(named, true), Ok(Answer::Changed));
    }
}

#[test]
fn a_plan_is_durable_once_for_its_generation() {
    let mut world = World::new();
    let wrong = world.set(plan("other", None, ClaimMode::Claim));
    assert!(matches!(wrong, Err(Refusal::WrongGeneration { .. })), "{wrong:?}");
    assert_eq!(world.set(plan("first", None, ClaimMode::Claim)), Ok(Answer::Created));
    assert_eq!(world.set(plan("first", None, ClaimMode::Claim)), Ok(Answer::Unchanged));
    let other = world.set(plan("first", Some(3), ClaimMode::Claim));
    assert!(matches!(other, Err(Refusal::AlreadyExists { .. })), "{other:?}");
    world.claim("first");
    assert!(world.state.plan.is_some(), "a failover has the same plan");
    world.claim("second");
    assert_eq!((world.state.plan.clone(), world.state.plans.len()), (None, 1));
}

#[test]
fn whoever_takes_the_plan_leaves_behind_what_is_newer_than_its_snapshot() {
    let mut world = World::new();
    for id in 1..=3 {
        world.add(1, id).unwrap();
    }
    world.claim("second");
    world.set(plan("second", Some(1), ClaimMode::NoClaim)).unwrap();
    assert!(world.rolled_back().is_empty(), "a plan that nobody takes changes nothing");
    world.put(1, 1, Expected::Absent).unwrap();
    assert_eq!(world.rolled_back(), [2, 3]);
    assert_eq!(world.state.plan.as_ref().unwrap().taken_by, Some(job(1)));
    world.put(2, 2, Expected::Absent).unwrap();
    assert_eq!(world.state.plan.as_ref().unwrap().taken_by, Some(job(1)), "it is taken once");
}

#[test]
fn an_empty_start_leaves_everything_behind() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.claim("second");
    world.set(plan("second", None, ClaimMode::Claim)).unwrap();
    world.put(1, 1, Expected::Absent).unwrap();
    assert_eq!(world.rolled_back(), [1]);
    assert!(world.state.snapshots_seen);
}

#[test]
fn a_savepoint_is_retained_and_never_live() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    assert_eq!(world.saw_savepoint(2, false), Ok(Answer::Created));
    assert_eq!(world.saw_savepoint(2, false), Ok(Answer::Unchanged));
    assert_eq!(world.known(2), [SnapshotState::Retained]);
    assert_eq!(world.job(1).checkpoints.len(), 1);
    assert_eq!(world.saw_savepoint(2, true), Ok(Answer::Changed), "the job went back behind it");
    assert_eq!(world.rolled_back(), [2]);
}

#[test]
fn a_restore_rolls_back_what_is_newer_and_live_ones_are_what_it_goes_on_from() {
    let mut world = World::new();
    world.add(1, 36).unwrap();
    world.saw_savepoint(37, false).unwrap();
    assert_eq!(world.change(Change::RecordRestore { job: job(1), id: 37 }), Ok(Answer::Value(0)));
    assert_eq!(world.change(Change::RecordRestore { job: job(1), id: 36 }), Ok(Answer::Value(1)));
    assert_eq!(world.change(Change::RecordRestore { job: job(1), id: 36 }), Ok(Answer::Value(0)));
    assert_eq!(world.rolled_back(), [37]);
}

#[test]
fn a_failover_rolls_back_savepoints_behind_the_newest_checkpoint_unless_the_job_has_ended() {
    for ended in [false, true] {
        let mut world = World::new();
        world.add(1, 36).unwrap();
        world.saw_savepoint(37, false).unwrap();
        if ended {
            let id = ResultId::try_from(job(1).as_str()).unwrap();
            let status = "FINISHED".to_owned();
            let create = Change::CreateResult { kind: ResultKind::Jobs, id, status, payload: blob(1) };
            world.change(create).unwrap();
        }
        world.claim("first");
        assert_eq!(world.rolled_back().is_empty(), ended, "a stop with a savepoint is an end");
    }
}

#[test]
fn nothing_is_rolled_back_when_an_application_ended_without_its_job() {
    let mut world = World::new();
    world.set(plan("first", None, ClaimMode::NoClaim)).unwrap();
    world.put(1, 1, Expected::Absent).unwrap();
    world.add(1, 8).unwrap();
    let id = ResultId::from(job(1));
    let status = "FAILED".to_owned();
    let create = Change::CreateResult { kind: ResultKind::Applications, id, status, payload: blob(2) };
    world.change(create).unwrap();
    world.change(Change::CleanDeployment).unwrap();
    world.claim("first");
    assert_eq!((world.rolled_back(), world.known(8)), (vec![], vec![SnapshotState::Retained]));
}

#[test]
fn a_pinned_snapshot_outlives_every_history() {
    let mut world = World::new();
    world.saw_savepoint(1, false).unwrap();
    assert_eq!(world.pin("s3://b/savepoint-1", true), Ok(Answer::Changed));
    assert_eq!(world.pin("s3://b/savepoint-1", true), Ok(Answer::Unchanged));
    for id in 2..20 {
        world.saw_savepoint(id, false).unwrap();
    }
    assert_eq!(world.known(1), [SnapshotState::Retained]);
    assert_eq!(world.job(1).history.len(), 5);
    world.pin("s3://b/savepoint-1", false).unwrap();
    world.saw_savepoint(20, false).unwrap();
    assert!(world.known(1).is_empty());
}

#[test]
fn a_live_checkpoint_cannot_be_pinned_because_flink_deletes_it() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    assert_eq!(world.pin("s3://b/chk-1", true), Err(Refusal::NotPinnable { id: 1 }));
    let unknown = world.pin("s3://b/chk-9", true);
    assert!(matches!(unknown, Err(Refusal::UnknownSnapshot { .. })), "{unknown:?}");
    world.claim("second");
    assert_eq!(world.pin("s3://b/chk-1", true), Ok(Answer::Changed));
    world.add(1, 1).unwrap();
    let pinned = |snapshot: &Snapshot| snapshot.pinned;
    assert!(pinned(&world.job(1).checkpoints[&1]), "it stays pinned when a job is restored from it");
}

#[test]
fn what_a_job_is_about_to_claim_cannot_be_pinned_until_that_job_has_ended() {
    let mut world = World::new();
    world.saw_savepoint(1, false).unwrap();
    world.claim("second");
    let planned = PlannedSnapshot {
        id: 1,
        kind: SnapshotKind::Savepoint,
        external_pointer: savepoint(1).external_pointer,
    };
    let claims = RestorePlan { snapshot: Some(planned), ..plan("second", None, ClaimMode::Claim) };
    world.set(claims).unwrap();
    assert_eq!(world.pin("s3://b/savepoint-1", true), Err(Refusal::NotKept { id: 1 }));
    world.put(1, 1, Expected::Absent).unwrap();
    assert_eq!(world.pin("s3://b/savepoint-1", true), Err(Refusal::NotKept { id: 1 }), "it was taken");
    world.end(1, &[]).unwrap();
    assert_eq!(world.pin("s3://b/savepoint-1", true), Ok(Answer::Changed));
}

#[test]
fn no_checkpoint_can_be_pinned_while_the_job_has_claimed_one_since_they_share_files() {
    let mut world = World::new();
    for id in 7..=9 {
        world.add(1, id).unwrap();
    }
    world.saw_savepoint(6, false).unwrap();
    world.claim("second");
    world.set(plan("second", Some(9), ClaimMode::Claim)).unwrap();
    let shares = Err(Refusal::SharesClaimed { id: 7, claimed: 9 });
    assert_eq!(world.pin("s3://b/chk-7", true), shares.clone(), "it is about to be");
    world.put(1, 1, Expected::Absent).unwrap();
    world.add(1, 9).unwrap();
    assert_eq!(world.pin("s3://b/chk-7", true), shares);
    assert_eq!(world.pin("s3://b/savepoint-6", true), Ok(Answer::Changed), "a savepoint shares with none");
    world.end(1, &[]).unwrap();
    assert_eq!(world.pin("s3://b/chk-7", true), Ok(Answer::Changed));
}

#[test]
fn a_snapshot_that_was_pinned_while_its_plan_was_made_is_not_claimed() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.claim("second");
    world.pin("s3://b/chk-1", true).unwrap();
    assert_eq!(world.set(plan("second", Some(1), ClaimMode::Claim)), Ok(Answer::Created));
    let mode = world.state.plan.as_ref().map(|plan| plan.claim_mode);
    assert_eq!(mode, Some(ClaimMode::NoClaim));
    assert_eq!(world.set(plan("second", Some(1), ClaimMode::Claim)), Ok(Answer::Unchanged), "asked again");
}

#[test]
fn snapshots_whose_files_are_gone_make_room_before_those_that_can_be_restored() {
    let mut world = World::new();
    world.saw_savepoint(1, false).unwrap();
    for id in 2..20 {
        world.add(1, id).unwrap();
        world.change(Change::RemoveCheckpoint { job: job(1), id }).unwrap();
    }
    assert_eq!(world.known(1), [SnapshotState::Retained]);
    assert_eq!(world.job(1).history.len(), 4, "the savepoint and gone_snapshots_max others");
}

#[test]
fn a_reset_stands_until_a_plan_was_made_with_it() {
    let mut world = World::new();
    let reset = Reset { external_pointer: "s3://b/chk-1".to_owned(), asked_at_ms: 0 };
    let wish = Change::SetReset { reset: Some(reset) };
    assert_eq!(world.change(wish.clone()), Ok(Answer::Changed));
    assert_eq!(world.change(wish), Ok(Answer::Unchanged));
    world.claim("second");
    assert!(world.state.reset.is_some());
    world.set(plan("second", Some(1), ClaimMode::NoClaim)).unwrap();
    assert_eq!(world.state.reset, None);
}

#[test]
fn whoever_only_writes_something_down_rolls_nothing_back() {
    let mut world = World::new();
    world.add(1, 36).unwrap();
    world.saw_savepoint(37, false).unwrap();
    world.claim_as("first", false);
    assert!(world.rolled_back().is_empty(), "no JobManager went on from checkpoint 36");
}

#[test]
fn a_job_that_starts_over_before_its_first_checkpoint_leaves_its_savepoints_behind() {
    for fails_over in [false, true] {
        let mut world = World::new();
        world.set(RestorePlan { first_start: true, ..plan("first", None, ClaimMode::NoClaim) }).unwrap();
        world.put(1, 1, Expected::Absent).unwrap();
        world.saw_savepoint(1, false).unwrap();
        match fails_over {
            true => world.claim("first"),
            false => drop(world.change(Change::RecordRestore { job: job(1), id: 0 }).unwrap()),
        }
        assert_eq!(world.rolled_back(), [1]);
    }
}

#[test]
fn a_job_that_starts_over_goes_back_to_what_its_generation_began_with() {
    let mut world = World::new();
    world.add(1, 1).unwrap();
    world.add(1, 2).unwrap();
    world.claim("second");
    world.set(plan("second", Some(2), ClaimMode::NoClaim)).unwrap();
    world.claim("second");
    assert!(world.rolled_back().is_empty(), "nobody has taken the plan");
    world.put(1, 1, Expected::Absent).unwrap();
    world.saw_savepoint(3, false).unwrap();
    assert_eq!(world.change(Change::RecordRestore { job: job(1), id: 0 }), Ok(Answer::Value(1)));
    assert_eq!(world.rolled_back(), [3]);
}

#[test]
fn a_savepoint_that_is_refused_changes_nothing() {
    let mut world = World::new();
    for n in 1..=3 {
        world.put(n, n, Expected::Absent).unwrap();
    }
    let before = world.state.clone();
    let refused = world.change(Change::RecordSavepoint {
        job: job(9),
        id: 1,
        pointer: savepoint(1),
        rolled_back: false,
    });
    assert!(matches!(refused, Err(Refusal::LimitReached { .. })), "{refused:?}");
    assert_eq!(world.state, before, "least of all the proof that there is nothing to restore");
}

#[test]
fn jobs_of_earlier_generations_make_room_oldest_first_and_never_the_one_to_go_on_from() {
    let mut world = World::new();
    for n in 1..20 {
        world.claim(&format!("generation-{n}"));
        world.set(plan(&format!("generation-{n}"), (n > 1).then(|| n - 1), ClaimMode::NoClaim)).unwrap();
        world.put(n, n, Expected::Absent).unwrap();
        world.add(n, n).unwrap();
        let kept: Vec<_> = world.state.jobs.keys().cloned().collect();
        let newest: Vec<_> = (n.saturating_sub(2).max(1)..=n).map(job).collect();
        assert_eq!(kept, newest, "generation {n}");
    }
    // What is wished for is the oldest that is left, and in the way of the next job.
    let reset = Reset { external_pointer: pointer(17).external_pointer, asked_at_ms: 0 };
    world.change(Change::SetReset { reset: Some(reset) }).unwrap();
    world.claim("generation-20");
    world.put(20, 1, Expected::Absent).unwrap();
    assert_eq!(world.state.jobs.keys().cloned().collect::<Vec<_>>(), [job(17), job(19), job(20)]);
}

#[test]
fn a_job_that_lost_its_files_where_the_lineage_stands_is_not_forgotten_for_one_that_has_older_ones() {
    let mut world = World::new();
    world.add(1, 5).unwrap();
    world.claim("second");
    world.add(2, 11).unwrap();
    world.end(2, &[11]).unwrap();
    world.change(Change::CleanJob { job: job(2) }).unwrap();
    world.claim("third");
    world.put(3, 3, Expected::Absent).unwrap();
    world.put(4, 4, Expected::Absent).unwrap();
    assert_eq!(world.known(11), [SnapshotState::Discarded], "or the older one would pass for the newest");
}
