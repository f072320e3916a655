//! The log: opening it, and writing to it.

use std::fs;
use std::path::Path as Directory;
use std::sync::Arc;

use futures::TryStreamExt;
use futures::future::join_all;
use ha_store::{
    Answer, BackendOptions, Change, Claim, DeploymentName, Epoch, IdempotencyKey, JobId, PointerRecord,
    SessionId, SnapshotKind, Store, StoreOptions, StoreUrl,
};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::Run;
use crate::same::{FixedEntropy, NOW_MS, StandingClock, runtime};

/// Live checkpoints of the job in every log: they make a record as large as a real job's.
pub const LIVE: u64 = 10;

/// Where a log is.
#[derive(Debug, Clone)]
pub struct Place {
    /// The store that it is in.
    pub backend: Arc<dyn ObjectStore>,
    entropy: Arc<FixedEntropy>,
}

/// A log that is open, and led.
#[derive(Debug, Clone)]
pub struct Led {
    /// The log.
    pub store: Store,
    epoch: Epoch,
    entropy: Arc<FixedEntropy>,
    /// The oldest live checkpoint.
    oldest: u64,
}

/// Keeps a log at one length while it is written to, without the collector: it deletes what is older.
#[derive(Debug)]
pub struct Trim {
    backend: Arc<dyn ObjectStore>,
    /// The oldest record that is there.
    oldest: u64,
    keep: u64,
}

/// The job in every log.
pub fn job() -> JobId {
    "00000000000000000000000000000001".parse().expect("a job id")
}

/// The deployment of every log.
pub fn deployment() -> DeploymentName {
    "orders".parse().expect("a deployment name")
}

/// What the adapter says of a checkpoint; the properties have as many bytes as Flink's.
pub fn pointer(id: u64) -> PointerRecord {
    PointerRecord {
        external_pointer: format!("s3://bucket/checkpoints/00000000000000000000000000000001/chk-{id}"),
        kind: SnapshotKind::Checkpoint,
        trigger_timestamp_ms: NOW_MS,
        completion_timestamp_ms: NOW_MS + 412,
        properties: "rO0ABXNy".repeat(90),
        restored_properties: None,
        discard_subsumed: None,
    }
}

// === impl Place ===

impl Place {
    /// Nowhere but in memory.
    pub fn memory() -> Self {
        Self { backend: Arc::new(InMemory::new()), entropy: Arc::default() }
    }

    /// In a directory, as the product uses it: every write is on disk before it counts.
    ///
    /// # Errors
    /// When it cannot be used for a log.
    pub fn directory(directory: &Directory) -> anyhow::Result<Self> {
        let url: StoreUrl = directory.display().to_string().parse()?;
        Ok(Self { backend: url.connect(&BackendOptions::default())?, entropy: Arc::default() })
    }

    /// A copy in a directory that is new. Its files need not outlive a power failure, so that making 10,000 takes no minute.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub async fn copied_to(&self, directory: &Directory) -> anyhow::Result<Self> {
        let all: Vec<_> = self.backend.list(None).try_collect().await?;
        for object in all {
            let file = directory.join(object.location.as_ref());
            fs::create_dir_all(file.parent().expect("it is in the directory"))?;
            fs::write(file, self.backend.get(&object.location).await?.bytes().await?)?;
        }
        // Two processes must never draw the same, so the copy goes on where this one is.
        Ok(Self { entropy: self.entropy.clone(), ..Self::directory(directory)? })
    }

    /// Opens the log there.
    ///
    /// # Panics
    /// When it does not open.
    pub async fn open(&self) -> Store {
        let (clock, options) = (Arc::new(StandingClock), StoreOptions::default());
        let opened = Store::open(
            self.backend.clone(),
            Path::default(),
            deployment(),
            options,
            clock,
            self.entropy.clone(),
        );
        opened.await.expect("the log opens")
    }

    /// A job with [`LIVE`] checkpoints and a full history, in a log of at least `records` records.
    ///
    /// # Panics
    /// When a write fails.
    pub async fn led(&self, records: u64) -> Led {
        let store = self.open().await;
        let claim = Claim {
            session: SessionId::random(&*self.entropy),
            holder: "pod-a".to_owned(),
            generation: "1".to_owned(),
            leads: true,
            epoch_hint: 0,
        };
        let epoch = store.claim(claim).await.expect("the claim is recorded").epoch;
        let led = Led { store, epoch, entropy: self.entropy.clone(), oldest: 1 };
        for id in 1..=LIVE {
            led.commit(Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }).await;
        }
        while led.records() < records {
            led.next_id().await;
        }
        led
    }
}

// === impl Led ===

impl Led {
    /// How many records were written.
    ///
    /// # Panics
    /// Never: a log that is led has a record.
    pub fn records(&self) -> u64 {
        self.store.view().header.as_ref().expect("a claim").sequence.get()
    }

    /// Makes one change durable.
    ///
    /// # Panics
    /// When it is not.
    pub async fn commit(&self, change: Change) -> Answer {
        let key = IdempotencyKey::random(&*self.entropy);
        self.store.commit(self.epoch, key, change).await.expect("the change is recorded")
    }

    /// The smallest change: it leaves the state as large as it was.
    pub async fn next_id(&self) -> Answer {
        self.commit(Change::NextCheckpointId { job: job() }).await
    }

    /// As many writers as that, each with one change at the same time.
    pub async fn together(&self, writers: usize) {
        join_all((0..writers).map(|_| self.next_id())).await;
    }

    /// What Flink does at each checkpoint: the newest comes, the oldest goes.
    pub async fn checkpoint(&mut self) {
        let id = self.oldest + LIVE;
        self.commit(Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }).await;
        self.commit(Change::RemoveCheckpoint { job: job(), id: self.oldest }).await;
        self.oldest += 1;
    }
}

// === impl Trim ===

impl Trim {
    /// Keeps the newest `keep` records in `backend`, of a log that nobody has deleted from. At least a few, because a
    /// commit looks at the record before it.
    pub fn new(backend: Arc<dyn ObjectStore>, keep: u64) -> Self {
        Self { backend, oldest: 1, keep }
    }

    /// Deletes what is too old when `newest` is the newest record.
    ///
    /// # Panics
    /// When a record cannot be deleted.
    pub async fn to(&mut self, newest: u64) {
        while self.oldest + self.keep <= newest {
            let record = format!("{}/log/{:020}.json", deployment(), self.oldest);
            self.backend.delete(&Path::from(record)).await.expect("an old record is deleted");
            self.oldest += 1;
        }
    }
}

// === counted ===

/// One commit.
pub fn commit() -> Run {
    let runtime = runtime();
    let led = runtime.block_on(Place::memory().led(100));
    Box::new(move || {
        assert!(matches!(runtime.block_on(led.next_id()), Answer::Value(_)), "an id is given out")
    })
}

/// 64 writers at once, which share records.
pub fn commit_together() -> Run {
    let runtime = runtime();
    let led = runtime.block_on(Place::memory().led(100));
    Box::new(move || runtime.block_on(led.together(64)))
}

/// A checkpoint comes and another one goes, where the history is full.
pub fn checkpoint() -> Run {
    let runtime = runtime();
    let mut led = runtime.block_on(Place::memory().led(0));
    runtime.block_on(async {
        for _ in 0..StoreOptions::default().limits.gone_snapshots_max {
            led.checkpoint().await;
        }
    });
    Box::new(move || runtime.block_on(led.checkpoint()))
}

/// Opens a log of so many records.
pub fn open(records: u64) -> Run {
    let runtime = runtime();
    let place = Place::memory();
    drop(runtime.block_on(place.led(records)));
    Box::new(move || drop(runtime.block_on(place.open())))
}
