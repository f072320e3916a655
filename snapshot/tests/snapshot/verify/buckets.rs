//! Snapshots in buckets, which answer late, wrongly or not at all.

use super::{quick, verified};
use crate::support::far::{Far, Fault};
use crate::support::properties;
use crate::support::site::snapshot_of;
use snapshot::{Stores, Verdict, Verification, VerifyOptions, verify};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

const SNAPSHOT: &str = "s3://checkpoints/job/chk-1";

/// A snapshot whose files, so many of one length, are in `shared/` of its bucket.
async fn bucket(files: usize, reads: Fault, lists: Fault) -> (Arc<Far>, Stores) {
    let far = Far::new(reads, lists);
    let names: Vec<_> = (0..files).map(|i| (format!("s3a://checkpoints/job/shared/{i:05}"), 3)).collect();
    for (path, _) in &names {
        far.put(path.strip_prefix("s3a://checkpoints/").unwrap(), vec![0; 3]).await;
    }
    far.put("job/chk-1/_metadata", snapshot_of(&names, &properties()).bytes).await;
    let far = Arc::new(far);
    let stores = Stores::default();
    stores.register("s3://checkpoints", far.clone()).unwrap();
    (far, stores)
}

fn assert_unknown(found: &Verification, files: usize) {
    assert_eq!(found.verdict, Verdict::Unknown);
    assert!(!found.ok);
    assert_eq!(found.missing, Vec::<String>::new(), "what was not answered is not missing");
    assert_eq!(found.unknown.len(), files);
}

#[tokio::test]
async fn a_few_files_are_asked_for_one_by_one() {
    let (far, stores) = bucket(31, Fault::None, Fault::None).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok, "{found:?}");
    assert_eq!(far.lists_asked.load(SeqCst), 0);
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 31);
    assert_eq!(found.requests.heads, 1 + 31);
    assert_eq!(found.references[0].path, "s3a://checkpoints/job/shared/00000", "as the snapshot has it");
}

#[tokio::test]
async fn a_verification_can_be_a_task_of_its_own() {
    let (_far, stores) = bucket(3, Fault::None, Fault::None).await;
    let task = tokio::spawn(async move { verify(&stores, SNAPSHOT, &VerifyOptions::default()).await });
    assert!(task.await.unwrap().unwrap().ok);
}

#[tokio::test]
async fn many_files_of_a_directory_are_found_by_listing_it() {
    let (far, stores) = bucket(2500, Fault::None, Fault::None).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok);
    assert_eq!(far.heads_asked.load(SeqCst), 1, "the _metadata file");
    assert_eq!((found.requests.heads, found.requests.list_pages), (1, 3));
}

#[tokio::test]
async fn what_no_listing_shows_is_asked_for_before_it_is_called_missing() {
    let (far, stores) = bucket(100, Fault::None, Fault::None).await;
    let names: Vec<_> = (0..103).map(|i| (format!("s3://checkpoints/job/shared/{i:05}"), 3)).collect();
    far.put("job/chk-1/_metadata", snapshot_of(&names, &properties()).bytes).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert_eq!(found.verdict, Verdict::Broken);
    assert_eq!(found.missing.len(), 3);
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 3);
}

#[tokio::test]
async fn a_listing_of_other_jobs_files_is_given_up() {
    let (far, stores) = bucket(40, Fault::None, Fault::None).await;
    for other in 0..20_000 {
        far.put(&format!("job/shared/{:05}-of-another-job", other % 40 * 1000 + other), vec![0]).await;
    }
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok);
    assert!(found.requests.list_pages <= 5, "{:?}", found.requests);
    assert!(found.requests.heads <= 41, "{:?}", found.requests);
}

#[tokio::test]
async fn files_in_another_bucket_are_asked_for_there() {
    let (far, stores) = bucket(0, Fault::None, Fault::None).await;
    let old = Arc::new(Far::new(Fault::None, Fault::None));
    old.put("shared/x", vec![0; 5]).await;
    stores.register("gs://old", old.clone()).unwrap();
    let files = [("gs://old/shared/x".to_owned(), 5), ("gs://old/shared/y".to_owned(), 5)];
    far.put("job/chk-1/_metadata", snapshot_of(&files, &properties()).bytes).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert_eq!(found.missing, ["gs://old/shared/y"]);
    assert_eq!(found.references[0].found_bytes, Some(5));
}

#[tokio::test]
async fn a_transient_error_is_tried_again() {
    let (far, stores) = bucket(1, Fault::BusyAtFirst(3), Fault::None).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok, "{found:?}");
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 3, "the _metadata file, and two failures before the answer");
}

#[tokio::test]
async fn a_busy_store_loses_nothing() {
    let (far, stores) = bucket(10, Fault::Busy, Fault::Busy).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert_unknown(&found, 10);
    assert!(found.unknown[0].error.contains("503 Slow Down (3 tries)"), "{:?}", found.unknown[0]);
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 30);
}

#[tokio::test]
async fn a_refused_permission_is_not_asked_for_again_and_proves_nothing() {
    let (far, stores) = bucket(10, Fault::Forbidden, Fault::Forbidden).await;
    assert_unknown(&verified(&stores, SNAPSHOT).await, 10);
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 10);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_is_given_up_in_time() {
    let (_far, stores) = bucket(1000, Fault::Deaf, Fault::Deaf).await;
    let began = tokio::time::Instant::now();
    let found = verify(&stores, SNAPSHOT, &VerifyOptions::default()).await.unwrap();
    // The listing showed five files before it fell silent.
    assert_unknown(&found, 995);
    assert!(found.unknown.iter().any(|file| file.error.contains("no answer within 10000 ms")));
    assert!(found.unknown.iter().any(|file| file.error.starts_with("not asked for: ")));
    // One listing and two rounds of questions, three tries each.
    assert!(began.elapsed() < Duration::from_secs(100), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_listing_that_breaks_is_taken_up_again_where_it_broke() {
    let (far, stores) = bucket(100, Fault::None, Fault::BusyAtFirst(1)).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok);
    assert_eq!(far.lists_asked.load(SeqCst), 2);
    assert_eq!(far.heads_asked.load(SeqCst), 1);
}

#[tokio::test]
async fn a_listing_that_is_not_allowed_costs_one_request() {
    let (far, stores) = bucket(100, Fault::None, Fault::Forbidden).await;
    let found = verified(&stores, SNAPSHOT).await;
    assert!(found.ok, "{found:?}");
    assert_eq!(far.lists_asked.load(SeqCst), 1);
    // The five files that it showed before it said so need no second question.
    assert_eq!(far.heads_asked.load(SeqCst), 1 + 95);
}

#[tokio::test]
async fn what_is_certain_goes_before_what_is_not() {
    let (far, stores) = bucket(0, Fault::None, Fault::None).await;
    let files = [("s3://checkpoints/gone".to_owned(), 5), ("hdfs://nn/x".to_owned(), 5)];
    far.put("job/chk-1/_metadata", snapshot_of(&files, &properties()).bytes).await;
    let found = verify(&stores, SNAPSHOT, &quick()).await.unwrap();
    assert_eq!(found.verdict, Verdict::Broken);
    assert_eq!((found.missing.len(), found.unknown.len()), (1, 1));
}
