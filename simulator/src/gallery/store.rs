//! Object stores that do not do as they are told, and clients of them that go about it wrongly: wrappers around what a
//! sidecar is given.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::Value;

/// A store of which puts of log records are something else.
#[derive(Debug, Clone)]
pub(super) struct Tampered {
    store: Arc<dyn ObjectStore>,
    how: How,
    /// Creates of log records so far.
    creates: Arc<AtomicU64>,
}

/// What becomes of the create of a log record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The condition is dropped on the way.
    Overwritten,
    /// A commit whose place is taken goes to the next free place, whoever took it.
    NextFreePlace,
    /// Some are acknowledged and lost.
    Lost,
    /// Commits are acknowledged at once and written a moment later.
    WrittenBehind,
    /// Each one is followed by the removal of what is too old, as somebody else sees it.
    Expired,
    /// They are as they should be; but objects that are gone are still said to be there, with the length of some other one.
    Lingering,
}

/// The length that an object has which is not there: longer than any of Flink's files in this world.
const PHANTOM_BYTES: u64 = 65_536;

/// So many of them go well between two that are lost.
const LOST_EVERY: u64 = 9;
/// How late the page cache is.
const BEHIND: Duration = Duration::from_millis(1_500);
/// So many records are kept by whoever does not know what a boundary is.
const KEPT: u64 = 5;

// === impl Tampered ===

impl Tampered {
    /// The store, with this done to it.
    pub(super) fn new(store: Arc<dyn ObjectStore>, how: How) -> Self {
        Self { store, how, creates: Arc::default() }
    }

    async fn put_record(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let done = || PutResult { e_tag: None, version: None, extensions: Default::default() };
        let count = self.creates.fetch_add(1, Ordering::Relaxed) + 1;
        match self.how {
            How::Overwritten => {
                let options = PutOptions { mode: PutMode::Overwrite, ..options };
                self.store.put_opts(key, payload, options).await
            }
            How::NextFreePlace => self.put_somewhere(key, payload, options).await,
            How::Lost if count.is_multiple_of(LOST_EVERY) => Ok(done()),
            How::WrittenBehind if is_commit(&payload) => {
                let (store, key) = (self.store.clone(), key.clone());
                tokio::spawn(async move {
                    tokio::time::sleep(BEHIND).await;
                    // Nobody is there any more who could be told.
                    drop(store.put_opts(&key, payload, options).await);
                });
                Ok(done())
            }
            How::Expired => {
                let put = self.store.put_opts(key, payload, options).await?;
                if let Some(old) = sequence(key).and_then(|sequence| sequence.checked_sub(KEPT)) {
                    self.store.delete(&at(key, old)).await?;
                }
                Ok(put)
            }
            How::Lost | How::WrittenBehind | How::Lingering => {
                self.store.put_opts(key, payload, options).await
            }
        }
    }

    /// The record is made to fit the place that it gets: it has no epoch to look at, as it were.
    async fn put_somewhere(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let first = self.store.put_opts(key, payload.clone(), options.clone()).await;
        let (Err(Error::AlreadyExists { .. }), Some(mut sequence), true) =
            (&first, sequence(key), is_commit(&payload))
        else {
            return first;
        };
        let mut record: Value = read(&payload);
        loop {
            let before = self.store.get(&at(key, sequence)).await?.bytes().await?;
            let before: Value = serde_json::from_slice(&before).map_err(|error| generic(error.into()))?;
            if before["header"]["nonce"] == record["header"]["nonce"] {
                return first;
            }
            sequence += 1;
            record["header"]["follows"] = before["header"]["nonce"].clone();
            record["header"]["sequence"] = sequence.into();
            let payload = PutPayload::from(record.to_string());
            match self.store.put_opts(&at(key, sequence), payload, options.clone()).await {
                Err(Error::AlreadyExists { .. }) => {}
                put => return put,
            }
        }
    }
}

fn generic(source: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Generic { store: "the gallery", source }
}

/// What is said of an object that is gone.
fn phantom(key: &Path) -> GetResult {
    let meta = ObjectMeta {
        location: key.clone(),
        last_modified: Default::default(),
        size: PHANTOM_BYTES,
        e_tag: None,
        version: None,
    };
    let payload = GetResultPayload::Stream(stream::empty().boxed());
    GetResult { payload, meta, range: 0..0, attributes: Default::default(), extensions: Default::default() }
}

/// The sequence of a log record's key.
fn sequence(key: &Path) -> Option<u64> {
    let (folder, name) = key.as_ref().rsplit_once('/')?;
    folder.ends_with("/log").then(|| name.strip_suffix(".json")?.parse().ok()).flatten()
}

/// The key of another record of the same log.
fn at(key: &Path, sequence: u64) -> Path {
    let folder = key.as_ref().rsplit_once('/').map_or("", |(folder, _)| folder);
    Path::from(format!("{folder}/{sequence:020}.json"))
}

fn read(payload: &PutPayload) -> Value {
    serde_json::from_slice(&bytes::Bytes::from(payload.clone())).expect("the product writes JSON records")
}

fn is_commit(payload: &PutPayload) -> bool {
    read(payload)["header"]["kind"] == "commit"
}

impl fmt::Display for Tampered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.store, self.how)
    }
}

#[async_trait]
impl ObjectStore for Tampered {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match sequence(key) {
            Some(_) => self.put_record(key, payload, options).await,
            None => self.store.put_opts(key, payload, options).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let asks_only = options.head;
        match self.store.get_opts(key, options).await {
            Err(Error::NotFound { .. }) if asks_only && self.how == How::Lingering => Ok(phantom(key)),
            answer => answer,
        }
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(keys)
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(folder)
    }

    fn list_with_offset(
        &self,
        folder: Option<&Path>,
        after: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(folder, after)
    }

    async fn list_with_delimiter(&self, folder: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(folder).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::memory::InMemory;
    use serde_json::json;

    fn key(sequence: u64) -> Path {
        Path::from(format!("d/log/{sequence:020}.json"))
    }

    fn record(sequence: u64, nonce: &str) -> PutPayload {
        let header = json!({"sequence": sequence, "follows": null, "nonce": nonce, "kind": "commit"});
        PutPayload::from(json!({ "header": header }).to_string())
    }

    async fn create(store: &dyn ObjectStore, sequence: u64, nonce: &str) -> bool {
        let put = store.put_opts(&key(sequence), record(sequence, nonce), PutMode::Create.into()).await;
        put.is_ok()
    }

    async fn nonce(store: &dyn ObjectStore, sequence: u64) -> Option<String> {
        let bytes = store.get(&key(sequence)).await.ok()?.bytes().await.ok()?;
        let record: Value = serde_json::from_slice(&bytes).ok()?;
        record["header"]["nonce"].as_str().map(str::to_owned)
    }

    fn tampered(how: How) -> (Arc<dyn ObjectStore>, Tampered) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        (store.clone(), Tampered::new(store, how))
    }

    #[tokio::test]
    async fn a_dropped_condition_lets_the_second_writer_win() {
        let (store, tampered) = tampered(How::Overwritten);
        assert!(create(&tampered, 1, "a").await && create(&tampered, 1, "b").await);
        assert_eq!(nonce(&*store, 1).await.as_deref(), Some("b"));
    }

    #[tokio::test]
    async fn a_commit_whose_place_is_taken_goes_to_the_next_one_but_an_own_one_does_not() {
        let (store, tampered) = tampered(How::NextFreePlace);
        for (sequence, nonce) in [(1, "a"), (2, "b")] {
            assert!(create(&tampered, sequence, nonce).await);
        }
        assert!(create(&tampered, 1, "c").await);
        assert_eq!(nonce(&*store, 3).await.as_deref(), Some("c"));
        let bytes = store.get(&key(3)).await.unwrap().bytes().await.unwrap();
        let header = serde_json::from_slice::<Value>(&bytes).unwrap()["header"].clone();
        assert_eq!((&header["sequence"], &header["follows"]), (&json!(3), &json!("b")));
        assert!(!create(&tampered, 2, "b").await, "its own earlier attempt");
    }

    #[tokio::test]
    async fn what_is_gone_is_said_to_be_there_and_cannot_be_read() {
        let (_, tampered) = tampered(How::Lingering);
        let gone = Path::from("flink/checkpoints/1/chk-7/part-1");
        assert_eq!(tampered.head(&gone).await.expect("it is said to be there").size, PHANTOM_BYTES);
        assert!(matches!(tampered.get(&gone).await, Err(Error::NotFound { .. })));
        assert!(
            create(&tampered, 1, "a").await && !create(&tampered, 1, "b").await,
            "records are as they were"
        );
    }

    #[tokio::test]
    async fn one_in_nine_is_lost() {
        let (store, tampered) = tampered(How::Lost);
        for sequence in 1..=10 {
            assert!(create(&tampered, sequence, "a").await);
        }
        assert_eq!(nonce(&*store, 9).await, None);
        assert!(nonce(&*store, 8).await.is_some() && nonce(&*store, 10).await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_written_behind_is_there_a_moment_later() {
        let (store, tampered) = tampered(How::WrittenBehind);
        assert!(create(&tampered, 1, "a").await);
        assert_eq!(nonce(&*store, 1).await, None);
        tokio::time::sleep(2 * BEHIND).await;
        assert_eq!(nonce(&*store, 1).await.as_deref(), Some("a"));
    }

    #[tokio::test]
    async fn old_records_expire_and_other_objects_are_left_alone() {
        let (store, tampered) = tampered(How::Expired);
        tampered.put(&Path::from("d/blob/x"), PutPayload::from("graph")).await.unwrap();
        for sequence in 1..=KEPT + 1 {
            assert!(create(&tampered, sequence, "a").await);
        }
        assert_eq!(nonce(&*store, 1).await, None);
        assert!(nonce(&*store, 2).await.is_some() && store.head(&Path::from("d/blob/x")).await.is_ok());
    }
}
