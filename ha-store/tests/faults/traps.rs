//! The stories that are too rare to be left to chance, one test each.

use crate::far::{Call, Far, Fault};
use crate::histories::{Counter, job};
use ha_store::conformance::pointer;
use ha_store::{
    Answer, BlobRef, Change, Claim, DeploymentName, Epoch, Expected, GraphEntry, IdempotencyKey, SessionId,
    Store, StoreError, StoreOptions, SystemClock,
};
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// A far end, and what a process needs to talk to it.
struct Stage {
    far: Far,
    entropy: Arc<Counter>,
    options: StoreOptions,
}

fn record(sequence: u64) -> Path {
    Path::from(format!("orders/log/{sequence:020}.json"))
}

fn key(text: &str) -> IdempotencyKey {
    text.parse().unwrap()
}

fn add(id: u64) -> Change {
    Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }
}

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// One fault for the first call that is like this; nothing goes wrong otherwise.
fn once(call: Call, fault: Fault) -> impl FnMut(&Call) -> Fault + Send {
    let mut left = Some(fault);
    move |made| if *made == call { left.take().unwrap_or(Fault::None) } else { Fault::None }
}

/// These faults, each for the next call that is like it.
fn script(mut faults: Vec<(Call, Fault)>) -> impl FnMut(&Call) -> Fault + Send {
    move |made| match faults.iter().position(|(call, _)| call == made) {
        Some(index) => faults.remove(index).1,
        None => Fault::None,
    }
}

impl Stage {
    /// Processes that wait long for an answer: they stall, and believe it when it comes.
    fn patient() -> Self {
        Self::new(StoreOptions { call_timeout_ms: 900_000, commit_deadline_ms: 900_000, ..options() })
    }

    /// Processes that give up early, and leave requests behind.
    fn impatient() -> Self {
        Self::new(StoreOptions { call_timeout_ms: 100, commit_deadline_ms: 1_000, ..options() })
    }

    fn new(options: StoreOptions) -> Self {
        Self { far: Far::new(|_| Fault::None), entropy: Arc::default(), options }
    }

    async fn open(&self) -> Store {
        let deployment = DeploymentName::try_from("orders").unwrap();
        let (backend, clock, entropy) =
            (Arc::new(self.far.clone()), Arc::new(SystemClock), self.entropy.clone());
        Store::open(backend, Path::default(), deployment, self.options.clone(), clock, entropy).await.unwrap()
    }

    async fn claim(&self, store: &Store) -> Epoch {
        let claim = Claim {
            session: SessionId::random(&*self.entropy),
            holder: "pod".to_owned(),
            generation: "generation".to_owned(),
            leads: true,
            epoch_hint: 0,
        };
        store.claim(claim).await.unwrap().epoch
    }

    async fn commit(&self, store: &Store, epoch: Epoch, change: Change) -> Answer {
        store.commit(epoch, IdempotencyKey::random(&*self.entropy), change).await.unwrap()
    }

    /// Another process takes over, writes a while, and collects everything that it may.
    async fn take_over_and_collect(&self) -> (Store, Epoch) {
        let store = self.open().await;
        let epoch = self.claim(&store).await;
        for id in 100..110 {
            self.commit(&store, epoch, add(id)).await;
        }
        let collected = store.collect(epoch).await.unwrap();
        assert!(collected.records > 0 && !collected.more);
        (store, epoch)
    }

    fn check(&self) {
        self.far.inner().oracle.check();
    }
}

fn options() -> StoreOptions {
    StoreOptions { collect_keep_records: 2, collect_min_age_ms: 0, ..StoreOptions::default() }
}

fn begin(store: &Store, epoch: Epoch, text: &str, id: u64) -> JoinHandle<Result<Answer, StoreError>> {
    let (store, key) = (store.clone(), key(text));
    tokio::spawn(async move { store.commit(epoch, key, add(id)).await })
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_stalls_before_its_create_finds_its_place_taken_after_the_collector_passed() {
    // The place of the stalled create: right after the claim, and later in the log.
    for commits_before in [0, 1, 3] {
        let stage = Stage::patient();
        let stalled = stage.open().await;
        let epoch = stage.claim(&stalled).await;
        for id in 0..commits_before {
            stage.commit(&stalled, epoch, add(1 + id)).await;
        }
        stage.far.set_faults(once(Call::Create(record(2 + commits_before)), Fault::Slow(600_000)));
        let late = begin(&stalled, epoch, "late", 50);
        sleep(seconds(1)).await;
        let (leader, newest) = stage.take_over_and_collect().await;
        assert!(!late.is_finished());
        let result = late.await.unwrap();
        stage.far.inner().oracle.answered(&key("late"), Some(50), &result);
        assert!(matches!(result, Err(StoreError::Fenced { .. })), "{result:?}");
        assert!(stage.far.inner().oracle.strays.is_empty(), "what took over from it is still there");
        assert_eq!(stage.commit(&leader, newest, add(200)).await, Answer::Created);
        assert_eq!(stage.open().await.view().header, leader.view().header);
        stage.check();
    }
}

/// Behind somebody else's record nothing is kept, so whoever claims has to ask.
#[tokio::test(start_paused = true)]
async fn a_claim_that_stalls_before_its_create_is_not_granted_a_place_that_the_collector_passed() {
    let stage = Stage::patient();
    let leader = stage.open().await;
    let epoch = stage.claim(&leader).await;
    let late = stage.open().await;
    stage.far.set_faults(once(Call::Create(record(2)), Fault::Slow(600_000)));
    let claiming = {
        let claim = Claim {
            session: SessionId::random(&*stage.entropy),
            holder: "pod".to_owned(),
            generation: "generation".to_owned(),
            leads: true,
            epoch_hint: 0,
        };
        let late = late.clone();
        tokio::spawn(async move { late.claim(claim).await })
    };
    sleep(seconds(1)).await;
    for id in 1..10 {
        stage.commit(&leader, epoch, add(id)).await;
    }
    assert!(leader.collect(epoch).await.unwrap().records > 0);
    let claimed = claiming.await.unwrap();
    assert_eq!(stage.far.inner().oracle.strays.len(), 1, "the create did succeed");
    assert!(matches!(claimed, Err(StoreError::Unknown { .. })), "{claimed:?}");
    stage.claim(&late).await;
    assert_eq!(late.view().state.jobs[&job()].checkpoints.len(), 9, "and nothing is lost");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_commit_is_one_create_and_nothing_else() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    for id in 1..4 {
        stage.far.inner().calls.clear();
        stage.commit(&store, epoch, add(id)).await;
        assert_eq!(stage.far.inner().calls, [Call::Create(record(1 + id))]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_so_many_takeovers_are_kept() {
    let stage = Stage::new(StoreOptions { collect_keep_takeovers: 2, ..options() });
    for _ in 0..5 {
        stage.claim(&stage.open().await).await;
    }
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.commit(&store, epoch, add(1)).await;
    // The boundary is record 6: of claims 1 to 5, below it, two stay.
    let collectable = store.collectable().await.unwrap();
    assert_eq!(store.collect(epoch).await.unwrap().records, collectable.records.len() as u64);
    let mut left = Vec::new();
    for sequence in 1..=8 {
        if stage.far.get(&record(sequence)).await.is_ok() {
            left.push(sequence);
        }
    }
    assert_eq!(left, [4, 5, 6, 7, 8]);
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_stalls_between_two_deletes_fools_no_stalled_writer() {
    let stage = Stage::patient();
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    stage.commit(&stalled, epoch, add(1)).await;
    // Were record 3 deleted before record 2, then its place would look untouched for as long as record 2 is there.
    stage.far.set_faults(script(vec![
        (Call::Create(record(3)), Fault::Slow(600_000)),
        (Call::Delete(record(2)), Fault::Slow(800_000)),
    ]));
    let late = begin(&stalled, epoch, "late", 50);
    sleep(seconds(1)).await;
    stage.take_over_and_collect().await;
    let result = late.await.unwrap();
    stage.far.inner().oracle.answered(&key("late"), Some(50), &result);
    assert!(matches!(result, Err(StoreError::Fenced { .. })), "{result:?}");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_stalls_after_its_create_is_not_told_that_nothing_was_recorded() {
    let stage = Stage::patient();
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    stage.commit(&stalled, epoch, add(1)).await;
    // The record is durable, and its writer is not told so. Others build on it, and it is collected before its writer has
    // looked at what precedes it.
    stage.far.set_faults(script(vec![
        (Call::Create(record(3)), Fault::ErrorAfter),
        (Call::Read(record(2)), Fault::Slow(600_000)),
    ]));
    let late = begin(&stalled, epoch, "late", 50);
    sleep(seconds(1)).await;
    let (leader, _) = stage.take_over_and_collect().await;
    assert!(leader.view().state.jobs[&job()].checkpoints.contains_key(&50));
    let result = late.await.unwrap();
    stage.far.inner().oracle.answered(&key("late"), Some(50), &result);
    assert_eq!(result, Ok(Answer::Created), "the log still remembers it");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_record_that_comes_back_after_its_collection_vouches_for_nothing() {
    let stage =
        Stage::new(StoreOptions { call_timeout_ms: 400_000, commit_deadline_ms: 900_000, ..options() });
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    // Record 2 is sent twice, and its first create arrives after record 2 was collected. Record 3 is sent once, and
    // arrives after that, when exactly the record that it follows is in place. Its own place is another's for ever.
    stage.far.set_faults(script(vec![
        (Call::Create(record(2)), Fault::Late(500_000)),
        (Call::Create(record(3)), Fault::Slow(300_000)),
    ]));
    stage.commit(&stalled, epoch, add(1)).await;
    let late = begin(&stalled, epoch, "late", 50);
    sleep(seconds(1)).await;
    stage.take_over_and_collect().await;
    let result = late.await.unwrap();
    stage.far.inner().oracle.answered(&key("late"), Some(50), &result);
    assert_eq!(stage.far.inner().oracle.strays.len(), 1, "record 2 came back");
    assert!(matches!(result, Err(StoreError::Fenced { .. })), "{result:?}");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_deposed_process_cannot_confirm_its_epoch_after_the_collector_passed() {
    for (call, fault) in [
        (Call::Read(record(999)), Fault::None),
        (Call::Read(record(3)), Fault::Slow(600_000)),
        (Call::Read(record(2)), Fault::Slow(600_000)),
    ] {
        let stage = Stage::patient();
        let stalled = stage.open().await;
        let epoch = stage.claim(&stalled).await;
        stage.commit(&stalled, epoch, add(1)).await;
        stage.far.set_faults(once(call, fault));
        let confirm = {
            let stalled = stalled.clone();
            tokio::spawn(async move {
                sleep(seconds(if fault == Fault::None { 10 } else { 0 })).await;
                stalled.confirm(epoch).await
            })
        };
        sleep(seconds(1)).await;
        stage.take_over_and_collect().await;
        let confirmed = confirm.await.unwrap();
        assert!(matches!(confirmed, Err(StoreError::Fenced { .. })), "{confirmed:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_collector_cannot_delete_what_was_put_again() {
    let stage = Stage::patient();
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    let graph = |blob: BlobRef| GraphEntry { blob, flink_version: "2.2.1".to_owned(), fingerprint: None };
    let put = |blob| Change::PutGraph { job: job(), graph: graph(blob), expected: Expected::Absent };
    // Put by a process that died, and let go: nobody names it any more once the collector has passed.
    let other = stage.open().await;
    let blob = other.put_blob("the same bytes".into()).await.unwrap();
    stage.commit(&stalled, epoch, put(blob.clone())).await;
    stage.commit(&stalled, epoch, Change::DropGraph { job: job() }).await;
    for id in 1..10 {
        stage.commit(&stalled, epoch, add(id)).await;
    }
    let doomed = Path::from(format!("orders/blob/{}.{}", blob.hash, blob.copy));
    stage.far.set_faults(once(Call::Delete(doomed.clone()), Fault::Slow(600_000)));
    let collect = {
        let stalled = stalled.clone();
        tokio::spawn(async move { stalled.collect(epoch).await })
    };
    sleep(seconds(1)).await;
    let leader = stage.open().await;
    let newest = stage.claim(&leader).await;
    let again = leader.put_blob("the same bytes".into()).await.unwrap();
    assert_eq!(again.hash, blob.hash);
    stage.commit(&leader, newest, put(again.clone())).await;
    assert_eq!(collect.await.unwrap().unwrap().blobs, 1);
    assert!(!stage.far.holds(doomed.as_ref()));
    assert_eq!(leader.get_blob(&again).await.unwrap(), "the same bytes");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_was_deposed_after_it_listed_deletes_nothing() {
    let stage = Stage::patient();
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    for id in 1..10 {
        stage.commit(&stalled, epoch, add(id)).await;
    }
    stage.far.set_faults(once(Call::List(Path::from("orders/blob")), Fault::SlowAnswer(600_000)));
    let collect = {
        let stalled = stalled.clone();
        tokio::spawn(async move { stalled.collect(epoch).await })
    };
    sleep(seconds(1)).await;
    let leader = stage.open().await;
    stage.claim(&leader).await;
    assert!(matches!(collect.await.unwrap(), Err(StoreError::Fenced { .. })));
    assert!(stage.far.holds(record(1).as_ref()));
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_was_deposed_before_it_listed_deletes_no_blob_that_is_about_to_be_named() {
    let stage = Stage::patient();
    let stalled = stage.open().await;
    let epoch = stage.claim(&stalled).await;
    for id in 1..5 {
        stage.commit(&stalled, epoch, add(id)).await;
    }
    // From here on it has no boundary to raise, and so no other reason to notice that it is deposed.
    assert!(stalled.collect(epoch).await.unwrap().records > 0);
    stage.far.set_faults(once(Call::List(Path::from("orders/blob")), Fault::Slow(600_000)));
    let collect = {
        let stalled = stalled.clone();
        tokio::spawn(async move { stalled.collect(epoch).await })
    };
    sleep(seconds(1)).await;
    let leader = stage.open().await;
    let newest = stage.claim(&leader).await;
    // The listing shows it, and no record names it yet.
    let blob = leader.put_blob("a graph".into()).await.unwrap();
    assert!(matches!(collect.await.unwrap(), Err(StoreError::Fenced { .. })));
    let graph = GraphEntry { blob: blob.clone(), flink_version: "2.2.1".to_owned(), fingerprint: None };
    stage.commit(&leader, newest, Change::PutGraph { job: job(), graph, expected: Expected::Absent }).await;
    assert_eq!(leader.get_blob(&blob).await.unwrap(), "a graph");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_collector_leaves_alone_what_its_own_process_is_about_to_name() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    let blob = store.put_blob("a graph".into()).await.unwrap();
    // Whoever put it is slow to name it; meanwhile it grows old.
    for id in 1..5 {
        stage.commit(&store, epoch, add(id)).await;
    }
    assert_eq!(store.collect(epoch).await.unwrap().blobs, 0);
    let graph = GraphEntry { blob: blob.clone(), flink_version: "2.2.1".to_owned(), fingerprint: None };
    stage.commit(&store, epoch, Change::PutGraph { job: job(), graph, expected: Expected::Absent }).await;
    assert_eq!(store.get_blob(&blob).await.unwrap(), "a graph");
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_our_own_earlier_try_is_a_success() {
    // FLINK-28265: the HTTP client repeats a create whose first answer was lost.
    for fault in [Fault::SentTwice, Fault::ErrorAfter, Fault::LostAnswer, Fault::Contended] {
        let stage = Stage::impatient();
        let store = stage.open().await;
        let epoch = stage.claim(&store).await;
        stage.far.set_faults(once(Call::Create(record(2)), fault));
        assert_eq!(stage.commit(&store, epoch, add(1)).await, Answer::Created, "{fault:?}");
        stage.check();
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_outcome_is_resolved_and_told_to_the_retry() {
    // FLINK-22494: the write is applied, and its sender must never hear that it failed.
    let stage = Stage::impatient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    let began_at = Instant::now();
    stage.far.set_faults(move |call| match call {
        Call::Create(_) | Call::Read(_) if began_at.elapsed() < seconds(10) => Fault::LostAnswer,
        _ => Fault::None,
    });
    let first = store.commit(epoch, key("k"), add(1)).await;
    assert!(matches!(first, Err(StoreError::Unknown { waited_ms: 1_000, .. })), "{first:?}");
    let retry = store.commit(epoch, key("k"), add(1)).await;
    assert!(matches!(retry, Err(StoreError::Unknown { .. })), "still on its way: {retry:?}");
    // Behind a record of unknown fate, nothing else is sent; and that is certain.
    let other = store.commit(epoch, key("other"), add(2)).await;
    assert!(matches!(other, Err(StoreError::Unavailable { .. })), "{other:?}");
    sleep(seconds(10)).await;
    assert_eq!(store.commit(epoch, key("k"), add(1)).await, Ok(Answer::Created));
    let view = store.confirm(epoch).await.unwrap();
    assert_eq!(view.state.jobs[&job()].checkpoints.keys().copied().collect::<Vec<_>>(), [1]);
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_answered_although_the_log_has_moved_on_by_two_epochs_meanwhile() {
    let stage = Stage::patient();
    let store = stage.open().await;
    // Both records are sent twice, so the second must be vouched for by a listing, and that takes a while.
    stage.far.set_faults(once(Call::Create(record(1)), Fault::ErrorAfter));
    let epoch = stage.claim(&store).await;
    stage.far.set_faults(script(vec![
        (Call::Create(record(2)), Fault::ErrorAfter),
        (Call::List(Path::from("orders/log")), Fault::Slow(10_000)),
    ]));
    let first = begin(&store, epoch, "k", 1);
    sleep(seconds(1)).await;
    for _ in 0..2 {
        let other = stage.open().await;
        stage.claim(&other).await;
    }
    assert_eq!(first.await.unwrap(), Ok(Answer::Created));
    assert_eq!(store.view().state.answer_of(&key("k")), None, "the log has forgotten it");
    assert_eq!(store.commit(epoch, key("k"), add(1)).await, Ok(Answer::Created));
    stage.check();
}

#[tokio::test(start_paused = true)]
async fn what_the_store_refused_for_certain_is_not_called_unknown() {
    let stage = Stage::impatient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.far.set_faults(|_| Fault::Refused);
    let refused = store.commit(epoch, key("k"), add(1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
    stage.far.heal();
    sleep(seconds(60)).await;
    assert!(store.refresh().await.unwrap().state.jobs.is_empty(), "and it is not recorded later");
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_cancels_nothing() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.far.set_faults(once(Call::Create(record(2)), Fault::Slow(1_000)));
    let abandoned = begin(&store, epoch, "k", 1);
    sleep(Duration::from_millis(100)).await;
    abandoned.abort();
    sleep(seconds(2)).await;
    assert!(store.view().state.jobs[&job()].checkpoints.contains_key(&1));
}

#[tokio::test(start_paused = true)]
async fn a_create_of_a_dead_process_becomes_part_of_what_is_adopted_or_comes_too_late() {
    for (arrives_after_ms, adopted) in [(500, true), (60_000, false)] {
        let stage = Stage::impatient();
        let first = stage.open().await;
        let session = SessionId::random(&*stage.entropy);
        let claim = Claim {
            session: session.clone(),
            holder: "pod".to_owned(),
            generation: "generation".to_owned(),
            leads: true,
            epoch_hint: 0,
        };
        let epoch = first.claim(claim).await.unwrap().epoch;
        stage.far.set_faults(once(Call::Create(record(2)), Fault::Late(arrives_after_ms)));
        let dying = begin(&first, epoch, "k", 1);
        sleep(Duration::from_millis(50)).await;
        first.close(Duration::ZERO).await;
        assert!(matches!(dying.await.unwrap(), Err(StoreError::Unknown { .. })));

        let second = stage.open().await;
        sleep(Duration::from_millis(if adopted { 1_000 } else { 0 })).await;
        let resumed = second.resume(&session, epoch).await.unwrap();
        assert_eq!(resumed.view.state.answer_of(&key("k")).is_some(), adopted);
        assert_eq!(second.commit(epoch, key("k"), add(1)).await, Ok(Answer::Created));
        sleep(seconds(120)).await;
        let view = second.confirm(epoch).await.unwrap();
        assert_eq!(view.state.jobs[&job()].checkpoints.len(), 1, "once, either way");
        stage.check();
    }
}

#[tokio::test(start_paused = true)]
async fn opening_costs_one_listing_and_one_record_however_long_the_history() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    for id in 1..3_000 {
        stage.commit(&store, epoch, Change::SetCheckpointId { job: job(), value: 1 + id }).await;
    }
    let listed = || {
        let inner = stage.far.inner();
        let lists = inner.calls.iter().filter(|call| matches!(call, Call::List(_))).count();
        let records =
            inner.calls.iter().filter(|call| matches!(call, Call::Read(key) if *key != hint())).count();
        (lists, records, inner.listed_last)
    };
    stage.far.inner().calls.clear();
    assert_eq!(stage.open().await.view().header, store.view().header);
    let (lists, records, listed_last) = listed();
    assert_eq!((lists, records), (1, 1));
    assert!(listed_last <= 256, "{listed_last} keys were listed: more than since the last hint");

    // Without a hint the listing is long, and still one.
    stage.far.delete(&hint()).await.unwrap();
    stage.far.inner().calls.clear();
    stage.open().await;
    assert_eq!(listed(), (1, 1, 3_000));
}

fn hint() -> Path {
    Path::from("orders/hint")
}

#[tokio::test(start_paused = true)]
async fn closing_finishes_what_was_accepted() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.far.set_faults(once(Call::Create(record(2)), Fault::Slow(1_000)));
    let accepted = [begin(&store, epoch, "a", 1), begin(&store, epoch, "b", 2)];
    sleep(Duration::from_millis(10)).await;
    store.close(seconds(60)).await;
    for accepted in accepted {
        assert_eq!(accepted.await.unwrap(), Ok(Answer::Created));
    }
    store.stopped().await;
    let late = store.commit(epoch, key("c"), add(3)).await;
    assert!(matches!(late, Err(StoreError::Unknown { .. })), "{late:?}");
    assert_eq!(stage.open().await.view().state.jobs[&job()].checkpoints.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_writer_ends_when_its_last_handle_is_dropped() {
    let stage = Stage::patient();
    let store = stage.open().await;
    stage.claim(&store).await;
    assert!(Arc::strong_count(&stage.entropy) > 1);
    drop(store);
    sleep(seconds(1)).await;
    assert_eq!(Arc::strong_count(&stage.entropy), 1, "nothing of it is left");
}

#[tokio::test(start_paused = true)]
async fn a_deserted_writer_gives_up_a_record_of_unknown_fate_when_nobody_can_ask_for_it() {
    let stage = Stage::impatient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.far.set_faults(|_| Fault::LostAnswer);
    let abandoned = begin(&store, epoch, "k", 1);
    sleep(Duration::from_millis(10)).await;
    abandoned.abort();
    drop(store);
    sleep(seconds(10)).await;
    assert_eq!(Arc::strong_count(&stage.entropy), 1, "nothing of it is left");
}

#[tokio::test(start_paused = true)]
async fn an_impossible_log_stops_the_writer_loudly() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    // A second record of the same process in the place of the next one: no correct writer does that.
    let claim = stage.far.get(&record(1)).await.unwrap().bytes().await.unwrap();
    let forged = String::from_utf8(claim.to_vec()).unwrap().replace("\"sequence\": 1", "\"sequence\": 2");
    let nonce = store.view().header.as_ref().unwrap().nonce.to_string();
    let forged = forged.replace(&nonce, "forged");
    stage.far.put(&record(2), PutPayload::from(forged)).await.unwrap();
    let result = store.commit(epoch, key("k"), add(1)).await;
    assert!(matches!(result, Err(StoreError::Unknown { .. })), "{result:?}");
    store.stopped().await;
    let again = store.commit(epoch, key("k"), add(1)).await;
    assert!(matches!(again, Err(StoreError::Unknown { .. })), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn an_emptied_log_is_not_mistaken_for_a_fresh_one() {
    let stage = Stage::patient();
    let store = stage.open().await;
    let epoch = stage.claim(&store).await;
    stage.far.inner().forget(&record(1));
    let confirmed = store.confirm(epoch).await;
    assert!(matches!(&confirmed, Err(StoreError::Corrupt { key, .. }) if *key == record(1).to_string()));
}
