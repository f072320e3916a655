//! What verification found out, as people and scripts read it.

use crate::metadata::{CheckpointProperties, Finding, MasterState, Metadata, Operator, ReadError};
use crate::stores::Requests;
use serde::Serialize;

/// Whether a snapshot can be restored, as far as its files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Its `_metadata` file is sound, and every file that was asked for is there and long enough.
    Ok,
    /// It cannot be restored: something is certainly missing, too short or corrupt.
    Broken,
    /// Not found out: nothing is certainly wrong, but not everything was answered. Ask again; never take it for broken.
    Unknown,
}

/// The result of a verification. Its JSON is an interface: fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// The `_metadata` file that was read.
    pub metadata_path: String,
    /// The result in one word.
    pub verdict: Verdict,
    /// Whether the verdict is [`Verdict::Ok`].
    pub ok: bool,
    /// Whether only the `_metadata` file was looked at.
    pub metadata_only: bool,
    /// The version of the format; null when the file was not read.
    pub version: Option<u32>,
    /// The id of the checkpoint or savepoint; null when the file was not read.
    pub checkpoint_id: Option<u64>,
    /// How many bytes the `_metadata` file has; null when it was not read.
    pub metadata_bytes: Option<u64>,
    /// What kind of snapshot it is, and when Flink may delete it; null where the file does not tell.
    pub properties: Option<CheckpointProperties>,
    /// The operators with state.
    pub operators: Vec<Operator>,
    /// The states of the job's master hooks.
    pub master_states: Vec<MasterState>,
    /// Bytes of state in the `_metadata` file itself.
    pub inline_bytes: u64,
    /// The distinct files that the snapshot needs.
    pub references: Vec<FileReference>,
    /// The paths of files that are not there; the `_metadata` file itself may be one.
    pub missing: Vec<String>,
    /// The paths of files that are there, but shorter than recorded.
    pub too_short: Vec<String>,
    /// The files about which nothing was found out.
    pub unknown: Vec<Unanswered>,
    /// Why the `_metadata` file does not parse; null when it does.
    pub unreadable: Option<Unreadable>,
    /// What it cost.
    pub requests: Requests,
}

/// A file that a snapshot needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileReference {
    /// Its path as the snapshot has it; one that is relative there has the snapshot's directory before it.
    pub path: String,
    /// How many bytes the snapshot needs of it.
    pub recorded_bytes: u64,
    /// How many bytes it has. Null when it is missing, unknown, or was not asked for.
    pub found_bytes: Option<u64>,
}

/// A file about which nothing was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unanswered {
    /// Its path.
    pub path: String,
    /// What stood in the way.
    pub error: String,
}

/// Why a `_metadata` file does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unreadable {
    /// All of it in one sentence.
    pub message: String,
    /// Which byte, what is there, and what was expected.
    #[serde(flatten)]
    pub finding: Finding,
}

/// What is known of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    NotAsked,
    Found(u64),
    Absent,
    Unknown(String),
}

impl Verification {
    pub(super) fn empty(metadata_path: String, metadata_only: bool) -> Self {
        Self {
            metadata_path,
            verdict: Verdict::Unknown,
            ok: false,
            metadata_only,
            version: None,
            checkpoint_id: None,
            metadata_bytes: None,
            properties: None,
            operators: Vec::new(),
            master_states: Vec::new(),
            inline_bytes: 0,
            references: Vec::new(),
            missing: Vec::new(),
            too_short: Vec::new(),
            unknown: Vec::new(),
            unreadable: None,
            requests: Requests::default(),
        }
    }

    /// Takes over everything but the references.
    pub(super) fn describe(&mut self, metadata: Metadata) {
        self.version = Some(metadata.version);
        self.checkpoint_id = Some(metadata.checkpoint_id);
        self.metadata_bytes = Some(metadata.metadata_bytes);
        self.properties = metadata.properties;
        self.operators = metadata.operators;
        self.master_states = metadata.master_states;
        self.inline_bytes = metadata.inline_bytes;
    }

    pub(super) fn add(&mut self, path: String, recorded_bytes: u64, answer: Answer) {
        let mut found_bytes = None;
        match answer {
            Answer::NotAsked => {}
            Answer::Found(bytes) => {
                found_bytes = Some(bytes);
                if bytes < recorded_bytes {
                    self.too_short.push(path.clone());
                }
            }
            Answer::Absent => self.missing.push(path.clone()),
            Answer::Unknown(error) => self.unknown.push(Unanswered { path: path.clone(), error }),
        }
        self.references.push(FileReference { path, recorded_bytes, found_bytes });
    }

    /// The `_metadata` file was not read to its end.
    pub(super) fn not_read(&mut self, error: &ReadError) {
        match error.finding() {
            Some(finding) => {
                self.unreadable = Some(Unreadable { message: error.to_string(), finding: finding.clone() });
            }
            None => {
                let path = self.metadata_path.clone();
                self.unknown.push(Unanswered { path, error: error.to_string() });
            }
        }
    }

    /// What is certain goes before what is not.
    pub(super) fn judge(&mut self, proven_corrupt: bool, requests: Requests) {
        let broken = proven_corrupt || !self.missing.is_empty() || !self.too_short.is_empty();
        self.verdict = match (broken, self.unreadable.is_none() && self.unknown.is_empty()) {
            (true, _) => Verdict::Broken,
            (false, true) => Verdict::Ok,
            (false, false) => Verdict::Unknown,
        };
        self.ok = self.verdict == Verdict::Ok;
        self.requests = requests;
    }
}
