//! The outer grammar: the file, its operators and their subtasks.

use super::error::Kind;
use super::found::{MasterState, Metadata, Operator};
use super::input::Input;
use super::properties::{self, Tail};
use super::{Base, Limits, ReadError, References, Source, VERSION_MAX, VERSION_MIN};

pub(super) type Result<T> = std::result::Result<T, ReadError>;

/// `Checkpoints.HEADER_MAGIC_NUMBER`.
const MAGIC: i32 = 0x4960_672D;

/// `MetadataV2V3SerializerBase.MASTER_STATE_MAGIC_NUMBER`.
const MASTER_MAGIC: i32 = 0xC96B_1696_u32.cast_signed();

/// The shortest operator: an id of two longs, parallelism, max parallelism, coordinator and the number of subtasks.
const OPERATOR_BYTES_MIN: u64 = 8 + 8 + 4 + 4 + 1 + 4;

/// The reader of one file: where it stands, and what it found so far.
pub(super) struct Parser<'a, S> {
    pub(super) input: Input<S>,
    pub(super) limits: &'a Limits,
    pub(super) version: u32,
    /// The operator that is being read.
    operator: Operator,
    references: References,
    inline_bytes: u64,
    text_bytes: u64,
}

impl<'a, S: Source> Parser<'a, S> {
    pub(super) fn new(source: S, limits: &'a Limits) -> Self {
        Self {
            input: Input::new(source),
            limits,
            version: 0,
            operator: Operator::default(),
            references: References::default(),
            inline_bytes: 0,
            text_bytes: 0,
        }
    }

    pub(super) async fn read(mut self) -> Result<Metadata> {
        let metadata_bytes = self.input.remaining();
        self.version = self.header().await?;
        let checkpoint_id = self.input.size("the checkpoint's id").await?;
        let master_states = self.master_states().await?;
        let operators = self.operators().await?;
        let tail = match self.version {
            3 => Tail { properties: None, trailing_bytes: self.input.remaining() },
            _ => properties::read(&mut self.input, self.limits).await?,
        };
        Ok(Metadata {
            version: self.version,
            checkpoint_id,
            metadata_bytes,
            operators,
            master_states,
            references: self.references,
            inline_bytes: self.inline_bytes,
            properties: tail.properties,
            trailing_bytes: tail.trailing_bytes,
        })
    }

    async fn header(&mut self) -> Result<u32> {
        let magic = self.input.i32("the magic number of a Flink snapshot").await?;
        if magic != MAGIC {
            let expected = format!("0x{MAGIC:08X}, the magic number of a Flink snapshot");
            return Err(self.input.corrupt(0, format!("0x{magic:08X}"), expected));
        }
        let position = self.input.position();
        let version = self.input.i32("the version").await?;
        match u32::try_from(version) {
            Ok(known @ VERSION_MIN..=VERSION_MAX) => Ok(known),
            _ => {
                let found = format!("version {version}");
                let expected = format!("a version from {VERSION_MIN} to {VERSION_MAX}");
                Err(self.input.error(Kind::Unsupported, position, found, expected))
            }
        }
    }

    async fn master_states(&mut self) -> Result<Vec<MasterState>> {
        let count = self.input.count(8, "the number of master states").await?;
        self.require_at_most(u64::from(count), self.limits.master_states_max, "master states")?;
        let mut states = Vec::new();
        for index in 0..count {
            self.input.enter_item("master state", u64::from(index));
            states.push(self.master_state().await?);
            self.input.leave();
        }
        Ok(states)
    }

    async fn master_state(&mut self) -> Result<MasterState> {
        let position = self.input.position();
        let magic = self.input.i32("the magic number of a master state").await?;
        if magic != MASTER_MAGIC {
            let expected = format!("0x{MASTER_MAGIC:08X}, the magic number of a master state");
            return Err(self.input.corrupt(position, format!("0x{magic:08X}"), expected));
        }
        let length = self.input.count(1, "the length of the master state").await?;
        let end = self.input.position() + u64::from(length);
        let version = self.input.i32("the version of the hook's serializer").await?;
        let name = self.input.text("the identifier of the hook").await?;
        self.keep_text(name.len() as u64)?;
        let bytes = self.input.skip_bytes("the state of the hook").await?;
        let position = self.input.position();
        if position > end {
            let expected = format!("the end of the master state at byte {end}");
            return Err(self.input.corrupt(position, "more of it", expected));
        }
        self.input.skip(end - position, "the rest of the master state")?;
        Ok(MasterState { name, version, bytes })
    }

    async fn operators(&mut self) -> Result<Vec<Operator>> {
        let count = self.input.count(OPERATOR_BYTES_MIN, "the number of operators").await?;
        self.require_at_most(u64::from(count), self.limits.operators_max, "operators")?;
        let mut operators = Vec::new();
        for index in 0..count {
            self.input.enter_item("operator", u64::from(index));
            self.operator = Operator::default();
            self.operator().await?;
            operators.push(std::mem::take(&mut self.operator));
            self.input.leave();
        }
        Ok(operators)
    }

    async fn operator(&mut self) -> Result<()> {
        if self.version >= 5 {
            self.operator.name = self.optional_text("the operator's name").await?;
            self.operator.uid = self.optional_text("the operator's uid").await?;
        }
        let lower = self.input.i64("the operator's id").await?;
        let upper = self.input.i64("the operator's id").await?;
        self.operator.id = format!("{lower:016x}{upper:016x}");
        self.input.name_item(match &self.operator.uid {
            Some(uid) => format!("uid {uid:?}, id {}", self.operator.id),
            None => format!("id {}", self.operator.id),
        });
        self.parallelism().await?;
        self.input.enter("coordinator state");
        self.operator.coordinator = self.coordinator().await?;
        self.input.leave();

        let position = self.input.position();
        let subtasks = self.input.i32("the number of subtasks").await?;
        if subtasks < 0 {
            self.operator.fully_finished = true;
            return Ok(());
        }
        let most = u64::from(self.operator.parallelism).min(self.input.remaining() / 4);
        let Some(subtasks) = u32::try_from(subtasks).ok().filter(|subtasks| u64::from(*subtasks) <= most)
        else {
            let expected = format!("the number of subtasks, {most} at most, or -1 for a finished operator");
            return Err(self.input.corrupt(position, subtasks, expected));
        };
        self.operator.subtasks = subtasks;
        for entry in 0..subtasks {
            self.input.enter_item("subtask entry", u64::from(entry));
            self.subtask_or_finished().await?;
            self.input.leave();
        }
        Ok(())
    }

    /// `OperatorState` refuses a parallelism above the maximum.
    async fn parallelism(&mut self) -> Result<()> {
        let position = self.input.position();
        let parallelism = self.input.i32("the parallelism").await?;
        let max = self.input.i32("the max parallelism").await?;
        let (Ok(parallelism), Ok(max_parallelism)) = (u32::try_from(parallelism), u32::try_from(max)) else {
            let found = format!("{parallelism} and {max}");
            return Err(self.input.corrupt(position, found, "parallelism and max parallelism, 0 or more"));
        };
        if parallelism > max_parallelism {
            let found = format!("parallelism {parallelism} and max parallelism {max_parallelism}");
            return Err(self.input.corrupt(position, found, "a parallelism of the max parallelism at most"));
        }
        (self.operator.parallelism, self.operator.max_parallelism) = (parallelism, max_parallelism);
        Ok(())
    }

    /// The index of a finished subtask is stored as `-index - 1`, without a state (FLIP-147).
    async fn subtask_or_finished(&mut self) -> Result<()> {
        let position = self.input.position();
        let stored = self.input.i32("the index of the subtask").await?;
        let finished = stored < 0;
        let index = if finished { !stored } else { stored };
        if index.unsigned_abs() >= self.operator.parallelism {
            let expected = format!("a subtask's index below the parallelism {}", self.operator.parallelism);
            return Err(self.input.corrupt(position, index, expected));
        }
        self.input.name_item(format!("index {index}"));
        if finished {
            self.operator.finished_subtasks += 1;
            return Ok(());
        }
        self.subtask().await
    }

    async fn subtask(&mut self) -> Result<()> {
        for what in ["managed operator state", "raw operator state"] {
            self.input.enter(what);
            let position = self.input.position();
            match self.input.i32("whether there is state").await? {
                0 => {}
                1 => self.operator_state().await?,
                other => return Err(self.input.corrupt(position, other, "whether there is state, 0 or 1")),
            }
            self.input.leave();
        }
        for what in ["managed keyed state", "raw keyed state"] {
            self.input.enter(what);
            self.keyed(0).await?;
            self.input.leave();
        }
        self.channels().await
    }

    async fn optional_text(&mut self, expected: &str) -> Result<Option<String>> {
        let text = self.input.text(expected).await?;
        self.keep_text(text.len() as u64)?;
        Ok((!text.is_empty()).then_some(text))
    }

    /// State in the file itself, which was passed over.
    pub(super) fn note_inline(&mut self, bytes: u64) {
        self.inline_bytes += bytes;
        self.operator.inline_bytes += bytes;
    }

    /// A handle needs the bytes of a file up to `end_bytes`, and `size_bytes` of them are this state.
    pub(super) fn note_file(
        &mut self,
        base: Base,
        path: &str,
        end_bytes: u64,
        size_bytes: u64,
    ) -> Result<()> {
        self.operator.file_handles += 1;
        self.operator.file_bytes = self.operator.file_bytes.saturating_add(size_bytes);
        let text_bytes = self.references.note(base, path, end_bytes);
        self.require_at_most(self.references.len(), self.limits.references_max, "distinct files")?;
        self.keep_text(text_bytes)
    }

    fn keep_text(&mut self, bytes: u64) -> Result<()> {
        self.text_bytes += bytes;
        self.require_at_most(self.text_bytes, self.limits.text_bytes_max, "bytes of paths and names")
    }

    fn require_at_most(&self, count: u64, max: u64, what: &str) -> Result<()> {
        if count <= max {
            return Ok(());
        }
        let position = self.input.position();
        let found = format!("{count} {what}");
        Err(self.input.error(Kind::TooLarge, position, found, format!("{max} {what} at most")))
    }
}
