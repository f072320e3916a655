//! What is read of Flink's answers. Unknown fields are passed over: each version has others.

use serde::Deserialize;

/// `GET /jobs/overview`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Overview {
    /// The jobs.
    pub jobs: Vec<JobOverview>,
}

/// One job of the overview.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobOverview {
    /// Its id.
    pub jid: String,
    /// The name that its `main()` gave it.
    #[serde(default)]
    pub name: String,
    /// `RUNNING`, `FINISHED`, …
    pub state: String,
}

/// `GET /jobs/:id/checkpoints`: since this JobManager process started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Checkpoints {
    /// The last of each kind.
    #[serde(default)]
    pub latest: LatestCheckpoints,
    /// The last ones of all kinds, newest first; ten unless configured.
    #[serde(default)]
    pub history: Vec<Checkpoint>,
}

/// The last of each kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct LatestCheckpoints {
    /// The last savepoint that completed.
    #[serde(default)]
    pub savepoint: Option<Checkpoint>,
    /// The last restore.
    #[serde(default)]
    pub restored: Option<Restored>,
}

/// A checkpoint or savepoint, in progress, failed or complete.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Checkpoint {
    /// Checkpoints and savepoints are numbered in one sequence.
    pub id: u64,
    /// `COMPLETED`, `IN_PROGRESS`, `FAILED`.
    pub status: String,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// `CHECKPOINT`, `SAVEPOINT`, or `SYNC_SAVEPOINT` for one that a job is stopped with.
    #[serde(default)]
    pub checkpoint_type: String,
    /// Unix milliseconds, by the JobManager's clock.
    pub trigger_timestamp: i64,
    /// Unix milliseconds, by the JobManager's clock.
    pub latest_ack_timestamp: i64,
    /// Where it is, once it is complete.
    #[serde(default)]
    pub external_path: Option<String>,
    /// Flink has deleted its files, or is about to.
    #[serde(default)]
    pub discarded: bool,
}

/// A restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Restored {
    /// From which checkpoint or savepoint.
    pub id: u64,
    /// Unix milliseconds, by the JobManager's clock.
    pub restore_timestamp: i64,
}

/// `GET /jobs/:id/savepoints/:trigger`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Operation {
    status: OperationStatus,
    #[serde(default)]
    operation: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct OperationStatus {
    id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Outcome {
    #[serde(default)]
    location: Option<String>,
    #[serde(default)]
    failure_cause: Option<Failure>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Failure {
    #[serde(default)]
    class: String,
    #[serde(default)]
    stack_trace: String,
}

/// How far a savepoint is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// Not there yet.
    InProgress,
    /// It is there.
    Done {
        /// Where.
        location: String,
    },
    /// It will not be.
    Failed {
        /// What Flink said, in at most 500 characters.
        reason: String,
    },
}

// === impl Checkpoint ===

impl Checkpoint {
    /// Where it can be restored from: complete, and its files are there.
    pub fn place(&self) -> Option<&str> {
        let complete = self.status == "COMPLETED" && !self.discarded;
        // A checkpoint in memory has a path like `<checkpoint-not-externally-addressable>`.
        self.external_path.as_deref().filter(|path| complete && !path.starts_with('<') && !path.is_empty())
    }
}

// === impl Checkpoints ===

impl Checkpoints {
    /// Whether the last thing that happened is a complete stop-with-savepoint: nothing can follow it but the job's end.
    pub fn ends_with_a_stop(&self) -> bool {
        let newest = self.history.iter().chain(&self.latest.savepoint).max_by_key(|known| known.id);
        newest.is_some_and(|newest| newest.checkpoint_type == "SYNC_SAVEPOINT" && newest.place().is_some())
    }

    /// The savepoints that can be restored, each once.
    pub fn savepoints(&self) -> impl Iterator<Item = &Checkpoint> {
        let latest = self.latest.savepoint.iter();
        let in_history = |id: u64| self.history.iter().any(|known| known.id == id && known.place().is_some());
        let latest = latest.filter(move |savepoint| !in_history(savepoint.id));
        self.history.iter().chain(latest).filter(|known| known.is_savepoint && known.place().is_some())
    }
}

// === impl Operation ===

impl Operation {
    /// How far it is.
    pub fn completion(&self) -> Completion {
        if self.status.id != "COMPLETED" {
            return Completion::InProgress;
        }
        let outcome = self.operation.as_ref();
        if let Some(failure) = outcome.and_then(|outcome| outcome.failure_cause.as_ref()) {
            return Completion::Failed { reason: causes(failure) };
        }
        match outcome.and_then(|outcome| outcome.location.clone()) {
            Some(location) => Completion::Done { location },
            None => Completion::Failed { reason: "Flink says that it is done, but not where".to_owned() },
        }
    }
}

const REASON_CHARS_MAX: usize = 500;

/// The stack trace's first line and its last cause, which is what a person looks for.
fn causes(failure: &Failure) -> String {
    let mut lines = failure.stack_trace.lines().map(str::trim);
    let first = lines.next().filter(|line| !line.is_empty()).unwrap_or(&failure.class);
    let last = lines.rfind(|line| line.starts_with("Caused by: "));
    let told = last.map_or_else(|| first.to_owned(), |cause| format!("{first} … {cause}"));
    told.chars().take(REASON_CHARS_MAX).collect()
}

/// What an answer of 400 and above says: `{"errors":["…stack trace…"]}`, or something that is no JSON.
pub(super) fn refusal(body: &[u8], chars_max: usize) -> String {
    #[derive(Deserialize)]
    struct Refusal {
        errors: Vec<String>,
    }
    let refusal: Option<Refusal> = serde_json::from_slice(body).ok();
    let text = match &refusal {
        // Flink puts the stack trace last; its last cause says most.
        Some(refusal) => refusal.errors.iter().map(|error| last_cause(error)).collect::<Vec<_>>().join("; "),
        None => String::from_utf8_lossy(&body[..body.len().min(chars_max)]).into_owned(),
    };
    text.chars().take(chars_max).collect()
}

fn last_cause(error: &str) -> &str {
    let cause = error.lines().rfind(|line| line.starts_with("Caused by: "));
    let end_marker = |line: &&str| !line.trim().is_empty() && !line.starts_with('<');
    cause.or_else(|| error.lines().find(end_marker)).unwrap_or(error).trim()
}
