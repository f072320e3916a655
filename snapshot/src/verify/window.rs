//! The `_metadata` file of a store, in pieces.

use crate::metadata::Source;
use crate::stores::{Asker, Client, Stat, Trouble};
use bytes::Bytes;
use std::future::Future;
use std::io;

/// The first piece, and the first one after a long stretch that was skipped.
const FIRST_BYTES: u64 = 64 * 1024;

/// Pieces double up to this.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// What is skipped within this is not worth a request of its own.
const NEAR_BYTES: u64 = 2 * 1024 * 1024;

/// Reads by ranges: a lost connection costs one piece, and inlined state of gigabytes is passed over.
pub(super) struct ObjectSource<'a> {
    asker: &'a Asker,
    client: &'a Client,
    key: &'a str,
    stat: Stat,
    /// Where the last piece ended, and how long the next one is.
    end: u64,
    next_bytes: u64,
}

impl<'a> ObjectSource<'a> {
    pub(super) fn new(asker: &'a Asker, client: &'a Client, key: &'a str, stat: Stat) -> Self {
        Self { asker, client, key, stat, end: 0, next_bytes: FIRST_BYTES }
    }
}

impl Source for ObjectSource<'_> {
    fn length_bytes(&self) -> u64 {
        self.stat.length_bytes
    }

    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send {
        if position.saturating_sub(self.end) > NEAR_BYTES {
            self.next_bytes = FIRST_BYTES;
        }
        let end = self.stat.length_bytes.min(position.saturating_add(self.next_bytes));
        self.end = end;
        self.next_bytes = (self.next_bytes * 2).min(MOST_BYTES);
        async move {
            let piece = self.asker.get(self.client, self.key, position..end, &self.stat).await;
            piece.map_err(|trouble| match trouble {
                Trouble::Absent => io::Error::other("it was deleted while it was read"),
                Trouble::Transient(error) | Trouble::Permanent(error) => io::Error::other(error),
            })
        }
    }
}
