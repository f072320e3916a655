//! The handle that everybody else holds.

mod blobs;
mod collect;
mod preflight;

pub use collect::Collectable;

use crate::apply::check_claim;
use crate::keys::Keys;
use crate::log::{Log, Progress};
use crate::objects::Objects;
use crate::state::{BlobRef, DeploymentState};
use crate::writer::{Ask, Caller, Edit, Entry, Mail, Reply, Writer};
use crate::{
    Answer, Change, Clock, DeploymentName, Entropy, Epoch, IdempotencyKey, Incarnation, RecordHeader,
    Sequence, SessionId, StoreError, StoreOptions,
};
use object_store::{ObjectStore, path::Path};
use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

/// What the log held when it was last read or written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// The newest record; `None` when the log is empty.
    pub header: Option<RecordHeader>,
    /// The state that it holds.
    pub state: Arc<DeploymentState>,
}

/// A request for leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The JobManager session that is to lead.
    pub session: SessionId,
    /// Who claims, for people (a pod's name). At most 256 bytes.
    pub holder: String,
    /// The rollout that the JobManager belongs to. At most 256 bytes.
    pub generation: String,
    /// A JobManager is to lead under this epoch. In the same generation its jobs go on from their newest live checkpoints
    /// then, so that savepoints newer than those are behind them. `false` for whoever only writes something down.
    pub leads: bool,
    /// The new epoch is greater than this as well as than every epoch in the log (for a log that was lost). At most
    /// 2^53.
    pub epoch_hint: u64,
}

/// A grant of leadership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// The fencing token.
    pub epoch: Epoch,
    /// The log as of the grant.
    pub view: Arc<View>,
}

/// What one round of collection did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Records deleted.
    pub records: u64,
    /// Blobs deleted.
    pub blobs: u64,
    /// Whether there was more to delete than one round may.
    pub more: bool,
}

/// A deployment's log. Clones share one writer task, which ends when the last of them is dropped.
///
/// Every method waits at most [`commit_deadline_ms`](StoreOptions::commit_deadline_ms) for a definite answer.
/// Dropping the future of any of them cancels nothing that was asked for.
#[derive(Debug, Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    mailbox: mpsc::Sender<Mail>,
    views: watch::Receiver<Arc<View>>,
    writer: AbortHandle,
    incarnation: Incarnation,
    objects: Objects,
    keys: Keys,
    options: Arc<StoreOptions>,
    entropy: Arc<dyn Entropy>,
    /// Held during a round of collection.
    collecting: AsyncMutex<()>,
    /// The records below the boundary that are known to begin an ownership.
    takeovers: AsyncMutex<BTreeSet<Sequence>>,
    /// The blobs that this process put last, oldest first.
    recent_blobs: Mutex<VecDeque<BlobRef>>,
}

impl Store {
    /// Reads the newest record, if there is one, and starts the writer. Claims nothing: until [`Store::claim`] or
    /// [`Store::resume`], every commit is refused.
    ///
    /// Must be called within a tokio runtime; the writer is spawned on it.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when the newest record cannot be read: it is never skipped.
    /// [`StoreError::Unavailable`] when the store does not answer by the deadline. [`StoreError::Unfit`] when the
    /// options do not make sense.
    pub async fn open(
        backend: Arc<dyn ObjectStore>,
        prefix: Path,
        deployment: DeploymentName,
        options: StoreOptions,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, StoreError> {
        options.validate()?;
        let options = Arc::new(options);
        let objects = Objects::new(backend, Duration::from_millis(options.call_timeout_ms));
        let keys = Keys::new(&prefix, &deployment);
        let mut log =
            Log::new(objects.clone(), keys.clone(), deployment, options.clone(), clock, entropy.clone());
        let progress = Progress::default();
        let deadline = Duration::from_millis(options.commit_deadline_ms);
        let Ok(located) = timeout(deadline, log.locate(&progress)).await else {
            let what = format!("opening the log {}", keys.log());
            return Err(StoreError::Unavailable { what, reason: progress.trouble() });
        };
        located?;

        let incarnation = log.incarnation.clone();
        let (mailbox, mail) = mpsc::channel(options.limits.queue_max);
        let (shown, views) = watch::channel(log.view().clone());
        let writer = tokio::spawn(Writer::new(log, mail, shown).run()).abort_handle();
        let shared = Shared {
            mailbox,
            views,
            writer,
            incarnation,
            objects,
            keys,
            options,
            entropy,
            collecting: AsyncMutex::new(()),
            takeovers: AsyncMutex::default(),
            recent_blobs: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// This run of the process, as its records name it.
    pub fn incarnation(&self) -> &Incarnation {
        &self.shared.incarnation
    }

    /// What is known of the log, without asking the store. It may have been overtaken: decide nothing by it that
    /// [`Store::confirm`] or [`Store::refresh`] should decide.
    pub fn view(&self) -> Arc<View> {
        self.shared.views.borrow().clone()
    }

    /// Resolves when the writer has ended: after [`Store::close`], or because it found the log to be impossible
    /// (see [`Store::commit`]). Nothing can be written through this handle afterwards.
    pub async fn stopped(&self) {
        self.shared.mailbox.closed().await;
    }

    /// Appends a new epoch, and fences every older one by it.
    ///
    /// Within a generation nothing else changes. A new generation drops stored graphs, sets results aside, and
    /// leaves no snapshot live: what its jobs restore is its plan's to say.
    ///
    /// # Errors
    /// [`StoreError::Refused`] for a generation that another one has followed; nobody is fenced and nothing is written.
    /// [`StoreError::Unknown`] when the epoch may have been claimed: older ones may be fenced already. Claim again;
    /// an epoch that nobody was granted does no harm.
    pub async fn claim(&self, claim: Claim) -> Result<Claimed, StoreError> {
        check_claim(&claim)?;
        match self.ask(Ask::Claim(claim)).await? {
            Reply::Claimed(claimed) => Ok(claimed),
            other => unreachable!("a claim was answered with {other:?}"),
        }
    }

    /// Goes on under an epoch that an earlier process of this deployment claimed for a session that still lives.
    ///
    /// What the earlier process had sent and did not hear of is settled afterwards: it is in the view, or never
    /// will be.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when the newest epoch, or the session that it was granted to, is another; or when this
    /// process had the epoch and another one took it over, which is for good.
    /// [`StoreError::Unknown`] when the adoption may have been recorded: resume again.
    pub async fn resume(&self, session: &SessionId, epoch: Epoch) -> Result<Claimed, StoreError> {
        match self.ask(Ask::Resume { session: session.clone(), epoch }).await? {
            Reply::Claimed(claimed) => Ok(claimed),
            other => unreachable!("a resumption was answered with {other:?}"),
        }
    }

    /// Makes a change durable, under the epoch that it was made in.
    ///
    /// Answers only after the record is durable, and the same to every retry with the same key. Changes that
    /// wait at the same time share a record; the order is that of arrival. A sender must not have more writes
    /// open than [`idempotency_keys_max`](crate::Limits::idempotency_keys_max), and must not come back to a process
    /// after another one has resumed its session.
    ///
    /// # Errors
    /// See [`StoreError`]. `Unknown` must be retried with the same key, and never be taken for a failure.
    ///
    /// # Panics
    /// The writer task panics when it finds in the log what no correct writer can have written; this and all
    /// later calls then answer `Unknown`, and [`Store::stopped`] resolves.
    pub async fn commit(
        &self,
        epoch: Epoch,
        key: IdempotencyKey,
        change: Change,
    ) -> Result<Answer, StoreError> {
        self.edit(epoch, Edit::Change(key, change)).await
    }

    /// Asks the store whether `epoch` is still the newest. The view includes every write that was acknowledged
    /// before the call, by whomever: a read that a restore depends on must come from here.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when it is not, or when another incarnation has taken it over from this process.
    pub async fn confirm(&self, epoch: Epoch) -> Result<Arc<View>, StoreError> {
        self.look(Ask::Confirm(epoch)).await
    }

    /// Reads whatever is newest, whoever wrote it. If that is a newer epoch than this process holds, then every
    /// later commit is fenced.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`], [`StoreError::Unavailable`].
    pub async fn refresh(&self) -> Result<Arc<View>, StoreError> {
        self.look(Ask::Refresh).await
    }

    /// Takes nothing more, finishes what was accepted, and ends the writer; at the latest after `wait`. Whoever
    /// still waits for a write then is told `Unknown`.
    pub async fn close(&self, wait: Duration) {
        let (done, closed) = oneshot::channel();
        let finish = async {
            // Either end is one: the writer says so, or is gone already.
            if self.shared.mailbox.send(Mail::Close(done)).await.is_ok() {
                let _ = closed.await;
            }
        };
        if timeout(wait, finish).await.is_err() {
            self.shared.writer.abort();
        }
    }

    async fn look(&self, ask: Ask) -> Result<Arc<View>, StoreError> {
        match self.ask(ask).await? {
            Reply::View(view) => Ok(view),
            other => unreachable!("a look was answered with {other:?}"),
        }
    }

    async fn edit(&self, epoch: Epoch, edit: Edit) -> Result<Answer, StoreError> {
        match self.ask(Ask::Commit(Entry { epoch, edit })).await? {
            Reply::Answer(answer) => Ok(answer),
            other => unreachable!("a commit was answered with {other:?}"),
        }
    }

    async fn ask(&self, ask: Ask) -> Result<Reply, StoreError> {
        let (reply, answer) = oneshot::channel();
        let asked_at = Instant::now();
        let deadline = asked_at + Duration::from_millis(self.shared.options.commit_deadline_ms);
        let gone =
            StoreError::Unknown { what: format!("{} (the writer has ended)", ask.what()), waited_ms: 0 };
        let mail = Mail::Ask(Arc::new(ask), Caller { reply, asked_at, deadline });
        // The mailbox is emptied whatever the store does, so this does not wait for the store.
        if self.shared.mailbox.send(mail).await.is_err() {
            return Err(gone);
        }
        answer.await.unwrap_or(Err(gone))
    }
}
