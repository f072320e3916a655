use super::*;
use crate::{DeploymentName, Grant, Incarnation, JobId, Nonce, RecordHeader, RecordKind, state};
use std::time::Duration;

type Answered = oneshot::Receiver<Result<Reply, StoreError>>;

fn desk() -> Desk {
    let limits = Limits { queue_max: 3, batch_max: 2, ..Limits::default() };
    let mut desk = Desk::new(&limits);
    desk.learn(&view(&[]), &BTreeSet::from([Epoch::new(1)]));
    desk
}

/// A view under epoch 1 that shows these keys as applied.
fn view(keys: &[&str]) -> Arc<View> {
    let applied = |key: &&str| state::Applied { key: key.parse().unwrap(), answer: Answer::Created };
    let grant = Grant {
        session: SessionId::try_from("s").unwrap(),
        holder: "pod".to_owned(),
        generation: "1".to_owned(),
        epoch: Epoch::new(1),
        claimed_at_ms: 0,
    };
    let state = DeploymentState {
        grant: Some(grant),
        applied: keys.iter().map(applied).collect(),
        ..DeploymentState::default()
    };
    let header = RecordHeader {
        format: 1,
        deployment: DeploymentName::try_from("orders").unwrap(),
        sequence: Sequence::new(1),
        follows: None,
        epoch: Epoch::new(1),
        incarnation: Incarnation::try_from("me").unwrap(),
        nonce: Nonce::try_from("n").unwrap(),
        kind: RecordKind::Claim,
        written_at_ms: 0,
    };
    Arc::new(View { header: Some(header), state: Arc::new(state) })
}

fn commit_under(epoch: u64, key: &str) -> Ask {
    let job = JobId::try_from("0".repeat(32)).unwrap();
    let edit = Edit::Change(key.parse().unwrap(), Change::NextCheckpointId { job });
    Ask::Commit(Entry { epoch: Epoch::new(epoch), edit })
}

fn commit(key: &str) -> Ask {
    commit_under(1, key)
}

fn accept(desk: &mut Desk, ask: Ask, deadline_ms: u64) -> Answered {
    let (reply, answered) = oneshot::channel();
    let asked_at = Instant::now();
    let deadline = asked_at + Duration::from_millis(deadline_ms);
    desk.receive(Mail::Ask(Arc::new(ask), Caller { reply, asked_at, deadline }));
    answered
}

fn in_ms(ms: u64) -> Instant {
    Instant::now() + Duration::from_millis(ms)
}

fn doubtful() -> Progress {
    let progress = Progress::default();
    progress.set_doubtful(true);
    progress
}

fn created() -> Result<Reply, StoreError> {
    Ok(Reply::Answer(Answer::Created))
}

#[tokio::test(start_paused = true)]
async fn requests_are_begun_in_the_order_of_arrival_and_only_like_ones_together() {
    let mut desk = desk();
    let _waiting = [commit("a"), Ask::Refresh, commit("b")].map(|ask| accept(&mut desk, ask, 10));
    let begun: Vec<_> = std::iter::from_fn(|| {
        let asks = desk.begin()?;
        desk.settle(asks.iter().map(|_| created()).collect());
        Some(asks.len())
    })
    .collect();
    assert_eq!(begun, [1, 1, 1]);

    let _waiting = ["c", "d", "e"].map(|key| accept(&mut desk, commit(key), 10));
    assert_eq!(desk.begin().unwrap().len(), 2, "a batch is bounded");
}

#[tokio::test(start_paused = true)]
async fn a_late_caller_of_a_record_on_its_way_is_told_unknown() {
    let mut desk = desk();
    let mut late = accept(&mut desk, commit("a"), 10);
    desk.begin();
    assert!(!desk.expire(in_ms(10), &doubtful()), "the record is pursued");
    assert!(matches!(late.try_recv().unwrap(), Err(StoreError::Unknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_record_on_its_way_gets_that_records_answer() {
    let mut desk = desk();
    let _late = accept(&mut desk, commit("a"), 10);
    desk.begin();
    desk.expire(in_ms(10), &doubtful());
    let mut retry = accept(&mut desk, commit("a"), 100);
    desk.settle(vec![created()]);
    assert!(matches!(retry.try_recv().unwrap(), Ok(Reply::Answer(Answer::Created))));
    assert!(desk.begin().is_none(), "it is not done a second time");
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_unavailable_and_dropped() {
    let mut desk = desk();
    let mut late = accept(&mut desk, commit("a"), 10);
    let mut patient = accept(&mut desk, commit("b"), 100);
    desk.begin();
    assert!(desk.expire(in_ms(10), &Progress::default()), "nothing was sent: the work is dropped");
    assert!(matches!(late.try_recv().unwrap(), Err(StoreError::Unavailable { .. })));
    assert!(patient.try_recv().is_err());
    assert_eq!(desk.begin().unwrap().len(), 1, "who still has time goes first again");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_at_once_and_names_its_limit() {
    let mut desk = desk();
    let _waiting = ["a", "b", "c"].map(|key| accept(&mut desk, commit(key), 10));
    let mut refused = accept(&mut desk, commit("d"), 10);
    let error = refused.try_recv().unwrap().unwrap_err();
    assert!(
        matches!(&error, StoreError::Unavailable { reason, .. } if reason.contains("queue_max")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_that_an_earlier_process_may_have_sent_is_never_called_unavailable() {
    let mut desk = desk();
    let mut late = accept(&mut desk, commit_under(7, "a"), 10);
    desk.expire(in_ms(10), &Progress::default());
    assert!(matches!(late.try_recv().unwrap(), Err(StoreError::Unknown { .. })));
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_shown_once_is_answered_even_after_it_forgot() {
    let mut desk = desk();
    desk.learn(&view(&["a"]), &BTreeSet::new());
    desk.learn(&view(&["b"]), &BTreeSet::new());
    let mut retry = accept(&mut desk, commit("a"), 10);
    assert!(matches!(retry.try_recv().unwrap(), Ok(Reply::Answer(Answer::Created))));
}

#[tokio::test(start_paused = true)]
async fn answers_are_remembered_up_to_a_limit() {
    let mut recorded = Recorded::default();
    for n in 0..RECORDED_MAX + 10 {
        recorded.learn(&view(&[&format!("key-{n}")]).state);
    }
    assert_eq!(recorded.answers.len(), RECORDED_MAX);
    assert_eq!(recorded.oldest_first.len(), RECORDED_MAX);
    assert_eq!(recorded.answer_to(&commit("key-9")), None);
    assert_eq!(recorded.answer_to(&commit("key-10")), Some(Answer::Created));
}

#[tokio::test(start_paused = true)]
async fn nothing_new_is_taken_while_closing() {
    let mut desk = desk();
    let mut accepted = accept(&mut desk, commit("a"), 10);
    let (done, mut closed) = oneshot::channel();
    desk.receive(Mail::Close(done));
    let mut refused = accept(&mut desk, commit("b"), 10);
    assert!(matches!(refused.try_recv().unwrap(), Err(StoreError::Unavailable { .. })));
    assert_eq!(desk.begin().unwrap().len(), 1, "what was accepted is finished");
    desk.settle(vec![created()]);
    assert!(accepted.try_recv().unwrap().is_ok());
    desk.closed();
    assert!(closed.try_recv().is_ok());
}
