//! Can this snapshot be restored? The answer, before a job is started from it.
//!
//! A Flink checkpoint or savepoint is a `_metadata` file and the files that it refers to, which may be a million and lie
//! in several buckets. Flink finds out that one is missing, or that the `_metadata` file is half written, while it
//! restores the job. This crate finds out beforehand, from the outside, and only ever reads.
//!
//! # A first look
//!
//! ```
//! use snapshot::{Stores, Verdict, VerifyOptions, metadata, verify};
//! # async fn first_look() -> Result<(), Box<dyn std::error::Error>> {
//! # let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
//! // What a `_metadata` file says, with no store at all. This one is of Flink 2.2.1.
//! let bytes = std::fs::read(format!("{fixtures}/2.2.1-savepoint-native.metadata"))?;
//! let savepoint = metadata::read_bytes(bytes, &metadata::Limits::default())?;
//! assert_eq!(savepoint.version, 6);
//! assert_eq!(savepoint.operators[0].parallelism, 2);
//! assert_eq!(savepoint.properties.expect("from version 4 on").format.as_deref(), Some("NATIVE"));
//!
//! // Whether everything that it refers to is there: here the file was copied without the others.
//! let stores = Stores::default();
//! let path = format!("{fixtures}/2.2.1-savepoint-native.metadata");
//! let found = verify(&stores, &path, &VerifyOptions::default()).await?;
//! assert_eq!(found.verdict, Verdict::Broken);
//! assert_eq!(found.missing.len() as u64, savepoint.references.len());
//!
//! // A half-written file says at which byte it stops making sense, and where in the job that is.
//! let half = std::fs::read(&path)?[..1000].to_vec();
//! let error = metadata::read_bytes(half, &metadata::Limits::default()).unwrap_err();
//! let finding = error.finding().expect("bytes that are there");
//! assert!(finding.position <= 1000 && finding.context[0].starts_with("operator "));
//! # Ok(()) }
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(first_look()).unwrap();
//! ```
//!
//! # What an answer means
//!
//! | verdict | means | so |
//! | --- | --- | --- |
//! | [`Ok`](Verdict::Ok) | the `_metadata` file parses to its end, and every file is there with at least the bytes that are recorded | restore it |
//! | [`Broken`](Verdict::Broken) | a store said that a file is not there, or a file is too short, or the `_metadata` file is corrupt | no Flink restores it |
//! | [`Unknown`](Verdict::Unknown) | nothing is certainly wrong, but not everything was answered | ask again; restoring an *older* snapshot for it loses state |
//!
//! The last row is why this is not one boolean. A store that is away for a minute has not lost anything (FLINK-22502), so a
//! time-out, a refused permission, or a kind of state handle that only a newer Flink knows is never taken for damage.
//!
//! It is not promised that the *content* of the state files is right: Flink records no checksums. And a snapshot that is
//! complete may still be the wrong one to restore: that its job acknowledged it, and did not roll back behind it, is not
//! written in it.
//!
//! # How it is found out
//!
//! [`metadata`] reads versions 3 to 6 (Flink 1.11 to 2.3) as a stream: fields are pulled through one window of the file, and
//! inlined state, which may be gigabytes, is passed over without being fetched. Its [`Limits`](metadata::Limits) bound the
//! memory; a count is believed only as far as bytes are left.
//!
//! [`verify`] then asks for each distinct file once: a hundred segments of one file, or the same shared file under several
//! handles, are one question. A directory with many needed files is listed, as long as a page of the listing shows enough of
//! them; `shared/` of an old job may hold far more than this snapshot needs. What no listing showed is asked for by
//! itself, so that only a definite "not found" makes a file missing. Requests have a time-out, are repeated after transient
//! errors, and wait together up to a bound.
//!
//! # Traps that it knows
//!
//! * Files of a changelog (DSTL) are longer than recorded: a file may be longer than recorded, never shorter.
//! * Several handles may need one file, each a segment of it: the end of the farthest counts.
//! * Savepoints name their files relative to the `_metadata` file and can be moved; checkpoints name shared files
//!   absolutely, and with entropy injection in other directories, or buckets, than their own.
//! * Flink's paths are not percent-encoded, and modified UTF-8 is not UTF-8.

#![forbid(unsafe_code)]

pub mod metadata;
#[cfg(feature = "verify")]
mod place;
#[cfg(feature = "verify")]
mod stores;
#[cfg(feature = "verify")]
mod verify;

#[cfg(feature = "verify")]
pub use place::PlaceError;
#[cfg(feature = "verify")]
pub use stores::{Requests, Stores};
#[cfg(feature = "verify")]
pub use verify::{
    FileReference, Unanswered, Unreadable, Verdict, Verification, VerifyError, VerifyOptions, verify,
};
