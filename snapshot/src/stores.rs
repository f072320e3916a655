//! The stores that a snapshot's files are in.

mod client;
mod requests;

pub(crate) use client::{Client, Stat, Trouble};
pub use requests::Requests;
pub(crate) use requests::{Asker, Patience};

use crate::place::{self, PlaceError, StoreId};
use ha_store::{BackendOptions, StoreUrl};
use object_store::ObjectStore;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Opens stores by the paths of files in them, each once.
///
/// The files of one snapshot may be in several buckets: a savepoint in one, the shared files of an earlier job in
/// another. Credentials come from the environment, as everywhere in Holdfast.
#[derive(Debug)]
pub struct Stores {
    backend: BackendOptions,
    local_root: PathBuf,
    buckets: Mutex<BTreeMap<StoreId, Arc<dyn ObjectStore>>>,
}

impl Stores {
    /// Stores that are opened with these options when they are first needed.
    pub fn new(backend: BackendOptions) -> Self {
        Self { backend, local_root: PathBuf::from("/"), buckets: Mutex::default() }
    }

    /// Where the root of local files is, `/` unless told: for a volume that Flink has at `/checkpoints` and this
    /// process at `/mnt/flink/checkpoints` it is `/mnt/flink`.
    #[must_use]
    pub fn with_local_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.local_root = root.into();
        self
    }

    /// Uses this client for everything in the bucket of `url`, for example `s3://bucket`.
    ///
    /// # Errors
    /// When `url` names no bucket.
    pub fn register(&self, url: &str, client: Arc<dyn ObjectStore>) -> Result<(), PlaceError> {
        let reason = "a client of one's own is for a bucket";
        match place::parse(url)?.store {
            StoreId::Local => Err(PlaceError::Invalid { shown: url.to_owned(), reason }),
            bucket @ StoreId::Bucket(_) => {
                self.buckets.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket, client);
                Ok(())
            }
        }
    }

    /// No request is sent. The reason is for people.
    pub(crate) fn client(&self, store: &StoreId) -> Result<Client, String> {
        let StoreId::Bucket(url) = store else { return Ok(Client::Local(self.local_root.clone())) };
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = buckets.get(store) {
            return Ok(Client::Bucket(client.clone()));
        }
        let parsed: StoreUrl = url.parse().map_err(|error: ha_store::InvalidStoreUrl| error.to_string())?;
        let client = parsed.connect(&self.backend).map_err(|error| error.to_string())?;
        buckets.insert(store.clone(), client.clone());
        Ok(Client::Bucket(client))
    }
}

impl Default for Stores {
    fn default() -> Self {
        Self::new(BackendOptions::default())
    }
}
