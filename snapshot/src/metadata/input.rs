//! Fields, one after the other, with the position of each and the way to it.

use super::error::{Finding, Frame, Kind, ReadError};
use super::{Source, text};
use bytes::Bytes;

type Result<T> = std::result::Result<T, ReadError>;

/// The cursor: one window of the source, and where in the file and in the snapshot it stands.
pub(super) struct Input<S> {
    source: S,
    length: u64,
    window: Bytes,
    window_at: u64,
    /// The next byte, within the window.
    at: usize,
    frames: Vec<Frame>,
}

impl<S: Source> Input<S> {
    pub(super) fn new(source: S) -> Self {
        let length = source.length_bytes();
        Self { source, length, window: Bytes::new(), window_at: 0, at: 0, frames: Vec::new() }
    }

    pub(super) fn position(&self) -> u64 {
        self.window_at + self.at as u64
    }

    pub(super) fn remaining(&self) -> u64 {
        self.length - self.position()
    }

    /// Everything until the matching [`leave`](Self::leave) is inside of this. An error needs no `leave`.
    pub(super) fn enter(&mut self, what: &'static str) {
        self.frames.push(Frame { what, index: None, name: None });
    }

    pub(super) fn enter_item(&mut self, what: &'static str, index: u64) {
        self.frames.push(Frame { what, index: Some(index), name: None });
    }

    /// Says in errors which item the innermost one is.
    pub(super) fn name_item(&mut self, name: String) {
        if let Some(frame) = self.frames.last_mut() {
            frame.name = Some(name);
        }
    }

    pub(super) fn leave(&mut self) {
        self.frames.pop();
    }

    pub(super) fn error(&self, kind: Kind, position: u64, found: String, expected: String) -> ReadError {
        let context = self.frames.iter().map(Frame::to_string).collect();
        kind.error(Finding { position, found, expected, context })
    }

    /// A field that begins at `position` has a value that nothing may have there.
    pub(super) fn corrupt(
        &self,
        position: u64,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> ReadError {
        self.error(Kind::Corrupt, position, found.to_string(), expected.into())
    }

    fn truncated(&self, bytes: u64, expected: &str) -> ReadError {
        let found = match self.remaining() {
            0 => "the end of the file".to_owned(),
            left => format!("the end of the file after {left} bytes"),
        };
        self.corrupt(self.position(), found, format!("{expected} ({bytes} bytes)"))
    }

    async fn refill(&mut self) -> Result<()> {
        let position = self.position();
        let window = self.source.window(position).await;
        let window = window.map_err(|source| ReadError::Source { position, source })?;
        if window.is_empty() {
            let source = std::io::ErrorKind::UnexpectedEof.into();
            return Err(ReadError::Source { position, source });
        }
        // More than the file has would let `remaining` underflow.
        let most = usize::try_from(self.length - position).unwrap_or(usize::MAX);
        (self.window, self.window_at, self.at) = (window, position, 0);
        self.window.truncate(most);
        Ok(())
    }

    async fn fill(&mut self, buffer: &mut [u8], expected: &str) -> Result<()> {
        if self.remaining() < buffer.len() as u64 {
            return Err(self.truncated(buffer.len() as u64, expected));
        }
        let mut filled = 0;
        while filled < buffer.len() {
            if self.at == self.window.len() {
                self.refill().await?;
            }
            let take = (buffer.len() - filled).min(self.window.len() - self.at);
            buffer[filled..filled + take].copy_from_slice(&self.window[self.at..self.at + take]);
            self.at += take;
            filled += take;
        }
        Ok(())
    }

    /// Nearly every field lies within the window, and then nothing is waited for.
    async fn fixed<const N: usize>(&mut self, expected: &str) -> Result<[u8; N]> {
        if let Some(Ok(field)) = self.window.get(self.at..self.at + N).map(<[u8; N]>::try_from) {
            self.at += N;
            return Ok(field);
        }
        let mut field = [0; N];
        self.fill(&mut field, expected).await?;
        Ok(field)
    }

    pub(super) async fn u8(&mut self, expected: &str) -> Result<u8> {
        self.fixed::<1>(expected).await.map(|[byte]| byte)
    }

    pub(super) async fn i32(&mut self, expected: &str) -> Result<i32> {
        self.fixed(expected).await.map(i32::from_be_bytes)
    }

    pub(super) async fn i64(&mut self, expected: &str) -> Result<i64> {
        self.fixed(expected).await.map(i64::from_be_bytes)
    }

    /// A number that is a size, a position or an id: never negative.
    pub(super) async fn size(&mut self, expected: &str) -> Result<u64> {
        let position = self.position();
        let value = self.i64(expected).await?;
        u64::try_from(value).map_err(|_| self.corrupt(position, value, format!("{expected}, 0 or more")))
    }

    /// A boolean, or a field that is used as one.
    pub(super) async fn flag(&mut self, expected: &str) -> Result<bool> {
        let position = self.position();
        match self.u8(expected).await? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(self.corrupt(position, other, format!("{expected}, 0 or 1"))),
        }
    }

    /// The number of items that follow, each of which takes `item_bytes` or more: never more than can follow.
    pub(super) async fn count(&mut self, item_bytes: u64, expected: &str) -> Result<u32> {
        let position = self.position();
        let value = self.i32(expected).await?;
        let most = self.remaining() / item_bytes.max(1);
        match u32::try_from(value) {
            Ok(count) if u64::from(count) <= most => Ok(count),
            _ => {
                let left = self.remaining();
                let expected = format!("{expected}, 0 to {most} as {left} bytes are left");
                Err(self.corrupt(position, value, expected))
            }
        }
    }

    /// Passes over bytes without having them, unless they are in the window already.
    pub(super) fn skip(&mut self, bytes: u64, expected: &str) -> Result<()> {
        if self.remaining() < bytes {
            return Err(self.truncated(bytes, expected));
        }
        match usize::try_from(bytes) {
            Ok(bytes) if bytes <= self.window.len() - self.at => self.at += bytes,
            _ => (self.window, self.window_at, self.at) = (Bytes::new(), self.position() + bytes, 0),
        }
        Ok(())
    }

    /// A count of bytes, and these bytes: passed over. Returns how many they are.
    pub(super) async fn skip_bytes(&mut self, expected: &str) -> Result<u64> {
        let bytes = u64::from(self.count(1, expected).await?);
        self.skip(bytes, expected)?;
        Ok(bytes)
    }

    /// A count of `i64`, and these: passed over.
    pub(super) async fn skip_offsets(&mut self, expected: &str) -> Result<()> {
        let offsets = self.count(8, expected).await?;
        self.skip(u64::from(offsets) * 8, expected)
    }

    pub(super) async fn skip_text(&mut self, expected: &str) -> Result<()> {
        let length = self.fixed(expected).await.map(u16::from_be_bytes)?;
        self.skip(u64::from(length), expected)
    }

    pub(super) async fn text(&mut self, expected: &str) -> Result<String> {
        let position = self.position();
        let length = usize::from(self.fixed(expected).await.map(u16::from_be_bytes)?);
        let decoded = match self.window.get(self.at..self.at + length) {
            Some(bytes) => {
                self.at += length;
                text::decode(bytes)
            }
            None => text::decode(&self.bytes(length, expected).await?),
        };
        decoded.ok_or_else(|| {
            self.corrupt(position, "bytes that are not modified UTF-8", format!("{expected}, a text"))
        })
    }

    /// These bytes, in memory: only for what is known to be small.
    pub(super) async fn bytes(&mut self, length: usize, expected: &str) -> Result<Vec<u8>> {
        if self.remaining() < length as u64 {
            return Err(self.truncated(length as u64, expected));
        }
        let mut bytes = vec![0; length];
        self.fill(&mut bytes, expected).await?;
        Ok(bytes)
    }
}
