//! What the store promises on every backend, as one suite.
//!
//! Each rule is a function that runs in a deployment of its own and panics when the rule does not hold. The suite
//! runs over memory and a directory in this crate, over a real S3 server in the crate `holdfast-tests`, and over
//! the simulated store in the simulator:
//!
//! ```
//! # use ha_store::conformance::{self, Bench};
//! # async fn f() {
//! let bench = Bench::new(std::sync::Arc::new(object_store::memory::InMemory::new()));
//! for (name, rule) in conformance::RULES {
//!     println!("{name}");
//!     rule(&bench).await;
//! }
//! # }
//! ```

use crate::{
    Answer, Change, Claim, Claimed, Clock, DeploymentName, Entropy, Epoch, Expected, GraphEntry,
    IdempotencyKey, JobId, JobStatus, Nonce, PointerRecord, RecordKind, Refusal, SessionId, SnapshotKind,
    SnapshotState, Store, StoreError, StoreOptions, SystemClock, SystemEntropy,
};
use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use std::{sync::Arc, time::Duration};

/// A backend to run the suite on.
#[derive(Debug, Clone)]
pub struct Bench {
    /// The backend.
    pub backend: Arc<dyn ObjectStore>,
    /// Where in it.
    pub prefix: Path,
    /// How each store is opened.
    pub options: StoreOptions,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub entropy: Arc<dyn Entropy>,
}

/// A rule: what it says, and what checks it.
pub type Rule = (&'static str, for<'a> fn(&'a Bench) -> BoxFuture<'a, ()>);

macro_rules! rules {
    ($($name:ident),* $(,)?) => {
        /// Every rule by its name.
        pub const RULES: &[Rule] = &[$((stringify!($name), |bench| Box::pin($name(bench)))),*];
    };
}

rules![
    an_acknowledged_write_is_in_every_later_read,
    a_newer_epoch_fences_every_older_one,
    a_deposed_process_answers_nothing_out_of_its_memory,
    concurrent_claims_get_different_epochs,
    concurrent_commits_share_records_and_keep_their_order,
    a_retry_is_answered_as_the_first_try_was,
    a_refusal_changes_nothing,
    a_session_survives_its_sidecar,
    a_resumption_is_refused_after_a_newer_claim,
    a_later_incarnation_fences_an_earlier_one_of_the_same_epoch,
    a_new_generation_finds_nothing_live_and_knows_what_was_retained,
    ended_jobs_stay_ended_within_a_generation,
    blobs_are_checked_on_read,
    a_corrupt_newest_record_is_never_skipped,
    a_record_of_another_deployment_is_corrupt,
    collection_keeps_what_is_needed,
    an_honest_store_passes_preflight,
    a_lying_hint_is_harmless,
];

impl Bench {
    /// The suite on `backend`, with the defaults.
    pub fn new(backend: Arc<dyn ObjectStore>) -> Self {
        Self {
            backend,
            prefix: Path::from("conformance"),
            options: StoreOptions::default(),
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
        }
    }

    /// Opens a deployment's log, as a process would.
    pub async fn open(&self, deployment: &DeploymentName) -> Store {
        self.try_open(deployment).await.expect("the log opens")
    }

    async fn try_open(&self, deployment: &DeploymentName) -> Result<Store, StoreError> {
        self.open_with(deployment, self.options.clone()).await
    }

    async fn open_with(
        &self,
        deployment: &DeploymentName,
        options: StoreOptions,
    ) -> Result<Store, StoreError> {
        let (backend, prefix) = (self.backend.clone(), self.prefix.clone());
        let (clock, entropy) = (self.clock.clone(), self.entropy.clone());
        Store::open(backend, prefix, deployment.clone(), options, clock, entropy).await
    }

    /// A deployment that nobody else uses.
    pub fn deployment(&self) -> DeploymentName {
        let random = Nonce::random(&*self.entropy);
        DeploymentName::try_from(format!("d-{random}")).expect("a valid name")
    }

    /// A key that nobody else uses.
    pub fn key(&self) -> IdempotencyKey {
        IdempotencyKey::random(&*self.entropy)
    }

    /// Leadership for a new session.
    pub async fn claim(&self, store: &Store, generation: &str) -> Claimed {
        store.claim(self.claim_of(generation)).await.expect("the claim is recorded")
    }

    fn claim_of(&self, generation: &str) -> Claim {
        Claim {
            session: SessionId::random(&*self.entropy),
            holder: "pod-a".to_owned(),
            generation: generation.to_owned(),
            leads: true,
            epoch_hint: 0,
        }
    }

    async fn commit(&self, store: &Store, epoch: Epoch, change: Change) -> Answer {
        store.commit(epoch, self.key(), change).await.expect("the change is recorded")
    }

    /// Where a record of a deployment's log is.
    pub fn record(&self, deployment: &DeploymentName, sequence: u64) -> Path {
        self.prefix.clone().join(deployment.as_str()).join("log").join(format!("{sequence:020}.json"))
    }
}

fn job() -> JobId {
    JobId::try_from("00000000000000000000000000000001").expect("a valid id")
}

/// The pointer of a checkpoint of a made-up job.
pub fn pointer(id: u64) -> PointerRecord {
    PointerRecord {
        external_pointer: format!("s3://bucket/checkpoints/chk-{id}"),
        kind: SnapshotKind::Checkpoint,
        trigger_timestamp_ms: 1_763_668_000_000,
        completion_timestamp_ms: 1_763_668_000_412,
        properties: "rO0ABXNy".to_owned(),
        restored_properties: None,
        discard_subsumed: None,
    }
}

/// Adds a checkpoint to a made-up job.
pub fn add_checkpoint(id: u64) -> Change {
    Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }
}

async fn an_acknowledged_write_is_in_every_later_read(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    for id in 1..=5 {
        assert_eq!(bench.commit(&store, epoch, add_checkpoint(id)).await, Answer::Created);
        let other = bench.open(&deployment).await;
        assert!(other.view().state.jobs[&job()].checkpoints.contains_key(&id));
    }
    let confirmed = store.confirm(epoch).await.expect("nobody claimed");
    assert_eq!(confirmed.state.jobs[&job()].checkpoints.len(), 5);
}

async fn a_newer_epoch_fences_every_older_one(bench: &Bench) {
    let deployment = bench.deployment();
    let (a, b) = (bench.open(&deployment).await, bench.open(&deployment).await);
    let old = bench.claim(&a, "g").await.epoch;
    bench.commit(&a, old, add_checkpoint(1)).await;
    let new = bench.claim(&b, "g").await.epoch;
    assert!(new > old);
    for _ in 0..2 {
        let fenced = a.commit(old, bench.key(), add_checkpoint(2)).await;
        assert!(matches!(fenced, Err(StoreError::Fenced { newest, .. }) if newest == new), "{fenced:?}");
    }
    assert!(matches!(a.confirm(old).await, Err(StoreError::Fenced { .. })));
    assert!(matches!(b.commit(old, bench.key(), add_checkpoint(2)).await, Err(StoreError::Fenced { .. })));
    let view = b.confirm(new).await.expect("the newest epoch stands");
    assert_eq!(view.state.jobs[&job()].checkpoints.keys().copied().collect::<Vec<_>>(), [1]);
}

async fn a_deposed_process_answers_nothing_out_of_its_memory(bench: &Bench) {
    // None of these needs a record: a repetition, a removal of nothing, a refusal. Each must still be true.
    let other = Change::AddCheckpoint { job: job(), id: 1, pointer: pointer(99) };
    for change in [add_checkpoint(1), Change::RemoveCheckpoint { job: job(), id: 7 }, other] {
        let deployment = bench.deployment();
        let (a, b) = (bench.open(&deployment).await, bench.open(&deployment).await);
        let old = bench.claim(&a, "g").await.epoch;
        bench.commit(&a, old, add_checkpoint(1)).await;
        bench.claim(&b, "g").await;
        let fenced = a.commit(old, bench.key(), change).await;
        assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    }
}

async fn concurrent_claims_get_different_epochs(bench: &Bench) {
    let deployment = bench.deployment();
    let stores = join_all((0..4).map(|_| bench.open(&deployment))).await;
    let claims = join_all(stores.iter().map(|store| bench.claim(store, "g"))).await;
    let mut epochs: Vec<u64> = claims.iter().map(|claimed| claimed.epoch.get()).collect();
    epochs.sort_unstable();
    assert_eq!(epochs, [1, 2, 3, 4]);
    let newest = bench.open(&deployment).await.view().state.epoch();
    assert_eq!(newest, Epoch::new(4));
}

async fn concurrent_commits_share_records_and_keep_their_order(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    let next = || store.commit(epoch, bench.key(), Change::NextCheckpointId { job: job() });
    let answers = join_all((0..50).map(|_| next())).await;
    let values: Vec<Answer> = answers.into_iter().map(|answer| answer.expect("recorded")).collect();
    assert_eq!(values, (1..=50).map(Answer::Value).collect::<Vec<_>>(), "none lost, none twice, in order");
    let records = store.view().header.as_ref().expect("a record").sequence.get();
    assert!(records < 10, "50 commits took {records} records");
}

async fn a_retry_is_answered_as_the_first_try_was(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let claimed = bench.claim(&store, "g").await;
    let next = Change::NextCheckpointId { job: job() };
    let key = bench.key();
    let first = store.commit(claimed.epoch, key.clone(), next.clone()).await;
    bench.commit(&store, claimed.epoch, next.clone()).await;
    let records = store.view().header.clone();
    assert_eq!(store.commit(claimed.epoch, key.clone(), next.clone()).await, first);
    assert_eq!(store.view().header, records, "a retry needs no record");
    // Also from a process that never saw the first try, and under an epoch that is over.
    let later = bench.open(&deployment).await;
    bench.claim(&later, "g").await;
    assert_eq!(later.commit(claimed.epoch, key, next).await, first);
}

async fn a_refusal_changes_nothing(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    bench.commit(&store, epoch, add_checkpoint(1)).await;
    let before = store.view();
    let other = Change::AddCheckpoint { job: job(), id: 1, pointer: pointer(99) };
    let refused = store.commit(epoch, bench.key(), other).await;
    assert!(matches!(refused, Err(StoreError::Refused(Refusal::AlreadyExists { .. }))), "{refused:?}");
    assert_eq!(bench.commit(&store, epoch, add_checkpoint(1)).await, Answer::Unchanged);
    let gone = Change::RemoveCheckpoint { job: job(), id: 7 };
    assert_eq!(bench.commit(&store, epoch, gone).await, Answer::Removed(0));
    assert_eq!(store.view(), before, "no record was written");
}

async fn a_session_survives_its_sidecar(bench: &Bench) {
    let deployment = bench.deployment();
    let first = bench.open(&deployment).await;
    let claim = bench.claim_of("g");
    let epoch = first.claim(claim.clone()).await.expect("claimed").epoch;
    let key = bench.key();
    first.commit(epoch, key.clone(), add_checkpoint(1)).await.expect("recorded");
    first.close(Duration::ZERO).await;

    let second = bench.open(&deployment).await;
    // Before it is resumed, nobody knows what the first process has still on its way.
    let early = second.commit(epoch, bench.key(), add_checkpoint(2)).await;
    assert!(matches!(early, Err(StoreError::Unknown { .. })), "{early:?}");
    let resumed = second.resume(&claim.session, epoch).await.expect("the same session goes on");
    assert_eq!(resumed.epoch, epoch);
    assert_eq!(resumed.view.header.as_ref().expect("a record").kind, RecordKind::Adopt);
    assert_eq!(
        second.commit(epoch, key, add_checkpoint(1)).await,
        Ok(Answer::Created),
        "answered from the record"
    );
    assert_eq!(bench.commit(&second, epoch, add_checkpoint(2)).await, Answer::Created);
    // Resuming what this process holds already needs no record.
    let again = second.resume(&claim.session, epoch).await.expect("still ours");
    assert_eq!(again.view, second.view());
}

async fn a_resumption_is_refused_after_a_newer_claim(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let claim = bench.claim_of("g");
    let epoch = store.claim(claim.clone()).await.expect("claimed").epoch;
    let stranger = SessionId::random(&*bench.entropy);
    assert!(matches!(store.resume(&stranger, epoch).await, Err(StoreError::Fenced { .. })));
    let other = bench.open(&deployment).await;
    bench.claim(&other, "g").await;
    let restarted = bench.open(&deployment).await;
    assert!(matches!(restarted.resume(&claim.session, epoch).await, Err(StoreError::Fenced { .. })));
}

async fn a_later_incarnation_fences_an_earlier_one_of_the_same_epoch(bench: &Bench) {
    let deployment = bench.deployment();
    let first = bench.open(&deployment).await;
    let claim = bench.claim_of("g");
    let epoch = first.claim(claim.clone()).await.expect("claimed").epoch;
    let second = bench.open(&deployment).await;
    second.resume(&claim.session, epoch).await.expect("adopted");
    let fenced = first.commit(epoch, bench.key(), add_checkpoint(1)).await;
    assert!(matches!(fenced, Err(StoreError::Fenced { .. })), "{fenced:?}");
    assert!(matches!(first.confirm(epoch).await, Err(StoreError::Fenced { .. })));
    let back = first.resume(&claim.session, epoch).await;
    assert!(matches!(back, Err(StoreError::Fenced { .. })), "it never comes back: {back:?}");
    assert_eq!(bench.commit(&second, epoch, add_checkpoint(1)).await, Answer::Created);
}

async fn a_new_generation_finds_nothing_live_and_knows_what_was_retained(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "first").await.epoch;
    for id in 1..=3 {
        bench.commit(&store, epoch, add_checkpoint(id)).await;
    }
    let blob = store.put_blob(Bytes::from_static(b"graph")).await.expect("stored");
    let graph = GraphEntry { blob, flink_version: "2.2.1".to_owned(), fingerprint: None };
    bench.commit(&store, epoch, Change::PutGraph { job: job(), graph, expected: Expected::Absent }).await;
    bench.commit(&store, epoch, Change::RemoveCheckpoint { job: job(), id: 1 }).await;
    let end = Change::EndJob { job: job(), status: JobStatus::Canceled, discarded: vec![2] };
    assert_eq!(bench.commit(&store, epoch, end).await, Answer::Ended { retained: 1, discarded: 1 });
    let clear = Change::ClearCheckpoints { job: job() };
    assert_eq!(bench.commit(&store, epoch, clear).await, Answer::Removed(2));

    let claimed = bench.claim(&store, "second").await;
    let known = &claimed.view.state.jobs[&job()];
    assert!(known.checkpoints.is_empty(), "what is restored is the plan's to say");
    assert_eq!(known.next_checkpoint_id, 4, "the counter goes on");
    assert_eq!((&known.graph, known.ended), (&None, None), "a new rollout brings its own graph");
    let fates: Vec<_> = known.history.iter().map(|snapshot| (snapshot.id, snapshot.state)).collect();
    let (gone, retained) = (SnapshotState::Discarded, SnapshotState::Retained);
    assert_eq!(fates, [(1, SnapshotState::Subsumed), (2, gone), (3, retained)]);
    assert!(claimed.view.state.snapshots_seen);
}

async fn ended_jobs_stay_ended_within_a_generation(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    let payload = store.put_blob(Bytes::from_static(b"{}")).await.expect("stored");
    let create = Change::CreateResult {
        kind: crate::ResultKind::Jobs,
        id: job().into(),
        status: "FINISHED".to_owned(),
        payload,
    };
    assert_eq!(bench.commit(&store, epoch, create.clone()).await, Answer::Created);
    let again = store.commit(epoch, bench.key(), create).await;
    assert!(matches!(again, Err(StoreError::Refused(Refusal::AlreadyExists { .. }))), "{again:?}");
    let same = bench.claim(&store, "g").await;
    assert_eq!(same.view.state.results.jobs.len(), 1);
    let next = bench.claim(&store, "next").await;
    assert_eq!(next.view.state.results.jobs.len(), 0);
    assert_eq!(next.view.state.archived_results.len(), 1);
}

async fn blobs_are_checked_on_read(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let bytes = Bytes::from(vec![7_u8; 100_000]);
    let blob = store.put_blob(bytes.clone()).await.expect("stored");
    assert_eq!(store.get_blob(&blob).await.expect("read"), bytes);
    let twin = store.put_blob(bytes).await.expect("stored");
    assert_eq!(twin.hash, blob.hash);
    assert_ne!(twin.copy, blob.copy, "a key is never used twice");

    let key = bench.prefix.clone().join(deployment.as_str()).join("blob");
    let key = key.join(format!("{}.{}", blob.hash, blob.copy));
    bench.backend.put(&key, PutPayload::from(vec![8_u8; 100_000])).await.expect("overwritten");
    let flipped = store.get_blob(&blob).await;
    assert!(matches!(&flipped, Err(StoreError::Corrupt { key: named, .. }) if *named == key.to_string()));
    bench.backend.delete(&key).await.expect("deleted");
    assert!(matches!(store.get_blob(&blob).await, Err(StoreError::Corrupt { .. })));
    assert!(store.get_blob(&twin).await.is_ok());
}

async fn a_corrupt_newest_record_is_never_skipped(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    bench.commit(&store, epoch, add_checkpoint(1)).await;
    let newest = bench.record(&deployment, 2);
    for garbage in ["", "{", "{\"header\":{\"format\":2,\"deployment\":\"d\"}}"] {
        bench.backend.put(&newest, PutPayload::from(garbage.to_owned())).await.expect("overwritten");
        let error = bench.try_open(&deployment).await.expect_err("it must not open");
        let StoreError::Corrupt { key, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*key, newest.to_string());
    }
}

async fn a_record_of_another_deployment_is_corrupt(bench: &Bench) {
    let (ours, theirs) = (bench.deployment(), bench.deployment());
    let store = bench.open(&theirs).await;
    bench.claim(&store, "g").await;
    let copied =
        bench.backend.get(&bench.record(&theirs, 1)).await.expect("read").bytes().await.expect("read");
    bench.backend.put(&bench.record(&ours, 1), copied.into()).await.expect("copied");
    let error = bench.try_open(&ours).await.expect_err("it must not open").to_string();
    assert!(error.contains(theirs.as_str()), "{error}");
}

async fn collection_keeps_what_is_needed(bench: &Bench) {
    let deployment = bench.deployment();
    let options = StoreOptions {
        collect_keep_records: 3,
        collect_min_age_ms: 0,
        collect_deletes_max: 4,
        ..bench.options.clone()
    };
    let store = bench.open_with(&deployment, options).await.expect("opens");
    let epoch = bench.claim(&store, "g").await.epoch;
    let named = store.put_blob(Bytes::from_static(b"named")).await.expect("stored");
    let graph = GraphEntry { blob: named.clone(), flink_version: "2.2.1".to_owned(), fingerprint: None };
    bench.commit(&store, epoch, Change::PutGraph { job: job(), graph, expected: Expected::Absent }).await;
    for id in 1..=10 {
        bench.commit(&store, epoch, add_checkpoint(id)).await;
    }
    let mut records = 0;
    loop {
        let (before, told) = (store.view(), store.collectable().await.expect("told"));
        assert_eq!(store.view(), before, "a dry run writes nothing");
        let round = store.collect(epoch).await.expect("the epoch stands");
        assert!(round.records <= 4, "a round is bounded");
        let counts = (told.records.len() as u64, told.blobs.len() as u64, told.more);
        assert_eq!(counts, (round.records, round.blobs, round.more), "a round does what was told before");
        records += round.records;
        if !round.more {
            break;
        }
    }
    assert!(records >= 9, "{records} of 12 records were deleted");
    let idle = store.view();
    assert_eq!(store.collect(epoch).await.expect("the epoch stands"), crate::Collected::default());
    assert_eq!(store.view(), idle, "a deployment that does nothing is not written to");
    let other = bench.open(&deployment).await;
    assert_eq!(other.view().state.jobs[&job()].checkpoints.len(), 10);
    assert_eq!(other.get_blob(&named).await.expect("kept"), "named");
    assert_eq!(bench.commit(&store, epoch, add_checkpoint(11)).await, Answer::Created);
    let new = bench.claim(&other, "g").await.epoch;
    assert!(matches!(store.collect(epoch).await, Err(StoreError::Fenced { .. })));
    assert!(other.collect(new).await.is_ok());
}

async fn an_honest_store_passes_preflight(bench: &Bench) {
    let deployment = bench.deployment();
    let timeout = Duration::from_millis(bench.options.call_timeout_ms);
    let (backend, prefix) = (&bench.backend, &bench.prefix);
    let shown_as = backend.to_string();
    Store::preflight(backend, prefix, &deployment, &*bench.entropy, &shown_as, timeout)
        .await
        .expect("an honest store is fit");
    let left = backend.list_with_delimiter(Some(&prefix.clone().join(deployment.as_str()))).await;
    assert!(left.expect("listed").objects.is_empty(), "preflight cleans up");
}

async fn a_lying_hint_is_harmless(bench: &Bench) {
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    bench.commit(&store, epoch, add_checkpoint(1)).await;
    let hint = bench.prefix.clone().join(deployment.as_str()).join("hint");
    for lie in ["00000000000000000001", "00000000000000009999", "18446744073709551615", "0", "-1", "x", ""] {
        bench.backend.put(&hint, PutPayload::from(lie.to_owned())).await.expect("written");
        let opened = bench.open(&deployment).await;
        assert_eq!(opened.view().header, store.view().header, "hint {lie:?}");
    }
}
