//! Single requests to the object store, each with its own time-out and its answer told apart.
//!
//! Nothing here repeats a request: whether that is right depends on what it was for.

use crate::judge::CreateAnswer;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutPayload};
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// A client of the object store that never waits for ever.
#[derive(Debug, Clone)]
pub(crate) struct Objects {
    backend: Arc<dyn ObjectStore>,
    call_timeout: Duration,
}

/// What a key holds.
#[derive(Debug)]
pub(crate) enum Read {
    Absent,
    Bytes(Bytes),
    /// It holds more bytes than were asked for.
    TooLarge(u64),
}

impl Objects {
    pub(crate) fn new(backend: Arc<dyn ObjectStore>, call_timeout: Duration) -> Self {
        Self { backend, call_timeout }
    }

    /// Creates an object that must not exist. The reason is for people.
    pub(crate) async fn create(&self, key: &Path, bytes: Bytes) -> (CreateAnswer, String) {
        let put = self.backend.put_opts(key, PutPayload::from(bytes), PutMode::Create.into());
        match timeout(self.call_timeout, put).await {
            Ok(Ok(_)) => (CreateAnswer::Created, String::new()),
            Ok(Err(error)) => (answer_of(&error), error.to_string()),
            Err(_) => (CreateAnswer::Unclear, self.no_answer()),
        }
    }

    /// Writes an object whatever was there. For hints only: it has no fence.
    pub(crate) async fn overwrite(&self, key: &Path, bytes: Bytes) -> Result<(), String> {
        self.within(self.backend.put(key, PutPayload::from(bytes))).await.map(drop)
    }

    pub(crate) async fn read(&self, key: &Path, bytes_max: u64) -> Result<Read, String> {
        let read = async {
            let found = match self.backend.get(key).await {
                Ok(found) => found,
                Err(Error::NotFound { .. }) => return Ok(Read::Absent),
                Err(error) => return Err(error),
            };
            if found.meta.size > bytes_max {
                return Ok(Read::TooLarge(found.meta.size));
            }
            Ok(Read::Bytes(found.bytes().await?))
        };
        self.within(read).await
    }

    /// Lists everything below `folder` whose key sorts after `after`.
    pub(crate) async fn list(&self, folder: &Path, after: Option<&Path>) -> Result<Vec<ObjectMeta>, String> {
        let mut stream = match after {
            Some(after) => self.backend.list_with_offset(Some(folder), after),
            None => self.backend.list(Some(folder)),
        };
        let mut found = Vec::new();
        // Each page has the time of one call: a long listing is slow, not stuck.
        loop {
            match timeout(self.call_timeout, stream.next()).await {
                Ok(Some(Ok(meta))) => found.push(meta),
                Ok(None) => return Ok(found),
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Err(_) => return Err(self.no_answer()),
            }
        }
    }

    /// Deletes an object; that it is gone already is fine.
    pub(crate) async fn delete(&self, key: &Path) -> Result<(), String> {
        let delete = async {
            match self.backend.delete(key).await {
                Err(Error::NotFound { .. }) => Ok(()),
                answer => answer,
            }
        };
        self.within(delete).await
    }

    /// Deletes everything below `folder`, as far as it can.
    pub(crate) async fn delete_folder(&self, folder: &Path) -> Result<(), String> {
        let delete = async {
            let keys = self.backend.list(Some(folder)).map_ok(|meta| meta.location).boxed();
            self.backend.delete_stream(keys).try_collect::<Vec<_>>().await.map(drop)
        };
        self.within(delete).await
    }

    async fn within<T>(&self, call: impl Future<Output = object_store::Result<T>>) -> Result<T, String> {
        match timeout(self.call_timeout, call).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(self.no_answer()),
        }
    }

    fn no_answer(&self) -> String {
        format!("the object store did not answer within {} ms", self.call_timeout.as_millis())
    }
}

/// What an error says about a create.
///
/// Only what certainly never reached the object may be called refused; everything else may have been applied, or
/// may be later.
fn answer_of(error: &Error) -> CreateAnswer {
    match error {
        // S3 answers 409 `ConditionalRequestConflict` while another create of the key is under way, which the
        // client reports like 412. The key tells them apart.
        Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. } => {
            CreateAnswer::Exists
        }
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::NotFound { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => CreateAnswer::Refused,
        error if never_connected(error) => CreateAnswer::Refused,
        _ => CreateAnswer::Unclear,
    }
}

fn never_connected(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(http) = error.downcast_ref::<HttpError>() {
            return http.kind() == HttpErrorKind::Connect;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(kind: HttpErrorKind) -> Error {
        let source = HttpError::new(kind, std::io::Error::other("as the client says it"));
        Error::Generic { store: "S3", source: Box::new(source) }
    }

    #[test]
    fn only_what_never_reached_the_store_counts_as_refused() {
        assert_eq!(answer_of(&http(HttpErrorKind::Connect)), CreateAnswer::Refused);
        for kind in [HttpErrorKind::Request, HttpErrorKind::Timeout, HttpErrorKind::Interrupted] {
            assert_eq!(answer_of(&http(kind)), CreateAnswer::Unclear, "{kind:?}");
        }
        let full = Error::Generic { store: "S3", source: "503 Slow Down".into() };
        assert_eq!(answer_of(&full), CreateAnswer::Unclear);
    }

    #[test]
    fn a_conflict_says_only_that_the_key_must_be_read() {
        let path = "log/1".to_owned();
        let conflict = Error::AlreadyExists { path: path.clone(), source: "409".into() };
        assert_eq!(answer_of(&conflict), CreateAnswer::Exists);
        let precondition = Error::Precondition { path, source: "412".into() };
        assert_eq!(answer_of(&precondition), CreateAnswer::Exists);
    }
}
