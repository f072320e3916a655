//! Where the bytes of a `_metadata` file come from.

use bytes::Bytes;
use std::future::{Future, ready};
use std::io::{self, Read};

/// The bytes of one file, of known length, that are asked for from the front to the back.
///
/// A source is free to give as many bytes at once as it likes: the reader holds one window at a time. Bytes that the
/// reader does not need (state that is inlined, which may be gigabytes) are never asked for.
pub trait Source: Send {
    /// How many bytes the file has. Must not change while it is read.
    fn length_bytes(&self) -> u64;

    /// The bytes from `position` on: at least one, as `position` is always less than the length.
    ///
    /// # Errors
    /// Whatever keeps the bytes away. The reader does not ask again: a source repeats what is worth repeating.
    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send;
}

impl Source for Bytes {
    fn length_bytes(&self) -> u64 {
        self.len() as u64
    }

    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send {
        let from = usize::try_from(position).unwrap_or(usize::MAX).min(self.len());
        ready(Ok(self.slice(from..)))
    }
}

/// Any [`Read`] of known length, read in windows of 64 KiB. What is skipped is read and dropped.
#[derive(Debug)]
pub struct ReadSource<R> {
    reader: R,
    length_bytes: u64,
    position: u64,
}

const WINDOW_BYTES: u64 = 64 * 1024;

impl<R: Read + Send> ReadSource<R> {
    /// The bytes of `reader`, which must be at its first byte and have `length_bytes` of them.
    pub fn new(reader: R, length_bytes: u64) -> Self {
        Self { reader, length_bytes, position: 0 }
    }

    fn read_at(&mut self, position: u64) -> io::Result<Bytes> {
        let skip = position.saturating_sub(self.position);
        let skipped = io::copy(&mut self.reader.by_ref().take(skip), &mut io::sink())?;
        let mut window = Vec::new();
        let wanted = WINDOW_BYTES.min(self.length_bytes - position);
        self.reader.by_ref().take(wanted).read_to_end(&mut window)?;
        self.position = position + window.len() as u64;
        if skipped < skip || window.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(window.into())
    }
}

impl<R: Read + Send> Source for ReadSource<R> {
    fn length_bytes(&self) -> u64 {
        self.length_bytes
    }

    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send {
        ready(self.read_at(position))
    }
}
