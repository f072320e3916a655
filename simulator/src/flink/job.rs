//! Runs one job in one JobManager under one leadership: carries out what [`Master`] decides.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{LocalBoxFuture, OptionFuture};
use http::Method;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::sleep_until;

use super::checkpoints::Checkpoints;
use super::coordinator::Purpose;
use super::http::Call;
use super::master::{Action, Master, WorkerId};
use super::process::{Exit, Leadership, Leading, Process};
use super::state::{Attempt, PartitionState, Snapshot};
use super::statistics::{JobState, Request};
use super::wire::{ToMaster, ToWorker};
use crate::plan::Point;
use crate::trace::{Event, JobStatus, reached};

/// For the last messages to leave.
const FAREWELL: Duration = Duration::from_millis(10);

/// What the connections of TaskManagers report.
#[derive(Debug)]
pub(super) enum FromWorker {
    Joined { worker: WorkerId, name: String, sender: mpsc::UnboundedSender<ToWorker> },
    Said { worker: WorkerId, message: ToMaster },
    Lost { worker: WorkerId },
}

/// How the job ended here.
#[derive(Debug)]
pub(super) enum JobEnd {
    /// For good.
    Terminal(JobStatus, Box<Checkpoints>),
    /// The leadership is over: the job is suspended, and somebody else's.
    Suspended,
}

struct Driver<'a> {
    process: &'a Process,
    leading: &'a Leading,
    leadership: Leadership,
    master: Master,
    checkpoints: Checkpoints,
    senders: BTreeMap<WorkerId, mpsc::UnboundedSender<ToWorker>>,
    counter: Option<LocalBoxFuture<'static, Option<u64>>>,
    /// Only for an adapter that counts in memory.
    next_id: u64,
    /// The savepoint that somebody wanted over REST and that is on its way.
    requested: Option<Request>,
    ended: Option<JobStatus>,
}

/// Until the job is over, or the leadership is.
pub(super) async fn run(
    process: &Process,
    leading: &Leading,
    leadership: &mut Leadership,
    checkpoints: Checkpoints,
    workers: &mut mpsc::UnboundedReceiver<FromWorker>,
) -> Result<JobEnd, Exit> {
    let next_id = checkpoints.latest().map_or(1, |(id, _)| id + 1);
    let mut driver = Driver {
        process,
        leading,
        leadership: leadership.clone(),
        master: Master::new(process.now_ms(), leading.epoch, &process.env.job),
        checkpoints,
        senders: BTreeMap::new(),
        counter: None,
        next_id,
        requested: None,
        ended: None,
    };
    let mut switches = process.cluster.changes();
    switches.mark_changed();
    loop {
        if leading.is_over(leadership) {
            driver.dismiss_all().await;
            return Ok(JobEnd::Suspended);
        }
        let due = driver.master.poll(process.now_ms());
        driver.perform(due).await?;
        let wanted = driver.heed_the_user();
        driver.perform(wanted).await?;
        if let Some(status) = driver.ended {
            driver.dismiss_all().await;
            return Ok(JobEnd::Terminal(status, Box::new(driver.checkpoints)));
        }
        let wake = driver.master.wake_ms().map(|wake_ms| sleep_until(process.instant(wake_ms)));
        let actions = tokio::select! {
            biased;
            _ = leadership.changed() => continue,
            Some(event) = workers.recv() => driver.heard(event),
            Some(id) = OptionFuture::from(driver.counter.as_mut()) => {
                driver.counter = None;
                driver.master.id_given(process.now_ms(), id)
            }
            _ = switches.changed() => match process.cluster.cancel_wanted() {
                true => {
                    process.statistics.became(JobState::Cancelling);
                    driver.master.cancel()
                }
                false => continue,
            },
            () = process.statistics.requested() => continue,
            Some(()) = OptionFuture::from(wake) => continue,
        };
        driver.perform(actions).await?;
    }
}

// === impl Driver ===

impl Driver<'_> {
    fn heard(&mut self, event: FromWorker) -> Vec<Action> {
        let now_ms = self.process.now_ms();
        match event {
            FromWorker::Joined { worker, name, sender } => {
                self.senders.insert(worker, sender);
                self.master.joined(now_ms, worker, &name)
            }
            FromWorker::Lost { worker } => {
                self.senders.remove(&worker);
                self.master.lost(now_ms, worker)
            }
            FromWorker::Said { worker, message } => self.said(now_ms, worker, message),
        }
    }

    fn said(&mut self, now_ms: u64, worker: WorkerId, message: ToMaster) -> Vec<Action> {
        let master = &mut self.master;
        match message {
            ToMaster::Running { by, partition } => master.running(now_ms, by, partition),
            ToMaster::Acknowledge { by, id, partition, state } => {
                master.acknowledged(now_ms, by, id, partition, state)
            }
            ToMaster::Decline { by, id, cause } => master.declined(now_ms, by, id, &cause),
            ToMaster::Failed { by, partition, cause } => {
                master.task_failed(now_ms, by, &format!("partition {partition}: {cause}"))
            }
            ToMaster::Finished { by, partition } => master.finished(by, partition),
            ToMaster::Canceled { by } => {
                master.canceled(worker, by);
                Vec::new()
            }
            ToMaster::Register { .. } | ToMaster::Heartbeat => Vec::new(),
        }
    }

    /// What the user wants and could not have before: savepoints are taken while all tasks run.
    fn heed_the_user(&mut self) -> Vec<Action> {
        let (cluster, now_ms) = (&self.process.cluster, self.process.now_ms());
        if !self.master.hears(now_ms) {
            return Vec::new();
        }
        self.request_is_over(Err("it was given up"));
        if cluster.stop_wanted() {
            return [self.master.stop_with_savepoint(), self.master.poll(now_ms)].concat();
        }
        if cluster.take_savepoint_wish() {
            self.master.savepoint();
            return self.master.poll(now_ms);
        }
        let Some(request) = self.process.statistics.take_request() else { return Vec::new() };
        let begun = match request.stops {
            true => self.master.stop_with_savepoint(),
            false => {
                self.master.savepoint();
                Vec::new()
            }
        };
        if cluster.adapter().savepoints_time_out {
            self.process.statistics.operation_failed(&request.trigger, "Ask timed out");
        }
        self.requested = Some(request);
        [begun, self.master.poll(now_ms)].concat()
    }

    /// The savepoint that somebody wanted over REST is there, or will not be. Nothing happens if nobody did.
    fn request_is_over(&mut self, how: Result<&str, &str>) {
        let Some(request) = self.requested.take() else { return };
        if self.process.cluster.adapter().savepoints_time_out {
            return;
        }
        match how {
            Ok(location) => self.process.statistics.operation_done(&request.trigger, location),
            Err(why) => self.process.statistics.operation_failed(&request.trigger, why),
        }
    }

    async fn perform(&mut self, actions: Vec<Action>) -> Result<(), Exit> {
        let mut left: std::collections::VecDeque<_> = actions.into();
        while let Some(action) = left.pop_front() {
            match action {
                // The coordinator's lock is held meanwhile: nothing else is decided.
                Action::Complete { by, id, purpose: Purpose::Checkpoint, snapshot, workers } => {
                    left.extend(self.complete(by, id, snapshot, &workers).await?);
                }
                Action::Complete { by, id, purpose, snapshot, workers } => {
                    let stops = purpose == Purpose::Stop;
                    left.extend(self.save(by, id, stops, &snapshot, &workers).await);
                }
                Action::Restarting { cause } => {
                    self.process.statistics.became(JobState::Restarting);
                    let job = self.process.env.job_id.clone();
                    self.process.record(Event::JobRestarting { job, cause });
                    self.process.env.points.reach(Point::JobRestarting, &self.process.env.actor).await;
                }
                Action::Restore => self.restore().await?,
                other => self.carry_out(other),
            }
        }
        Ok(())
    }

    fn carry_out(&mut self, action: Action) {
        let job = self.process.env.job_id.clone();
        match action {
            Action::Deploy { by, at } => {
                self.process.statistics.became(JobState::Running);
                self.deploy(by, &at);
            }
            Action::Running => self.process.record(Event::JobRunning { job }),
            Action::Cancel { by, workers } => self.tell(&workers, &ToWorker::Cancel { by }),
            Action::AskId => self.counter = Some(self.ask_id()),
            Action::Barrier { by, id, stops, workers } => {
                self.process.statistics.triggered(id);
                self.tell(&workers, &ToWorker::Barrier { by, id, stops });
            }
            Action::GiveUp { by, id, cause, workers } => {
                self.process.statistics.failed(id, &cause);
                self.process.record(Event::CheckpointFailed { job, id, cause });
                self.tell(&workers, &ToWorker::Aborted { by, id });
            }
            Action::Late(_) => {
                self.process.env.trace.reached(&self.process.env.actor, reached::LATE_ACKNOWLEDGEMENT);
            }
            Action::End(status) => {
                self.process.statistics.became(JobState::Ended(status));
                self.request_is_over(Err("the job has ended"));
                self.ended = Some(status);
            }
            Action::Complete { .. } | Action::Restarting { .. } | Action::Restore => {
                unreachable!("they take time")
            }
        }
    }

    async fn restore(&self) -> Result<(), Exit> {
        let from = self.checkpoints.latest().map(|(id, _)| id);
        let (job, epoch) = (self.process.env.job_id.clone(), self.leading.epoch);
        match self.checkpoints.tell_restored().await {
            Ok(()) => self.process.record(Event::JobRestored { job, epoch, from, failover: false }),
            // JobMaster#onStop comes in between: nothing is restored for a leadership that is over.
            Err(_) if self.leading.is_over(&self.leadership) => {}
            Err(exit) => return Err(exit),
        }
        Ok(())
    }

    fn deploy(&self, by: Attempt, at: &BTreeMap<WorkerId, Vec<u32>>) {
        let latest = self.checkpoints.latest();
        let state = |partition: &u32| -> PartitionState {
            latest.and_then(|(_, snapshot)| snapshot.get(partition)).cloned().unwrap_or_default()
        };
        for (worker, partitions) in at {
            let tasks = partitions.iter().map(|partition| (*partition, state(partition))).collect();
            let (checkpoint, mended) = (latest.map(|(id, _)| id), self.process.mended);
            self.tell(&BTreeSet::from([*worker]), &ToWorker::Deploy { by, checkpoint, tasks, mended });
        }
    }

    async fn complete(
        &mut self,
        by: Attempt,
        id: u64,
        snapshot: Snapshot,
        workers: &BTreeSet<WorkerId>,
    ) -> Result<Vec<Action>, Exit> {
        let process = self.process;
        let job = process.env.job_id.clone();
        let early = process.cluster.adapter().commits_before_recorded;
        if early {
            self.tell(workers, &ToWorker::Complete { by, id });
        }
        if let Some(cause) = self.checkpoints.add(id, snapshot).await? {
            process.statistics.failed(id, &cause);
            process.record(Event::CheckpointFailed { job, id, cause: cause.clone() });
            self.tell(workers, &ToWorker::Aborted { by, id });
            // JobMaster#onStop waits for the coordinator's lock: nothing is restarted for a leadership that is over.
            let cause = (!self.leading.is_over(&self.leadership)).then_some(cause);
            return Ok(self.master.settled(process.now_ms(), id, cause.as_deref()));
        }
        process.env.points.reach(Point::BeforeNotify, &process.env.actor).await;
        process.record(Event::CheckpointCompleted { job, id, epoch: self.leading.epoch });
        if !early {
            self.tell(workers, &ToWorker::Complete { by, id });
        }
        process.env.points.reach(Point::CheckpointCompleted, &process.env.actor).await;
        Ok(self.master.settled(process.now_ms(), id, None))
    }

    /// Completes a savepoint. Sinks are told only of one with which the job ends (`notifyCheckpointComplete` is not sent for
    /// others since Flink 1.15).
    async fn save(
        &mut self,
        by: Attempt,
        id: u64,
        stops: bool,
        snapshot: &Snapshot,
        workers: &BTreeSet<WorkerId>,
    ) -> Vec<Action> {
        let process = self.process;
        let directory = self.requested.as_ref().and_then(|request| request.directory.as_deref());
        let pointer = match self.checkpoints.save(id, stops, directory, snapshot).await {
            Ok(pointer) => pointer,
            Err(cause) => {
                process.statistics.failed(id, &cause);
                let job = process.env.job_id.clone();
                process.record(Event::CheckpointFailed { job, id, cause: cause.clone() });
                self.tell(workers, &ToWorker::Aborted { by, id });
                self.request_is_over(Err(&cause));
                return self.master.settled(process.now_ms(), id, Some(&cause));
            }
        };
        if let Some(Request { trigger, .. }) = &self.requested {
            process.record(Event::SavepointServed { trigger: trigger.clone(), id });
        }
        if stops {
            process.cluster.stop_has_begun();
        }
        let what = if stops { reached::STOPPED_WITH_SAVEPOINT } else { reached::SAVEPOINT };
        process.env.trace.reached(&process.env.actor, what);
        process.env.points.reach(Point::SavepointCompleted, &process.env.actor).await;
        self.request_is_over(Ok(&pointer));
        if stops {
            self.tell(workers, &ToWorker::Complete { by, id });
        }
        self.master.settled(process.now_ms(), id, None)
    }

    /// Flink only leaves a checkpoint out when its counter cannot be asked: the adapter's exceptions see to that.
    fn ask_id(&mut self) -> LocalBoxFuture<'static, Option<u64>> {
        #[derive(Deserialize)]
        struct Next {
            value: u64,
        }
        if self.process.cluster.adapter().counts_in_memory {
            self.next_id += 1;
            return std::future::ready(Some(self.next_id - 1)).boxed_local();
        }
        let (calls, path) = (self.process.calls.clone(), self.process.job_path("/counter/next"));
        let call = Call::write(Method::POST, path, self.leading.epoch, calls.key());
        async move { calls.short_write(&call, &[]).await.ok().map(|answer| answer.json::<Next>().value) }
            .boxed_local()
    }

    /// The JobMaster takes leave of every TaskManager in order: their tasks end.
    async fn dismiss_all(&self) {
        self.tell(&self.senders.keys().copied().collect(), &ToWorker::Dismissed);
        tokio::time::sleep(FAREWELL).await;
    }

    fn tell(&self, workers: &BTreeSet<WorkerId>, message: &ToWorker) {
        for sender in workers.iter().filter_map(|worker| self.senders.get(worker)) {
            // A connection that is over has said so, or will.
            drop(sender.send(message.clone()));
        }
    }
}
