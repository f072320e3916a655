//! An object store at the other end of a bad network.
//!
//! Every call becomes a task of its own, the *far side*: dropping the caller's future cancels nothing, exactly as
//! with a request that has left the machine.

use crate::oracle::Oracle;
use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

/// What goes wrong with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Takes effect after so many milliseconds, and is answered then, if anybody still listens.
    Slow(u64),
    /// Takes effect at once (a read sees what is there now), and is answered so many milliseconds later.
    SlowAnswer(u64),
    /// Takes effect after so many milliseconds, and is never answered.
    Late(u64),
    /// Takes effect at once, and is never answered.
    LostAnswer,
    /// Takes effect, and is answered with a 500.
    ErrorAfter,
    /// Takes no effect, and is answered with a 500.
    ErrorBefore,
    /// Takes no effect, and is answered like a connection that was refused.
    Refused,
    /// A create: takes no effect, and is answered like S3's 409 `ConditionalRequestConflict`.
    Contended,
    /// A create: the HTTP client sends it twice, and reports the second answer (FLINK-28265).
    SentTwice,
}

/// Which call it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    Create(Path),
    Overwrite(Path),
    Read(Path),
    List(Path),
    Delete(Path),
}

type Faults = Box<dyn FnMut(&Call) -> Fault + Send>;

/// What lies at the far end.
pub(crate) struct Inner {
    objects: BTreeMap<Path, (Bytes, DateTime<Utc>)>,
    faults: Faults,
    pub(crate) calls: Vec<Call>,
    /// How many keys the last listing showed.
    pub(crate) listed_last: usize,
    pub(crate) oracle: Oracle,
    started_at: Instant,
}

/// The near end: an [`ObjectStore`].
#[derive(Clone)]
pub(crate) struct Far(Arc<Mutex<Inner>>);

impl fmt::Debug for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Far")
    }
}

impl fmt::Display for Far {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Far")
    }
}

impl Far {
    pub(crate) fn new(faults: impl FnMut(&Call) -> Fault + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            objects: BTreeMap::new(),
            faults: Box::new(faults),
            calls: Vec::new(),
            listed_last: 0,
            oracle: Oracle::default(),
            started_at: Instant::now(),
        })))
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// From now on, other things go wrong.
    pub(crate) fn set_faults(&self, faults: impl FnMut(&Call) -> Fault + Send + 'static) {
        self.inner().faults = Box::new(faults);
    }

    /// From now on, nothing does.
    pub(crate) fn heal(&self) {
        self.set_faults(|_| Fault::None);
    }

    pub(crate) fn holds(&self, key: &str) -> bool {
        self.inner().objects.contains_key(&Path::from(key))
    }

    /// Sends a call to the far side and waits for its answer, which may never come.
    async fn call<T: Send + 'static>(
        &self,
        call: Call,
        effect: impl FnOnce(&mut Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let fault = {
            let mut inner = self.inner();
            inner.calls.push(call.clone());
            (inner.faults)(&call)
        };
        let (answer, answered) = oneshot::channel();
        let far = self.clone();
        tokio::spawn(async move {
            if let Some(result) = far.serve(&call, fault, effect).await {
                // Nobody listens any more: it was done all the same.
                let _ = answer.send(result);
            } else {
                // Never answered, and the caller is not told so either.
                answer_never(answer).await;
            }
        });
        answered.await.unwrap_or_else(|_| unreachable!("the far side holds its end"))
    }

    fn listing(&self, folder: Option<&Path>, after: Option<Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (far, folder) = (self.clone(), folder.cloned().unwrap_or_default());
        stream::once(async move {
            let call = Call::List(folder.clone());
            let list = move |inner: &mut Inner| inner.list(&folder, after.as_ref());
            far.call(call, move |inner| Ok(stream::iter(list(inner)).map(Ok))).await
        })
        .try_flatten()
        .boxed()
    }

    async fn serve<T>(
        &self,
        call: &Call,
        fault: Fault,
        effect: impl FnOnce(&mut Inner) -> Result<T>,
    ) -> Option<Result<T>> {
        let failed = || Some(Err(Error::Generic { store: "Far", source: "500 Internal Error".into() }));
        sleep(Duration::from_millis(1)).await;
        match fault {
            Fault::None => Some(effect(&mut self.inner())),
            Fault::Slow(ms) => {
                sleep(Duration::from_millis(ms)).await;
                Some(effect(&mut self.inner()))
            }
            Fault::SlowAnswer(ms) => {
                let answer = effect(&mut self.inner());
                sleep(Duration::from_millis(ms)).await;
                Some(answer)
            }
            Fault::Late(ms) => {
                sleep(Duration::from_millis(ms)).await;
                drop(effect(&mut self.inner()));
                None
            }
            Fault::LostAnswer => {
                drop(effect(&mut self.inner()));
                None
            }
            Fault::ErrorAfter => {
                drop(effect(&mut self.inner()));
                failed()
            }
            Fault::ErrorBefore => failed(),
            Fault::Refused => {
                let path = String::new();
                Some(Err(Error::PermissionDenied { path, source: "403".into() }))
            }
            Fault::Contended => Some(Err(exists(call))),
            Fault::SentTwice => {
                drop(effect(&mut self.inner()));
                Some(Err(exists(call)))
            }
        }
    }
}

async fn answer_never<T>(answer: oneshot::Sender<T>) {
    std::future::pending::<()>().await;
    drop(answer);
}

fn exists(call: &Call) -> Error {
    Error::AlreadyExists { path: format!("{call:?}"), source: "409".into() }
}

impl Inner {
    fn now(&self) -> DateTime<Utc> {
        let ms = i64::try_from(self.started_at.elapsed().as_millis()).expect("a short test");
        DateTime::from_timestamp_millis(ms).expect("a short test")
    }

    fn meta(&self, key: &Path) -> Option<ObjectMeta> {
        let (bytes, last_modified) = self.objects.get(key)?;
        let size = bytes.len() as u64;
        Some(ObjectMeta {
            location: key.clone(),
            last_modified: *last_modified,
            size,
            e_tag: None,
            version: None,
        })
    }

    fn create(&mut self, key: &Path, bytes: Bytes) -> Result<PutResult> {
        if self.objects.contains_key(key) {
            self.oracle.taken(key);
            return Err(exists(&Call::Create(key.clone())));
        }
        self.oracle.created(key, &bytes);
        self.overwrite(key, bytes)
    }

    fn overwrite(&mut self, key: &Path, bytes: Bytes) -> Result<PutResult> {
        let now = self.now();
        self.objects.insert(key.clone(), (bytes, now));
        Ok(PutResult { e_tag: None, version: None, extensions: Default::default() })
    }

    fn read(&self, key: &Path) -> Result<GetResult> {
        let Some(meta) = self.meta(key) else {
            return Err(Error::NotFound { path: key.to_string(), source: "404".into() });
        };
        let bytes = self.objects[key].0.clone();
        let range = 0..meta.size;
        let payload = GetResultPayload::Stream(stream::iter([Ok(bytes)]).boxed());
        Ok(GetResult { payload, meta, range, attributes: Default::default(), extensions: Default::default() })
    }

    fn list(&mut self, folder: &Path, after: Option<&Path>) -> Vec<ObjectMeta> {
        let shown = |key: &&Path| key.prefix_matches(folder) && after.is_none_or(|after| *key > after);
        let found: Vec<_> = self.objects.keys().filter(shown).filter_map(|key| self.meta(key)).collect();
        self.listed_last = found.len();
        found
    }

    /// Somebody outside the log removes an object.
    pub(crate) fn forget(&mut self, key: &Path) {
        self.objects.remove(key);
    }

    fn delete(&mut self, key: &Path) -> Path {
        if self.objects.remove(key).is_some() {
            self.oracle.deleted(key);
        }
        key.clone()
    }
}

#[async_trait]
impl ObjectStore for Far {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (key, bytes) = (key.clone(), Bytes::from(payload));
        match options.mode {
            PutMode::Create => {
                self.call(Call::Create(key.clone()), move |inner| inner.create(&key, bytes)).await
            }
            PutMode::Overwrite => {
                self.call(Call::Overwrite(key.clone()), move |inner| inner.overwrite(&key, bytes)).await
            }
            PutMode::Update(_) => panic!("the log creates, and never updates"),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        panic!("every object is written in one request")
    }

    async fn get_opts(&self, key: &Path, _: GetOptions) -> Result<GetResult> {
        let key = key.clone();
        self.call(Call::Read(key.clone()), move |inner| inner.read(&key)).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let far = self.clone();
        keys.and_then(move |key| {
            let far = far.clone();
            async move { far.call(Call::Delete(key.clone()), move |inner| Ok(inner.delete(&key))).await }
        })
        .boxed()
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(folder, None)
    }

    fn list_with_offset(
        &self,
        folder: Option<&Path>,
        after: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(folder, Some(after.clone()))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        panic!("the log lists whole folders")
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        panic!("the log never copies")
    }
}
