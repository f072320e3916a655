//! What can go wrong, told as what the caller must do about it.

use crate::{Epoch, JobId, ResultId, state::ResultKind};

/// The variant is the caller's decision; the message is for people and names the thing, the value and the way out.
///
/// Three of them say what became of a write, and must not be confused:
///
/// | variant | recorded? | do |
/// | --- | --- | --- |
/// | [`Fenced`](Self::Fenced), [`Refused`](Self::Refused), [`Unavailable`](Self::Unavailable) | no, and never will be | act on it |
/// | [`Unknown`](Self::Unknown) | perhaps, perhaps later | send the identical request again |
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// A newer epoch, or a later incarnation of this one, owns the log. Definite, and for good: nothing of this
    /// request is recorded or ever will be, and nothing else under `ours` either.
    #[error(
        "epoch {ours} does not own the log any more: epoch {newest} does ({by}); stop acting as the leader"
    )]
    Fenced {
        /// The epoch that asked.
        ours: Epoch,
        /// The newest epoch that the log shows.
        newest: Epoch,
        /// Who holds the newest epoch, for people.
        by: String,
    },

    /// The outcome could not be learnt in time. The write may be recorded already, or be recorded later: send the
    /// identical request, with the same idempotency key, until the answer is definite. Never treat it as a failure.
    #[error(
        "{what}: no definite answer after {waited_ms} ms; it may be recorded, so send the identical request again"
    )]
    Unknown {
        /// What was being done, and what stands in the way.
        what: String,
        /// How long the caller waited.
        waited_ms: u64,
    },

    /// The store did not take the request. A write is certainly not recorded and never will be; try again later.
    #[error("{what} is not possible now: {reason}; nothing was recorded, try again later")]
    Unavailable {
        /// What was being done.
        what: String,
        /// Why it was not possible.
        reason: String,
    },

    /// An object does not hold what it must hold. Nothing was recorded by this request. Needs a person.
    #[error(
        "{key} in the object store is corrupt: {reason}; restore this object, or move it aside knowing what is lost"
    )]
    Corrupt {
        /// The key of the object.
        key: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The state of the deployment does not allow it. Definite: not recorded.
    #[error(transparent)]
    Refused(#[from] Refusal),

    /// The store, or the way it is configured, cannot carry a fenced log. Nothing was or will be recorded there.
    #[error("{store} cannot be used: {reason}")]
    Unfit {
        /// The store, without credentials.
        store: String,
        /// What it does, or does not do, and the way out.
        reason: String,
    },
}

impl StoreError {
    /// Whether this answer says for certain that the write is not recorded and never will be.
    ///
    /// True for all but [`StoreError::Unknown`].
    pub fn is_definite(&self) -> bool {
        !matches!(self, Self::Unknown { .. })
    }
}

/// A precondition that does not hold. The request changed nothing, and the same request may succeed later.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The deployment has never seen this job.
    #[error("job {job} is unknown to this deployment")]
    UnknownJob {
        /// The job asked for.
        job: JobId,
    },
    /// The job has no stored graph.
    #[error("job {job} has no stored graph")]
    NoGraph {
        /// The job asked for.
        job: JobId,
    },
    /// There is no such result.
    #[error("there is no result {id} of kind {kind}")]
    UnknownResult {
        /// The kind asked for.
        kind: ResultKind,
        /// The id asked for.
        id: ResultId,
    },
    /// No snapshot is there.
    #[error(
        "no snapshot at {external_pointer} is known to this deployment; `holdfast snapshots list` shows those that are"
    )]
    UnknownSnapshot {
        /// Where it should be.
        external_pointer: String,
    },
    /// Flink deletes the files of a live checkpoint when newer ones take its place, whatever anybody wants.
    #[error(
        "checkpoint {id} is live, and Flink deletes its files when newer ones take its place; to keep this state, take a savepoint with `holdfast savepoint` and pin that"
    )]
    NotPinnable {
        /// Flink's checkpoint id.
        id: u64,
    },
    /// The present generation's job owns the files of this snapshot, or they are gone already.
    #[error(
        "the files of snapshot {id} are Flink's to delete: the job of this generation claims them, or they are gone already; to keep this state, take a savepoint with `holdfast savepoint` and pin that"
    )]
    NotKept {
        /// Flink's checkpoint id.
        id: u64,
    },
    /// The present generation's job has claimed a checkpoint, and checkpoints share files.
    #[error(
        "checkpoint {id} may share files with checkpoint {claimed}, which the job of this generation claims, and Flink deletes those when that job does not need them any more; to keep the present state, take a savepoint with `holdfast savepoint` and pin that"
    )]
    SharesClaimed {
        /// Flink's checkpoint id.
        id: u64,
        /// That of the claimed one.
        claimed: u64,
    },
    /// A generation that another one has followed does not come back: it would run old code on the state of the new one.
    #[error(
        "generation {returning} of this deployment is over, generation {present} took its place: a generation name is used once. To go back, roll out a new generation (a new Kubernetes Job, or another --generation) with the old code, after `holdfast reset --to ID` if with older state; if {present} is what should run, remove what still starts {returning}"
    )]
    GenerationOver {
        /// The one that asks.
        returning: String,
        /// The one that took its place, or one that came after that.
        present: String,
    },
    /// A plan is for the generation that it was made for.
    #[error("the plan is for generation {planned}, and the present one is {present}: plan again")]
    WrongGeneration {
        /// The plan's.
        planned: String,
        /// The state's.
        present: String,
    },
    /// It is there already, with another content.
    #[error("{what} exists already, with another content")]
    AlreadyExists {
        /// The thing.
        what: String,
    },
    /// The caller named a version that is not the current one.
    #[error("{what} is at version {found}, not {expected}: read it again")]
    StaleVersion {
        /// The thing.
        what: String,
        /// The version that the caller named.
        expected: String,
        /// The version that stands.
        found: String,
    },
    /// A bounded list is full.
    #[error("the list of {what} is full: the limit {limit} is {max}; remove some, or raise {limit}")]
    LimitReached {
        /// What the list holds.
        what: String,
        /// The limit's name; most are fields of [`Limits`](crate::Limits).
        limit: &'static str,
        /// Its value.
        max: u64,
    },
    /// It is over its size limit.
    #[error("{what} has {bytes} bytes, more than the {max_bytes} that {limit} allows")]
    TooLarge {
        /// The thing.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        max_bytes: u64,
        /// The limit's name; most are fields of [`Limits`](crate::Limits).
        limit: &'static str,
    },
}
