//! One savepoint, from the request to its end.

use std::collections::BTreeSet;
use std::time::Duration;

use ha_store::{
    Change, DeploymentState, Epoch, JobId, PointerRecord, ResultId, ResultKind, Snapshot, SnapshotKind,
};
use http::StatusCode;
use snapshot::{Stores, VerifyOptions};
use tokio::time::{Instant, sleep};

use super::Savepoints;
use super::book::{Status, Taken};
use crate::job_manager::{AskError, Completion, JobManager, SavepointOrder};

/// How often Flink is asked how far it is.
const POLL: Duration = Duration::from_millis(500);
/// How long the request itself is repeated, with the same trigger id.
const TRIGGER_LIMIT: Duration = Duration::from_secs(60);
/// Flink gives a savepoint up after `execution.checkpointing.timeout`; whatever takes longer is not followed.
const FOLLOW_LIMIT: Duration = Duration::from_secs(6 * 3_600);
/// How long a job may take to end after its savepoint is complete.
const END_LIMIT: Duration = Duration::from_secs(600);
/// How long reading the savepoint's own file for its id may take.
const METADATA_LIMIT: Duration = Duration::from_secs(30);

/// How it went with Flink.
enum Outcome {
    Done {
        location: String,
    },
    Failed {
        reason: String,
    },
    /// The JobManager that was asked is gone, or does not know of it (any more).
    Lost {
        reason: String,
    },
}

/// What became of a job that was stopped, after its savepoint was complete.
enum End {
    /// Its result is recorded: it stays ended.
    Recorded,
    /// It runs on, under the same JobManager.
    TooLate,
    /// The JobManager that was asked does not lead any more, and no result is recorded.
    NotKnown,
}

struct Following {
    savepoints: Savepoints,
    taken: Taken,
    epoch: Epoch,
    /// The savepoints of the job that were in the ledger before.
    before: BTreeSet<String>,
}

/// Sees it through, and keeps the book up to date. Ends by itself.
pub(super) async fn follow(savepoints: Savepoints, taken: Taken, epoch: Epoch) {
    let state = savepoints.observation.around().store.view().state.clone();
    let before = in_ledger(&state, &taken.job).map(|known| known.pointer.external_pointer.clone()).collect();
    let mut following = Following { savepoints, taken, epoch, before };
    let outcome = match following.savepoints.observation.job_manager(epoch) {
        Ok(job_manager) => following.ask(&job_manager).await,
        Err(trouble) => Outcome::Failed { reason: format!("{trouble}; nothing was asked for") },
    };
    match outcome {
        Outcome::Done { location } => following.done(location).await,
        Outcome::Failed { reason } => following.taken.fail(reason),
        Outcome::Lost { reason } => {
            let state = following.state();
            following.lost(&state, &reason);
        }
    }
    following.finish();
}

impl Following {
    async fn ask(&self, job_manager: &JobManager) -> Outcome {
        match self.trigger(job_manager).await {
            Some(outcome) => outcome,
            None => self.poll(job_manager).await,
        }
    }

    /// Asks for it until that is answered. `None`: it was accepted.
    async fn trigger(&self, job_manager: &JobManager) -> Option<Outcome> {
        let taken = &self.taken;
        let order = SavepointOrder {
            trigger_id: taken.id.clone(),
            target_directory: taken.target_directory.clone(),
            format: taken.format,
        };
        let until = Instant::now() + TRIGGER_LIMIT;
        let mut perhaps_accepted = false;
        loop {
            let asked = match taken.stop {
                true => job_manager.stop(&taken.job, &order, taken.drain).await,
                false => job_manager.trigger_savepoint(&taken.job, &order).await,
            };
            let error = match asked {
                // An answer that cannot be read was a yes as well.
                Ok(()) | Err(AskError::Unreadable { .. }) => return None,
                Err(error) => error,
            };
            perhaps_accepted |= matches!(error, AskError::NoAnswer { .. });
            // Flink says so while it elects, and the network before there is one: both pass.
            let passes = error.status().is_none_or(|status| status == StatusCode::SERVICE_UNAVAILABLE);
            let over = Instant::now() >= until || !self.savepoints.is_granted(self.epoch);
            match (passes && !over, perhaps_accepted) {
                (true, _) => sleep(POLL).await,
                (false, true) => return Some(Outcome::Lost { reason: error.to_string() }),
                (false, false) => return Some(Outcome::Failed { reason: error.to_string() }),
            }
        }
    }

    async fn poll(&self, job_manager: &JobManager) -> Outcome {
        let until = Instant::now() + FOLLOW_LIMIT;
        loop {
            let mut trouble = None;
            match job_manager.savepoint(&self.taken.job, &self.taken.id).await.map(|it| it.completion()) {
                Ok(Completion::Done { location }) => return Outcome::Done { location },
                Ok(Completion::Failed { reason }) => return Outcome::Failed { reason },
                Ok(Completion::InProgress) => {}
                Err(error) if error.status() == Some(StatusCode::NOT_FOUND) => {
                    return Outcome::Lost { reason: error.to_string() };
                }
                Err(error) => trouble = Some(error.to_string()),
            }
            if !self.savepoints.is_granted(self.epoch) {
                let gone = format!("the JobManager of epoch {} that was asked for it is gone", self.epoch);
                return Outcome::Lost { reason: trouble.unwrap_or(gone) };
            }
            if Instant::now() >= until {
                let hours = FOLLOW_LIMIT.as_secs() / 3_600;
                return Outcome::Lost { reason: format!("it was not done after {hours} hours") };
            }
            sleep(POLL).await;
        }
    }

    /// Flink says that it is complete: now it must be in the ledger, and the job must end.
    async fn done(&mut self, location: String) {
        self.taken.external_pointer = Some(location.clone());
        self.savepoints.book().update(self.taken.clone());
        match self.record(&location).await {
            Ok(id) => (self.taken.checkpoint_id, self.taken.recorded) = (Some(id), true),
            Err(reason) => {
                self.taken.detail = Some(format!(
                    "it is complete, but could not be recorded: {reason}. The next generation considers it only after \
                     `holdfast reset --to {location}`"
                ));
            }
        }
        self.taken.status = Status::Completed;
        if self.taken.stop {
            self.stopped().await;
        }
    }

    /// A stop is only done when the job's end is recorded: until then the next JobManager runs the job again, from a checkpoint
    /// before the savepoint, which is rolled back by that.
    async fn stopped(&mut self) {
        match self.end_of_job().await {
            End::Recorded => {}
            End::TooLate => {
                self.taken.status = Status::Failed;
                let seconds = END_LIMIT.as_secs();
                self.taken.explain(format!(
                    "the savepoint is complete, but the job has not ended after {seconds} s"
                ));
            }
            End::NotKnown => {
                self.taken.status = Status::Unknown;
                let (job, epoch) = (&self.taken.job, self.epoch);
                let id = self.taken.checkpoint_id.map_or_else(|| "ID".to_owned(), |id| id.to_string());
                self.taken.explain(format!(
                    "the savepoint is complete, but the JobManager of epoch {epoch} does not lead any more, and whether job {job} \
                     has ended is not known: its end was not recorded here. If it had not, the next JobManager runs it again from \
                     its newest checkpoint, and the savepoint counts as rolled back. Look at `holdfast status` and `holdfast \
                     snapshots show {id}`; if the job runs, stop it again"
                ));
            }
        }
    }

    /// Its checkpoint id, once the ledger has it.
    async fn record(&self, location: &str) -> Result<u64, String> {
        let observation = &self.savepoints.observation;
        let found = |state: &DeploymentState| {
            let found = state.snapshots().find(|(_, known)| known.pointer.external_pointer == location);
            found.map(|(_, known)| known.id)
        };
        let looked = async {
            let job_manager = observation.job_manager(self.epoch)?;
            observation.look_at(self.epoch, &job_manager, &self.taken.job).await
        };
        // The observer may have been faster, and with a stop the JobManager may be gone: only the ledger counts.
        let trouble = looked.await.err();
        if let Some(id) = found(&self.state()) {
            return Ok(id);
        }
        if let Some(trouble) = trouble {
            tracing::debug!("{trouble}; reading the savepoint's own file instead");
        }
        let id = checkpoint_id(&observation.around().snapshots, location).await?;
        let pointer = PointerRecord {
            external_pointer: location.to_owned(),
            kind: SnapshotKind::Savepoint,
            trigger_timestamp_ms: self.taken.requested_at_ms,
            completion_timestamp_ms: observation.around().clock.wall_ms(),
            properties: String::new(),
            restored_properties: None,
            discard_subsumed: None,
        };
        let change = Change::RecordSavepoint { job: self.taken.job.clone(), id, pointer, rolled_back: false };
        observation.record(self.epoch, &change).await.map_err(|error| error.to_string())?;
        Ok(id)
    }

    /// Waits for the job's end, which is its recorded result. The JobManager that was asked goes once that is recorded, but it
    /// may also have been killed or deposed before: that it is gone says nothing.
    async fn end_of_job(&self) -> End {
        let until = Instant::now() + END_LIMIT;
        loop {
            // Asked before: what was recorded is seen below if it was when the JobManager went.
            let granted = self.savepoints.is_granted(self.epoch);
            if self.has_ended(&self.state()) {
                return End::Recorded;
            }
            if !granted {
                return self.end_without_job_manager().await;
            }
            if Instant::now() >= until {
                return End::TooLate;
            }
            sleep(POLL).await;
        }
    }

    /// A result that was on its way to the store when the JobManager went may have arrived there.
    async fn end_without_job_manager(&self) -> End {
        match self.savepoints.observation.around().store.refresh().await {
            Ok(view) if self.has_ended(&view.state) => End::Recorded,
            Ok(_) | Err(_) => End::NotKnown,
        }
    }

    /// Whether the job ended with this savepoint, and not a later run of it that had gone back behind it.
    fn has_ended(&self, state: &DeploymentState) -> bool {
        let gone_behind = in_ledger(state, &self.taken.job).any(|known| {
            known.rolled_back && self.taken.external_pointer.as_ref() == Some(&known.pointer.external_pointer)
        });
        has_result(state, &self.taken.job) && !gone_behind
    }

    /// Nobody can be asked any more. What the ledger has got since may be it.
    fn lost(&mut self, state: &DeploymentState, reason: &str) {
        let new: Vec<&Snapshot> = in_ledger(state, &self.taken.job)
            .filter(|known| {
                known.epoch == self.epoch && !self.before.contains(&known.pointer.external_pointer)
            })
            .collect();
        let beside = self.savepoints.book().beside(&self.taken);
        let taken = &mut self.taken;
        if let Some(only) = certainly_of(taken, &beside, &new)
            && (!taken.stop || has_result(state, &taken.job))
        {
            taken.status = Status::Completed;
            taken.external_pointer = Some(only.pointer.external_pointer.clone());
            (taken.checkpoint_id, taken.recorded) = (Some(only.id), true);
            taken.detail = Some(format!("Flink was not there to say so; the ledger has it ({reason})"));
            return;
        }
        let places: Vec<&str> = new.iter().map(|known| known.pointer.external_pointer.as_str()).collect();
        let seen = if places.is_empty() { "none".to_owned() } else { places.join(", ") };
        taken.status = Status::Unknown;
        taken.detail = Some(format!(
            "nobody can say whether it was made: {reason}. Savepoints of the job that were recorded since: {seen}. Look into its \
             target directory; one that is there and passes `holdfast snapshots verify` can be started from with `holdfast \
             reset --to`. Otherwise ask for another one"
        ));
    }

    fn finish(mut self) {
        let clock = &self.savepoints.observation.around().clock;
        self.taken.ended_at_ms = Some(clock.wall_ms());
        let Taken { id, job, detail, external_pointer, .. } = &self.taken;
        let place = external_pointer.as_deref().unwrap_or("nowhere");
        match self.taken.status {
            Status::Completed if self.taken.recorded => {
                tracing::info!(event = "savepoint-completed", id, %job, place, "savepoint {id} of job {job} is at {place}");
            }
            status => {
                let detail = detail.as_deref().unwrap_or_default();
                tracing::warn!(event = "savepoint-not-completed", id, %job, ?status, "savepoint {id} of job {job}: {detail}");
            }
        }
        self.savepoints.book().update(self.taken);
    }

    fn state(&self) -> std::sync::Arc<DeploymentState> {
        self.savepoints.observation.around().store.view().state.clone()
    }
}

impl Taken {
    fn fail(&mut self, reason: String) {
        self.status = Status::Failed;
        self.explain(reason);
    }

    fn explain(&mut self, reason: String) {
        self.detail = Some(match self.detail.take() {
            Some(before) => format!("{reason}; {before}"),
            None => reason,
        });
    }
}

/// The one of these new savepoints that was made for this request, if nobody else can have caused it: it is the only one that
/// no other request is known to have made, it was triggered after this was asked for, and of every other request it is known
/// what became of it.
fn certainly_of<'s>(taken: &Taken, beside: &[Taken], new: &[&'s Snapshot]) -> Option<&'s Snapshot> {
    let may_be_anothers = |other: &Taken| other.external_pointer.is_none() && other.status != Status::Failed;
    if beside.iter().any(may_be_anothers) {
        return None;
    }
    let of_another = |snapshot: &Snapshot| {
        let pointer = &snapshot.pointer.external_pointer;
        beside.iter().any(|other| other.external_pointer.as_ref() == Some(pointer))
    };
    let mut left = new.iter().filter(|snapshot| !of_another(snapshot));
    // The JobManager runs in this pod, so both times are of one clock.
    let only = left.next().filter(|only| only.pointer.trigger_timestamp_ms >= taken.requested_at_ms)?;
    left.next().is_none().then_some(*only)
}

/// The savepoints of a job that the ledger knows.
fn in_ledger<'s>(state: &'s DeploymentState, job: &JobId) -> impl Iterator<Item = &'s Snapshot> {
    let known = state.jobs.get(job).into_iter();
    known.flat_map(|known| &known.history).filter(|known| known.pointer.kind == SnapshotKind::Savepoint)
}

fn has_result(state: &DeploymentState, job: &JobId) -> bool {
    state.results.of(ResultKind::Jobs).contains_key(&ResultId::from(job.clone()))
}

/// The id that stands in the savepoint's own `_metadata` file.
async fn checkpoint_id(stores: &Stores, location: &str) -> Result<u64, String> {
    let options = VerifyOptions { metadata_only: true, ..VerifyOptions::default() };
    let read = tokio::time::timeout(METADATA_LIMIT, snapshot::verify(stores, location, &options)).await;
    let found = read
        .map_err(|_| format!("its _metadata file could not be read within {} s", METADATA_LIMIT.as_secs()))?
        .map_err(|error| error.to_string())?;
    let why = || {
        let unreadable = found.unreadable.as_ref().map(|unreadable| unreadable.message.clone());
        let unknown = found.unknown.first().map(|unknown| unknown.error.clone());
        unreadable.or(unknown).unwrap_or_else(|| format!("{} is not there", found.metadata_path))
    };
    found.checkpoint_id.ok_or_else(why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Request;
    use super::*;

    fn taken(id: &str, status: Status, pointer: Option<&str>) -> Taken {
        let job = "a".repeat(32).parse().expect("an id");
        let external_pointer = pointer.map(str::to_owned);
        Taken { status, external_pointer, ..Taken::new(id.to_owned(), job, &Request::default(), 1_000) }
    }

    fn snapshot(place: &str, triggered_ms: i64) -> Snapshot {
        let pointer = json!({"external_pointer": place, "kind": "savepoint", "trigger_timestamp_ms": triggered_ms,
            "completion_timestamp_ms": triggered_ms + 9, "properties": ""});
        let snapshot = json!({"id": 7, "pointer": pointer, "state": "retained", "epoch": 1, "added_at_ms": 3, "left_epoch": 1});
        serde_json::from_value(snapshot).expect("a snapshot")
    }

    #[test]
    fn a_savepoint_that_another_request_may_have_caused_is_not_taken_for_this_one() {
        let (one, two) = (snapshot("s3://b/one", 1_000), snapshot("s3://b/two", 1_001));
        let own = taken("own", Status::InProgress, None);
        let found = |beside: &[Taken], new: &[&Snapshot]| {
            certainly_of(&own, beside, new).map(|found| found.pointer.external_pointer.clone())
        };
        assert_eq!(found(&[], &[&one]).as_deref(), Some("s3://b/one"));
        assert_eq!(found(&[], &[]), None);
        assert_eq!(found(&[], &[&one, &two]), None, "either may be it");
        let done = taken("other", Status::Completed, Some("s3://b/one"));
        assert_eq!(found(std::slice::from_ref(&done), &[&one]), None, "it is the other's");
        assert_eq!(found(&[done], &[&one, &two]).as_deref(), Some("s3://b/two"));
        for status in [Status::InProgress, Status::Unknown] {
            assert_eq!(found(&[taken("other", status, None)], &[&one]), None, "it may be the other's");
        }
        let failed = taken("other", Status::Failed, None);
        assert_eq!(found(&[failed], &[&one]).as_deref(), Some("s3://b/one"));
        let older = snapshot("s3://b/old", 999);
        assert_eq!(found(&[], &[&older]), None, "somebody triggered it before");
    }
}
