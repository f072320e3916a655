//! The near side: an `ObjectStore` that sends every request away, as a client of S3 does over HTTP/1.1.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::wire::{self, Answer, Asked, Meta, Request};
use crate::flink::found;
use crate::world::closing::Connection;

/// How often the client sends a request again by itself after a 5xx, 408 or 429, and the pause before the first time; it
/// doubles. `object_store` does so by default. The product's configuration asks it not to; gateways and other clients
/// do it all the same, and a put that is its own rival is what must be survived.
const RETRIES: u32 = 2;
const RETRY_INITIAL: Duration = Duration::from_millis(100);

/// A client of the simulated store. Clones share its connections.
///
/// A request whose future is dropped goes on at the far side; its connection is not used again.
#[derive(Clone)]
pub struct Client {
    by: String,
    at: (String, u16),
    idle: Arc<Mutex<Vec<Connection>>>,
}

// === impl Client ===

impl Client {
    /// A client for `by`, which is told to the far side with every request.
    pub fn new(by: &str, host: &str, port: u16) -> Self {
        Self { by: by.to_owned(), at: (host.to_owned(), port), idle: Arc::default() }
    }

    async fn ask(&self, request: Request, body: Bytes) -> Result<(Answer, Bytes)> {
        let mut pause = RETRY_INITIAL;
        for _ in 0..RETRIES {
            match self.ask_once(&request, &body).await? {
                (Answer::Status(408 | 429 | 500..), _) => tokio::time::sleep(pause).await,
                answer => return refusal(answer),
            }
            pause *= 2;
        }
        refusal(self.ask_once(&request, &body).await?)
    }

    async fn ask_once(&self, request: &Request, body: &Bytes) -> Result<(Answer, Bytes)> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => Connection::open((self.at.0.as_str(), self.at.1))
                .await
                .map_err(|error| trouble(HttpErrorKind::Connect, error))?,
        };
        let asked = Asked { by: self.by.clone(), request: request.clone() };
        wire::send(&mut connection, &asked, body)
            .await
            .map_err(|error| trouble(HttpErrorKind::Request, error))?;
        let answer = wire::receive(&mut connection)
            .await
            .map_err(|error| trouble(HttpErrorKind::Interrupted, error))?;
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        Ok(answer)
    }

    fn listed(&self, folder: Option<&Path>, after: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let client = self.clone();
        let folder = folder.map(ToString::to_string).unwrap_or_default();
        let request = Request::List { folder, after: after.map(ToString::to_string) };
        let listing = async move {
            match client.ask(request, Bytes::new()).await? {
                (Answer::Listed(found), _) => Ok(stream::iter(found.into_iter().map(meta))),
                (answer, _) => Err(unexpected(&answer)),
            }
        };
        listing.into_stream().try_flatten().boxed()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("by", &self.by).finish_non_exhaustive()
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the simulated store, as {} sees it", self.by)
    }
}

#[async_trait]
impl ObjectStore for Client {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(not_implemented("a put with If-Match")),
        };
        let request = Request::Put { key: location.to_string(), create };
        match self.ask(request, payload.into()).await?.0 {
            Answer::Done => Ok(PutResult { e_tag: None, version: None, extensions: Default::default() }),
            Answer::Exists => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "412 Precondition Failed".into(),
            }),
            answer => Err(unexpected(&answer)),
        }
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_implemented("a put in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let request = Request::Get { key: location.to_string(), head: options.head };
        match self.ask(request, Bytes::new()).await? {
            (Answer::Found(meta), bytes) => found(self::meta(meta)?, bytes, &options),
            (Answer::NotFound, _) => {
                Err(Error::NotFound { path: location.to_string(), source: "404 Not Found".into() })
            }
            (answer, _) => Err(unexpected(&answer)),
        }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let client = self.clone();
        let delete = move |location: Path| {
            let client = client.clone();
            async move {
                match client.ask(Request::Delete { key: location.to_string() }, Bytes::new()).await?.0 {
                    Answer::Done => Ok(location),
                    answer => Err(unexpected(&answer)),
                }
            }
        };
        locations.and_then(delete).boxed()
    }

    fn list(&self, folder: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(folder, None)
    }

    fn list_with_offset(
        &self,
        folder: Option<&Path>,
        after: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(folder, Some(after))
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_implemented("a listing with a delimiter"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_implemented("a copy"))
    }
}

fn meta(found: Meta) -> Result<ObjectMeta> {
    let mut meta = ObjectMeta {
        location: Path::parse(&found.key)?,
        last_modified: Default::default(),
        size: found.bytes,
        e_tag: Some(format!("\"{}\"", found.tag)),
        version: None,
    };
    meta.last_modified += Duration::from_millis(found.modified_ms);
    Ok(meta)
}

/// The errors that every request may be answered with.
fn refusal((answer, body): (Answer, Bytes)) -> Result<(Answer, Bytes)> {
    let Answer::Status(status) = answer else { return Ok((answer, body)) };
    let path = "the simulated store".to_owned();
    let source: Box<dyn std::error::Error + Send + Sync> = format!("the store answered {status}").into();
    Err(match status {
        401 => Error::Unauthenticated { path, source },
        403 => Error::PermissionDenied { path, source },
        412 => Error::Precondition { path, source },
        _ => Error::Generic { store: "simulated", source },
    })
}

fn trouble(kind: HttpErrorKind, error: std::io::Error) -> Error {
    Error::Generic { store: "simulated", source: Box::new(HttpError::new(kind, error)) }
}

fn unexpected(answer: &Answer) -> Error {
    Error::Generic { store: "simulated", source: format!("{answer:?} answers another question").into() }
}

fn not_implemented(operation: &str) -> Error {
    Error::NotImplemented { operation: operation.to_owned(), implementer: "the simulated store".to_owned() }
}
