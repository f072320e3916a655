//! How much memory a snapshot may cost its reader.

/// Upper bounds of what the reader keeps. What is not kept (offsets, inlined state) needs no bound: it is skipped.
///
/// A file that needs more is refused with [`ReadError::TooLarge`](super::ReadError::TooLarge); it is never called
/// corrupt for it. The defaults allow for the largest RocksDB jobs (10⁶ files) in some 300 MB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Distinct files.
    pub references_max: u64,
    /// Bytes of text that is kept: paths, names and uids of operators.
    pub text_bytes_max: u64,
    /// Operators.
    pub operators_max: u64,
    /// States of master hooks (`MasterTriggerRestoreHook`).
    pub master_states_max: u64,
    /// How deep handles may nest: key groups in key groups, changelogs in changelogs. Flink writes 2 at most.
    pub nesting_max: u32,
    /// Bytes of the serialized `CheckpointProperties` at the end of the file. Flink writes some 600.
    pub properties_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            references_max: 2_000_000,
            text_bytes_max: 256 * 1024 * 1024,
            operators_max: 100_000,
            master_states_max: 10_000,
            nesting_max: 16,
            properties_bytes_max: 64 * 1024,
        }
    }
}
