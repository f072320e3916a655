//! What a JobManager was told of its checkpoints, against the log: acknowledged is durable and stays, refused is dead,
//! unknown is not failed, and nobody commits before the record is there.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use super::plans::is_kept;
use super::property::{ACKNOWLEDGED_DURABLE, COMMIT_RECORDED, REFUSED_DEAD, UNKNOWN_NOT_FAILED};
use super::record::{Job, Snapshot};
use super::{Oracle, Seen, Verdict, must};
use crate::trace::{AddAnswer, Event};

/// One addition: the job, the checkpoint's id and the epoch under which it was added. The same id can be added again by
/// another leader, when the log never held it.
type Addition = (String, u64, u64);

/// What was said of additions.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    /// Every addition that any record ever held.
    durable: BTreeSet<Addition>,
    refused: BTreeSet<Addition>,
    /// Checkpoints whose outcome a process does not know, or does not know yet: by actor, of its present process.
    unresolved: BTreeMap<String, BTreeSet<(String, u64)>>,
    /// Savepoints with which a job ends. No record holds them, and sinks commit for them all the same.
    stops: BTreeSet<(String, u64)>,
    history_max: usize,
    gone_max: usize,
}

impl Acknowledged {
    pub(super) fn new() -> Self {
        let limits = ha_store::Limits::default();
        let (history_max, gone_max) = (limits.snapshot_history_max, limits.gone_snapshots_max);
        Self { history_max, gone_max, ..Self::default() }
    }

    fn appended(&mut self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        for (id, job) in &newest.state.jobs {
            for snapshot in job.snapshots() {
                let addition = (id.clone(), snapshot.id, snapshot.epoch);
                must(!self.refused.contains(&addition), REFUSED_DEAD, || {
                    format!(
                        "record {} holds checkpoint {} of epoch {}, which its JobManager was told is not recorded",
                        newest.header.sequence, snapshot.id, snapshot.epoch
                    )
                })?;
                self.durable.insert(addition);
            }
        }
        let Some(previous) = log.previous() else { return Ok(()) };
        for (id, before) in &previous.state.jobs {
            self.check_kept(newest.header.sequence, before, newest.state.jobs.get(id))?;
        }
        Ok(())
    }

    /// What one record holds, the next one holds too: live, or in a history that drops only what is over its limit. A job is
    /// forgotten only when nothing of it is live.
    fn check_kept(&self, sequence: u64, before: &Job, after: Option<&Job>) -> Verdict {
        let full = before.history.len() + before.checkpoints.len() >= self.history_max;
        // Of those whose files are gone, which are kept for people only, a few are enough.
        let gone = before.snapshots().filter(|snapshot| !is_kept(snapshot)).count();
        let crowded = gone + before.checkpoints.len() >= self.gone_max;
        let must_stay = |snapshot: &&Snapshot| {
            let live = before.checkpoints.contains_key(&snapshot.id);
            live || (after.is_some() && !full && (is_kept(snapshot) || !crowded))
        };
        for snapshot in before.snapshots().filter(must_stay) {
            // One that a rollout restores is added again, under its own epoch.
            let same = |other: &Snapshot| other.id == snapshot.id && other.epoch >= snapshot.epoch;
            let kept = after.is_some_and(|after| after.snapshots().any(same));
            must(kept, ACKNOWLEDGED_DURABLE, || {
                format!(
                    "record {sequence} does not hold checkpoint {}, which the one before it does",
                    snapshot.id
                )
            })?;
        }
        Ok(())
    }

    fn answered(&mut self, addition: Addition, answer: &AddAnswer) -> Verdict {
        let (_, id, epoch) = &addition;
        let durable = self.durable.contains(&addition);
        match answer {
            // The same pointer may have been there already, from another epoch.
            AddAnswer::Recorded => {
                let there = self.durable.iter().any(|(job, other, _)| *job == addition.0 && other == id);
                must(there, ACKNOWLEDGED_DURABLE, || {
                    format!("checkpoint {id} was acknowledged under epoch {epoch}, but no record holds it")
                })
            }
            AddAnswer::NotRecorded { problem } => {
                must(!durable, REFUSED_DEAD, || {
                    format!("checkpoint {id} of epoch {epoch} is in the log, but was refused ({problem})")
                })?;
                self.refused.insert(addition);
                Ok(())
            }
            AddAnswer::Unknown => Ok(()),
        }
    }

    /// A process that cannot know what became of a checkpoint must not act as if it had failed.
    fn check_unresolved(&self, actor: &str, event: &Event) -> Verdict {
        let Some(unresolved) = self.unresolved.get(actor).filter(|ids| !ids.is_empty()) else {
            return Ok(());
        };
        let names = |job: &String, id: u64| unresolved.contains(&(job.clone(), id));
        let act = match event {
            Event::CheckpointFailed { job, id, .. } if names(job, *id) => "gave it up",
            Event::CheckpointFilesDeleted { job, id } if names(job, *id) => "deleted its files",
            Event::CheckpointCompleted { job, id, .. } if names(job, *id) => "told the sinks to commit it",
            // From an older checkpoint, or it would know: the tasks are rolled back behind what may be durable.
            Event::JobRestored { job, failover: false, .. } if unresolved.iter().any(|(of, _)| of == job) => {
                "rolled the tasks back"
            }
            _ => return Ok(()),
        };
        let ids: Vec<u64> = unresolved.iter().map(|(_, id)| *id).collect();
        let what = format!("{actor} does not know what became of checkpoint {ids:?}, and {act}");
        must(false, UNKNOWN_NOT_FAILED, || what)
    }

    fn check_recorded(&self, job: &str, id: u64, what: &str) -> Verdict {
        let recorded = self.durable.iter().any(|(of, other, _)| of == job && *other == id);
        must(recorded, COMMIT_RECORDED, || format!("{what} checkpoint {id}, which no record holds"))
    }
}

impl Oracle for Acknowledged {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        if seen.appended {
            self.appended(seen.log)?;
        }
        let actor = &seen.entry.actor;
        self.check_unresolved(actor, &seen.entry.event)?;
        match &seen.entry.event {
            Event::ProcessStarted { .. } | Event::ProcessEnded { .. } | Event::ProcessKilled { .. } => {
                self.unresolved.remove(actor);
                Ok(())
            }
            Event::AddAsked { job, id, .. } => {
                self.unresolved.entry(actor.clone()).or_default().insert((job.clone(), *id));
                Ok(())
            }
            Event::AddAnswered { job, id, epoch, answer } => {
                if *answer != AddAnswer::Unknown
                    && let Some(unresolved) = self.unresolved.get_mut(actor)
                {
                    unresolved.remove(&(job.clone(), *id));
                }
                self.answered((job.clone(), *id, *epoch), answer)
            }
            Event::CheckpointCompleted { job, id, .. } => {
                self.check_recorded(job, *id, "sinks were told to commit")
            }
            Event::SavepointCompleted { job, id, stops: true, .. } => {
                self.stops.insert((job.clone(), *id));
                Ok(())
            }
            Event::SinkCommitted { job, checkpoint, .. }
                if self.stops.contains(&(job.clone(), *checkpoint)) =>
            {
                Ok(())
            }
            Event::SinkCommitted { job, checkpoint, partition, .. } => {
                self.check_recorded(job, *checkpoint, &format!("partition {partition} was committed for"))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, properties};
    use super::*;

    fn asked(id: u64) -> Event {
        Event::AddAsked { job: JOB.to_owned(), id, epoch: 1 }
    }

    fn answered(id: u64, answer: AddAnswer) -> Event {
        Event::AddAnswered { job: JOB.to_owned(), id, epoch: 1, answer }
    }

    fn refused() -> AddAnswer {
        AddAnswer::NotRecorded { problem: "unavailable".to_owned() }
    }

    fn failed(id: u64) -> Event {
        Event::CheckpointFailed { job: JOB.to_owned(), id, cause: "expired".to_owned() }
    }

    fn deleted(id: u64) -> Event {
        Event::CheckpointFilesDeleted { job: JOB.to_owned(), id }
    }

    fn restored(failover: bool) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch: 1, from: Some(1), failover }
    }

    fn committed(checkpoint: u64) -> Event {
        Event::SinkCommitted { job: JOB.to_owned(), partition: 0, from: 0, to: 9, checkpoint }
    }

    /// The property that is broken by these events after checkpoint 1 became durable.
    fn verdict(events: &[Event]) -> Option<&'static str> {
        let mut history = History::default();
        let mut oracle = Acknowledged::new();
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        history.record(&mut oracle, &Draft::commit(1, "a").live(&[1])).unwrap();
        let events: Vec<_> = events.iter().map(|event| ("jm-0", event.clone())).collect();
        properties(&mut history, &mut oracle, &events)
    }

    /// The property that is broken when the log goes on from one of these to the other.
    fn step(before: Draft, after: Draft) -> Option<&'static str> {
        let mut history = History::default();
        let mut oracle = Acknowledged { history_max: 4, gone_max: 4, ..Acknowledged::default() };
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        history.record(&mut oracle, &before).unwrap();
        history.record(&mut oracle, &after).err().map(|broken| broken.property)
    }

    #[test]
    fn what_is_acknowledged_is_in_the_log() {
        assert_eq!(verdict(&[answered(1, AddAnswer::Recorded)]), None);
        assert_eq!(verdict(&[answered(2, AddAnswer::Recorded)]), Some(ACKNOWLEDGED_DURABLE));
    }

    #[test]
    fn what_the_log_holds_leaves_it_by_way_of_the_history_only() {
        let live = Draft::commit(1, "a").live(&[1]);
        let subsumed = Draft { history: vec![(1, "subsumed", 1)], ..Draft::commit(1, "a").live(&[2]) };
        assert_eq!(step(live.clone(), subsumed.clone()), None);
        assert_eq!(step(live, Draft::commit(1, "a").live(&[2])), Some(ACKNOWLEDGED_DURABLE));
        assert_eq!(step(subsumed, Draft::commit(1, "a").live(&[2])), Some(ACKNOWLEDGED_DURABLE));
    }

    #[test]
    fn a_full_history_may_forget() {
        let past = |ids: [u64; 3]| ids.iter().map(|id| (*id, "subsumed", 1)).collect();
        let full = Draft { history: past([1, 2, 3]), ..Draft::commit(1, "a").live(&[4]) };
        let next = Draft { history: past([2, 3, 4]), ..Draft::commit(1, "a").live(&[5]) };
        assert_eq!(step(full, next), None);
    }

    #[test]
    fn what_was_refused_is_not_in_the_log_and_does_not_come() {
        assert_eq!(verdict(&[answered(2, refused()), failed(2), deleted(2)]), None);
        assert_eq!(verdict(&[answered(1, refused())]), Some(REFUSED_DEAD));
        let mut history = History::default();
        let mut oracle = Acknowledged::new();
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        history.show(&mut oracle, "jm-0", answered(1, refused())).unwrap();
        let late = history.record(&mut oracle, &Draft::commit(1, "a").live(&[1]));
        assert_eq!(late.unwrap_err().property, REFUSED_DEAD);
    }

    #[test]
    fn another_leader_may_record_an_id_that_was_refused() {
        let mut history = History::default();
        let mut oracle = Acknowledged::new();
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        history.show(&mut oracle, "jm-0", answered(1, refused())).unwrap();
        history.record(&mut oracle, &Draft::claim(2, "b")).unwrap();
        assert_eq!(history.record(&mut oracle, &Draft::commit(2, "b").live(&[1])), Ok(()));
    }

    #[test]
    fn an_unknown_outcome_is_not_treated_as_a_failure() {
        let unknown = [asked(2), answered(2, AddAnswer::Unknown)];
        let after = |event| verdict(&[&unknown[..], &[event]].concat());
        assert_eq!(after(Event::ProcessEnded { kind: "job-manager", code: 2 }), None);
        for event in [failed(2), deleted(2), restored(false)] {
            assert_eq!(after(event), Some(UNKNOWN_NOT_FAILED));
        }
        assert_eq!(verdict(&[asked(2), failed(2)]), Some(UNKNOWN_NOT_FAILED));
    }

    #[test]
    fn the_next_process_is_not_bound_by_what_the_last_one_did_not_know() {
        let started = Event::ProcessStarted { kind: "job-manager" };
        let events = [asked(2), answered(2, AddAnswer::Unknown), started, restored(true), deleted(2)];
        assert_eq!(verdict(&events), None);
    }

    #[test]
    fn a_savepoint_is_committed_only_if_the_job_ends_with_it() {
        let saved = |stops| {
            let (job, offsets) = (JOB.to_owned(), BTreeMap::new());
            Event::SavepointCompleted { job, id: 2, epoch: 1, stops, offsets }
        };
        assert_eq!(verdict(&[saved(true), committed(2)]), None);
        assert_eq!(verdict(&[saved(false), committed(2)]), Some(COMMIT_RECORDED));
        assert_eq!(
            verdict(&[committed(2), saved(true)]),
            Some(COMMIT_RECORDED),
            "its files are not there yet"
        );
    }

    #[test]
    fn nobody_commits_what_is_not_recorded() {
        assert_eq!(verdict(&[committed(1)]), None);
        assert_eq!(verdict(&[committed(2)]), Some(COMMIT_RECORDED));
        let completed = |id| Event::CheckpointCompleted { job: JOB.to_owned(), id, epoch: 1 };
        assert_eq!(verdict(&[completed(1)]), None);
        assert_eq!(verdict(&[completed(2)]), Some(COMMIT_RECORDED));
    }
}
