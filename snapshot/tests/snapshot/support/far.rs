//! A bucket in memory that can be slow, deaf or out of order, and counts what it is asked.

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// 503 for the first so many requests.
    BusyAtFirst(u64),
    /// 503 for every request.
    Busy,
    /// 403 for every request.
    Forbidden,
    /// No answer, ever.
    Deaf,
}

/// The bucket.
#[derive(Debug)]
pub(crate) struct Far {
    pub(crate) inner: InMemory,
    pub(crate) reads: Fault,
    pub(crate) lists: Fault,
    pub(crate) heads_asked: AtomicU64,
    pub(crate) gets_asked: AtomicU64,
    pub(crate) lists_asked: AtomicU64,
}

impl Far {
    pub(crate) fn new(reads: Fault, lists: Fault) -> Self {
        let (heads_asked, gets_asked, lists_asked) = Default::default();
        Self { inner: InMemory::new(), reads, lists, heads_asked, gets_asked, lists_asked }
    }

    pub(crate) async fn put(&self, key: &str, bytes: Vec<u8>) {
        self.inner.put(&Path::parse(key).unwrap(), PutPayload::from(bytes)).await.unwrap();
    }
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Far")
    }
}

fn busy() -> Error {
    Error::Generic { store: "Far", source: "503 Slow Down".into() }
}

async fn fail(fault: Fault, asked_before: u64, key: &Path) -> Result<()> {
    match fault {
        Fault::None => Ok(()),
        Fault::BusyAtFirst(times) if asked_before >= times => Ok(()),
        Fault::BusyAtFirst(_) | Fault::Busy => Err(busy()),
        Fault::Forbidden => Err(Error::PermissionDenied { path: key.to_string(), source: "403".into() }),
        Fault::Deaf => std::future::pending().await,
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        panic!("verification only reads")
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("verification only reads")
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let asked = if options.head { &self.heads_asked } else { &self.gets_asked };
        let before = asked.fetch_add(1, SeqCst);
        // The snapshot itself can always be read: the faults are for the files that it refers to.
        if !key.as_ref().ends_with("_metadata") {
            fail(self.reads, before, key).await?;
        }
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        panic!("verification only reads")
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let before = self.lists_asked.fetch_add(1, SeqCst);
        let (fault, key) = (self.lists, prefix.cloned().unwrap_or_default());
        let listed = self.inner.list(prefix);
        if fault == Fault::None || matches!(fault, Fault::BusyAtFirst(times) if before >= times) {
            return listed;
        }
        // It breaks in the middle, as a connection does.
        let broken = stream::once(async move { fail(fault, before, &key).await });
        listed.take(5).chain(broken.filter_map(|answer| async { answer.err().map(Err) })).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("whole directories are listed")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("verification only reads")
    }
}
