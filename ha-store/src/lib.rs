//! A fenced log in an object store, and what it knows about one Flink deployment.
//!
//! A JobManager that takes over from another one needs three answers: which snapshot to restore, which job to run,
//! and which jobs already ended. This crate keeps them where nobody can take them back: in immutable objects that
//! are only ever *created*, on S3, Google Cloud Storage, Azure, or in a directory.
//!
//! # A first look
//!
//! ```
//! use ha_store::*;
//! # async fn first_look() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//!
//! let url: StoreUrl = "memory:///".parse()?;
//! let backend = url.connect(&BackendOptions::default())?;
//! let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
//! let deployment = DeploymentName::try_from("orders-enrichment")?;
//! let store =
//!     Store::open(backend, url.prefix(), deployment, StoreOptions::default(), clock, entropy).await?;
//!
//! // Leadership is an epoch that is in the log. From here on, everybody older is fenced.
//! let session = SessionId::random(&SystemEntropy);
//! let claim = Claim { session, holder: "pod-a".into(), generation: "rollout-1".into(), leads: true, epoch_hint: 0 };
//! let epoch = store.claim(claim).await?.epoch;
//!
//! // A write has a key of its own, which every retry of it repeats.
//! let job: JobId = "00000000000000000000000000000001".parse()?;
//! let key = IdempotencyKey::random(&SystemEntropy);
//! let answer = store.commit(epoch, key, Change::NextCheckpointId { job: job.clone() }).await?;
//! assert_eq!(answer, Answer::Value(1));
//!
//! // A read that something depends on asks the store whether the epoch still stands.
//! let view = store.confirm(epoch).await?;
//! assert_eq!(view.state.jobs[&job].next_checkpoint_id, 2);
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(first_look()).unwrap();
//! ```
//!
//! # How it is kept
//!
//! ```text
//! <prefix>/<deployment>/log/00000000000000000007.json    a record: the whole state, readable with `cat`
//! <prefix>/<deployment>/blob/blake3-<hex>.<copy>         what is too large for a record: stored graphs, results
//! <prefix>/<deployment>/hint                             shortens the listing when the log is opened; never trusted
//! ```
//!
//! Every record says which epoch and which process (incarnation) wrote it, has a nonce, and names the nonce of the
//! record that it follows. There are three kinds. A **claim** begins an epoch; an **adoption** hands an epoch to a
//! restarted process; a **commit** carries a batch of [`Change`]s. All go to the key after the newest record, with
//! create-if-absent: of two writers one wins, and the other one reads who did.
//!
//! # What it promises
//!
//! * **Fenced.** Once a newer epoch is in the log, nothing that an older one writes ever is. A deposed process need
//!   not know that it is deposed: the key that it must create is taken.
//! * **Acknowledged is durable.** [`Store::commit`] answers after the record is in the store.
//! * **Unknown is not failed.** A create without an answer is sent again, the very same bytes, until the key tells.
//!   Its sender hears [`StoreError::Unknown`] at the deadline, and the outcome when it asks again.
//! * **Nothing that is named is deleted.** Removals leave tombstones; [`Store::collect`] deletes records that a
//!   durable boundary has passed, and blobs that no kept record names.
//! * **A corrupt newest record is an error**, never skipped: what was acknowledged is in it, and nowhere else.
//!
//! # Why it is right
//!
//! *One record per key, for ever.* As long as the key of a place was never deleted, its content is decided by the
//! first create that arrives there. A writer appends only behind a record that it has read or written, so each
//! record follows the one before it, and epochs never go down along the log.
//!
//! *Deletes come after a boundary.* A writer that stalls for very long may find a key free because its record was
//! collected, and create a stray there. So no answer counts before it is known: *has the collector passed this place?*
//! The boundary is a part of the state and durable before anything below it is deleted; it only rises, and never reaches
//! the newest record. So the newest record answers the question for good. A cheaper witness: deletes ascend one by one,
//! hence a record of ours that is still in place, right before the new one, proves that nothing after it was deleted.
//! That holds for a record that was sent with one request only; one that was sent twice may have been deleted and have
//! come back.
//!
//! *What begins an ownership stays.* The collector keeps claims and adoptions. Whoever takes over begins with one of
//! them, right behind the newest record of whom it takes over from: so the place where a deposed process writes next is
//! taken for ever, however long it stalls. A process that created a record right behind its own newest one, with one
//! request, need not ask. That makes a commit one create and nothing else.
//!
//! *Passed is not lost.* A writer can also stall between its create and the question, while others build on its
//! record and collect it. So a record of ours that the collector has passed is neither acknowledged nor denied: the
//! newest state tells, which remembers the writes of its epoch and of the one before; and where it cannot, the answer
//! is `Unknown`.
//!
//! *Blobs have no second life.* Each put has a key of its own, even for equal bytes, so a collector that wakes up
//! late cannot delete what was put after it decided. It decides by a state that it read *after* it listed, while it
//! owned the epoch. Ownership is never regained, so whoever could still name a listed blob is this very process.
//!
//! What this rests on: create-if-absent is one step, reads and listings show what was written before
//! ([`Store::preflight`] tries these out); a request takes effect at most once, at any time after it was sent; a
//! session sends its writes to one process at a time, at most
//! [`idempotency_keys_max`](Limits::idempotency_keys_max) of them at once; and no process stalls while
//! [`collect_keep_takeovers`](StoreOptions::collect_keep_takeovers) others take over, one after the other, and a day
//! passes. No clock is compared with another one.
//!
//! # Where to read on
//!
//! The answer table, `judge.rs`, decides what became of a record; `apply.rs` what a change does to the state. Both are
//! pure. `log.rs` gathers the evidence, `writer.rs` is the one task that writes, `store/collect.rs` deletes.
//! `conformance.rs` (feature `conformance`) is what every backend must pass; `tests/faults` is the world at its worst.

#![forbid(unsafe_code)]

mod apply;
mod backend;
mod change;
mod clock;
#[cfg(feature = "conformance")]
pub mod conformance;
mod entropy;
mod error;
mod ids;
mod judge;
mod keys;
mod log;
#[cfg(feature = "measured")]
pub mod measured;
mod objects;
mod options;
mod places;
mod record;
mod state;
mod store;
mod writer;

pub use backend::{BackendOptions, InvalidStoreUrl, StoreUrl};
pub use change::{Answer, Change, Expected, JobStatus};
pub use clock::{Clock, SystemClock};
pub use entropy::{Entropy, SystemEntropy};
pub use error::{Refusal, StoreError};
pub use ids::{
    DeploymentName, Epoch, IdempotencyKey, Incarnation, InvalidId, JobId, Nonce, ResultId, Sequence,
    SessionId,
};
pub use options::{Limits, StoreOptions};
pub use places::{is_place_of_checkpoint, is_same_place, place_of};
pub use record::{FORMAT, RecordHeader, RecordKind};
pub use state::{
    Applied, ArchivedResult, BlobRef, ClaimMode, DeploymentState, Grant, GraphEntry, JobState,
    PlannedSnapshot, PointerRecord, ReleasedBlob, Reset, RestorePlan, ResultEntry, ResultKind, Results,
    Snapshot, SnapshotKind, SnapshotState,
};
pub use store::{Claim, Claimed, Collectable, Collected, Store, View};
