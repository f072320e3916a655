//! Where results are kept: a store URL as the sidecar's, with the same credentials from the same environment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use futures::{StreamExt, TryStreamExt, stream};
use ha_store::{BackendOptions, StoreUrl};
use object_store::path::Path as Key;
use object_store::{Error, GetOptions, ObjectStore, PutOptions};
use tokio::runtime::Runtime;

use super::{BEGUN, JSON, Objects};
use crate::shard::Shard;

/// A directory or a part of a bucket that has the results of one campaign.
pub struct Place {
    url: StoreUrl,
    store: Arc<dyn ObjectStore>,
    runtime: Runtime,
}

/// For one request. A page has a few megabytes, and nobody waits for a night's results within seconds.
const CALL_TIMEOUT_MS: u64 = 60_000;
/// How long to wait before each further try of a request that failed for a reason that may pass.
const WAITS_S: [u64; 7] = [1, 2, 4, 8, 16, 32, 60];
/// Results that are read at once.
const READS: usize = 16;

// === impl Place ===

impl Place {
    /// Makes the client; sends nothing. `url` is a text, because only its own parser keeps credentials in it from being shown.
    ///
    /// # Errors
    /// When the URL names no store or one that forgets what is put there, or the environment lacks what the store needs.
    pub fn open(url: &str) -> anyhow::Result<Self> {
        let url: StoreUrl = url.parse()?;
        if url.to_string().starts_with("memory:") {
            bail!("{url} forgets everything when this process ends; name a directory or a bucket");
        }
        let options = BackendOptions { call_timeout_ms: CALL_TIMEOUT_MS, ..BackendOptions::default() };
        let store = url.connect(&options)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        Ok(Self {
            url: url.clone(),
            store,
            runtime: runtime.context("cannot start the I/O of this process")?,
        })
    }

    /// Puts one of a shard's objects, over what may be there of an earlier try.
    ///
    /// # Errors
    /// When the store refuses it, or is not there for two minutes.
    pub fn put(&self, shard: Shard, ending: &str, content: &str) -> anyhow::Result<()> {
        let name = format!("{}.{ending}", shard.file_stem());
        let key = self.key(&name);
        let put = async || {
            let payload = content.as_bytes().to_vec().into();
            self.store.put_opts(&key, payload, PutOptions::default()).await.map(drop)
        };
        let put = self.runtime.block_on(self.patiently(put));
        put.map_err(|error| failed("put", &self.shown(&name), &error))
    }

    /// Everything that is there, by name; of a page only its name.
    ///
    /// # Errors
    /// When the store refuses it, or is not there for two minutes.
    pub fn read(&self) -> anyhow::Result<Objects> {
        self.runtime.block_on(async {
            let prefix = self.url.prefix();
            let list = async || self.store.list_with_delimiter(Some(&prefix)).await;
            let list =
                self.patiently(list).await.map_err(|error| failed("list", &self.url.to_string(), &error))?;
            let names =
                list.objects.iter().filter_map(|object| object.location.filename().map(str::to_owned));
            let read = names.map(|name| async move {
                match self.get(&name).await {
                    Ok(bytes) => Ok((name, bytes)),
                    Err(error) => Err(failed("read", &self.shown(&name), &error)),
                }
            });
            stream::iter(read).buffered(READS).try_collect().await
        })
    }

    async fn get(&self, name: &str) -> Result<Vec<u8>, Error> {
        if !name.ends_with(&format!(".{JSON}")) && !name.ends_with(&format!(".{BEGUN}")) {
            return Ok(Vec::new());
        }
        let key = self.key(name);
        let get = async || self.store.get_opts(&key, GetOptions::default()).await?.bytes().await;
        self.patiently(get).await.map(|bytes| bytes.to_vec())
    }

    /// Where it is.
    pub fn url(&self) -> &StoreUrl {
        &self.url
    }

    /// What people are shown of an object.
    pub fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.url.to_string().trim_end_matches('/'))
    }

    fn key(&self, name: &str) -> Key {
        self.url.prefix().join(name)
    }

    /// Tries again what may succeed later. The store's client never does by itself; here every request may be repeated.
    async fn patiently<T>(&self, mut request: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
        // A directory that refuses once refuses again.
        let waits = if self.url.to_string().starts_with("file:") { &[][..] } else { &WAITS_S[..] };
        for wait_s in waits {
            match request().await {
                Err(Error::Generic { .. }) => tokio::time::sleep(Duration::from_secs(*wait_s)).await,
                done => return done,
            }
        }
        request().await
    }
}

/// The store's errors say themselves what they were caused by; as a chain, everything would be said twice.
fn failed(to: &str, what: &str, error: &Error) -> anyhow::Error {
    anyhow::anyhow!("cannot {to} {what}: {error}")
}
