//! A writer of `_metadata` files of versions 3 to 6, from choices that a property test draws.
//!
//! It writes every type of handle, also those that no Flink of today writes, and says what a reader must find.

use std::collections::{BTreeMap, BTreeSet};

/// Id, uid, parallelism, subtasks, finished subtasks, whether fully finished, whether it has a coordinator.
pub(crate) type Operator = (String, Option<String>, u32, u32, u32, bool, bool);

/// What was written.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Written {
    pub(crate) bytes: Vec<u8>,
    pub(crate) version: u32,
    pub(crate) checkpoint_id: u64,
    /// The farthest byte that is needed of each file; those of the snapshot's directory begin with `relative:`.
    pub(crate) files: BTreeMap<String, u64>,
    pub(crate) inline_bytes: u64,
    /// Names and sizes.
    pub(crate) master_states: Vec<(String, u64)>,
    /// The types of handles that were written, by what they are types of.
    pub(crate) types: BTreeSet<(&'static str, u8)>,
    /// In the order of the file.
    pub(crate) operators: Vec<Operator>,
}

/// Choices, and zeros when they are used up: so what is written always ends.
pub(crate) struct Encoder<'a> {
    choices: std::slice::Iter<'a, u8>,
    written: Written,
}

/// What `MetadataV4Serializer` writes for a retained checkpoint, taken from a real file by the caller.
pub(crate) fn encode(version: u32, choices: &[u8], properties: &[u8]) -> Written {
    let mut encoder = Encoder { choices: choices.iter(), written: Written { version, ..Written::default() } };
    encoder.file(properties);
    encoder.written
}

impl Encoder<'_> {
    /// One operator with one subtask, whose incremental keyed state is in these files, by `FileStateHandle`s.
    pub(crate) fn with_shared_files(files: &[(String, u64)], properties: &[u8]) -> Written {
        let written = Written { version: 6, ..Written::default() };
        let mut encoder = Encoder { choices: [].iter(), written };
        encoder.i32(0x4960_672D);
        encoder.i32(6);
        encoder.i64(1);
        encoder.i32(0);
        encoder.i32(1);
        encoder.operator(0);
        // Its one subtask has no state: the two empty keyed states and the two empty lists of channels are written anew.
        encoder.written.bytes.truncate(encoder.written.bytes.len() - 10);
        encoder.i8(11);
        encoder.i64(1);
        encoder.text("backend");
        encoder.ranges();
        encoder.i64(-1);
        encoder.i8(0);
        encoder.count(u32::try_from(files.len()).unwrap());
        for (path, bytes) in files {
            encoder.text("000001.sst");
            encoder.i8(2);
            encoder.i64(bytes.cast_signed());
            encoder.text(path);
            encoder.needs(path.clone(), *bytes);
        }
        encoder.i32(0);
        encoder.text("handle-id");
        encoder.i8(0);
        encoder.i32(0);
        encoder.i32(0);
        encoder.put(properties);
        encoder.written
    }

    fn choose(&mut self, options: u32) -> u32 {
        self.choices.next().map_or(0, |choice| u32::from(*choice) % options)
    }

    fn put(&mut self, bytes: &[u8]) {
        self.written.bytes.extend_from_slice(bytes);
    }

    fn i8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn i32(&mut self, value: i32) {
        self.put(&value.to_be_bytes());
    }

    fn kind(&mut self, of: &'static str, kind: u8) {
        self.written.types.insert((of, kind));
        self.i8(kind);
    }

    fn count(&mut self, value: u32) -> u32 {
        self.i32(value.cast_signed());
        value
    }

    fn i64(&mut self, value: i64) {
        self.put(&value.to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        let bytes: Vec<u8> = text.encode_utf16().flat_map(modified).collect();
        self.put(&u16::try_from(bytes.len()).unwrap().to_be_bytes());
        self.put(&bytes);
    }

    fn blob(&mut self) -> u64 {
        let length = self.choose(50);
        self.count(length);
        self.put(&vec![0x2A; length as usize]);
        u64::from(length)
    }

    fn offsets(&mut self) {
        let offsets = self.choose(5);
        for offset in 0..self.count(offsets) {
            self.i64(i64::from(offset) * 100);
        }
    }

    fn file(&mut self, properties: &[u8]) {
        self.i32(0x4960_672D);
        self.i32(self.written.version.cast_signed());
        self.written.checkpoint_id = u64::from(self.choose(256)) << 20;
        self.i64(self.written.checkpoint_id.cast_signed());
        let masters = self.choose(3);
        for _ in 0..self.count(masters) {
            self.master();
        }
        let operators = self.choose(6);
        for index in 0..self.count(operators) {
            self.operator(index);
        }
        if self.written.version > 3 {
            self.put(properties);
        }
    }

    fn master(&mut self) {
        self.i32(0xC96B_1696_u32.cast_signed());
        let length_at = self.written.bytes.len();
        self.i32(0);
        self.i32(77);
        self.text("hook\0é");
        let bytes = self.blob();
        // Space that Flink's reader does not look at.
        let spare = self.choose(3) as usize;
        self.put(&vec![0; spare]);
        let length = i32::try_from(self.written.bytes.len() - length_at - 4).unwrap();
        self.written.bytes[length_at..length_at + 4].copy_from_slice(&length.to_be_bytes());
        self.written.master_states.push(("hook\0é".to_owned(), bytes));
    }

    fn operator(&mut self, index: u32) {
        let uid = (self.choose(2) == 1).then(|| format!("uid-{index}"));
        if self.written.version >= 5 {
            self.text("name");
            self.text(uid.as_deref().unwrap_or_default());
        }
        let known_uid = uid.filter(|_| self.written.version >= 5);
        self.i64(-1);
        self.i64(i64::from(index));
        let id = format!("ffffffffffffffff{index:016x}");
        let parallelism = 1 + self.choose(4);
        self.count(parallelism);
        self.i32(128);
        let coordinator = self.choose(2) == 1;
        match coordinator {
            true => self.byte_stream(),
            false => self.i8(0),
        }
        if self.choose(6) == 5 {
            self.i32(-1);
            self.written.operators.push((id, known_uid, parallelism, 0, 0, true, coordinator));
            return;
        }
        self.count(parallelism);
        let mut finished = 0;
        for subtask in 0..parallelism.cast_signed() {
            if self.choose(5) == 4 {
                finished += 1;
                self.i32(-subtask - 1);
            } else {
                self.i32(subtask);
                self.subtask();
            }
        }
        self.written.operators.push((id, known_uid, parallelism, parallelism, finished, false, coordinator));
    }

    fn subtask(&mut self) {
        for _ in 0..2 {
            let has = self.choose(2);
            if self.count(has) == 1 {
                self.operator_state();
            }
        }
        self.keyed(0);
        self.keyed(0);
        for (single, merged) in [(1, 3), (2, 4)] {
            let channels = self.choose(3);
            for _ in 0..self.count(channels) {
                self.channel(single, merged);
            }
        }
    }

    fn channel(&mut self, single: u8, merged: u8) {
        let is_merged = self.written.version >= 6 && self.choose(2) == 1;
        if self.written.version >= 6 {
            self.kind("channel", if is_merged { merged } else { single });
        }
        self.i32(1);
        if is_merged {
            self.i64(10);
            self.stream();
            self.blob();
        } else {
            self.i32(2);
            self.i32(3);
            self.offsets();
            self.i64(10);
            self.stream();
        }
    }

    fn operator_state(&mut self) {
        let kind = [0, 4, 17][self.choose(3) as usize];
        self.kind("operator state", kind);
        if kind == 0 {
            return;
        }
        let states = self.choose(4);
        for mode in 0..self.count(states) {
            self.text("state");
            self.i8((mode % 3) as u8);
            self.offsets();
        }
        if kind == 17 {
            self.text("file:/owned");
            self.text("file:/shared");
            self.i8(1);
        }
        self.stream();
    }

    fn keyed(&mut self, depth: u32) {
        const KINDS: [u8; 12] = [0, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14, 3];
        let kind = match KINDS[self.choose(12) as usize] {
            8 | 14 if depth >= 3 => 0,
            kind => kind,
        };
        self.kind("keyed state", kind);
        match kind {
            3 | 7 | 12 => {
                self.i32(0);
                self.offsets();
                self.stream();
            }
            5 | 11 => self.incremental(kind == 11),
            8 | 14 => self.changelog(kind == 14, depth),
            9 => {
                self.ranges();
                self.i64(1);
                self.i64(2);
                let changes = self.choose(4);
                for _ in 0..self.count(changes) {
                    self.i32(-1);
                    self.written.inline_bytes += self.blob();
                }
            }
            10 | 13 => {
                self.ranges();
                let handles = self.choose(3);
                for _ in 0..self.count(handles) {
                    self.i64(5);
                    self.stream();
                }
                self.i64(-1);
                self.i64(-1);
            }
            _ => {}
        }
        if !matches!(kind, 0 | 3 | 5 | 7) {
            self.text("handle-id");
        }
        if kind == 13 {
            self.text("filesystem");
        }
    }

    fn ranges(&mut self) {
        self.i32(0);
        self.i32(128);
    }

    fn incremental(&mut self, v2: bool) {
        self.i64(4);
        self.text("backend");
        self.ranges();
        if v2 {
            self.i64(-1);
        }
        self.stream();
        for _ in 0..2 {
            let files = self.choose(4);
            for _ in 0..self.count(files) {
                self.text("000012.sst");
                self.stream();
            }
        }
    }

    fn changelog(&mut self, v2: bool, depth: u32) {
        self.ranges();
        self.i64(9);
        for _ in 0..2 {
            let handles = self.choose(3);
            for _ in 0..self.count(handles) {
                self.keyed(depth + 1);
            }
        }
        self.i64(3);
        if v2 {
            self.i64(8);
        }
    }

    fn byte_stream(&mut self) {
        self.kind("stream", 1);
        self.text("name");
        self.written.inline_bytes += self.blob();
    }

    fn stream(&mut self) {
        match self.choose(8) {
            0 => self.kind("stream", 0),
            1 => self.byte_stream(),
            2 | 3 => {
                self.kind("stream", 2);
                let (path, size) = (format!("s3://bucket/shared/{}", self.choose(9)), self.choose(200));
                // -1 is a size that is not known.
                self.i64(i64::from(size) - 1);
                self.text(&path);
                self.needs(path, u64::from(size.saturating_sub(1)));
            }
            4 => {
                self.kind("stream", 3);
                self.i32(0);
                self.offsets();
                self.byte_stream();
            }
            5 => {
                self.kind("stream", 6);
                let (name, size) = (format!("file-{}", self.choose(9)), u64::from(self.choose(200)));
                self.text(&name);
                self.i64(size.cast_signed());
                self.needs(format!("relative:{name}"), size);
            }
            6 => {
                self.kind("stream", 15);
                let (start, size) = (u64::from(self.choose(100)), u64::from(self.choose(200)));
                self.i64(start.cast_signed());
                self.i64(size.cast_signed());
                self.i32(1);
                let path = format!("file:/merged/{}", self.choose(4));
                self.text(&path);
                self.text("logical");
                self.needs(path, start + size);
            }
            _ => self.kind("stream", 16),
        }
    }

    fn needs(&mut self, path: String, bytes: u64) {
        let needed = self.written.files.entry(path).or_default();
        *needed = (*needed).max(bytes);
    }
}

/// A UTF-16 unit as `DataOutput.writeUTF` writes it.
fn modified(unit: u16) -> Vec<u8> {
    let low = |shift: u16| (0x80 | (unit >> shift & 0x3F)) as u8;
    match unit {
        1..=0x7F => vec![unit as u8],
        0 | 0x80..=0x7FF => vec![(0xC0 | unit >> 6) as u8, low(0)],
        _ => vec![(0xE0 | unit >> 12) as u8, low(6), low(0)],
    }
}
