//! The state handles: streams, keyed state and operator state.
//!
//! The numbers are the type codes of `MetadataV2V3SerializerBase`.

use super::error::{Kind, ReadError};
use super::parse::{Parser, Result};
use super::{Base, Source};
use futures::future::BoxFuture;

impl<S: Source> Parser<'_, S> {
    /// Bytes of state: here, or in a file. Returns whether there are any.
    pub(super) async fn stream(&mut self) -> Result<bool> {
        let expected = "the type of a stream handle: 0, 1, 2, 3, 6, 15 or 16";
        for _ in 0..=self.limits.nesting_max {
            let position = self.input.position();
            match self.input.u8(expected).await? {
                0 => return Ok(false),
                1 => self.byte_stream().await?,
                2 => self.file().await?,
                3 => {
                    // KEY_GROUPS_HANDLE: the offsets of key groups, around another handle.
                    self.key_groups_and_offsets().await?;
                    continue;
                }
                6 => self.relative_file().await?,
                15 => self.segment().await?,
                16 => {} // EMPTY_SEGMENT_FILE_HANDLE: state of no bytes
                other => return Err(self.unknown_type(position, other, expected)),
            }
            return Ok(true);
        }
        Err(self.too_deep())
    }

    /// A coordinator's state is always here, never in a file.
    pub(super) async fn coordinator(&mut self) -> Result<bool> {
        let expected = "the type of a coordinator's state: 0 or 1";
        let position = self.input.position();
        match self.input.u8(expected).await? {
            0 => Ok(false),
            1 => self.byte_stream().await.map(|()| true),
            other => Err(self.unknown_type(position, other, expected)),
        }
    }

    /// `ByteStreamStateHandle`
    async fn byte_stream(&mut self) -> Result<()> {
        self.input.skip_text("the name of inlined state").await?;
        let bytes = self.input.skip_bytes("inlined state").await?;
        self.note_inline(bytes);
        Ok(())
    }

    /// `FileStateHandle`: the size comes first. It may be -1, for a size that is not known.
    async fn file(&mut self) -> Result<()> {
        let bytes = self.file_size().await?;
        let path = self.path("the path of a file").await?;
        self.note_file(Base::Absolute, &path, bytes, bytes)
    }

    /// `RelativeFileStateHandle`: the path comes first.
    async fn relative_file(&mut self) -> Result<()> {
        let path = self.path("the relative path of a file").await?;
        let bytes = self.file_size().await?;
        self.note_file(Base::Snapshot, &path, bytes, bytes)
    }

    /// `SegmentFileStateHandle`: a part of a file that many handles share.
    async fn segment(&mut self) -> Result<()> {
        let position = self.input.position();
        let start = self.input.size("the start of a segment").await?;
        let bytes = self.input.size("the size of a segment").await?;
        let Some(end) = start.checked_add(bytes).filter(|end| i64::try_from(*end).is_ok()) else {
            let found = format!("a segment of {bytes} bytes at {start}");
            return Err(self.input.corrupt(position, found, "a segment that a file can have"));
        };
        let position = self.input.position();
        match self.input.i32("the scope of a segment").await? {
            0 | 1 => {}
            other => {
                let expected = "the scope of a segment, 0 (exclusive) or 1 (shared)";
                return Err(self.input.corrupt(position, other, expected));
            }
        }
        let path = self.path("the path of a segment's file").await?;
        self.input.skip_text("the id of a segment's logical file").await?;
        self.note_file(Base::Absolute, &path, end, bytes)
    }

    async fn file_size(&mut self) -> Result<u64> {
        let position = self.input.position();
        match self.input.i64("the size of a file").await? {
            -1 => Ok(0),
            bytes => u64::try_from(bytes)
                .map_err(|_| self.input.corrupt(position, bytes, "the size of a file, -1 or more")),
        }
    }

    async fn path(&mut self, expected: &str) -> Result<String> {
        let position = self.input.position();
        let path = self.input.text(expected).await?;
        if path.is_empty() {
            return Err(self.input.corrupt(position, "an empty text", expected));
        }
        Ok(path)
    }

    /// `OperatorStateHandle`
    pub(super) async fn operator_state(&mut self) -> Result<()> {
        let expected = "the type of operator state: 0, 4 or 17";
        let position = self.input.position();
        let kind = self.input.u8(expected).await?;
        match kind {
            0 => return Ok(()),
            4 | 17 => {}
            other => return Err(self.unknown_type(position, other, expected)),
        }
        let states = self.input.count(2 + 1 + 4, "the number of named states").await?;
        for _ in 0..states {
            self.input.skip_text("the name of a state").await?;
            let position = self.input.position();
            let mode = self.input.u8("the distribution mode of a state").await?;
            if mode > 2 {
                let expected = "the distribution mode of a state, 0 (split), 1 (union) or 2 (broadcast)";
                return Err(self.input.corrupt(position, mode, expected));
            }
            self.input.skip_offsets("the offsets of a state").await?;
        }
        if kind == 17 {
            // FileMergingOperatorStreamStateHandle
            self.input.skip_text("the directory of the task").await?;
            self.input.skip_text("the shared directory").await?;
            self.input.flag("whether the state is empty").await?;
        }
        self.stream().await.map(drop)
    }

    /// `KeyedStateHandle`
    pub(super) async fn keyed(&mut self, depth: u32) -> Result<()> {
        let expected = "the type of keyed state: 0, 3, 5 or 7 to 14";
        let position = self.input.position();
        match self.input.u8(expected).await? {
            0 => Ok(()),
            // KEY_GROUPS_HANDLE, SAVEPOINT_KEY_GROUPS_HANDLE
            3 | 7 => self.key_groups(false).await,
            // KEY_GROUPS_HANDLE_V2
            12 => self.key_groups(true).await,
            // INCREMENTAL_KEY_GROUPS_HANDLE and its _V2
            5 => self.incremental(false).await,
            11 => self.incremental(true).await,
            // CHANGELOG_HANDLE and its _V2
            8 => self.changelog(false, depth).await,
            14 => self.changelog(true, depth).await,
            // CHANGELOG_BYTE_INCREMENT_HANDLE
            9 => self.changelog_in_memory().await,
            // CHANGELOG_FILE_INCREMENT_HANDLE and its _V2
            10 => self.changelog_files(false).await,
            13 => self.changelog_files(true).await,
            other => Err(self.unknown_type(position, other, expected)),
        }
    }

    /// `KeyGroupsStateHandle`, `KeyGroupsSavepointStateHandle`
    async fn key_groups(&mut self, with_id: bool) -> Result<()> {
        self.key_groups_and_offsets().await?;
        self.stream().await?;
        if with_id {
            self.input.skip_text("the id of a state handle").await?;
        }
        Ok(())
    }

    async fn key_groups_and_offsets(&mut self) -> Result<()> {
        self.input.i32("the first key group").await?;
        self.input.skip_offsets("the offsets of key groups").await
    }

    async fn key_group_range(&mut self) -> Result<()> {
        self.input.i32("the first key group").await?;
        self.input.i32("the number of key groups").await.map(drop)
    }

    /// `IncrementalRemoteKeyedStateHandle`: RocksDB and ForSt
    async fn incremental(&mut self, v2: bool) -> Result<()> {
        self.input.i64("the id of the checkpoint that made it").await?;
        self.input.skip_text("the id of the state backend").await?;
        self.key_group_range().await?;
        if v2 {
            self.input.i64("the size of what this checkpoint added").await?;
        }
        self.input.enter("metadata of the state backend");
        self.stream().await?;
        self.input.leave();
        for list in ["shared state", "private state"] {
            self.input.enter(list);
            let files = self.input.count(2 + 1, "the number of files").await?;
            for index in 0..files {
                self.input.enter_item("handle", u64::from(index));
                self.input.skip_text("the local path of a file").await?;
                self.stream().await?;
                self.input.leave();
            }
            self.input.leave();
        }
        if v2 {
            self.input.skip_text("the id of a state handle").await?;
        }
        Ok(())
    }

    /// `ChangelogStateBackendHandle`. Nests, so its future has to be boxed.
    fn changelog(&mut self, v2: bool, depth: u32) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            if depth >= self.limits.nesting_max {
                return Err(self.too_deep());
            }
            self.key_group_range().await?;
            self.input.i64("the size of what this checkpoint added").await?;
            for list in ["materialized state", "changelog"] {
                self.input.enter(list);
                let handles = self.input.count(1, "the number of handles").await?;
                for index in 0..handles {
                    self.input.enter_item("handle", u64::from(index));
                    self.keyed(depth + 1).await?;
                    self.input.leave();
                }
                self.input.leave();
            }
            self.input.i64("the id of the materialization").await?;
            if v2 {
                self.input.i64("the id of the checkpoint").await?;
            }
            self.input.skip_text("the id of a state handle").await
        })
    }

    /// `InMemoryChangelogStateHandle`
    async fn changelog_in_memory(&mut self) -> Result<()> {
        self.key_group_range().await?;
        self.input.i64("the first change").await?;
        self.input.i64("the last change").await?;
        let changes = self.input.count(4 + 4, "the number of changes").await?;
        for index in 0..changes {
            self.input.enter_item("change", u64::from(index));
            self.input.i32("the key group of a change").await?;
            let bytes = self.input.skip_bytes("a change").await?;
            self.note_inline(bytes);
            self.input.leave();
        }
        self.input.skip_text("the id of a state handle").await
    }

    /// `ChangelogStateHandleStreamImpl`: files of the DSTL, longer than they are recorded
    async fn changelog_files(&mut self, v2: bool) -> Result<()> {
        self.key_group_range().await?;
        let files = self.input.count(8 + 1, "the number of files").await?;
        for index in 0..files {
            self.input.enter_item("handle", u64::from(index));
            self.input.i64("the offset in a file").await?;
            self.stream().await?;
            self.input.leave();
        }
        self.input.i64("the size of the state").await?;
        self.input.i64("the size of what this checkpoint added").await?;
        self.input.skip_text("the id of a state handle").await?;
        if v2 {
            self.input.skip_text("the id of the changelog storage").await?;
        }
        Ok(())
    }

    /// Types were added to versions that existed already, so a newer Flink may know it.
    pub(super) fn unknown_type(&self, position: u64, found: u8, expected: &str) -> ReadError {
        self.input.error(Kind::Unsupported, position, format!("type {found}"), expected.to_owned())
    }

    fn too_deep(&self) -> ReadError {
        let max = self.limits.nesting_max;
        let (found, expected) =
            ("handles that nest deeper".to_owned(), format!("handles that nest {max} deep at most"));
        self.input.error(Kind::TooLarge, self.input.position(), found, expected)
    }
}
