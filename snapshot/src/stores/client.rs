//! Single requests, whose answers are told apart. Nothing here repeats a request.

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use std::fs::File;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// A client of one store.
///
/// Local files are read without `object_store`: it keeps names for itself (`x#1`), and encodes what other names have.
#[derive(Debug, Clone)]
pub(crate) enum Client {
    Local(PathBuf),
    Bucket(Arc<dyn ObjectStore>),
}

/// A file that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) length_bytes: u64,
    /// Changes with the content, where the store has such a thing.
    pub(crate) e_tag: Option<String>,
}

/// Why there is no answer, or that the answer is no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// The store says that there is no such file.
    Absent,
    /// The same question may be answered later.
    Transient(String),
    /// The same question has the same answer.
    Permanent(String),
}

impl Client {
    pub(crate) fn can_list(&self) -> bool {
        matches!(self, Self::Bucket(_))
    }

    pub(crate) async fn stat(&self, key: &str) -> Result<Stat, Trouble> {
        match self {
            Self::Local(root) => {
                let path = below(root, key);
                blocking(move || {
                    let found = std::fs::metadata(path)?;
                    if found.is_dir() {
                        return Err(ErrorKind::IsADirectory.into());
                    }
                    Ok(Stat { length_bytes: found.len(), e_tag: None })
                })
                .await
            }
            Self::Bucket(store) => {
                let found = store.head(&parsed(key)?).await.map_err(trouble)?;
                Ok(Stat { length_bytes: found.size, e_tag: found.e_tag })
            }
        }
    }

    /// These bytes of a file, as long as it is the one that `stat` saw.
    pub(crate) async fn get(&self, key: &str, range: Range<u64>, stat: &Stat) -> Result<Bytes, Trouble> {
        match self {
            Self::Local(root) => {
                let path = below(root, key);
                blocking(move || {
                    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
                    let mut bytes = vec![0; length];
                    File::open(path)?.read_exact_at(&mut bytes, range.start)?;
                    Ok(bytes.into())
                })
                .await
            }
            Self::Bucket(store) => {
                let if_match = stat.e_tag.clone();
                let options = GetOptions { range: Some(range.into()), if_match, ..GetOptions::default() };
                let found = store.get_opts(&parsed(key)?, options).await.map_err(trouble)?;
                found.bytes().await.map_err(trouble)
            }
        }
    }

    /// Everything below a directory, or what comes after a key there. Local files have no such listing.
    pub(crate) fn list(
        &self,
        directory: &str,
        after: Option<&Key>,
    ) -> BoxStream<'static, Result<ObjectMeta, Trouble>> {
        let Self::Bucket(store) = self else { return futures::stream::empty().boxed() };
        let prefix = match parsed(directory) {
            Ok(prefix) => prefix,
            Err(trouble) => return futures::stream::once(async { Err(trouble) }).boxed(),
        };
        let listed = match after {
            Some(after) => store.list_with_offset(Some(&prefix), after),
            None => store.list(Some(&prefix)),
        };
        listed.map(|found| found.map_err(trouble)).boxed()
    }
}

fn below(root: &Path, key: &str) -> PathBuf {
    root.join(key.trim_start_matches('/'))
}

/// Not `Key::from`, which would encode names that are right as they are.
fn parsed(key: &str) -> Result<Key, Trouble> {
    Key::parse(key).map_err(|error| Trouble::Permanent(format!("the client cannot ask for it: {error}")))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    match spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| match error.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => Trouble::Absent,
            ErrorKind::PermissionDenied | ErrorKind::InvalidInput | ErrorKind::IsADirectory => {
                Trouble::Permanent(error.to_string())
            }
            _ => Trouble::Transient(error.to_string()),
        }),
        Err(error) => Err(Trouble::Permanent(error.to_string())),
    }
}

fn trouble(error: Error) -> Trouble {
    match error {
        Error::NotFound { .. } => Trouble::Absent,
        Error::Precondition { .. } => Trouble::Permanent(format!("it changed while it was read: {error}")),
        Error::PermissionDenied { .. }
        | Error::Unauthenticated { .. }
        | Error::NotSupported { .. }
        | Error::NotImplemented { .. }
        | Error::InvalidPath { .. }
        | Error::UnknownConfigurationKey { .. } => Trouble::Permanent(error.to_string()),
        _ => Trouble::Transient(error.to_string()),
    }
}
