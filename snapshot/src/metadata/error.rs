//! What a `_metadata` file that cannot be read says about itself.

use serde::Serialize;
use std::{fmt, io};

/// Why a `_metadata` file was not read to its end.
///
/// The variant is the caller's decision: only [`Corrupt`](Self::Corrupt) says something about the snapshot.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// These bytes are no snapshot of a version that this reader knows: no Flink restores them.
    #[error("corrupt: {0}")]
    Corrupt(Box<Finding>),
    /// A version, or a type of state handle, that this reader does not know. A newer Flink may know it, so this is
    /// never a proof that the snapshot is broken.
    #[error("not supported: {0}")]
    Unsupported(Box<Finding>),
    /// The file needs more memory than [`Limits`](super::Limits) allow.
    #[error("too large: {0}; raise this limit if the snapshot is real")]
    TooLarge(Box<Finding>),
    /// The bytes could not be had. Says nothing about the snapshot.
    #[error("the bytes from {position} on cannot be read: {source}")]
    Source {
        /// The first byte that was asked for.
        position: u64,
        /// Why it could not be had.
        source: io::Error,
    },
}

impl ReadError {
    /// The byte that does not parse. None when the bytes could not be had.
    pub fn finding(&self) -> Option<&Finding> {
        match self {
            Self::Corrupt(finding) | Self::Unsupported(finding) | Self::TooLarge(finding) => Some(finding),
            Self::Source { .. } => None,
        }
    }
}

/// Which byte does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The first byte of the field that does not parse, counted from the start of the file.
    pub position: u64,
    /// What is there.
    pub found: String,
    /// What has to be there.
    pub expected: String,
    /// Where in the snapshot that is, from the outside in; for example `operator 3 (uid "count", id 69c5…)`,
    /// `subtask 1`, `managed keyed state`.
    pub context: Vec<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, found, expected, context } = self;
        write!(f, "byte {position}: found {found}, expected {expected}")?;
        if !context.is_empty() {
            write!(f, " (in {})", context.join(", "))?;
        }
        Ok(())
    }
}

/// A finding before it is known where in the snapshot the reader was.
#[derive(Debug)]
pub(super) enum Kind {
    Corrupt,
    Unsupported,
    TooLarge,
}

impl Kind {
    pub(super) fn error(self, finding: Finding) -> ReadError {
        let finding = Box::new(finding);
        match self {
            Self::Corrupt => ReadError::Corrupt(finding),
            Self::Unsupported => ReadError::Unsupported(finding),
            Self::TooLarge => ReadError::TooLarge(finding),
        }
    }
}

/// One step of the way to the byte that is being read. Made for every item, shown only in an error.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) what: &'static str,
    pub(super) index: Option<u64>,
    pub(super) name: Option<String>,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)?;
        if let Some(index) = self.index {
            write!(f, " {index}")?;
        }
        match &self.name {
            Some(name) => write!(f, " ({name})"),
            None => Ok(()),
        }
    }
}
