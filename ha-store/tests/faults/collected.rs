//! What happens to those who stall until the collector has passed, and to a collector that stalls.

use crate::far::{Call, Fault};
use crate::histories::job;
use crate::stage::{
    Stage, add, begin, begin_collection, claim_for, once, options, put_graph, record, script, seconds,
};
use ha_store::{Answer, Change, StoreError, StoreOptions};
use object_store::{ObjectStoreExt, path::Path};
use tokio::time::sleep;

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
        let result = stage.answer_to(late, "late", 50).await;
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
        let (late, claim) = (late.clone(), claim_for(stage.session()));
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
    let result = stage.answer_to(late, "late", 50).await;
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
    let result = stage.answer_to(late, "late", 50).await;
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
    let result = stage.answer_to(late, "late", 50).await;
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
    // Put by a process that died, and let go: nobody names it any more once the collector has passed.
    let other = stage.open().await;
    let blob = other.put_blob("the same bytes".into()).await.unwrap();
    stage.commit(&stalled, epoch, put_graph(&blob)).await;
    stage.commit(&stalled, epoch, Change::DropGraph { job: job() }).await;
    for id in 1..10 {
        stage.commit(&stalled, epoch, add(id)).await;
    }
    let doomed = Path::from(format!("orders/blob/{}.{}", blob.hash, blob.copy));
    stage.far.set_faults(once(Call::Delete(doomed.clone()), Fault::Slow(600_000)));
    let collect = begin_collection(&stalled, epoch);
    sleep(seconds(1)).await;
    let leader = stage.open().await;
    let newest = stage.claim(&leader).await;
    let again = leader.put_blob("the same bytes".into()).await.unwrap();
    assert_eq!(again.hash, blob.hash);
    stage.commit(&leader, newest, put_graph(&again)).await;
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
    let collect = begin_collection(&stalled, epoch);
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
    let collect = begin_collection(&stalled, epoch);
    sleep(seconds(1)).await;
    let leader = stage.open().await;
    let newest = stage.claim(&leader).await;
    // The listing shows it, and no record names it yet.
    let blob = leader.put_blob("a graph".into()).await.unwrap();
    assert!(matches!(collect.await.unwrap(), Err(StoreError::Fenced { .. })));
    stage.commit(&leader, newest, put_graph(&blob)).await;
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
    stage.commit(&store, epoch, put_graph(&blob)).await;
    assert_eq!(store.get_blob(&blob).await.unwrap(), "a graph");
    stage.check();
}
