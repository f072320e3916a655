//! What became of a record, decided from everything that is known about it: the answer table of the log.
//!
//! Pure, and the only place that decides. The driver ([`Log::append`](crate::log::Log)) gathers what the verdict
//! asks for and comes back, until the verdict is one of the last five:
//!
//! | create answered | the key holds | the collector | verdict |
//! | --- | --- | --- | --- |
//! | nothing clear, or refused | | | send the identical create again |
//! | exists | not read yet | | read the key |
//! | exists | nothing (S3's 409: another create is under way) | | send the identical create again |
//! | exists | what cannot be read | | `Blocked`, or again if an earlier create may arrive yet |
//! | created, or exists | mine, or another's | not asked yet | ask |
//! | created, or exists | mine | has not passed | **`Recorded`** |
//! | exists | another's | has not passed | **`Lost`** |
//! | exists | what no correct writer can have written | has not passed | `Impossible` |
//! | exists | another's | has passed | `Lost` if no create of ours can have been applied, else `Undecidable` |
//! | created, or exists | mine | has passed | `Undecidable` |
//!
//! Why the collector is asked at all, and why one question is enough: a key speaks for the log only as long as it
//! was never deleted. A writer that stalled before its create may find the key free *again*, long after the log
//! went on and the record that stood there was collected (SlateDB RFC 0026). What it creates then is a stray, which
//! nobody will ever read. Every delete is preceded by a durable boundary above it, so *boundary at or below this
//! sequence* proves that the key was never deleted and that its content is the one true record of that place.
//!
//! A commit whose one create was answered "created" has its answer without a question: right behind the newest record of
//! this process nothing is ever deleted, for whoever else was there first took over with that record, and the collector
//! keeps those.
//!
//! When the collector *has* passed, a record of ours at the key may be such a stray; but it may as well have been
//! the true one, if we stalled between our create and our question. So it is not called lost: the caller must ask
//! the newest state, which remembers what was applied.

use crate::record::{RecordHeader, RecordKind};

/// How the store answered the last create of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CreateAnswer {
    Created,
    /// The key is taken, or was contended.
    Exists,
    /// It was certainly not applied and will not be.
    Refused,
    /// Time-out, reset, 5xx: it may have been applied, or may be later.
    Unclear,
}

/// What the key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holds {
    NotRead,
    Absent,
    Unreadable,
    Mine,
    /// A record that another writer may well have put there.
    Anothers,
    /// A record that no correct writer puts there.
    Impossible,
}

/// Whether the boundary of collection lies above the record's sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Collector {
    NotAsked,
    HasNotPassed,
    HasPassed,
}

/// Everything that is known about one record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Evidence {
    pub(crate) answer: CreateAnswer,
    /// An earlier create of the same record got no clear answer, and may have been applied at any time since.
    pub(crate) doubtful_before: bool,
    pub(crate) holds: Holds,
    pub(crate) collector: Collector,
}

/// What to do next, or what became of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    SendAgain,
    ReadKey,
    AskCollector,
    /// It is the log's record at its sequence, for ever.
    Recorded,
    /// It is not, and will never be.
    Lost,
    /// It may have been, before the collector passed. Only the state of the newest record can tell.
    Undecidable,
    /// It is not; and something that is not a record lies where the next one must go.
    Blocked,
    /// The log is not what every correct writer makes it. Stop, loudly.
    Impossible,
}

/// The table.
pub(crate) fn judge(evidence: Evidence) -> Verdict {
    let Evidence { answer, doubtful_before, holds, collector } = evidence;
    let holds = match answer {
        CreateAnswer::Unclear | CreateAnswer::Refused => return Verdict::SendAgain,
        CreateAnswer::Created => Holds::Mine,
        CreateAnswer::Exists => holds,
    };
    match (holds, collector) {
        (Holds::NotRead, _) => Verdict::ReadKey,
        (Holds::Absent, _) => Verdict::SendAgain,
        (Holds::Unreadable, _) if doubtful_before => Verdict::SendAgain,
        (Holds::Unreadable, _) => Verdict::Blocked,
        (_, Collector::NotAsked) => Verdict::AskCollector,
        (Holds::Mine, Collector::HasNotPassed) => Verdict::Recorded,
        (Holds::Anothers, Collector::HasNotPassed) => Verdict::Lost,
        (Holds::Impossible, Collector::HasNotPassed) => Verdict::Impossible,
        // Whatever the key holds now may be a stray, ours too.
        (Holds::Mine, Collector::HasPassed) => Verdict::Undecidable,
        (_, Collector::HasPassed) if doubtful_before => Verdict::Undecidable,
        (_, Collector::HasPassed) => Verdict::Lost,
    }
}

/// Compares the record that a key holds with the one that was to be created there.
pub(crate) fn compare(mine: &RecordHeader, found: &RecordHeader) -> Holds {
    assert_eq!(mine.sequence, found.sequence, "only records of one place are compared");
    if found.nonce == mine.nonce {
        return Holds::Mine;
    }
    match found.epoch.cmp(&mine.epoch) {
        std::cmp::Ordering::Greater => Holds::Anothers,
        // One process writes one record at a time, and knows each one's end before it begins the next.
        std::cmp::Ordering::Equal if found.incarnation == mine.incarnation => Holds::Impossible,
        // A rival claim, or a later incarnation that adopted our epoch.
        std::cmp::Ordering::Equal => Holds::Anothers,
        // A claim races with commits of the epoch that it ends. But whoever commits under an epoch, or adopts it,
        // has seen its claim in the log, and behind that claim nothing older can follow.
        std::cmp::Ordering::Less if mine.kind == RecordKind::Claim => Holds::Anothers,
        std::cmp::Ordering::Less => Holds::Impossible,
    }
}

#[cfg(test)]
mod tests;
