//! The stories that are too rare to be left to chance, one test each.

use crate::far::{Call, Fault};
use crate::histories::job;
use crate::stage::{Stage, add, begin, claim_for, key, once, record, script, seconds};
use ha_store::{Answer, Change, StoreError};
use object_store::{ObjectStoreExt, PutPayload, path::Path};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

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
        let session = stage.session();
        let epoch = first.claim(claim_for(session.clone())).await.unwrap().epoch;
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
