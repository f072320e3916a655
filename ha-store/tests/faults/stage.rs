//! Where a story is told: a far end, and processes that talk to it.

use crate::far::{Call, Far, Fault};
use crate::histories::{Counter, job};
use ha_store::conformance::pointer;
use ha_store::{
    Answer, BlobRef, Change, Claim, Collected, DeploymentName, Epoch, Expected, GraphEntry, IdempotencyKey,
    SessionId, Store, StoreError, StoreOptions, SystemClock,
};
use object_store::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// A far end, and what a process needs to talk to it.
pub(crate) struct Stage {
    pub(crate) far: Far,
    pub(crate) entropy: Arc<Counter>,
    pub(crate) options: StoreOptions,
}

pub(crate) fn record(sequence: u64) -> Path {
    Path::from(format!("orders/log/{sequence:020}.json"))
}

/// A claim for this session, by a JobManager that is to lead.
pub(crate) fn claim_for(session: SessionId) -> Claim {
    Claim {
        session,
        holder: "pod".to_owned(),
        generation: "generation".to_owned(),
        leads: true,
        epoch_hint: 0,
    }
}

pub(crate) fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

pub(crate) fn add(id: u64) -> Change {
    Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }
}

/// A graph for a job that has none.
pub(crate) fn put_graph(blob: &BlobRef) -> Change {
    let graph = GraphEntry { blob: blob.clone(), flink_version: "2.2.1".to_owned(), fingerprint: None };
    Change::PutGraph { job: job(), graph, expected: Expected::Absent }
}

pub(crate) fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// One fault for the first call that is like this; nothing goes wrong otherwise.
pub(crate) fn once(call: Call, fault: Fault) -> impl FnMut(&Call) -> Fault + Send {
    let mut left = Some(fault);
    move |made| if *made == call { left.take().unwrap_or(Fault::None) } else { Fault::None }
}

/// These faults, each for the next call that is like it.
pub(crate) fn script(mut faults: Vec<(Call, Fault)>) -> impl FnMut(&Call) -> Fault + Send {
    move |made| match faults.iter().position(|(call, _)| call == made) {
        Some(index) => faults.remove(index).1,
        None => Fault::None,
    }
}

impl Stage {
    /// Processes that wait long for an answer: they stall, and believe it when it comes.
    pub(crate) fn patient() -> Self {
        Self::new(StoreOptions { call_timeout_ms: 900_000, commit_deadline_ms: 900_000, ..options() })
    }

    /// Processes that give up early, and leave requests behind.
    pub(crate) fn impatient() -> Self {
        Self::new(StoreOptions { call_timeout_ms: 100, commit_deadline_ms: 1_000, ..options() })
    }

    pub(crate) fn new(options: StoreOptions) -> Self {
        Self { far: Far::new(|_| Fault::None), entropy: Arc::default(), options }
    }

    pub(crate) async fn open(&self) -> Store {
        let deployment = DeploymentName::try_from("orders").unwrap();
        let (backend, clock, entropy) =
            (Arc::new(self.far.clone()), Arc::new(SystemClock), self.entropy.clone());
        Store::open(backend, Path::default(), deployment, self.options.clone(), clock, entropy).await.unwrap()
    }

    pub(crate) async fn claim(&self, store: &Store) -> Epoch {
        store.claim(claim_for(self.session())).await.unwrap().epoch
    }

    pub(crate) fn session(&self) -> SessionId {
        SessionId::random(&*self.entropy)
    }

    pub(crate) async fn commit(&self, store: &Store, epoch: Epoch, change: Change) -> Answer {
        store.commit(epoch, IdempotencyKey::random(&*self.entropy), change).await.unwrap()
    }

    /// Another process takes over, writes a while, and collects everything that it may.
    pub(crate) async fn take_over_and_collect(&self) -> (Store, Epoch) {
        let store = self.open().await;
        let epoch = self.claim(&store).await;
        for id in 100..110 {
            self.commit(&store, epoch, add(id)).await;
        }
        let collected = store.collect(epoch).await.unwrap();
        assert!(collected.records > 0 && !collected.more);
        (store, epoch)
    }

    /// The answer to a commit that was [begun](begin), which the oracle hears of, too.
    pub(crate) async fn answer_to(
        &self,
        begun: JoinHandle<Result<Answer, StoreError>>,
        text: &str,
        id: u64,
    ) -> Result<Answer, StoreError> {
        let result = begun.await.unwrap();
        self.far.inner().oracle.answered(&key(text), Some(id), &result);
        result
    }

    pub(crate) fn check(&self) {
        self.far.inner().oracle.check();
    }
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions { collect_keep_records: 2, collect_min_age_ms: 0, ..StoreOptions::default() }
}

pub(crate) fn begin(
    store: &Store,
    epoch: Epoch,
    text: &str,
    id: u64,
) -> JoinHandle<Result<Answer, StoreError>> {
    let (store, key) = (store.clone(), key(text));
    tokio::spawn(async move { store.commit(epoch, key, add(id)).await })
}

/// A round of collection that goes on meanwhile.
pub(crate) fn begin_collection(store: &Store, epoch: Epoch) -> JoinHandle<Result<Collected, StoreError>> {
    let store = store.clone();
    tokio::spawn(async move { store.collect(epoch).await })
}
