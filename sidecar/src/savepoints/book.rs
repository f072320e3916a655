//! What was asked for, and what became of it.

use std::collections::VecDeque;

use ha_store::JobId;
use serde::Serialize;

use super::Request;
use crate::job_manager::SavepointFormat;

/// One savepoint that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Taken {
    /// Its id: Flink's trigger id too.
    pub id: String,
    /// How far it is.
    pub status: Status,
    /// The job.
    pub job: JobId,
    /// Whether the job ends with it.
    pub stop: bool,
    /// Whether its sources end as if there were no more data.
    pub drain: bool,
    /// The format of its files.
    pub format: SavepointFormat,
    /// Where it was asked to be; `None` for Flink's configured directory.
    pub target_directory: Option<String>,
    /// Where it is, once it is complete.
    pub external_pointer: Option<String>,
    /// Flink's checkpoint id, once it is known.
    pub checkpoint_id: Option<u64>,
    /// Whether it is in the ledger: only then does the next generation consider it.
    pub recorded: bool,
    /// What went wrong, or is worth knowing; for people.
    pub detail: Option<String>,
    /// When it was asked for, by the sidecar's clock.
    pub requested_at_ms: i64,
    /// When it ended, however it did.
    pub ended_at_ms: Option<i64>,
}

/// How far a savepoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Flink works on it, or the job is ending.
    InProgress,
    /// It is complete, and with `stop` the job's result is recorded.
    Completed,
    /// It was not made; or it was, and its job did not end.
    Failed,
    /// Nobody can say whether it was made, or with `stop` whether the job ended with it.
    Unknown,
}

/// Too many at once.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{max} savepoints are in progress, which is the limit (fixed); wait until one has ended")]
pub struct BookFull {
    /// The limit.
    pub max: usize,
}

/// A bounded list; what ended first goes first.
#[derive(Debug, Default)]
pub(super) struct Book {
    taken: VecDeque<Taken>,
}

const IN_PROGRESS_MAX: usize = 8;
const KEPT_MAX: usize = 100;

// === impl Taken ===

impl Taken {
    pub(super) fn new(id: String, job: JobId, request: &Request, now_ms: i64) -> Self {
        Self {
            id,
            status: Status::InProgress,
            job,
            stop: request.stop,
            drain: request.drain,
            format: request.format,
            target_directory: request.target_directory.clone(),
            external_pointer: None,
            checkpoint_id: None,
            recorded: false,
            detail: None,
            requested_at_ms: now_ms,
            ended_at_ms: None,
        }
    }
}

// === impl Book ===

impl Book {
    pub(super) fn add(&mut self, taken: Taken) -> Result<(), BookFull> {
        let in_progress = |taken: &&Taken| taken.status == Status::InProgress;
        if self.taken.iter().filter(in_progress).count() >= IN_PROGRESS_MAX {
            return Err(BookFull { max: IN_PROGRESS_MAX });
        }
        if self.taken.len() >= KEPT_MAX {
            let ended = self.taken.iter().position(|taken| taken.status != Status::InProgress);
            self.taken.remove(ended.expect("fewer are in progress than are kept"));
        }
        self.taken.push_back(taken);
        Ok(())
    }

    pub(super) fn get(&self, id: &str) -> Option<&Taken> {
        self.taken.iter().find(|taken| taken.id == id)
    }

    /// Others of the same job that were under way at the same time as this one.
    pub(super) fn beside(&self, taken: &Taken) -> Vec<Taken> {
        let overlaps =
            |other: &&Taken| other.ended_at_ms.is_none_or(|ended_ms| ended_ms >= taken.requested_at_ms);
        let others = self.taken.iter().filter(|other| other.id != taken.id && other.job == taken.job);
        others.filter(overlaps).cloned().collect()
    }

    /// Replaces what is known of one.
    pub(super) fn update(&mut self, news: Taken) {
        if let Some(taken) = self.taken.iter_mut().find(|taken| taken.id == news.id) {
            *taken = news;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(id: usize) -> Taken {
        let job = "a".repeat(32).parse().expect("an id");
        Taken::new(id.to_string(), job, &Request::default(), 0)
    }

    #[test]
    fn the_one_that_ended_first_makes_room_and_one_in_progress_never_does() {
        let mut book = Book::default();
        book.add(taken(0)).expect("room");
        for id in 1..=KEPT_MAX {
            book.add(taken(id)).expect("room");
            book.update(Taken { status: Status::Completed, ..taken(id) });
        }
        assert!(book.get("0").is_some(), "it is in progress");
        assert!(book.get("1").is_none(), "it ended first");
        assert_eq!(book.taken.len(), KEPT_MAX);
    }

    #[test]
    fn only_so_many_may_be_in_progress() {
        let mut book = Book::default();
        (0..IN_PROGRESS_MAX).for_each(|id| book.add(taken(id)).expect("room"));
        assert_eq!(book.add(taken(99)), Err(BookFull { max: IN_PROGRESS_MAX }));
        book.update(Taken { status: Status::Failed, ..taken(3) });
        assert_eq!(book.add(taken(99)), Ok(()));
    }
}
