//! The reader of `_metadata` files: pure, streaming, and careful.
//!
//! The format is that of Flink's `MetadataV2V3SerializerBase`, `MetadataV3Serializer` … `MetadataV6Serializer` and
//! `ChannelStateHandleSerializer`; `Checkpoints.loadCheckpointMetadata` reads it there. Memory is needed for the
//! operators and the distinct files, never for state that is inlined, and [`Limits`] bound it.

mod channels;
mod error;
mod found;
mod handles;
mod input;
mod limits;
mod parse;
mod properties;
mod references;
mod source;
mod text;

pub use error::{Finding, ReadError};
pub use found::{MasterState, Metadata, Operator};
pub use limits::Limits;
pub use properties::{CheckpointProperties, PropertiesKind};
pub use references::{Base, Reference, References};
pub use source::{ReadSource, Source};

use bytes::Bytes;
use futures::FutureExt;
use std::io::Read;

/// The oldest version that is read. Flink 1.11 wrote it.
pub const VERSION_MIN: u32 = 3;

/// The newest version that is read. Flink 2.1 to 2.3 write it.
pub const VERSION_MAX: u32 = 6;

/// The name that Flink gives the file (`AbstractFsCheckpointStorageAccess.METADATA_FILE_NAME`).
pub const FILE_NAME: &str = "_metadata";

/// Reads a whole `_metadata` file, asking `source` for each byte that is needed once, from the front to the back.
///
/// # Errors
/// See [`ReadError`]. Nothing of what was read before is given out: half a snapshot restores nothing.
pub async fn read<S: Source>(source: S, limits: &Limits) -> Result<Metadata, ReadError> {
    parse::Parser::new(source, limits).read().await
}

/// [`read`] of bytes that are in memory.
///
/// # Errors
/// The same, but never [`ReadError::Source`].
pub fn read_bytes(bytes: impl Into<Bytes>, limits: &Limits) -> Result<Metadata, ReadError> {
    at_once(bytes.into(), limits)
}

/// [`read`] of anything that can be read and has `length_bytes` bytes, for example an open file. Blocks.
///
/// # Errors
/// The same; a reader that ends early is a [`ReadError::Source`].
pub fn read_from(
    reader: impl Read + Send,
    length_bytes: u64,
    limits: &Limits,
) -> Result<Metadata, ReadError> {
    at_once(ReadSource::new(reader, length_bytes), limits)
}

fn at_once<S: Source>(source: S, limits: &Limits) -> Result<Metadata, ReadError> {
    read(source, limits).now_or_never().expect("a source that is ready at once leaves nothing to wait for")
}
