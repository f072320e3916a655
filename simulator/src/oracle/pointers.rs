//! What the newest record points at is there: checkpoint files that Flink writes and deletes, and blobs.

use std::collections::{BTreeMap, BTreeSet};

use super::log::{Key, Log};
use super::property::{ID_UNIQUE, NO_DANGLING, REFERENCED_KEPT, SAVEPOINT_KEPT};
use super::record::{Fate, Job};
use super::{Oracle, Seen, Verdict, must};
use crate::trace::Event;

/// Checkpoint files: which were written, and which of them are gone.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// By job and id; `false` once they were deleted.
    written: BTreeMap<(String, u64), bool>,
    /// Those of them that are savepoints.
    savepoints: BTreeSet<(String, u64)>,
    /// What was restored without being claimed: the user's files, too.
    unclaimed: BTreeSet<(String, u64)>,
}

impl Files {
    fn check_all(&self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        let before = log.previous().map(|previous| &previous.state.jobs);
        for (job, known) in &newest.state.jobs {
            check_given_out(newest.header.sequence, before.and_then(|jobs| jobs.get(job)), known)?;
            // Files are checked when they go, so what has not changed since the last record needs no second look.
            if before.and_then(|jobs| jobs.get(job)) == Some(known) {
                continue;
            }
            for snapshot in known.snapshots().filter(|snapshot| is_needed(snapshot.state)) {
                let there = self.written.get(&(job.clone(), snapshot.id)).copied();
                must(there == Some(true), NO_DANGLING, || {
                    let how = if there.is_none() { "were never completed" } else { "are deleted" };
                    let (sequence, id, state) = (newest.header.sequence, snapshot.id, snapshot.state);
                    format!("record {sequence} names checkpoint {id} ({state:?}), whose files {how}")
                })?;
            }
        }
        Ok(())
    }

    /// Savepoints share their ids with checkpoints: the counter gives them out.
    fn saved(&mut self, log: &Log, actor: &str, job: &str, id: u64) -> Verdict {
        self.savepoints.insert((job.to_owned(), id));
        self.written(actor, job, id)?;
        // A deposed JobManager may be the last to know that the job is forgotten.
        let known = log.state().and_then(|state| state.jobs.get(job));
        must(known.is_none_or(|known| id < known.next_checkpoint_id), ID_UNIQUE, || {
            format!("{actor} completed savepoint {id}, but the counter has not given out that id")
        })
    }

    fn written(&mut self, actor: &str, job: &str, id: u64) -> Verdict {
        let before = self.written.insert((job.to_owned(), id), true);
        must(before.is_none(), ID_UNIQUE, || {
            format!("{actor} wrote a checkpoint or savepoint {id}, and there was one before")
        })
    }

    fn check_deleted(&self, log: &Log, actor: &str, job: &str, id: u64) -> Verdict {
        let key = (job.to_owned(), id);
        must(!self.savepoints.contains(&key) && !self.unclaimed.contains(&key), SAVEPOINT_KEPT, || {
            format!("{actor} deleted the files of snapshot {id}, which is the user's")
        })?;
        let known = log.state().and_then(|state| state.jobs.get(job));
        let needed = known
            .into_iter()
            .flat_map(|known| known.snapshots())
            .find(|snapshot| snapshot.id == id && is_needed(snapshot.state));
        must(needed.is_none(), NO_DANGLING, || {
            let sequence = log.newest().map_or(0, |newest| newest.header.sequence);
            let state = needed.map(|snapshot| snapshot.state);
            format!("{actor} deleted the files of checkpoint {id}, which record {sequence} names ({state:?})")
        })
    }
}

/// A checkpoint that is new in the log has an id that the counter gave out before: Flink's checkpoints have no other ones.
fn check_given_out(sequence: u64, before: Option<&Job>, after: &Job) -> Verdict {
    let next = before.map_or(1, |before| before.next_checkpoint_id);
    let is_new = |id: &&u64| !before.is_some_and(|before| before.snapshots().any(|known| known.id == **id));
    let stray = after.checkpoints.keys().filter(is_new).find(|id| **id >= next);
    must(stray.is_none(), ID_UNIQUE, || {
        let id = stray.copied().unwrap_or_default();
        format!(
            "record {sequence} holds checkpoint {id}, but the counter has given out ids below {next} only"
        )
    })
}

/// Whether somebody may still restore it. Files of the others may go: Flink removes a pointer before it deletes the files,
/// and says before the end of a job which ones it is going to delete.
fn is_needed(state: Fate) -> bool {
    matches!(state, Fate::Active | Fate::Retained)
}

impl Oracle for Files {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match &seen.entry.event {
            Event::CheckpointWritten { job, id } => self.written(&seen.entry.actor, job, *id),
            Event::SavepointCompleted { job, id, .. } => self.saved(seen.log, &seen.entry.actor, job, *id),
            Event::StartedFrom { job, id, claimed, .. } => {
                let key = (job.clone(), *id);
                match claimed {
                    true => drop((self.savepoints.remove(&key), self.unclaimed.remove(&key))),
                    false => drop(self.unclaimed.insert(key)),
                }
                Ok(())
            }
            Event::CheckpointFilesDeleted { job, id } => {
                if let Some(there) = self.written.get_mut(&(job.clone(), *id)) {
                    *there = false;
                }
                self.check_deleted(seen.log, &seen.entry.actor, job, *id)
            }
            _ if seen.appended => self.check_all(seen.log),
            _ => Ok(()),
        }
    }
}

/// Objects of the store: what is referenced is not deleted.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// The last record that named each blob.
    named_by: BTreeMap<String, u64>,
    /// Blobs that exist.
    blobs: BTreeSet<String>,
}

impl Objects {
    fn appended(&mut self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        for blob in newest.state.blobs() {
            must(self.blobs.contains(&blob), NO_DANGLING, || {
                format!("record {} names blob {blob}, which does not exist", newest.header.sequence)
            })?;
            self.named_by.insert(blob, newest.header.sequence);
        }
        Ok(())
    }

    fn deleted(&mut self, log: &Log, key: &str) -> Verdict {
        let boundary = log.state().map_or(0, |state| state.collected_before);
        match Key::of(key) {
            Key::Record(sequence) => must(sequence < boundary, REFERENCED_KEPT, || {
                format!("record {sequence} was deleted, but the boundary of collection is {boundary}")
            }),
            Key::Blob(blob) => {
                self.blobs.remove(blob);
                let named_by = self.named_by.get(blob).copied();
                must(named_by.is_none_or(|sequence| sequence < boundary), REFERENCED_KEPT, || {
                    format!("blob {blob} was deleted, but record {} names it", named_by.unwrap_or_default())
                })
            }
            Key::Hint | Key::Other => Ok(()),
        }
    }
}

impl Oracle for Objects {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match &seen.entry.event {
            Event::StoreCreated { key, .. } => {
                if let Key::Blob(blob) = Key::of(key) {
                    self.blobs.insert(blob.to_owned());
                }
                if seen.appended { self.appended(seen.log) } else { Ok(()) }
            }
            Event::StoreDeleted { key } => self.deleted(seen.log, key),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, key, properties};
    use super::*;

    fn written(id: u64) -> Event {
        Event::CheckpointWritten { job: JOB.to_owned(), id }
    }

    fn deleted(id: u64) -> Event {
        Event::CheckpointFilesDeleted { job: JOB.to_owned(), id }
    }

    /// What is broken when the log goes from these live checkpoints to this record and then this happens.
    fn files(live: &[u64], then: &Draft, event: Event) -> Option<&'static str> {
        let mut history = History::default();
        let mut oracle = Files::default();
        for id in [1, 2] {
            history.show(&mut oracle, "jm-0", written(id)).unwrap();
        }
        history.record(&mut oracle, &Draft { counter: 9, ..Draft::claim(1, "a") }).unwrap();
        let at_nine = |draft: &Draft| Draft { counter: 9, ..draft.clone() };
        history.record(&mut oracle, &at_nine(&Draft::commit(1, "a").live(live))).unwrap();
        let verdict = history.record(&mut oracle, &at_nine(then));
        verdict.and_then(|()| history.show(&mut oracle, "jm-0", event)).err().map(|broken| broken.property)
    }

    #[test]
    fn files_go_after_the_record_that_lets_them_go() {
        let both = Draft::commit(1, "a").live(&[1, 2]);
        assert_eq!(files(&[1], &both, deleted(1)), Some(NO_DANGLING));
        for state in ["subsumed", "discarded"] {
            let gone = Draft { history: vec![(1, state, 1)], ..Draft::commit(1, "a").live(&[2]) };
            assert_eq!(files(&[1, 2], &gone, deleted(1)), None);
        }
        let retained = Draft { history: vec![(1, "retained", 1)], ..Draft::commit(1, "a").live(&[2]) };
        assert_eq!(files(&[1, 2], &retained, deleted(1)), Some(NO_DANGLING));
    }

    #[test]
    fn flink_may_delete_what_it_said_at_the_end_of_the_job() {
        let told = Draft { live: vec![(1, "discarded", 1), (2, "retained", 1)], ..Draft::commit(1, "a") };
        assert_eq!(files(&[1, 2], &told, deleted(1)), None);
        assert_eq!(files(&[1, 2], &told, deleted(2)), Some(NO_DANGLING));
    }

    #[test]
    fn a_record_names_only_checkpoints_that_are_complete_and_there() {
        assert_eq!(files(&[1], &Draft::commit(1, "a").live(&[1, 3]), written(3)), Some(NO_DANGLING));
        let mut history = History::default();
        let mut oracle = Files::default();
        let events = [("jm-0", written(1)), ("jm-0", deleted(1))];
        assert_eq!(properties(&mut history, &mut oracle, &events), None);
        history.record(&mut oracle, &Draft { counter: 2, ..Draft::claim(1, "a") }).unwrap();
        let names = history.record(&mut oracle, &Draft { counter: 2, ..Draft::commit(1, "a").live(&[1]) });
        assert_eq!(names.unwrap_err().property, NO_DANGLING);
    }

    #[test]
    fn an_id_is_used_once() {
        let events = [("jm-0", written(1)), ("jm-1", written(2)), ("jm-1", written(1))];
        let verdict = properties(&mut History::default(), &mut Files::default(), &events);
        assert_eq!(verdict, Some(ID_UNIQUE));
    }

    fn saved(id: u64) -> Event {
        let (job, offsets) = (JOB.to_owned(), BTreeMap::new());
        Event::SavepointCompleted { job, id, epoch: 1, stops: false, offsets }
    }

    /// What is broken by these events when the counter gives out 4 next.
    fn with_ids_below_four(events: &[Event]) -> Option<&'static str> {
        let (mut history, mut oracle) = (History::default(), Files::default());
        history.record(&mut oracle, &Draft { counter: 4, ..Draft::claim(1, "a") }).unwrap();
        let events: Vec<_> = events.iter().map(|event| ("jm-0", event.clone())).collect();
        properties(&mut history, &mut oracle, &events)
    }

    #[test]
    fn savepoints_share_their_ids_with_checkpoints() {
        assert_eq!(with_ids_below_four(&[written(1), saved(2), written(3)]), None);
        assert_eq!(with_ids_below_four(&[written(1), saved(1)]), Some(ID_UNIQUE));
        assert_eq!(with_ids_below_four(&[saved(1), written(1)]), Some(ID_UNIQUE));
        assert_eq!(with_ids_below_four(&[saved(4)]), Some(ID_UNIQUE), "the counter did not give it out");
    }

    #[test]
    fn a_savepoint_is_the_users_to_delete() {
        assert_eq!(with_ids_below_four(&[written(1), saved(2), deleted(1)]), None);
        assert_eq!(with_ids_below_four(&[written(1), saved(2), deleted(2)]), Some(SAVEPOINT_KEPT));
    }

    #[test]
    fn the_counter_gives_an_id_out_before_a_checkpoint_has_it() {
        let verdict = |given_out: u64| {
            let (mut history, mut oracle) = (History::default(), Files::default());
            history.show(&mut oracle, "jm-0", written(3)).unwrap();
            history.record(&mut oracle, &Draft { counter: given_out, ..Draft::claim(1, "a") }).unwrap();
            let added = Draft { counter: 4, ..Draft::commit(1, "a").live(&[3]) };
            history.record(&mut oracle, &added).err().map(|broken| broken.property)
        };
        assert_eq!(verdict(4), None);
        assert_eq!(verdict(3), Some(ID_UNIQUE));
    }

    fn objects(drafts: &[Draft], deleted: &str) -> Option<&'static str> {
        let mut history = History::default();
        let mut oracle = Objects::default();
        let blob = Event::StoreCreated { key: "d/blob/blake3-1.one".to_owned(), body: "".into() };
        history.show(&mut oracle, "store", blob).unwrap();
        let mut verdict = Ok(());
        for draft in drafts {
            verdict = verdict.and_then(|()| history.record(&mut oracle, draft));
        }
        let event = Event::StoreDeleted { key: deleted.to_owned() };
        verdict.and_then(|()| history.show(&mut oracle, "store", event)).err().map(|broken| broken.property)
    }

    #[test]
    fn records_are_deleted_below_the_boundary_only() {
        let boundary = Draft { collected_before: 2, ..Draft::commit(1, "a") };
        assert_eq!(objects(&[Draft::claim(1, "a"), boundary.clone()], &key(1)), None);
        assert_eq!(objects(&[Draft::claim(1, "a"), boundary], &key(2)), Some(REFERENCED_KEPT));
        assert_eq!(objects(&[Draft::claim(1, "a"), Draft::commit(1, "a")], &key(1)), Some(REFERENCED_KEPT));
    }

    #[test]
    fn a_blob_is_deleted_when_no_kept_record_names_it() {
        let one = "d/blob/blake3-1.one";
        let names = Draft { graph: Some("one"), ..Draft::claim(1, "a") };
        let boundary = Draft { collected_before: 2, ..Draft::commit(1, "a") };
        assert_eq!(objects(&[names.clone(), boundary], one), None);
        assert_eq!(objects(&[names.clone(), Draft::commit(1, "a")], one), Some(REFERENCED_KEPT));
        assert_eq!(objects(&[names], one), Some(REFERENCED_KEPT));
        assert_eq!(objects(&[Draft::claim(1, "a")], one), None);
    }

    #[test]
    fn a_record_names_only_blobs_that_exist() {
        let names = Draft { graph: Some("two"), ..Draft::claim(1, "a") };
        assert_eq!(objects(&[names], "d/hint"), Some(NO_DANGLING));
    }
}
