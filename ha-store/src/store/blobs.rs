//! Payloads that are too large for a record.
//!
//! A blob is written before the record that names it, under a key that is never used again: its hash, and a nonce
//! for this copy. Content alone would not do as a key: a collector that stalled after it found a blob unnamed
//! could delete it after another process had put the same bytes again and named them.

use super::Store;
use crate::judge::CreateAnswer;
use crate::log::Backoff;
use crate::objects::Read;
use crate::{BlobRef, Nonce, Refusal, StoreError};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Blobs of this process that its own collector leaves alone, whether a record names them yet or not.
const RECENT_MAX: usize = 1024;

impl Store {
    /// Stores bytes and says how to name them. Nothing refers to them until a change does; bytes that no change
    /// names within a day may be collected.
    ///
    /// Put them while this process leads, and name them under the epoch that it leads under: the next leader's
    /// collector takes what a deposed one has put and not named.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`] over `blob_bytes_max`; [`StoreError::Unavailable`] when the store did not take it by
    /// the deadline. Never `Unknown`: a blob that nobody names is nothing.
    pub async fn put_blob(&self, bytes: Bytes) -> Result<BlobRef, StoreError> {
        let limits = &self.shared.options.limits;
        let size = bytes.len() as u64;
        if size > limits.blob_bytes_max {
            let max_bytes = limits.blob_bytes_max;
            let what = "the blob".to_owned();
            return Err(Refusal::TooLarge { what, bytes: size, max_bytes, limit: "blob_bytes_max" }.into());
        }
        let copy = Nonce::random(&*self.shared.entropy);
        let blob = BlobRef { hash: hash_of(&bytes), bytes: size, copy };
        // Before it exists: from its first moment on, our own collector must know that it is ours.
        self.remember(&blob);
        let mut backoff = Backoff::new(&self.shared.options);
        let mut trouble = "the object store is slow".to_owned();
        let key = self.shared.keys.blob(&blob);
        let put = async {
            loop {
                match self.shared.objects.create(&key, bytes.clone()).await {
                    (CreateAnswer::Created, _) => return,
                    // Our own earlier try, or S3's 409, which says nothing about what is there.
                    (CreateAnswer::Exists, _) => match self.shared.objects.read(&key, size).await {
                        Ok(Read::Absent) => {}
                        Ok(Read::Bytes(_) | Read::TooLarge(_)) => return,
                        Err(reason) => trouble = reason,
                    },
                    (CreateAnswer::Refused | CreateAnswer::Unclear, reason) => trouble = reason,
                }
                backoff.pause().await;
            }
        };
        match timeout_at(self.deadline(), put).await {
            Ok(()) => Ok(blob),
            Err(_) => Err(StoreError::Unavailable { what: "storing a blob".to_owned(), reason: trouble }),
        }
    }

    /// Reads a blob, and checks that it is what it was.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is missing or its bytes do not match its hash; [`StoreError::Unavailable`].
    pub async fn get_blob(&self, blob: &BlobRef) -> Result<Bytes, StoreError> {
        let key = self.shared.keys.blob(blob);
        let corrupt = |reason: String| Err(StoreError::Corrupt { key: key.to_string(), reason });
        let mut backoff = Backoff::new(&self.shared.options);
        let mut trouble = "the object store is slow".to_owned();
        let get = async {
            loop {
                match self.shared.objects.read(&key, blob.bytes).await {
                    Ok(read) => return read,
                    Err(reason) => trouble = reason,
                }
                backoff.pause().await;
            }
        };
        match timeout_at(self.deadline(), get).await {
            Err(_) => Err(StoreError::Unavailable { what: "reading a blob".to_owned(), reason: trouble }),
            Ok(Read::Absent) => corrupt("it is missing, although it is named".to_owned()),
            Ok(Read::TooLarge(bytes)) => corrupt(format!("it has {bytes} bytes instead of {}", blob.bytes)),
            Ok(Read::Bytes(bytes)) => match hash_of(&bytes) {
                hash if hash == blob.hash => Ok(bytes),
                hash => corrupt(format!("its {} bytes hash to {hash}", bytes.len())),
            },
        }
    }

    fn remember(&self, blob: &BlobRef) {
        let mut recent = self.shared.recent_blobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        recent.push_back(blob.clone());
        let excess = recent.len().saturating_sub(RECENT_MAX);
        recent.drain(..excess);
    }

    fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.shared.options.commit_deadline_ms)
    }
}

/// The hash names its algorithm, so that another one can follow.
fn hash_of(bytes: &[u8]) -> String {
    format!("blake3-{}", blake3::hash(bytes).to_hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_names_its_algorithm() {
        let empty = "blake3-af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        assert_eq!(hash_of(b""), empty);
    }
}
