//! What a generation restores: a pure function of what is recorded, what is wished, and what verification found.
//!
//! It never reads a file. Where it needs to know whether a snapshot can be restored it says so ([`Step::Verify`]), and is
//! asked again with the answer. It is driven by `planning.rs`.
//!
//! Its rules:
//!
//! * The order is that of checkpoint ids within the lineage, checkpoints and savepoints alike, never of timestamps. What
//!   the job has rolled back behind does not count: its sinks may have aborted what it did in between.
//! * The newest that counts is where the lineage stands, *whatever became of its files*. If they are gone, latest-state
//!   refuses; it does not go further back by itself (promise P1). Only `--on-broken-snapshot previous` does.
//! * A question that was not answered is no answer: nothing older is restored because a store is away (FLINK-22502).
//! * Nothing but `none` starts without state, or the proof that no snapshot was ever recorded. A checkpoint that was
//!   triggered and never completed is no snapshot (FLINK-29100).
//! * The files of a snapshot become the job's own only where nobody else wants them: a checkpoint, the newest, and
//!   nothing pinned beside it, nor anything rolled back that may be built on it. A savepoint is its owner's. What was reset
//!   to is never claimed, whatever is wished: the way forward again stays open.

mod words;

pub(crate) use words::first_of;

use std::collections::BTreeMap;

use ha_store::{
    ClaimMode, DeploymentState, Epoch, JobId, PlannedSnapshot, RestorePlan, Snapshot, SnapshotKind,
    is_same_place,
};

/// What the user wants to be restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// From what.
    pub strategy: Strategy,
    /// Nothing that was completed longer ago than this.
    pub max_age_ms: Option<u64>,
    /// State that belongs to no operator of the new job may be left behind.
    pub allow_non_restored_state: bool,
    /// Who owns the files from then on; `None` follows the rule above.
    pub claim_mode: Option<ClaimMode>,
    /// What to do when the newest cannot be restored.
    pub on_broken: OnBroken,
}

/// From what a new generation starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Strategy {
    /// The newest of checkpoints and savepoints.
    LatestState,
    /// The newest savepoint.
    LatestSavepoint,
    /// Without state.
    None,
    /// This one: a checkpoint id, or the path of a snapshot.
    Snapshot(String),
}

/// What to do when the newest snapshot cannot be restored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnBroken {
    /// Restore nothing, and grant nobody.
    Refuse,
    /// Restore the one before it. What happened since is processed again.
    Previous,
}

/// What verification found about one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// Everything it refers to is there.
    Restorable {
        /// The id in its `_metadata`.
        id: u64,
        /// How many files that are, for people.
        files: usize,
    },
    /// Holdfast has no client for the store that it is in.
    Unverifiable {
        /// Which store, for people.
        why: String,
    },
    /// It certainly cannot be restored.
    Broken {
        /// What is missing or damaged.
        what: String,
    },
    /// The question was not answered.
    Unknown {
        /// What stood in the way.
        why: String,
    },
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Find out about the snapshot there, and ask again.
    Verify(String),
    /// This is what the generation restores.
    Plan(Box<RestorePlan>),
    /// Nothing is restored and nobody is granted, for this reason.
    Refuse(String),
}

/// Under which circumstances a plan is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Circumstances<'a> {
    /// The generation that it is for.
    pub generation: &'a str,
    /// The epoch under which it will be written.
    pub epoch: Epoch,
    /// Now, by the wall clock. Unix milliseconds.
    pub now_ms: i64,
}

/// Takes what is known and answers with what follows. `found` is by external pointer.
pub fn plan(
    state: &DeploymentState,
    wish: &Wish,
    circumstances: &Circumstances<'_>,
    found: &BTreeMap<String, Found>,
) -> Step {
    let planner = Planner { state, wish, circumstances, found };
    if let Some(reset) = &state.reset {
        return planner.named(RESET, &reset.external_pointer);
    }
    match &wish.strategy {
        Strategy::None => planner.empty("none", false, words::ASKED_FOR_NOTHING.into()),
        Strategy::Snapshot(name) => planner.named(&wish.strategy.to_string(), name),
        Strategy::LatestState | Strategy::LatestSavepoint if !state.snapshots_seen => {
            planner.empty(&wish.strategy.to_string(), true, words::NEVER_RECORDED.into())
        }
        Strategy::LatestState | Strategy::LatestSavepoint => planner.latest(),
    }
}

/// What a plan that follows a [`ha_store::Reset`] names as its strategy.
const RESET: &str = "reset";

struct Planner<'a> {
    state: &'a DeploymentState,
    wish: &'a Wish,
    circumstances: &'a Circumstances<'a>,
    found: &'a BTreeMap<String, Found>,
}

/// A snapshot that may be chosen.
#[derive(Debug, Clone, Copy)]
struct Candidate<'a> {
    job: &'a JobId,
    snapshot: &'a Snapshot,
}

/// What became of a candidate.
enum Judged {
    Verify(String),
    Good { id: u64, how: String },
    Bad(String),
    Unanswered(String),
}

// === impl Planner ===

impl<'a> Planner<'a> {
    fn latest(&self) -> Step {
        let lineage = self.lineage();
        if let Some(refusal) = self.several_jobs(&lineage) {
            return Step::Refuse(refusal);
        }
        let mut passed_over: Vec<String> = Vec::new();
        for (rank, candidate) in lineage.iter().enumerate() {
            match self.judge(candidate) {
                Judged::Verify(pointer) => return Step::Verify(pointer),
                Judged::Unanswered(why) => return Step::Refuse(words::unanswered(candidate, &why)),
                Judged::Bad(what) if self.wish.on_broken == OnBroken::Refuse => {
                    return Step::Refuse(words::broken(candidate, &what, lineage.get(rank + 1)));
                }
                Judged::Bad(what) => passed_over.push(words::passed_over(candidate, &what)),
                Judged::Good { id, how } => {
                    if let Some(refusal) = self.too_old(candidate) {
                        return Step::Refuse(refusal);
                    }
                    let strategy = self.wish.strategy.to_string();
                    let why = words::newest(&strategy, candidate, &how, &passed_over);
                    let own = rank == 0 && self.wish.strategy == Strategy::LatestState;
                    return self.restore(&strategy, candidate.planned(id), own, why);
                }
            }
        }
        Step::Refuse(words::nothing_left(&self.wish.strategy, self.state, &passed_over))
    }

    /// One that was named: by its id, or by where it is. It may be from elsewhere.
    fn named(&self, strategy: &str, name: &str) -> Step {
        let known = self.find(name);
        if known.len() > 1 {
            return Step::Refuse(words::ambiguous(name, &known));
        }
        let Some(candidate) = known.first() else {
            return self.elsewhere(strategy, name);
        };
        match self.judge(candidate) {
            Judged::Verify(pointer) => Step::Verify(pointer),
            Judged::Unanswered(why) => Step::Refuse(words::unanswered(candidate, &why)),
            Judged::Bad(what) => Step::Refuse(words::broken(candidate, &what, None)),
            Judged::Good { id, how } => {
                if let Some(refusal) = self.too_old(candidate) {
                    return Step::Refuse(refusal);
                }
                self.restore(strategy, candidate.planned(id), false, words::named(strategy, candidate, &how))
            }
        }
    }

    fn elsewhere(&self, strategy: &str, path: &str) -> Step {
        if path.parse::<u64>().is_ok() {
            return Step::Refuse(words::unknown_id(path, self.state));
        }
        match self.found.get(path) {
            None => Step::Verify(path.to_owned()),
            Some(Found::Restorable { id, files }) => {
                let snapshot = PlannedSnapshot {
                    id: *id,
                    kind: words::kind_of_path(path),
                    external_pointer: path.to_owned(),
                };
                let why = words::from_elsewhere(strategy, &snapshot, *files);
                self.restore(strategy, snapshot, false, why)
            }
            Some(Found::Unverifiable { why } | Found::Broken { what: why } | Found::Unknown { why }) => {
                Step::Refuse(words::elsewhere_refused(path, why))
            }
        }
    }

    /// What counts for the strategy, newest first. A snapshot that was restored from is known once only.
    fn lineage(&self) -> Vec<Candidate<'a>> {
        let wanted = |snapshot: &Snapshot| match self.wish.strategy {
            Strategy::LatestSavepoint => snapshot.pointer.kind == SnapshotKind::Savepoint,
            _ => true,
        };
        let all = self.state.snapshots().filter(|(_, snapshot)| !snapshot.rolled_back && wanted(snapshot));
        let mut lineage: Vec<_> = all.map(|(job, snapshot)| Candidate { job, snapshot }).collect();
        lineage.sort_by_key(|c| std::cmp::Reverse((c.snapshot.id, c.snapshot.epoch)));
        lineage
    }

    /// Two jobs that ran side by side have a lineage each, and ids that say nothing about each other: both had live checkpoints
    /// in the last epoch in which any job had. Jobs that followed each other, one in each generation, are one lineage.
    fn several_jobs(&self, lineage: &[Candidate<'_>]) -> Option<String> {
        let counts =
            |c: &&Candidate<'_>| c.snapshot.is_kept() && c.snapshot.pointer.kind == SnapshotKind::Checkpoint;
        let lived_until = |c: &Candidate<'_>| c.snapshot.left_epoch.unwrap_or(self.state.epoch());
        let last = lineage.iter().filter(counts).map(lived_until).max()?;
        let ran_last = lineage.iter().filter(counts).filter(|c| lived_until(c) == last);
        let mut jobs: Vec<_> = ran_last.map(|c| c.job).collect();
        jobs.sort();
        jobs.dedup();
        (jobs.len() > 1).then(|| words::several_jobs(&jobs))
    }

    fn judge(&self, candidate: &Candidate<'_>) -> Judged {
        let snapshot = candidate.snapshot;
        if !snapshot.is_kept() {
            return Judged::Bad(words::gone(snapshot));
        }
        let pointer = &snapshot.pointer.external_pointer;
        match self.found.get(pointer) {
            None => Judged::Verify(pointer.clone()),
            Some(Found::Restorable { id, .. }) if *id != snapshot.id => {
                Judged::Bad(format!("its _metadata is that of checkpoint {id}"))
            }
            Some(Found::Restorable { id, files }) => Judged::Good { id: *id, how: words::verified(*files) },
            Some(Found::Unverifiable { why }) => {
                Judged::Good { id: snapshot.id, how: words::not_verified(why) }
            }
            Some(Found::Broken { what }) => Judged::Bad(what.clone()),
            Some(Found::Unknown { why }) => Judged::Unanswered(why.clone()),
        }
    }

    fn too_old(&self, candidate: &Candidate<'_>) -> Option<String> {
        let max_age_ms = self.wish.max_age_ms?;
        // Of one that is known only because a job was restored from it, nobody knows when it was completed. It was before it
        // was recorded here.
        let Snapshot { pointer, added_at_ms, .. } = candidate.snapshot;
        let since_ms = if pointer.has_times() { pointer.completion_timestamp_ms } else { *added_at_ms };
        let age_ms = self.circumstances.now_ms - since_ms;
        let too_old = u64::try_from(age_ms).is_ok_and(|age_ms| age_ms > max_age_ms);
        too_old.then(|| words::too_old(candidate, age_ms, max_age_ms))
    }

    /// Known snapshots of that id, or at that place.
    fn find(&self, name: &str) -> Vec<Candidate<'a>> {
        let id: Option<u64> = name.parse().ok();
        let all = self.state.snapshots().map(|(job, snapshot)| Candidate { job, snapshot });
        let named = |c: &Candidate<'_>| match id {
            Some(id) => c.snapshot.id == id && c.snapshot.is_kept(),
            None => is_same_place(&c.snapshot.pointer.external_pointer, name),
        };
        all.filter(named).collect()
    }

    fn empty(&self, strategy: &str, first_start: bool, why: String) -> Step {
        Step::Plan(Box::new(RestorePlan { first_start, ..self.draft(strategy, why) }))
    }

    /// `own`: it is the newest of the lineage, so whatever the deployment has was made for it.
    fn restore(&self, strategy: &str, snapshot: PlannedSnapshot, own: bool, why: String) -> Step {
        let pinned_beside = self.state.pin_forbids_claim(&snapshot.external_pointer);
        let by_rule = match (own, snapshot.kind) {
            (true, SnapshotKind::Checkpoint) if !self.is_built_upon(snapshot.id) => ClaimMode::Claim,
            _ => ClaimMode::NoClaim,
        };
        let claim_mode = match self.wish.claim_mode.unwrap_or(by_rule) {
            ClaimMode::Claim if !pinned_beside && strategy != RESET => ClaimMode::Claim,
            _ => ClaimMode::NoClaim,
        };
        Step::Plan(Box::new(RestorePlan {
            snapshot: Some(snapshot),
            claim_mode,
            ..self.draft(strategy, why)
        }))
    }

    /// Whether checkpoints may share the files of this one that can still be restored by name, since the job went back
    /// behind them. Their ids are greater: those that followed another restore of it count on from there.
    fn is_built_upon(&self, id: u64) -> bool {
        self.state.snapshots().any(|(_, snapshot)| {
            let is_checkpoint = snapshot.pointer.kind == SnapshotKind::Checkpoint;
            is_checkpoint && snapshot.rolled_back && snapshot.is_kept() && snapshot.id > id
        })
    }

    /// A plan that starts without state.
    fn draft(&self, strategy: &str, why: String) -> RestorePlan {
        RestorePlan {
            generation: self.circumstances.generation.to_owned(),
            strategy: strategy.to_owned(),
            snapshot: None,
            first_start: false,
            claim_mode: ClaimMode::NoClaim,
            allow_non_restored_state: self.wish.allow_non_restored_state,
            why,
            planned_at_ms: self.circumstances.now_ms,
            epoch: self.circumstances.epoch,
            taken_by: None,
        }
    }
}

// === impl Candidate ===

impl Candidate<'_> {
    fn planned(&self, id: u64) -> PlannedSnapshot {
        let pointer = &self.snapshot.pointer;
        PlannedSnapshot { id, kind: pointer.kind, external_pointer: pointer.external_pointer.clone() }
    }
}

// === impl Wish ===

impl Default for Wish {
    fn default() -> Self {
        Self {
            strategy: Strategy::LatestState,
            max_age_ms: None,
            allow_non_restored_state: false,
            claim_mode: None,
            on_broken: OnBroken::Refuse,
        }
    }
}

// === impl Strategy ===

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::LatestState => f.write_str("latest-state"),
            Self::LatestSavepoint => f.write_str("latest-savepoint"),
            Self::None => f.write_str("none"),
            Self::Snapshot(name) => write!(f, "snapshot:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
