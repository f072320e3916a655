//! The bucket in which checkpoints and savepoints are. Flink's processes reach it without a network in between; the product
//! asks the store's far side for them, over the network and with all that goes wrong there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// How Flink names the bucket.
pub const BUCKET: &str = "s3://flink";

/// What every key in it begins with, so that one store can hold this bucket and the product's log.
pub const ROOT: &str = "flink/";

/// Files by their keys. Clones share them. As an [`ObjectStore`] it only reads: the product writes nothing there.
#[derive(Debug, Clone, Default)]
pub struct StateFiles(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<String, StateFile>,
    tags: u64,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateFile {
    /// What is in it.
    pub bytes: Bytes,
    /// Changes with the content.
    pub tag: u64,
}

// === impl StateFiles ===

impl StateFiles {
    /// The file of this key.
    pub fn get(&self, key: &str) -> Option<StateFile> {
        self.lock().files.get(key).cloned()
    }

    /// The keys below a folder, which ends with a slash, and the files.
    pub fn below(&self, folder: &str) -> Vec<(String, StateFile)> {
        let inner = self.lock();
        let from = inner.files.range(folder.to_owned()..).take_while(|(key, _)| key.starts_with(folder));
        from.map(|(key, file)| (key.clone(), file.clone())).collect()
    }

    /// Writes a file, in place of another one if there is one.
    pub(super) fn put(&self, key: &str, bytes: impl Into<Bytes>) {
        let inner = &mut *self.lock();
        inner.tags += 1;
        let file = StateFile { bytes: bytes.into(), tag: inner.tags };
        inner.files.insert(key.to_owned(), file);
    }

    /// Deletes a file. True: it was there.
    pub(super) fn delete(&self, key: &str) -> bool {
        self.lock().files.remove(key).is_some()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for StateFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the simulated bucket of checkpoints and savepoints")
    }
}

#[async_trait]
impl ObjectStore for StateFiles {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(only_read("a put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(only_read("a put in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let not_found = || Error::NotFound { path: location.to_string(), source: "404 Not Found".into() };
        let file = self.get(location.as_ref()).ok_or_else(not_found)?;
        found(file.meta(location.clone()), file.bytes, &options)
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        async { Err(only_read("a delete")) }.into_stream().boxed()
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let folder = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
        let meta = |(key, file): (String, StateFile)| Ok(file.meta(Path::parse(key)?));
        stream::iter(self.below(&folder).into_iter().map(meta)).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(only_read("a listing with a delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(only_read("a copy"))
    }
}

// === impl StateFile ===

impl StateFile {
    fn meta(&self, location: Path) -> ObjectMeta {
        ObjectMeta {
            location,
            last_modified: Default::default(),
            size: self.bytes.len() as u64,
            e_tag: Some(format!("\"{}\"", self.tag)),
            version: None,
        }
    }
}

/// The answer to a get of an object that is there.
///
/// # Errors
/// When the request's conditions do not hold, or its range is not there.
pub(crate) fn found(meta: ObjectMeta, bytes: Bytes, options: &GetOptions) -> Result<GetResult> {
    options.check_preconditions(&meta)?;
    let range = match options.range.as_ref().filter(|_| !options.head) {
        None => 0..meta.size,
        Some(range) => range
            .as_range(meta.size)
            .map_err(|error| Error::Generic { store: "simulated", source: Box::new(error) })?,
    };
    let within = |at: u64| usize::try_from(at).map_or(bytes.len(), |at| at.min(bytes.len()));
    let bytes = bytes.slice(within(range.start)..within(range.end));
    let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
    let (attributes, extensions) = Default::default();
    Ok(GetResult { payload, attributes, meta, range, extensions })
}

fn only_read(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "StateFiles".to_owned() }
}
