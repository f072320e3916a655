//! Plans and refusals in words: the thing, the value, and the way out.

use ha_store::{
    DeploymentState, JobId, PlannedSnapshot, Snapshot, SnapshotKind, SnapshotState, is_place_of_checkpoint,
};

use super::{Candidate, Strategy};

pub(super) const ASKED_FOR_NOTHING: &str = "the strategy is none: the job starts without state";
pub(super) const NEVER_RECORDED: &str =
    "no snapshot was ever recorded for this deployment, so the job starts with what its own settings say";

/// Beyond so many a person does not read on.
const SHOWN_MAX: usize = 3;

/// One snapshot by name: `checkpoint 17 (s3://…/chk-17)`.
fn name(candidate: &Candidate<'_>) -> String {
    named_as(candidate.snapshot)
}

fn named_as(snapshot: &Snapshot) -> String {
    format!("{} {} ({})", kind(snapshot.pointer.kind), snapshot.id, snapshot.pointer.external_pointer)
}

fn kind(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Checkpoint => "checkpoint",
        SnapshotKind::Savepoint => "savepoint",
    }
}

pub(super) fn verified(files: usize) -> String {
    format!("verified, all of its {files} files are there")
}

pub(super) fn not_verified(why: &str) -> String {
    format!("not verified: {why}")
}

pub(super) fn newest(strategy: &str, chosen: &Candidate<'_>, how: &str, passed_over: &[String]) -> String {
    let newest = match strategy {
        "latest-savepoint" => "the newest savepoint",
        _ => "the newest snapshot of the lineage",
    };
    match passed_over {
        [] => format!("{} is {newest}; {how}", name(chosen)),
        _ => format!(
            "{} is used instead of {newest}, as --on-broken-snapshot previous allows; {how}; {}",
            name(chosen),
            first_of(passed_over)
        ),
    }
}

pub(super) fn named(strategy: &str, chosen: &Candidate<'_>, how: &str) -> String {
    format!("{} was asked for ({strategy}); {how}", name(chosen))
}

pub(super) fn from_elsewhere(strategy: &str, snapshot: &PlannedSnapshot, files: usize) -> String {
    format!(
        "{} {} ({}) was asked for ({strategy}), from outside this deployment's lineage; {}",
        kind(snapshot.kind),
        snapshot.id,
        snapshot.external_pointer,
        verified(files)
    )
}

pub(super) fn passed_over(candidate: &Candidate<'_>, what: &str) -> String {
    format!("{} cannot be restored: {what}", name(candidate))
}

pub(super) fn gone(snapshot: &Snapshot) -> String {
    match snapshot.state {
        SnapshotState::Subsumed => "Flink deleted its files when a newer one took its place".into(),
        _ => "Flink deleted its files when its job ended".into(),
    }
}

pub(super) fn broken(candidate: &Candidate<'_>, what: &str, before: Option<&Candidate<'_>>) -> String {
    let way_out = match before {
        Some(before) => format!(
            "bring its files back, or give up what happened since: --on-broken-snapshot previous, or --restore \
             snapshot:ID of an older one such as {}",
            name(before)
        ),
        None => {
            "bring its files back, or name another one with --restore snapshot:PATH; --restore none starts \
                 without state"
                .into()
        }
    };
    format!("{} cannot be restored: {what}; {way_out}", name(candidate))
}

pub(super) fn unanswered(candidate: &Candidate<'_>, why: &str) -> String {
    format!(
        "whether {} can be restored is not known: {why}; it is asked again, and nothing older is restored for that",
        name(candidate)
    )
}

pub(super) fn too_old(candidate: &Candidate<'_>, age_ms: i64, max_age_ms: u64) -> String {
    let since = match candidate.snapshot.pointer.has_times() {
        true => "was completed",
        false => "was completed nobody knows when, and recorded",
    };
    format!(
        "{} {since} {} s ago, longer than --max-snapshot-age allows ({} s); raise it to restore it all the same",
        name(candidate),
        age_ms / 1_000,
        max_age_ms / 1_000
    )
}

pub(super) fn ambiguous(name: &str, known: &[Candidate<'_>]) -> String {
    let places: Vec<_> = known.iter().map(|c| c.snapshot.pointer.external_pointer.clone()).collect();
    format!("{} snapshots have the id {name}: name one by its path: {}", places.len(), first_of(&places))
}

pub(super) fn unknown_id(id: &str, state: &DeploymentState) -> String {
    let kept: Vec<_> =
        state.snapshots().map(|(_, s)| s).filter(|s| s.is_kept()).map(|s| s.id.to_string()).collect();
    let known = match kept.as_slice() {
        [] => "none is".to_owned(),
        [.., newest] => format!("the newest of {} that are is {newest}", kept.len()),
    };
    format!(
        "no snapshot with the id {id} is kept in this deployment ({known}); see `holdfast snapshots list`, or give a path"
    )
}

pub(super) fn elsewhere_refused(path: &str, why: &str) -> String {
    format!("{path} is no snapshot of this deployment and was not found to be restorable: {why}")
}

pub(super) fn several_jobs(jobs: &[&JobId]) -> String {
    format!(
        "{} jobs of this deployment ran side by side ({}), and a deployment continues one; name the snapshot with \
         --restore snapshot:PATH, and give each job a deployment of its own",
        jobs.len(),
        first_of(&jobs.iter().map(|job| job.to_string()).collect::<Vec<_>>())
    )
}

pub(super) fn nothing_left(strategy: &Strategy, state: &DeploymentState, passed_over: &[String]) -> String {
    let behind = state.snapshots().filter(|(_, s)| s.rolled_back && s.is_kept()).count();
    let mut reasons = Vec::from_iter((!passed_over.is_empty()).then(|| first_of(passed_over)));
    if behind > 0 {
        reasons.push(format!("the job went back behind {behind} others, which are restored only by name"));
    }
    if reasons.is_empty() {
        reasons.push(match strategy {
            Strategy::LatestSavepoint => "no savepoint is known".into(),
            _ => "snapshots were recorded, and none of them is known any more".into(),
        });
    }
    format!(
        "nothing can be restored with {strategy}: {}; name a snapshot with --restore snapshot:PATH, or start without \
         state with --restore none",
        reasons.join("; ")
    )
}

/// All that can be restored and is no checkpoint is a savepoint.
pub(super) fn kind_of_path(path: &str) -> SnapshotKind {
    if is_place_of_checkpoint(path) { SnapshotKind::Checkpoint } else { SnapshotKind::Savepoint }
}

/// The first few of them, and how many more there are.
pub(crate) fn first_of(list: &[String]) -> String {
    let shown = list.iter().take(SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
    match list.len().saturating_sub(SHOWN_MAX) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}
