//! Where a log is kept: the store URL, and the client that it leads to.

use crate::StoreError;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{BackoffConfig, ClientConfigKey, ObjectStore, ObjectStoreScheme, RetryConfig};
use std::path::{Path, PathBuf};
use std::{fmt, fs::File, io, str::FromStr, sync::Arc, time::Duration};
use url::Url;

/// A place for logs: `file:///dir`, `/dir`, `memory:///`, `s3://bucket/prefix`, `gs://bucket/prefix`,
/// `az://container/prefix` or `abfs[s]://container@account.host/prefix`.
///
/// Credentials do not belong in it; a URL that has some is refused. They come from the environment (`AWS_*`,
/// `GOOGLE_*`, `AZURE_*`), as every client of these stores does it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    url: Url,
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Directory(PathBuf),
    Memory,
    S3,
    Google,
    Azure,
}

/// How to talk to a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendOptions {
    /// How long one HTTP request may take. [`StoreOptions::call_timeout_ms`](crate::StoreOptions) cuts it off
    /// too; this one also ends the connection.
    pub call_timeout_ms: u64,
    /// Settings that go before the environment's, under the same names: `("AWS_ENDPOINT", "http://…")`.
    pub settings: Vec<(String, String)>,
}

impl Default for BackendOptions {
    fn default() -> Self {
        Self { call_timeout_ms: 5_000, settings: Vec::new() }
    }
}

/// A store URL that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the store URL {shown:?} is not valid: {reason}")]
pub struct InvalidStoreUrl {
    /// The URL, without credentials.
    pub shown: String,
    /// What is wrong, and what is allowed.
    pub reason: String,
}

const ALLOWED: &str =
    "allowed are file:///dir, an absolute path, memory:///, s3://…, gs://…, az://… and abfs[s]://…";

/// The three builders have the same methods but no trait in common.
macro_rules! cloud {
    ($builder:ident, $key:ident, $url:expr, $options:expr, $unfit:expr) => {{
        let timeout = format!("{} ms", $options.call_timeout_ms);
        let mut builder = <$builder>::from_env()
            .with_url($url)
            .with_config($key::Client(ClientConfigKey::Timeout), timeout.clone())
            .with_config($key::Client(ClientConfigKey::ConnectTimeout), timeout)
            .with_retry(retry_config());
        for (key, value) in known(&$options.settings) {
            builder = builder.with_config(key, value);
        }
        Arc::new(builder.build().map_err(|error| $unfit(error.to_string()))?)
    }};
}

impl FromStr for StoreUrl {
    type Err = InvalidStoreUrl;

    fn from_str(text: &str) -> Result<Self, InvalidStoreUrl> {
        let invalid = |reason: String| InvalidStoreUrl { shown: without_credentials(text), reason };
        let url = if text.starts_with('/') {
            Url::from_file_path(text).map_err(|()| invalid(ALLOWED.to_owned()))?
        } else {
            Url::parse(text).map_err(|error| invalid(format!("{error}; {ALLOWED}")))?
        };
        // abfs://container@account.host is the one scheme whose user part is not a credential.
        let azure = matches!(url.scheme(), "az" | "abfs" | "abfss");
        if url.password().is_some() || (!url.username().is_empty() && !azure) || url.query().is_some() {
            let reason = "it carries credentials or a query; credentials come from the environment";
            return Err(invalid(reason.to_owned()));
        }
        let place = match url.scheme() {
            "file" => {
                let path = url.to_file_path().map_err(|()| invalid(ALLOWED.to_owned()))?;
                Place::Directory(path)
            }
            "memory" => Place::Memory,
            "s3" | "s3a" => Place::S3,
            "gs" => Place::Google,
            "az" | "abfs" | "abfss" => Place::Azure,
            _ => return Err(invalid(ALLOWED.to_owned())),
        };
        ObjectStoreScheme::parse(&url).map_err(|error| invalid(format!("{error}; {ALLOWED}")))?;
        Ok(Self { url, place })
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl StoreUrl {
    /// The path of the URL inside its bucket or container: every key starts with it. Empty for a directory, which
    /// is itself the root.
    pub fn prefix(&self) -> Key {
        match self.place {
            Place::Directory(_) => Key::default(),
            _ => ObjectStoreScheme::parse(&self.url).map(|(_, path)| path).unwrap_or_default(),
        }
    }

    /// Whether this is a directory that is not there, so that [`connect`](Self::connect) would make it. Whoever only reads
    /// asks before.
    pub fn is_missing_directory(&self) -> bool {
        matches!(&self.place, Place::Directory(path) if !path.is_dir())
    }

    /// Whether each connection is a new and empty store.
    pub fn is_memory(&self) -> bool {
        matches!(self.place, Place::Memory)
    }

    /// Makes the client. No request is sent; a directory is created if it is missing.
    ///
    /// The client never repeats a request by itself: after a lost answer, its second try would find the first
    /// one's record and report a conflict with itself (FLINK-28265). Retrying is the log's task, which knows its
    /// own records. A directory is written with `fsync`. Each call on `memory:///` gives a new, empty store.
    ///
    /// # Errors
    /// [`StoreError::Unfit`] when the configuration is incomplete or wrong, naming what is missing.
    pub fn connect(&self, options: &BackendOptions) -> Result<Arc<dyn ObjectStore>, StoreError> {
        let unfit = |error: String| StoreError::Unfit { store: self.to_string(), reason: error };
        let text = self.url.to_string();
        Ok(match &self.place {
            Place::Memory => Arc::new(InMemory::new()),
            Place::Directory(path) => {
                create_durably(path)
                    .map_err(|error| unfit(format!("the directory cannot be created: {error}")))?;
                let store =
                    LocalFileSystem::new_with_prefix(path).map_err(|error| unfit(error.to_string()))?;
                Arc::new(store.with_fsync(true))
            }
            Place::S3 => cloud!(AmazonS3Builder, AmazonS3ConfigKey, text, options, unfit),
            Place::Google => cloud!(GoogleCloudStorageBuilder, GoogleConfigKey, text, options, unfit),
            Place::Azure => cloud!(MicrosoftAzureBuilder, AzureConfigKey, text, options, unfit),
        })
    }
}

/// Makes a directory, and those above it that are missing, and has their entries on disk before it returns: what is
/// written into a directory that a power failure forgets is not durable.
fn create_durably(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|above| !above.exists()).collect();
    std::fs::create_dir_all(path)?;
    let parents = missing.iter().filter_map(|made| made.parent());
    parents.map(File::open).try_for_each(|parent| parent?.sync_all())
}

/// The settings that this kind of store knows; the environment of a process is full of others.
fn known<K: FromStr>(settings: &[(String, String)]) -> impl Iterator<Item = (K, &String)> {
    settings.iter().filter_map(|(key, value)| Some((key.to_ascii_lowercase().parse().ok()?, value)))
}

fn retry_config() -> RetryConfig {
    RetryConfig { max_retries: 0, retry_timeout: Duration::ZERO, backoff: BackoffConfig::default() }
}

fn without_credentials(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) => {
            // These fail for URLs without a host, which have no credentials either.
            let _ = url.set_password(None);
            let _ = url.set_username("");
            url.set_query(None);
            url.to_string()
        }
        Err(_) => "(not a URL)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<StoreUrl, InvalidStoreUrl> {
        text.parse()
    }

    #[test]
    fn the_path_of_a_bucket_is_the_prefix_and_that_of_a_directory_is_its_root() {
        let expected = [
            ("s3://bucket/flink/ha", "flink/ha"),
            ("s3://bucket", ""),
            ("gs://bucket/ha", "ha"),
            ("az://container/ha", "ha"),
            ("abfss://container@account.dfs.core.windows.net/ha", "ha"),
            ("memory:///", ""),
            ("file:///var/lib/holdfast", ""),
            ("/var/lib/holdfast", ""),
        ];
        for (text, prefix) in expected {
            assert_eq!(url(text).unwrap().prefix().as_ref(), prefix, "{text}");
        }
    }

    #[test]
    fn what_is_not_a_place_for_a_log_is_refused_with_what_is_allowed() {
        for text in
            ["", "bucket", "relative/dir", "http://host/x", "ftp://host/x", "s3:///x", "file://host/x"]
        {
            let error = url(text).unwrap_err().to_string();
            assert!(error.contains("allowed are"), "{text}: {error}");
        }
    }

    #[test]
    fn credentials_are_refused_and_never_shown() {
        for text in ["s3://key:secret@bucket/x", "gs://secret@bucket/x", "s3://bucket/x?token=secret"] {
            let error = format!("{0} {0:?}", url(text).unwrap_err());
            assert!(!error.contains("secret"), "{error}");
            assert!(error.contains("come from the environment"), "{error}");
        }
    }

    #[test]
    fn settings_go_before_the_environment_and_foreign_ones_are_ignored() {
        let settings = [("AWS_REGION", "eu-west-1"), ("GOOGLE_BUCKET", "b"), ("PATH", "/bin")];
        let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let known: Vec<(AmazonS3ConfigKey, _)> = known(&settings).collect();
        assert_eq!(known, [(AmazonS3ConfigKey::Region, &"eu-west-1".to_owned())]);
    }
}
