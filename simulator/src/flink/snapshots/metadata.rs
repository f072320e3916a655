//! A writer of `_metadata` of version 6 (Flink 2.1 to 2.3), as small as it can be: one operator, whose subtasks have an
//! operator state each, in a file. The grammar is that of `MetadataV3Serializer` to `MetadataV6Serializer`.

use super::Kind;

/// Files that real Flink wrote: what they end with, a serialized `CheckpointProperties`, ends ours.
const REAL_CHECKPOINT: &[u8] = include_bytes!("../../../../snapshot/fixtures/2.2.1-heap.metadata");
const REAL_SAVEPOINT: &[u8] = include_bytes!("../../../../snapshot/fixtures/2.2.1-savepoint-native.metadata");

/// `ObjectStreamConstants.STREAM_MAGIC` and `STREAM_VERSION`.
const JAVA_OBJECT: [u8; 4] = [0xAC, 0xED, 0x00, 0x05];

const MAGIC: i32 = 0x4960_672D;
const VERSION: i32 = 6;
/// Types of handles.
const NONE: u8 = 0;
const FILE: u8 = 2;
const OPERATOR_STATE: u8 = 4;
const RELATIVE_FILE: u8 = 6;

/// The file with the state of one subtask, and its length in bytes.
#[derive(Debug, Clone)]
pub(super) enum Reference {
    /// `FileStateHandle`
    Absolute(String, u64),
    /// `RelativeFileStateHandle`
    Relative(String, u64),
}

struct Writer(Vec<u8>);

/// The `_metadata` of a snapshot with this id, whose subtasks have these files.
pub(super) fn write(id: u64, kind: Kind, files: &[Reference]) -> Vec<u8> {
    let mut out = Writer(Vec::with_capacity(1_024));
    out.int(MAGIC);
    out.int(VERSION);
    out.long(id);
    out.int(0); // master states
    out.int(1); // operators
    out.text("source, keyed state and sink");
    out.text("orders");
    out.long(1); // the operator's id, in two halves
    out.long(2);
    let subtasks = i32::try_from(files.len()).expect("as many as partitions");
    out.int(subtasks); // parallelism
    out.int(128); // and its maximum
    out.byte(NONE); // the coordinator's state
    out.int(subtasks);
    for (index, file) in (0..subtasks).zip(files) {
        out.int(index);
        out.subtask(file);
    }
    out.0.extend_from_slice(properties(kind));
    out.0
}

fn properties(kind: Kind) -> &'static [u8] {
    let real = match kind {
        Kind::Checkpoint => REAL_CHECKPOINT,
        Kind::Savepoint => REAL_SAVEPOINT,
    };
    let begins = real.windows(JAVA_OBJECT.len()).rposition(|bytes| bytes == JAVA_OBJECT);
    &real[begins.expect("a file of version 4 and above ends with a Java object")..]
}

// === impl Writer ===

impl Writer {
    fn byte(&mut self, value: u8) {
        self.0.push(value);
    }

    fn int(&mut self, value: i32) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn long(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    /// `writeUTF`, of ASCII.
    fn text(&mut self, text: &str) {
        let length = u16::try_from(text.len()).expect("names are short");
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }

    fn subtask(&mut self, file: &Reference) {
        self.int(1); // it has managed operator state
        self.byte(OPERATOR_STATE);
        self.int(1);
        self.text("state");
        self.byte(0); // SPLIT_DISTRIBUTE
        self.int(1);
        self.long(0);
        match file {
            Reference::Absolute(path, bytes) => {
                self.byte(FILE);
                self.long(*bytes);
                self.text(path);
            }
            Reference::Relative(name, bytes) => {
                self.byte(RELATIVE_FILE);
                self.text(name);
                self.long(*bytes);
            }
        }
        self.int(0); // no raw operator state
        self.byte(NONE); // no keyed state, managed or raw
        self.byte(NONE);
        self.int(0); // no channels
        self.int(0);
    }
}
