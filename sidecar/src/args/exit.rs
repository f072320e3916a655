//! How commands end: the exit status, which scripts decide by, and what is said with it.

use std::process::ExitCode;

use anyhow::Error;

/// The exit status of every command that asks something. Documented in `docs/command-line.md`; it must never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// 0: it is so, or it was done.
    Ok,
    /// 1: the answer is no, or it was refused; asking again does not help.
    No,
    /// 2: wrong usage or configuration; nothing was asked.
    Usage,
    /// 3: it could not be found out, or it is not known whether it was done. Ask again.
    Unknown,
}

/// Why a command has nothing to print. The variant is its exit status, the error says the way out.
#[derive(Debug)]
pub(super) enum Failure {
    /// The answer is no, or it was refused: nothing was changed, and asking again does not help.
    Refused(Error),
    /// Wrong usage or configuration: nothing was asked.
    Usage(Error),
    /// It could not be asked, or there was no answer: a write may have been done.
    Unknown(Error),
}

// === impl Exit ===

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::No => 1,
            Exit::Usage => 2,
            Exit::Unknown => 3,
        })
    }
}

// === impl Failure ===

impl Failure {
    /// The exit status.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Refused(_) => Exit::No,
            Self::Usage(_) => Exit::Usage,
            Self::Unknown(_) => Exit::Unknown,
        }
    }

    /// What is said on standard error.
    pub(super) fn error(&self) -> &Error {
        match self {
            Self::Refused(error) | Self::Usage(error) | Self::Unknown(error) => error,
        }
    }
}
