//! What a deployment's log knows: the state that every record holds whole.
//!
//! Plain data, and small: an operator can read a record with `cat`. Lists that matter are bounded by refusing,
//! histories by dropping their oldest entry ([`Limits`](crate::Limits)). Changes go through
//! [`apply`](crate::apply), and only through the log.

mod restore;

pub use restore::{ClaimMode, PlannedSnapshot, Reset, RestorePlan};

use crate::{Answer, Epoch, IdempotencyKey, JobId, JobStatus, Nonce, Refusal, ResultId, Sequence, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

/// The whole state of one deployment.
///
/// Unknown fields are refused: a record of a newer version must not be read, changed and written back without them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeploymentState {
    /// The rollout that the newest grant belongs to; `None` before the first claim.
    pub generation: Option<String>,
    /// The record with which that rollout began. Jobs that nothing has touched since are of earlier ones.
    #[serde(default)]
    pub generation_began_at: Sequence,
    /// The newest grant of leadership; `None` before the first claim.
    pub grant: Option<Grant>,
    /// Earlier grants, oldest first.
    pub grants: VecDeque<Grant>,
    /// What is known of each job.
    pub jobs: BTreeMap<JobId, JobState>,
    /// Whether a snapshot was ever recorded. `false` proves that there is nothing to restore; it never goes back.
    #[serde(default)]
    pub snapshots_seen: bool,
    /// What the jobs of this generation restore; `None` until it is planned.
    #[serde(default)]
    pub plan: Option<RestorePlan>,
    /// Plans of earlier generations, oldest first.
    #[serde(default)]
    pub plans: VecDeque<RestorePlan>,
    /// What the next generation is to start from, if somebody said so.
    #[serde(default)]
    pub reset: Option<Reset>,
    /// Terminal results of this generation.
    pub results: Results,
    /// Terminal results of earlier generations, oldest first. Nothing is decided by them.
    pub archived_results: VecDeque<ArchivedResult>,
    /// Every record below this sequence may be gone. Set through the log before the first of them is deleted.
    pub collected_before: Sequence,
    /// Blobs that no field above names any more but records that are still kept may name, oldest first.
    pub released_blobs: VecDeque<ReleasedBlob>,
    /// The newest release that fell out of `released_blobs` for want of room. No blob is deleted before the
    /// collector has passed it.
    pub released_forgotten_at: Sequence,
    /// Answers of the last writes of the newest epoch, oldest first.
    pub applied: VecDeque<Applied>,
    /// Answers of the last writes of the epoch before it. They decide what becomes of a write that its sender
    /// repeats after it was deposed.
    pub applied_before: VecDeque<Applied>,
}

/// One grant of leadership.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The JobManager session that was granted.
    pub session: SessionId,
    /// Who claimed it, for people (a pod's name).
    pub holder: String,
    /// The rollout that it was claimed for.
    #[serde(default)]
    pub generation: String,
    /// The fencing token.
    pub epoch: Epoch,
    /// When, by the claimant's clock. Unix milliseconds; nothing is decided by it.
    pub claimed_at_ms: i64,
}

/// What is known of one job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobState {
    /// The live snapshots by checkpoint id: what Flink's checkpoint store holds.
    pub checkpoints: BTreeMap<u64, Snapshot>,
    /// Snapshots that are not live, in the order in which they left or, for savepoints, were seen. When it is full,
    /// those whose files are gone make room first, and pinned ones never.
    pub history: VecDeque<Snapshot>,
    /// The id that the next checkpoint gets. Never goes down.
    pub next_checkpoint_id: u64,
    /// The stored graph, if any.
    pub graph: Option<GraphEntry>,
    /// The globally terminal status that the job reached in this generation, if it did.
    pub ended: Option<JobStatus>,
    /// The record that last changed this job.
    pub touched_at: Sequence,
}

impl JobState {
    /// A job that was seen for the first time by the record at `touched_at`.
    pub fn new(touched_at: Sequence) -> Self {
        Self {
            checkpoints: BTreeMap::new(),
            history: VecDeque::new(),
            next_checkpoint_id: 1,
            graph: None,
            ended: None,
            touched_at,
        }
    }
}

/// A checkpoint or savepoint that was acknowledged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Flink's checkpoint id.
    pub id: u64,
    /// What the adapter rebuilds Flink's object from.
    pub pointer: PointerRecord,
    /// What became, or is going to become, of it.
    pub state: SnapshotState,
    /// The epoch under which it was added.
    pub epoch: Epoch,
    /// When it was added, by the writer's clock. Unix milliseconds.
    pub added_at_ms: i64,
    /// The last epoch in which it was live, or the one in which it was seen for a savepoint; `None` while it is live.
    pub left_epoch: Option<Epoch>,
    /// The job was restored from an older snapshot after this one was complete: what it did in between was taken back,
    /// and may have been aborted in its sinks. Such a snapshot is not the newest of anything.
    #[serde(default, skip_serializing_if = "is_false")]
    pub rolled_back: bool,
    /// Somebody wants its files kept.
    #[serde(default, skip_serializing_if = "is_false")]
    pub pinned: bool,
}

impl Snapshot {
    /// Whether its files are there, as far as is recorded: nobody was going to delete them.
    pub fn is_kept(&self) -> bool {
        matches!(self.state, SnapshotState::Active | SnapshotState::Retained)
    }
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What became of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotState {
    /// Live, and its job goes on.
    Active,
    /// Removed while its job went on: a newer one took its place, and Flink deletes its files.
    Subsumed,
    /// Its job ended (or is being cleaned up) and its files stay.
    Retained,
    /// Its job ended and Flink deletes its files.
    Discarded,
}

/// From what the adapter rebuilds Flink's `CompletedCheckpoint`, together with the snapshot's own `_metadata`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PointerRecord {
    /// Where the snapshot is, as Flink names it.
    pub external_pointer: String,
    /// Checkpoint or savepoint.
    pub kind: SnapshotKind,
    /// When it was triggered. Unix milliseconds, by the JobManager's clock; 0 if nobody knows.
    pub trigger_timestamp_ms: i64,
    /// When it was completed. Unix milliseconds, by the JobManager's clock; 0 if nobody knows.
    pub completion_timestamp_ms: i64,
    /// Base64 of the Java-serialized `CheckpointProperties`. Not looked into.
    pub properties: String,
    /// Base64 of the Java-serialized restored properties. Not looked into.
    #[serde(default)]
    pub restored_properties: Option<String>,
    /// Whether Flink deletes the files when a newer snapshot takes its place, as `properties` say; `None` where nobody could
    /// read that in them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discard_subsumed: Option<bool>,
}

impl PointerRecord {
    /// Whether it is known when the snapshot was completed. Flink has no times for one that a job was restored from, and
    /// nobody has them for one from elsewhere.
    pub fn has_times(&self) -> bool {
        self.completion_timestamp_ms > 0
    }
}

/// Checkpoint or savepoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SnapshotKind {
    /// Triggered by Flink.
    Checkpoint,
    /// Triggered by a user.
    Savepoint,
}

/// A stored graph. The bytes are a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GraphEntry {
    /// The serialized graph.
    pub blob: BlobRef,
    /// The Flink version that serialized it.
    pub flink_version: String,
    /// The fingerprint of the deployment that it was made from.
    pub fingerprint: Option<String>,
}

/// Names a blob: what it holds, and which copy of it.
///
/// Two puts of equal bytes give two copies. A key that could come back to life after its collection would let a
/// stalled collector delete what a new record names; a copy's key never does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlobRef {
    /// The algorithm and the digest: `blake3-` and 64 hexadecimal digits.
    pub hash: String,
    /// The size in bytes.
    pub bytes: u64,
    /// Which copy.
    pub copy: Nonce,
}

impl BlobRef {
    /// Whether both name the same object, whatever they believe about its size.
    pub(crate) fn is_same_object(&self, other: &Self) -> bool {
        self.hash == other.hash && self.copy == other.copy
    }
}

/// Terminal results: which jobs, and on Flink 2.3 which applications, ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Results of jobs.
    pub jobs: BTreeMap<ResultId, ResultEntry>,
    /// Results of applications.
    pub applications: BTreeMap<ResultId, ResultEntry>,
}

impl Results {
    /// The results of one kind.
    pub fn of(&self, kind: ResultKind) -> &BTreeMap<ResultId, ResultEntry> {
        match kind {
            ResultKind::Jobs => &self.jobs,
            ResultKind::Applications => &self.applications,
        }
    }

    pub(crate) fn of_mut(&mut self, kind: ResultKind) -> &mut BTreeMap<ResultId, ResultEntry> {
        match kind {
            ResultKind::Jobs => &mut self.jobs,
            ResultKind::Applications => &mut self.applications,
        }
    }
}

/// Whose results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ResultKind {
    /// Jobs.
    Jobs,
    /// Applications (Flink 2.3).
    Applications,
}

impl fmt::Display for ResultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Jobs => "jobs",
            Self::Applications => "applications",
        })
    }
}

/// One terminal result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ResultEntry {
    /// The terminal status, as Flink names it.
    pub status: String,
    /// What Flink stored. Not looked into.
    pub payload: BlobRef,
    /// Whether Flink finished cleaning up.
    pub clean: bool,
    /// The write that put it here. It stays known for longer than `applied` remembers it.
    pub created_by: IdempotencyKey,
}

/// A result of an earlier generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchivedResult {
    /// The generation that it belongs to.
    pub generation: Option<String>,
    /// Whose result.
    pub kind: ResultKind,
    /// Its id.
    pub id: ResultId,
    /// The result.
    pub result: ResultEntry,
}

/// A blob that was let go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasedBlob {
    /// The blob.
    pub blob: BlobRef,
    /// The record that does not name it any more. Records before it may.
    pub at: Sequence,
}

/// A write that was applied, and its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Applied {
    /// The key that its sender made for it.
    pub key: IdempotencyKey,
    /// What was answered, and is answered to a retry.
    pub answer: Answer,
}

impl DeploymentState {
    /// The newest epoch; 0 before the first claim.
    pub fn epoch(&self) -> Epoch {
        self.grant.as_ref().map_or(Epoch::new(0), |grant| grant.epoch)
    }

    /// The epoch before the newest one, if the history reaches back to it.
    pub fn epoch_before(&self) -> Option<Epoch> {
        self.grants.back().map(|grant| grant.epoch)
    }

    /// Who holds the newest epoch, for people.
    pub fn holder(&self) -> &str {
        self.grant.as_ref().map_or("nobody", |grant| grant.holder.as_str())
    }

    /// The answer of the write with this key, if it was applied and is still remembered.
    pub fn answer_of(&self, key: &IdempotencyKey) -> Option<&Answer> {
        let newest_first = self.applied.iter().rev().chain(self.applied_before.iter().rev());
        newest_first.into_iter().find(|applied| applied.key == *key).map(|applied| &applied.answer)
    }

    /// Every blob that this state names, and with it every blob that a reader of it may ask for.
    pub fn blobs(&self) -> BTreeSet<&BlobRef> {
        let graphs = self.jobs.values().filter_map(|job| job.graph.as_ref()).map(|graph| &graph.blob);
        let results = self.results.jobs.values().chain(self.results.applications.values());
        let archived = self.archived_results.iter().map(|archived| &archived.result);
        graphs.chain(results.chain(archived).map(|result| &result.payload)).collect()
    }

    /// Whether this job reached a globally terminal status in this generation. Its result is recorded before its end is.
    pub fn has_ended(&self, job: &JobId) -> bool {
        let ended = self.jobs.get(job).is_some_and(|known| known.ended.is_some());
        ended || self.results.jobs.contains_key(&ResultId::from(job.clone()))
    }

    /// Whether a JobManager of this generation may be granted: of the present one, or of one that is new. One that was
    /// there before and was followed by another is over (promise P5), as far back as grants, plans and results are kept.
    ///
    /// # Errors
    /// [`Refusal::GenerationOver`].
    pub fn check_generation(&self, generation: &str) -> Result<(), Refusal> {
        let Some(present) = self.generation.as_deref().filter(|present| *present != generation) else {
            return Ok(());
        };
        let grants = self.grants.iter().chain(&self.grant).map(|grant| grant.generation.as_str());
        let plans = self.plans.iter().map(|plan| plan.generation.as_str());
        let results = self.archived_results.iter().filter_map(|archived| archived.generation.as_deref());
        match grants.chain(plans).chain(results).any(|earlier| earlier == generation) {
            true => {
                Err(Refusal::GenerationOver { returning: generation.to_owned(), present: present.to_owned() })
            }
            false => Ok(()),
        }
    }

    /// Every snapshot that is known, of whatever job, with the job that recorded it.
    pub fn snapshots(&self) -> impl Iterator<Item = (&JobId, &Snapshot)> {
        self.jobs.iter().flat_map(|(job, state)| {
            state.history.iter().chain(state.checkpoints.values()).map(move |snapshot| (job, snapshot))
        })
    }

    /// Whether a record at or after `collected_before` may name this blob.
    ///
    /// Must never be `false` for a blob that one does name; it may be `true` for one that none does. Every blob
    /// that leaves the state is remembered in `released_blobs`, or at least when (`released_forgotten_at`), so the
    /// newest record is enough to know what all kept ones name.
    pub fn may_be_named(&self, blob: &BlobRef) -> bool {
        let released = self.released_blobs.iter().filter(|released| released.at > self.collected_before);
        self.released_forgotten_at > self.collected_before
            || self.blobs().into_iter().any(|named| named.is_same_object(blob))
            || released.into_iter().any(|released| released.blob.is_same_object(blob))
    }
}
