//! One record of the log: its form, and how it is read.

mod lines;

use self::lines::Lines;
use crate::state::DeploymentState;
use crate::{DeploymentName, Epoch, Incarnation, Nonce, Sequence};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The version of the record format that this build reads and writes.
pub const FORMAT: u32 = 1;

/// How much larger than [`record_bytes_max`](crate::Limits::record_bytes_max) a record may be because of the
/// changes that are always possible (claims, removals, ends): all of them touch bounded lists only.
const HEADROOM_BYTES: u64 = 4 * 1024 * 1024;

/// Everything about a record but the state that it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordHeader {
    /// The version of the format: [`FORMAT`].
    pub format: u32,
    /// Whose log this is. A record that was copied to another deployment's folder is found out by it.
    pub deployment: DeploymentName,
    /// Its place in the log; the key says the same.
    pub sequence: Sequence,
    /// The nonce of the record before it; `None` for the first.
    pub follows: Option<Nonce>,
    /// The epoch under which it was written.
    pub epoch: Epoch,
    /// The process that wrote it.
    pub incarnation: Incarnation,
    /// Its own, drawn anew for every record: what makes an unknown outcome decidable.
    pub nonce: Nonce,
    /// Why it was written.
    pub kind: RecordKind,
    /// When, by the writer's clock. Unix milliseconds; nothing is decided by it.
    pub written_at_ms: i64,
}

/// Why a record was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// A new epoch.
    Claim,
    /// A new process goes on under the epoch of one that died.
    Adopt,
    /// Changes of the state.
    Commit,
}

impl RecordKind {
    /// Whether it is the first record of a process that takes over.
    pub(crate) fn begins_an_ownership(self) -> bool {
        match self {
            Self::Claim | Self::Adopt => true,
            Self::Commit => false,
        }
    }
}

impl fmt::Display for RecordKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Claim => "claim",
            Self::Adopt => "adopt",
            Self::Commit => "commit",
        })
    }
}

/// A record, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) header: RecordHeader,
    pub(crate) state: DeploymentState,
}

#[derive(Serialize)]
struct Written<'a> {
    header: &'a RecordHeader,
    state: &'a DeploymentState,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    header: RecordHeader,
    state: DeploymentState,
}

/// As much of a record as every version has, to say which version it is before the rest is understood.
#[derive(Deserialize)]
struct AnyVersion {
    header: AnyHeader,
}

#[derive(Deserialize)]
struct AnyHeader {
    format: u32,
    kind: serde_json::Value,
}

/// The bytes of a record.
pub(crate) fn encode(header: &RecordHeader, state: &DeploymentState) -> Bytes {
    assert_eq!(header.format, FORMAT, "this build writes one format only");
    assert_eq!(header.epoch, state.epoch(), "a record is written under the epoch that its state shows");
    let mut bytes = Vec::with_capacity(4 * 1024);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Lines::default());
    let written = Written { header, state }.serialize(&mut serializer);
    written.expect("the state has no map with keys that JSON cannot hold");
    Bytes::from(bytes)
}

/// Reads a record that was found at `sequence` of `deployment`'s log.
///
/// # Errors
/// Why it is not such a record, for [`StoreError::Corrupt`](crate::StoreError::Corrupt).
pub(crate) fn decode(
    bytes: &[u8],
    deployment: &DeploymentName,
    sequence: Sequence,
) -> Result<Record, String> {
    let Stored { header, state } =
        serde_json::from_slice(bytes).map_err(|error| not_a_record(bytes, &error))?;
    if header.format != FORMAT {
        return Err(other_format(header.format));
    }
    if header.deployment != *deployment {
        return Err(format!(
            "a record of deployment {:?}, not of {deployment:?}",
            header.deployment.as_str()
        ));
    }
    if header.sequence != sequence {
        return Err(format!("says that it is record {}, its key says {sequence}", header.sequence));
    }
    if header.epoch != state.epoch() {
        return Err(format!("written under epoch {}, but its grant says {}", header.epoch, state.epoch()));
    }
    Ok(Record { header, state })
}

/// Why these bytes could not be read. A newer format explains it better than its first unknown field.
fn not_a_record(bytes: &[u8], error: &serde_json::Error) -> String {
    match serde_json::from_slice::<AnyVersion>(bytes) {
        Ok(any) if any.header.format != FORMAT => other_format(any.header.format),
        _ => format!("not a record: {error}"),
    }
}

/// Why a record was written, if these bytes are one that this build can place.
pub(crate) fn kind_of(bytes: &[u8]) -> Option<RecordKind> {
    let any: AnyVersion = serde_json::from_slice(bytes).ok()?;
    serde_json::from_value(any.header.kind).ok()
}

fn other_format(found: u32) -> String {
    format!("record format {found}, but this build reads format {FORMAT}: use a newer build")
}

/// The largest record that is read, for a limit on what may be written.
pub(crate) fn read_bytes_max(record_bytes_max: u64) -> u64 {
    record_bytes_max.saturating_add(HEADROOM_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Grant, SessionId};

    fn deployment() -> DeploymentName {
        DeploymentName::try_from("orders").unwrap()
    }

    fn record() -> Record {
        let grant = Grant {
            session: SessionId::try_from("s").unwrap(),
            holder: "pod-a".to_owned(),
            generation: "1".to_owned(),
            epoch: Epoch::new(3),
            claimed_at_ms: 1,
        };
        let header = RecordHeader {
            format: FORMAT,
            deployment: deployment(),
            sequence: Sequence::new(7),
            follows: Some(Nonce::try_from("before").unwrap()),
            epoch: Epoch::new(3),
            incarnation: Incarnation::try_from("me").unwrap(),
            nonce: Nonce::try_from("mine").unwrap(),
            kind: RecordKind::Claim,
            written_at_ms: 2,
        };
        Record { header, state: DeploymentState { grant: Some(grant), ..DeploymentState::default() } }
    }

    fn text() -> String {
        let record = record();
        String::from_utf8(encode(&record.header, &record.state).to_vec()).unwrap()
    }

    fn read(text: &str) -> Result<Record, String> {
        decode(text.as_bytes(), &deployment(), Sequence::new(7))
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(read(&text()), Ok(record()));
    }

    #[test]
    fn a_record_that_is_not_what_its_key_says_is_corrupt_and_says_why() {
        let cases = [
            ("\"format\": 1", "\"format\": 2", "use a newer build"),
            ("\"deployment\": \"orders\"", "\"deployment\": \"other\"", "of deployment \"other\""),
            ("\"sequence\": 7", "\"sequence\": 8", "its key says 7"),
            ("\"epoch\": 3,\n    \"incarnation\"", "\"epoch\": 4,\n    \"incarnation\"", "its grant says 3"),
            ("\"kind\": \"claim\"", "\"kind\": \"coup\"", "not a record"),
        ];
        for (from, to, why) in cases {
            let changed = text().replace(from, to);
            assert_ne!(changed, text(), "{from} is in a record");
            let error = read(&changed).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn a_field_of_a_newer_build_is_not_dropped_in_silence() {
        let newer = text().replace("\"generation\": null", "\"generation\": null, \"quota\": 5");
        assert!(read(&newer).unwrap_err().contains("quota"));
    }

    #[test]
    fn a_torn_record_is_corrupt() {
        let whole = text();
        for length in [0, 1, whole.len() / 2, whole.len() - 1] {
            assert!(read(&whole[..length]).is_err(), "the first {length} bytes");
        }
    }
}
