//! Flink's JobMaster, as far as it is decisions: where tasks run, when they are started again, when the job is over.
//! Pure: it is told what happened and when, and answers what to do.

use std::collections::{BTreeMap, BTreeSet};

use super::coordinator::{Coordinator, Purpose, Step};
use super::restart::Restarts;
use super::state::{Attempt, PartitionState, Snapshot};
use super::tolerance::{Place, Tolerance};
use crate::plan::Job;
use crate::trace::JobStatus;

/// The slots are given out this long after the first TaskManager is there, so that all of them get some.
const SETTLE_MS: u64 = 200;
/// `slot.request.timeout`: a job that gets no slots for so long has failed once more.
const SLOTS_MS: u64 = 300_000;

/// Tells connections of TaskManagers apart.
pub(super) type WorkerId = u64;

/// The machine.
#[derive(Debug)]
pub(super) struct Master {
    epoch: u64,
    parallelism: u32,
    attempts: u32,
    workers: BTreeMap<WorkerId, String>,
    phase: Phase,
    restarts: Restarts,
    coordinator: Coordinator,
    tolerance: Tolerance,
    /// The savepoint with which the job ends is there. Sinks may have committed what is in it: the job must not go on from
    /// an older checkpoint any more (`StopWithSavepointStoppingException`, a non-recoverable error).
    stopping: bool,
}

#[derive(Debug)]
enum Phase {
    /// For slots. `since_ms`: when a TaskManager was there first.
    Waiting {
        asked_ms: u64,
        since_ms: Option<u64>,
    },
    /// Tasks are deployed. Those of the set do not run yet, or not any more in order.
    Deployed {
        at: BTreeMap<u32, WorkerId>,
        starting: BTreeSet<u32>,
        finished: BTreeSet<u32>,
    },
    /// Tasks are being cancelled; then the job starts again, not before that time, or it is over.
    Canceling {
        by: Attempt,
        left: BTreeSet<WorkerId>,
        then: Then,
    },
    Over,
}

#[derive(Debug, Clone, Copy)]
enum Then {
    RestartAt(u64),
    End(JobStatus),
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub(super) enum Action {
    /// Start these tasks from the newest checkpoint.
    Deploy { by: Attempt, at: BTreeMap<WorkerId, Vec<u32>> },
    /// All tasks run.
    Running,
    /// The tasks have failed and will be started again.
    Restarting { cause: String },
    /// Restore the newest checkpoint for the next attempt.
    Restore,
    /// End the tasks of this attempt there.
    Cancel { by: Attempt, workers: BTreeSet<WorkerId> },
    /// Ask the counter for the id of a checkpoint or savepoint.
    AskId,
    /// Send the barriers of this checkpoint or savepoint.
    Barrier { by: Attempt, id: u64, stops: bool, workers: BTreeSet<WorkerId> },
    /// Record this checkpoint, or complete this savepoint. Nothing else happens until that is done.
    Complete { by: Attempt, id: u64, purpose: Purpose, snapshot: Snapshot, workers: BTreeSet<WorkerId> },
    /// This checkpoint or savepoint is given up.
    GiveUp { by: Attempt, id: u64, cause: String, workers: BTreeSet<WorkerId> },
    /// A task acknowledged this one after it was given up.
    Late(u64),
    /// The job is over.
    End(JobStatus),
}

// === impl Master ===

impl Master {
    pub(super) fn new(now_ms: u64, epoch: u64, job: &Job) -> Self {
        Self {
            epoch,
            parallelism: job.parallelism,
            attempts: 0,
            workers: BTreeMap::new(),
            phase: Phase::Waiting { asked_ms: now_ms, since_ms: None },
            restarts: Restarts::new(job.restart.clone()),
            coordinator: Coordinator::new(job),
            tolerance: Tolerance::new(job.checkpoint_failures_tolerable),
            stopping: false,
        }
    }

    fn by(&self) -> Attempt {
        Attempt { epoch: self.epoch, number: self.attempts }
    }

    /// The workers that run tasks.
    fn busy(&self) -> BTreeSet<WorkerId> {
        match &self.phase {
            Phase::Deployed { at, .. } => at.values().copied().collect(),
            _ => BTreeSet::new(),
        }
    }

    /// A TaskManager offers its slots. A connection that it had before is lost.
    pub(super) fn joined(&mut self, now_ms: u64, worker: WorkerId, name: &str) -> Vec<Action> {
        let before = self.workers.iter().find(|(_, known)| *known == name).map(|(id, _)| *id);
        let actions = before.map(|before| self.lost(now_ms, before)).unwrap_or_default();
        self.workers.insert(worker, name.to_owned());
        if let Phase::Waiting { since_ms: since_ms @ None, .. } = &mut self.phase {
            *since_ms = Some(now_ms);
        }
        actions
    }

    /// A TaskManager is gone.
    pub(super) fn lost(&mut self, now_ms: u64, worker: WorkerId) -> Vec<Action> {
        let Some(name) = self.workers.remove(&worker) else { return Vec::new() };
        match &mut self.phase {
            Phase::Canceling { left, .. } => {
                left.remove(&worker);
                Vec::new()
            }
            // A task that has finished needs its TaskManager no more.
            Phase::Deployed { at, finished, .. }
                if at.iter().any(|(partition, busy)| *busy == worker && !finished.contains(partition)) =>
            {
                self.failed(now_ms, format!("{name} is gone"))
            }
            _ => Vec::new(),
        }
    }

    /// What is due by now.
    pub(super) fn poll(&mut self, now_ms: u64) -> Vec<Action> {
        match &mut self.phase {
            Phase::Waiting { since_ms: Some(since_ms), .. } if now_ms >= *since_ms + SETTLE_MS => {
                match self.workers.is_empty() {
                    true => {
                        *since_ms = now_ms;
                        Vec::new()
                    }
                    false => vec![self.deploy()],
                }
            }
            Phase::Waiting { asked_ms, .. } if now_ms >= *asked_ms + SLOTS_MS => {
                self.failed(now_ms, "no slots".to_owned())
            }
            Phase::Canceling { left, then, .. } if left.is_empty() => match *then {
                Then::End(status) => {
                    self.phase = Phase::Over;
                    vec![Action::End(status)]
                }
                Then::RestartAt(at_ms) if now_ms >= at_ms => {
                    let since_ms = (!self.workers.is_empty()).then_some(now_ms);
                    self.phase = Phase::Waiting { asked_ms: now_ms, since_ms };
                    vec![Action::Restore]
                }
                Then::RestartAt(_) => Vec::new(),
            },
            Phase::Deployed { .. } => match self.coordinator.poll(now_ms) {
                Some(step) => self.step(now_ms, step),
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }

    /// When to call [`Master::poll`] at the latest.
    pub(super) fn wake_ms(&self) -> Option<u64> {
        match &self.phase {
            Phase::Waiting { since_ms: Some(since_ms), .. } => Some(since_ms + SETTLE_MS),
            Phase::Waiting { asked_ms, .. } => Some(asked_ms + SLOTS_MS),
            Phase::Canceling { left, then: Then::RestartAt(at_ms), .. } => left.is_empty().then_some(*at_ms),
            Phase::Canceling { left, then: Then::End(_), .. } => left.is_empty().then_some(0),
            Phase::Deployed { .. } => self.coordinator.wake_ms(),
            Phase::Over => None,
        }
    }

    fn deploy(&mut self) -> Action {
        self.attempts += 1;
        let workers: Vec<_> = self.workers.keys().copied().collect();
        let at: BTreeMap<_, _> = (0..self.parallelism).zip(workers.into_iter().cycle()).collect();
        let mut by_worker: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (partition, worker) in &at {
            by_worker.entry(*worker).or_default().push(*partition);
        }
        let starting = at.keys().copied().collect();
        self.phase = Phase::Deployed { at, starting, finished: BTreeSet::new() };
        Action::Deploy { by: self.by(), at: by_worker }
    }

    fn step(&mut self, now_ms: u64, step: Step) -> Vec<Action> {
        let (by, workers) = (self.by(), self.busy());
        match step {
            Step::AskId => vec![Action::AskId],
            Step::Barrier(id, purpose) => {
                vec![Action::Barrier { by, id, stops: purpose == Purpose::Stop, workers }]
            }
            Step::Complete(id, purpose, snapshot) => {
                vec![Action::Complete { by, id, purpose, snapshot, workers }]
            }
            Step::Expired(id, purpose) => {
                let cause = "expired".to_owned();
                let mut actions = vec![Action::GiveUp { by, id, cause, workers }];
                actions.extend(self.snapshot_failed(now_ms, id, purpose, Place::JobManager, "expired"));
                actions
            }
            Step::Late(id) => vec![Action::Late(id)],
        }
    }

    fn snapshot_failed(
        &mut self,
        now_ms: u64,
        id: u64,
        purpose: Purpose,
        place: Place,
        cause: &str,
    ) -> Vec<Action> {
        if !self.tolerance.fails_the_job(purpose, place) {
            return Vec::new();
        }
        let what = if purpose == Purpose::Checkpoint { "checkpoint" } else { "savepoint" };
        self.failed(now_ms, format!("{what} {id} has failed: {cause}"))
    }

    /// Whether the user's wish for a savepoint is heard now: all tasks run, and none is under way.
    pub(super) fn hears(&self, now_ms: u64) -> bool {
        matches!(self.phase, Phase::Deployed { .. }) && !self.stopping && self.coordinator.hears(now_ms)
    }

    /// The user triggers a savepoint.
    pub(super) fn savepoint(&mut self) {
        self.coordinator.savepoint();
    }

    /// The user stops the job with a savepoint.
    pub(super) fn stop_with_savepoint(&mut self) -> Vec<Action> {
        let given_up = self.coordinator.stop_with_savepoint();
        self.give_up_all(given_up, "the job is stopped with a savepoint")
    }

    /// The counter answered.
    pub(super) fn id_given(&mut self, now_ms: u64, id: Option<u64>) -> Vec<Action> {
        match self.coordinator.id_given(now_ms, id) {
            Some(step) => self.step(now_ms, step),
            None => Vec::new(),
        }
    }

    /// The checkpoint or savepoint that was to be recorded was, or was not and why.
    pub(super) fn settled(&mut self, now_ms: u64, id: u64, failure: Option<&str>) -> Vec<Action> {
        let Some(purpose) = self.coordinator.settled(now_ms, id, failure.is_none()) else {
            return Vec::new();
        };
        match failure {
            None => {
                self.tolerance.completed();
                self.stopping |= purpose == Purpose::Stop;
                Vec::new()
            }
            Some(cause) => self.snapshot_failed(now_ms, id, purpose, Place::JobManager, cause),
        }
    }

    /// A task runs.
    pub(super) fn running(&mut self, now_ms: u64, by: Attempt, partition: u32) -> Vec<Action> {
        let current = by == self.by();
        let Phase::Deployed { starting, .. } = &mut self.phase else { return Vec::new() };
        if !current || !starting.remove(&partition) || !starting.is_empty() {
            return Vec::new();
        }
        self.coordinator.start(now_ms);
        vec![Action::Running]
    }

    /// A task acknowledges a checkpoint.
    pub(super) fn acknowledged(
        &mut self,
        now_ms: u64,
        by: Attempt,
        id: u64,
        partition: u32,
        state: PartitionState,
    ) -> Vec<Action> {
        if by != self.by() {
            return Vec::new();
        }
        match self.coordinator.acknowledged(id, partition, state) {
            Some(step) => self.step(now_ms, step),
            None => Vec::new(),
        }
    }

    /// A task could not take part in a checkpoint.
    pub(super) fn declined(&mut self, now_ms: u64, by: Attempt, id: u64, cause: &str) -> Vec<Action> {
        if by != self.by() {
            return Vec::new();
        }
        let Some(purpose) = self.coordinator.declined(now_ms, id) else { return Vec::new() };
        let workers = self.busy();
        let mut actions = vec![Action::GiveUp { by, id, cause: cause.to_owned(), workers }];
        actions.extend(self.snapshot_failed(now_ms, id, purpose, Place::Task, cause));
        actions
    }

    /// A task came to its end in order.
    pub(super) fn finished(&mut self, by: Attempt, partition: u32) -> Vec<Action> {
        let current = by == self.by();
        let Phase::Deployed { at, finished, .. } = &mut self.phase else { return Vec::new() };
        if !current || !finished.insert(partition) || finished.len() < at.len() {
            return Vec::new();
        }
        let given_up = self.give_up("the job is over");
        self.phase = Phase::Over;
        given_up.into_iter().chain([Action::End(JobStatus::Finished)]).collect()
    }

    /// A task has failed.
    pub(super) fn task_failed(&mut self, now_ms: u64, by: Attempt, cause: &str) -> Vec<Action> {
        match by == self.by() {
            true => self.failed(now_ms, cause.to_owned()),
            false => Vec::new(),
        }
    }

    /// A worker has ended all tasks of that attempt.
    pub(super) fn canceled(&mut self, worker: WorkerId, attempt: Attempt) {
        if let Phase::Canceling { by, left, .. } = &mut self.phase
            && attempt == *by
        {
            left.remove(&worker);
        }
    }

    /// The user wants the job to end.
    pub(super) fn cancel(&mut self) -> Vec<Action> {
        match &mut self.phase {
            Phase::Over | Phase::Canceling { then: Then::End(_), .. } => Vec::new(),
            Phase::Canceling { then, .. } => {
                *then = Then::End(JobStatus::Canceled);
                Vec::new()
            }
            Phase::Waiting { .. } | Phase::Deployed { .. } => {
                self.take_down("the job is cancelled", Then::End(JobStatus::Canceled))
            }
        }
    }

    fn failed(&mut self, now_ms: u64, cause: String) -> Vec<Action> {
        if !matches!(self.phase, Phase::Waiting { .. } | Phase::Deployed { .. }) {
            return Vec::new(); // a consequence of a failure that is being dealt with
        }
        let restart = (!self.stopping).then(|| self.restarts.after_failure(now_ms)).flatten();
        let (then, first) = match restart {
            Some(delay_ms) => {
                (Then::RestartAt(now_ms + delay_ms), Some(Action::Restarting { cause: cause.clone() }))
            }
            None => (Then::End(JobStatus::Failed), None),
        };
        first.into_iter().chain(self.take_down(&cause, then)).collect()
    }

    fn take_down(&mut self, cause: &str, then: Then) -> Vec<Action> {
        let mut actions = self.give_up(cause);
        let (by, workers) = (self.by(), self.busy());
        let left = workers.iter().copied().filter(|worker| self.workers.contains_key(worker)).collect();
        self.phase = Phase::Canceling { by, left, then };
        if !workers.is_empty() {
            actions.push(Action::Cancel { by, workers });
        }
        actions
    }

    fn give_up(&mut self, cause: &str) -> Vec<Action> {
        let pending = self.coordinator.stop();
        self.give_up_all(pending, cause)
    }

    fn give_up_all(&self, ids: Vec<u64>, cause: &str) -> Vec<Action> {
        let (by, workers) = (self.by(), self.busy());
        let give_up = |id| Action::GiveUp { by, id, cause: cause.to_owned(), workers: workers.clone() };
        ids.into_iter().map(give_up).collect()
    }
}

#[cfg(test)]
mod tests;
