//! What the store's client and its far side say to each other: one frame for a request, one for its answer.

use std::io;

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What is asked of the store. The body of a put follows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Puts an object. `create`: only if there is none.
    Put {
        /// Its key.
        key: String,
        /// Only if there is none.
        create: bool,
    },
    /// Reads an object. `head`: without its bytes.
    Get {
        /// Its key.
        key: String,
        /// Without its bytes.
        head: bool,
    },
    /// Lists what is below a folder and sorts after a key.
    List {
        /// The folder; empty: everything.
        folder: String,
        /// Only what sorts after this.
        after: Option<String>,
    },
    /// Deletes an object; that it is gone already is fine.
    Delete {
        /// Its key.
        key: String,
    },
}

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Asked {
    /// Who.
    pub by: String,
    /// What.
    pub request: Request,
}

/// What the store answers. The bytes of an object follow it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    /// Done.
    Done,
    /// The key exists.
    Exists,
    /// There is no such object.
    NotFound,
    /// It is there.
    Found(Meta),
    /// These are there.
    Listed(Vec<Meta>),
    /// An HTTP status in place of an answer.
    Status(u16),
}

/// What is known of an object besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Meta {
    /// Its key.
    pub key: String,
    /// How many bytes it has.
    pub bytes: u64,
    /// When it was put: Unix milliseconds, by the store's own clock.
    pub modified_ms: u64,
    /// Its tag.
    pub tag: u64,
}

/// Sends one frame in one piece, so that it arrives whole or not at all.
pub(super) async fn send(
    stream: &mut (impl AsyncWrite + Unpin),
    head: &impl Serialize,
    body: &[u8],
) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let mut frame = BytesMut::with_capacity(8 + head.len() + body.len());
    frame.put_u32(length(&head)?);
    frame.put_u32(length(body)?);
    frame.put_slice(&head);
    frame.put_slice(body);
    stream.write_all(&frame).await
}

/// Reads one frame.
///
/// # Errors
/// [`io::ErrorKind::UnexpectedEof`] when the other side is gone.
pub(super) async fn receive<H: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<(H, Bytes)> {
    let (head_bytes, body_bytes) = (stream.read_u32().await? as usize, stream.read_u32().await? as usize);
    let mut frame = vec![0; head_bytes + body_bytes];
    stream.read_exact(&mut frame).await?;
    let head = serde_json::from_slice(&frame[..head_bytes])?;
    Ok((head, Bytes::from(frame).slice(head_bytes..)))
}

fn length(part: &[u8]) -> io::Result<u32> {
    u32::try_from(part.len()).map_err(io::Error::other)
}
