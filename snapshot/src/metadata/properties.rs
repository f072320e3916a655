//! The `CheckpointProperties` at the end of the file: a serialized Java object.

mod java;

use super::error::ReadError;
use super::input::Input;
use super::{Limits, Source};
use java::{Object, Stop, Value};
use serde::Serialize;

/// `ObjectStreamConstants.STREAM_MAGIC` and `STREAM_VERSION`.
const MAGIC: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];

const CLASS: &str = "org.apache.flink.runtime.checkpoint.CheckpointProperties";

/// What kind of snapshot it is, and when Flink may delete its files (`CheckpointProperties`).
///
/// These are the properties at the time when the snapshot was taken. A job that restored it may hold it under others:
/// a savepoint that is not claimed is not its to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckpointProperties {
    /// A checkpoint or a savepoint.
    pub kind: PropertiesKind,
    /// The kind's name as Flink shows it: `Checkpoint`, `Savepoint`, `Suspend Savepoint`, …
    pub kind_name: Option<String>,
    /// A savepoint's format: `CANONICAL` or `NATIVE`. None for a checkpoint, and where the version has none.
    pub format: Option<String>,
    /// What the job does after this savepoint: `NONE`, `SUSPEND` (stop) or `TERMINATE` (drain). None for a
    /// checkpoint.
    pub post_action: Option<String>,
    /// It was taken whatever the checkpoint coordinator thought of the moment.
    pub forced: bool,
    /// Flink deletes it when a newer one takes its place.
    pub discard_subsumed: bool,
    /// Flink deletes it when the job is FINISHED.
    pub discard_finished: bool,
    /// Flink deletes it when the job is CANCELED.
    pub discard_cancelled: bool,
    /// Flink deletes it when the job is FAILED.
    pub discard_failed: bool,
    /// Flink deletes it when the job is SUSPENDED.
    pub discard_suspended: bool,
    /// It belongs to the user: Flink never deletes it.
    pub unclaimed: bool,
}

/// Who asked for a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PropertiesKind {
    /// Flink, by its schedule (`CheckpointType`).
    Checkpoint,
    /// A person (`SavepointType`).
    Savepoint,
}

/// The end of the file.
pub(super) struct Tail {
    pub(super) properties: Option<CheckpointProperties>,
    pub(super) trailing_bytes: u64,
}

pub(super) async fn read<S: Source>(input: &mut Input<S>, limits: &Limits) -> Result<Tail, ReadError> {
    input.enter("checkpoint properties");
    let start = input.position();
    let available = input.remaining();
    let taken = available.min(limits.properties_bytes_max);
    let length = usize::try_from(taken).unwrap_or(usize::MAX);
    let bytes = input.bytes(length, "a serialized Java object").await?;
    match bytes.get(..MAGIC.len()) {
        Some(magic) if magic == MAGIC => {}
        _ => {
            let head = &bytes[..bytes.len().min(MAGIC.len())];
            let found =
                if head.is_empty() { "the end of the file".to_owned() } else { format!("{head:02X?}") };
            return Err(input.corrupt(start, found, "AC ED 00 05, the start of a serialized Java object"));
        }
    }
    match java::read(&bytes, MAGIC.len()) {
        Ok((object, end)) => {
            let trailing_bytes = available - end as u64;
            Ok(Tail { properties: properties(&object), trailing_bytes })
        }
        // It may be longer than what is looked at.
        Err(Stop::Unknown) => Ok(Tail { properties: None, trailing_bytes: 0 }),
        Err(Stop::End { .. }) if taken < available => Ok(Tail { properties: None, trailing_bytes: 0 }),
        Err(Stop::End { position, expected }) => {
            Err(input.corrupt(start + position as u64, "the end of the file", expected))
        }
    }
}

impl CheckpointProperties {
    /// Those that Java serialized by themselves, as the adapter sends them with a pointer. `None`: they are not understood.
    pub fn of_java(bytes: &[u8]) -> Option<Self> {
        if !bytes.starts_with(&MAGIC) {
            return None;
        }
        let (object, _) = java::read(bytes, MAGIC.len()).ok()?;
        properties(&object)
    }
}

fn properties(object: &Object) -> Option<CheckpointProperties> {
    let flag = |name: &str| match object.field(name)? {
        Value::Boolean(value) => Some(*value),
        _ => None,
    };
    let Some(Value::Object(kind)) = object.field("checkpointType") else { return None };
    let name_of = |field: &str| match kind.field(field)? {
        Value::Text(text) => Some(text.clone()),
        _ => None,
    };
    if object.class != CLASS {
        return None;
    }
    Some(CheckpointProperties {
        kind: match kind.class.rsplit('.').next()? {
            "CheckpointType" => PropertiesKind::Checkpoint,
            "SavepointType" => PropertiesKind::Savepoint,
            _ => return None,
        },
        kind_name: name_of("name"),
        format: name_of("formatType"),
        post_action: name_of("postCheckpointAction"),
        forced: flag("forced")?,
        discard_subsumed: flag("discardSubsumed")?,
        discard_finished: flag("discardFinished")?,
        discard_cancelled: flag("discardCancelled")?,
        discard_failed: flag("discardFailed")?,
        discard_suspended: flag("discardSuspended")?,
        unclaimed: flag("unclaimed")?,
    })
}
