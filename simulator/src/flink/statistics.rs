//! What the JobManager tells of its job over REST: Flink's `CheckpointStatsTracker`, and its execution-graph store once the
//! job has ended. It is in memory, and begins anew with every process.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use ha_store::Clock;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Duration, Instant};

use crate::trace::JobStatus;

/// `web.checkpoints.history`
const HISTORY_MAX: usize = 10;
/// `rest.cache.checkpoint-statistics.timeout`: what is answered may be this old.
const CACHED: Duration = Duration::from_secs(3);

/// The states of a job, as far as this model has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum JobState {
    Initializing,
    Running,
    Restarting,
    Cancelling,
    Ended(JobStatus),
}

/// The statistics of one job in one JobManager. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Statistics(Rc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Arc<dyn Clock>,
    inner: RefCell<Inner>,
    requested: Notify,
}

#[derive(Debug, Default)]
struct Inner {
    state: Option<JobState>,
    started_ms: i64,
    ended_ms: Option<i64>,
    counts: Counts,
    completed: Option<Value>,
    savepoint: Option<Value>,
    failed: Option<Value>,
    restored: Option<Value>,
    /// When each snapshot that is on its way was triggered.
    triggered_ms: BTreeMap<u64, i64>,
    /// The newest first.
    history: VecDeque<Value>,
    cached: Option<(Instant, Value)>,
    operations: BTreeMap<String, Operation>,
    requests: VecDeque<Request>,
}

#[derive(Debug, Default)]
struct Counts {
    restored: u64,
    completed: u64,
    failed: u64,
}

/// A savepoint that somebody wants over REST.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    /// Its trigger id.
    pub(super) trigger: String,
    /// The job is to end with it.
    pub(super) stops: bool,
    /// Where it is to be written, if not where savepoints are written.
    pub(super) directory: Option<String>,
}

/// How far an operation has come: the shapes of Flink's `AsynchronousOperationResult`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Operation {
    InProgress,
    /// The savepoint's location.
    Done(String),
    Failed(String),
}

/// A snapshot that has completed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub(super) id: u64,
    pub(super) pointer: &'a str,
    pub(super) is_savepoint: bool,
    pub(super) stops: bool,
}

// === impl Statistics ===

impl Statistics {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self(Rc::new(Shared { clock, inner: RefCell::default(), requested: Notify::new() }))
    }

    /// The wall clock of this process, Unix milliseconds.
    pub(super) fn now_ms(&self) -> i64 {
        self.0.clock.wall_ms()
    }

    // --- what the JobManager notes ---

    /// A job begins here, under a new leadership: what was known of it before is not.
    pub(super) fn begin(&self) {
        let inner = &mut *self.0.inner.borrow_mut();
        let operations = std::mem::take(&mut inner.operations);
        let (state, started_ms) = (Some(JobState::Initializing), self.now_ms());
        *inner = Inner { state, started_ms, operations, ..Inner::default() };
    }

    pub(super) fn became(&self, state: JobState) {
        let inner = &mut *self.0.inner.borrow_mut();
        if state.is_terminal() && inner.state != Some(state) {
            inner.ended_ms = Some(self.now_ms());
        }
        inner.state = Some(state);
    }

    /// This leadership is over, and with it what is told of its job.
    pub(super) fn forget(&self) {
        *self.0.inner.borrow_mut() = Inner::default();
    }

    pub(super) fn triggered(&self, id: u64) {
        self.0.inner.borrow_mut().triggered_ms.insert(id, self.now_ms());
    }

    /// When this snapshot was triggered; now, if nobody has noted it.
    pub(super) fn triggered_ms(&self, id: u64) -> i64 {
        self.0.inner.borrow().triggered_ms.get(&id).copied().unwrap_or_else(|| self.now_ms())
    }

    pub(super) fn completed(&self, taken: Taken<'_>) {
        let Taken { id, pointer, is_savepoint, stops } = taken;
        let now_ms = self.now_ms();
        let triggered_ms = self.triggered_ms(id);
        let kind = match (is_savepoint, stops) {
            (false, _) => "CHECKPOINT",
            (true, false) => "SAVEPOINT",
            (true, true) => "SYNC_SAVEPOINT",
        };
        let entry = json!({
            "className": "completed", "id": id, "status": "COMPLETED", "is_savepoint": is_savepoint,
            "savepointFormat": is_savepoint.then_some("CANONICAL"), "trigger_timestamp": triggered_ms,
            "latest_ack_timestamp": now_ms, "checkpointed_size": 1_000, "state_size": 1_000,
            "end_to_end_duration": now_ms - triggered_ms, "alignment_buffered": 0, "processed_data": 0,
            "persisted_data": 0, "num_subtasks": 1, "num_acknowledged_subtasks": 1, "checkpoint_type": kind,
            "tasks": {}, "external_path": pointer, "discarded": false,
        });
        let inner = &mut *self.0.inner.borrow_mut();
        inner.triggered_ms.remove(&id);
        inner.counts.completed += 1;
        match is_savepoint {
            true => inner.savepoint = Some(entry.clone()),
            false => inner.completed = Some(entry.clone()),
        }
        inner.remember(entry);
    }

    pub(super) fn failed(&self, id: u64, cause: &str) {
        let now_ms = self.now_ms();
        let entry = json!({
            "className": "failed", "id": id, "status": "FAILED", "is_savepoint": false,
            "trigger_timestamp": self.triggered_ms(id), "failure_timestamp": now_ms, "failure_message": cause,
            "tasks": {},
        });
        let inner = &mut *self.0.inner.borrow_mut();
        inner.triggered_ms.remove(&id);
        inner.counts.failed += 1;
        inner.failed = Some(entry.clone());
        inner.remember(entry);
    }

    /// The files of a checkpoint go.
    pub(super) fn discarded(&self, id: u64) {
        let inner = &mut *self.0.inner.borrow_mut();
        let all = inner.history.iter_mut().chain(&mut inner.completed);
        all.filter(|entry| entry["id"] == id).for_each(|entry| entry["discarded"] = true.into());
    }

    pub(super) fn restored(&self, id: u64, pointer: &str, is_savepoint: bool) {
        let now_ms = self.now_ms();
        let inner = &mut *self.0.inner.borrow_mut();
        inner.counts.restored += 1;
        inner.restored = Some(json!({
            "id": id, "restore_timestamp": now_ms, "is_savepoint": is_savepoint, "external_path": pointer,
        }));
    }

    // --- what somebody wants over REST ---

    /// Takes a request down. One that is known already is the same one.
    pub(super) fn request(&self, request: Request) {
        let inner = &mut *self.0.inner.borrow_mut();
        if inner.operations.contains_key(&request.trigger) {
            return;
        }
        inner.operations.insert(request.trigger.clone(), Operation::InProgress);
        inner.requests.push_back(request);
        self.0.requested.notify_one();
    }

    /// Resolves when there may be a request.
    pub(super) async fn requested(&self) {
        self.0.requested.notified().await;
    }

    pub(super) fn take_request(&self) -> Option<Request> {
        self.0.inner.borrow_mut().requests.pop_front()
    }

    pub(super) fn operation_done(&self, trigger: &str, location: &str) {
        let done = Operation::Done(location.to_owned());
        self.0.inner.borrow_mut().operations.insert(trigger.to_owned(), done);
    }

    pub(super) fn operation_failed(&self, trigger: &str, why: &str) {
        let failed = Operation::Failed(why.to_owned());
        self.0.inner.borrow_mut().operations.insert(trigger.to_owned(), failed);
    }

    // --- what REST answers ---

    /// The job's state; `None`: there is no job here.
    pub(super) fn state(&self) -> Option<JobState> {
        self.0.inner.borrow().state
    }

    /// `GET /jobmanager/config`, as far as it is about this.
    pub(super) fn configuration() -> Value {
        json!([{"key": "rest.cache.checkpoint-statistics.timeout", "value": CACHED.as_millis().to_string()}])
    }

    /// `GET /jobs/overview`, of this job.
    pub(super) fn overview(&self, job: &str) -> Value {
        let inner = self.0.inner.borrow();
        let Some(state) = inner.state else { return json!({"jobs": []}) };
        let now_ms = self.now_ms();
        json!({"jobs": [{
            "jid": job, "name": "orders", "start-time": inner.started_ms,
            "end-time": inner.ended_ms.unwrap_or(-1),
            "duration": inner.ended_ms.unwrap_or(now_ms) - inner.started_ms, "state": state.name(),
            "last-modification": inner.ended_ms.unwrap_or(now_ms), "tasks": {"total": 1}, "pending-operators": 0,
        }]})
    }

    /// `GET /jobs/:id`
    pub(super) fn details(&self, job: &str) -> Option<Value> {
        let inner = self.0.inner.borrow();
        let state = inner.state?;
        Some(json!({
            "jid": job, "name": "orders", "state": state.name(), "start-time": inner.started_ms,
            "end-time": inner.ended_ms.unwrap_or(-1), "now": self.now_ms(), "timestamps": {}, "vertices": [],
            "plan": {}, "pending-operators": 0,
        }))
    }

    /// `GET /jobs/:id/checkpoints`, perhaps as it was a little while ago.
    pub(super) fn checkpoints(&self) -> Option<Value> {
        let inner = &mut *self.0.inner.borrow_mut();
        inner.state?;
        let now = Instant::now();
        if let Some((_, cached)) = inner.cached.as_ref().filter(|(at, _)| now < *at + CACHED) {
            return Some(cached.clone());
        }
        let Counts { restored, completed, failed } = inner.counts;
        let in_progress = inner.triggered_ms.len() as u64;
        let answer = json!({
            "counts": {
                "restored": restored, "total": completed + failed + in_progress, "in_progress": in_progress,
                "completed": completed, "failed": failed,
            },
            "summary": {},
            "latest": {
                "completed": inner.completed, "savepoint": inner.savepoint, "failed": inner.failed,
                "restored": inner.restored,
            },
            "history": inner.history,
        });
        inner.cached = Some((now, answer.clone()));
        Some(answer)
    }

    /// `GET /jobs/:id/savepoints/:triggerid`; `None`: nobody knows that id.
    pub(super) fn operation(&self, trigger: &str) -> Option<Value> {
        Some(match self.0.inner.borrow().operations.get(trigger)? {
            Operation::InProgress => json!({"status": {"id": "IN_PROGRESS"}, "operation": null}),
            Operation::Done(location) => {
                json!({"status": {"id": "COMPLETED"}, "operation": {"location": location}})
            }
            Operation::Failed(why) => json!({
                "status": {"id": "COMPLETED"},
                "operation": {"failure-cause": {
                    "class": "org.apache.flink.runtime.checkpoint.CheckpointException", "stack-trace": why,
                    "serialized-throwable": "",
                }},
            }),
        })
    }
}

// === impl JobState ===

impl JobState {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Initializing => "INITIALIZING",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Cancelling => "CANCELLING",
            Self::Ended(status) => status.as_str(),
        }
    }

    pub(super) fn is_terminal(self) -> bool {
        matches!(self, Self::Ended(_))
    }
}

// === impl Inner ===

impl Inner {
    fn remember(&mut self, entry: Value) {
        self.history.push_front(entry);
        self.history.truncate(HISTORY_MAX);
    }
}
