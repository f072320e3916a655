//! What the sinks committed: a prefix of each partition's records, nothing missing and nothing twice.
//!
//! One repetition is Flink's own, whatever its high availability does: a savepoint with which a job ends is committed, but not
//! recorded anywhere that a new JobManager looks. When the JobManager dies between that and the job's result, the next one
//! goes on from the newest checkpoint and commits the same records again (Flink closed this hole for failures that the
//! JobManager survives: FLINK-26783, FLINK-26923). Just these records may come twice, and only when that happened.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use super::property::EXACTLY_ONCE;
use super::{Oracle, Seen, Verdict, must};
use crate::plan::Job;
use crate::trace::{Event, Wish};

/// The committed output of every job, by partition.
#[derive(Debug)]
pub(super) struct Output {
    parallelism: u32,
    records: Option<u64>,
    jobs: BTreeMap<String, Committed>,
    /// Snapshots from which a person wished to start, whatever is newer.
    wished: BTreeSet<u64>,
    /// Every snapshot that was completed, and those behind which the job was restored. There is one job.
    snapshots: BTreeSet<u64>,
    left_behind: BTreeSet<u64>,
}

/// What one job committed since its lineage began.
#[derive(Debug, Default)]
struct Committed {
    /// The generation that started the job last.
    generation: Option<String>,
    /// Where the next range of each partition begins.
    next: BTreeMap<u32, u64>,
    /// Savepoints with which it was to end, by their ids.
    stops: BTreeMap<u64, Stop>,
    /// What was committed before the lineage began.
    earlier: Option<Box<Earlier>>,
}

/// A lineage that nobody goes on with. A TaskManager that stood still may commit a checkpoint of it late.
#[derive(Debug)]
struct Earlier {
    /// The newest snapshot that was completed in it; the ids of later lineages are higher.
    newest: u64,
    committed: Committed,
}

/// A savepoint with which the job was to end.
#[derive(Debug)]
struct Stop {
    epoch: u64,
    /// Where the job is to go on when it is started from it.
    offsets: BTreeMap<u32, u64>,
    /// What was committed for it: partition, from and to.
    committed: Vec<(u32, u64, u64)>,
    /// The job was started again since, from an older checkpoint.
    undone: bool,
}

/// A range of records that a sink commits.
#[derive(Debug, Clone, Copy)]
struct Range {
    partition: u32,
    from: u64,
    to: u64,
    checkpoint: u64,
}

impl Output {
    pub(super) fn of(job: &Job) -> Self {
        Self {
            parallelism: job.parallelism,
            records: job.records,
            jobs: BTreeMap::new(),
            wished: BTreeSet::new(),
            snapshots: BTreeSet::new(),
            left_behind: BTreeSet::new(),
        }
    }

    /// A JobManager started the job. A rollout that starts with nothing, because the one before it ended and kept nothing or
    /// because somebody wants it so, is a new lineage: it processes its input from the beginning. Whether it was right to start
    /// with nothing is another oracle's question.
    fn started(&mut self, log: &Log, job: &str, epoch: u64, from: Option<u64>) {
        let generation = log.last_of(epoch).and_then(|last| last.state.generation.clone());
        let committed = self.jobs.entry(job.to_owned()).or_default();
        let begins =
            from.is_none() && committed.generation.as_ref().is_some_and(|it| Some(it) != generation.as_ref());
        if begins {
            let newest = self.snapshots.last().copied().unwrap_or_default();
            let earlier = Earlier { newest, committed: std::mem::take(committed) };
            committed.earlier = Some(Box::new(earlier));
        }
        committed.generation = generation;
    }

    /// Stops that are newer than what is restored were undone.
    fn restored(&mut self, job: &str, from: Option<u64>) {
        let behind = |id: &u64| from.is_none_or(|from| *id > from);
        let stops = self.jobs.get_mut(job).into_iter().flat_map(|committed| &mut committed.stops);
        stops.filter(|(id, _)| behind(id)).for_each(|(_, stop)| stop.undone = true);
        self.left_behind.extend(self.snapshots.iter().copied().filter(behind));
    }

    /// A rollout goes on from a snapshot: what came after it is processed again, which was the user's wish or is another
    /// oracle's business. So it is with what the job went back behind before, if somebody wished to start from that: its sinks
    /// have aborted what they had prepared for it, or committed it long ago.
    fn started_from(&mut self, job: &str, id: u64, offsets: &BTreeMap<u32, u64>) {
        let committed = self.jobs.entry(job.to_owned()).or_default();
        committed.stops.retain(|stop, _| *stop > id);
        let another_branch = self.wished.contains(&id) && self.left_behind.contains(&id);
        for (partition, offset) in offsets {
            let next = committed.next.entry(*partition).or_default();
            *next = if another_branch { *offset } else { (*next).min(*offset) };
        }
    }

    fn commit(&mut self, log: &Log, job: &str, range: Range) -> Verdict {
        let Range { partition, from, to, checkpoint } = range;
        let committed = self.jobs.entry(job.to_owned()).or_default().of_checkpoint(checkpoint);
        committed.note_deposed(log.epoch());
        let expected = committed.next.get(&partition).copied().unwrap_or_default();
        must(from <= to, EXACTLY_ONCE, || format!("records {from} to {to} of partition {partition}"))?;
        must(from >= expected || committed.may_repeat(range, expected), EXACTLY_ONCE, || {
            let twice = to.min(expected);
            format!("records {from} to {twice} of partition {partition} were committed twice")
        })?;
        must(from <= expected, EXACTLY_ONCE, || {
            format!("records {expected} to {from} of partition {partition} are missing")
        })?;
        committed.next.insert(partition, to.max(expected));
        if let Some(stop) = committed.stops.get_mut(&checkpoint) {
            stop.committed(partition, from, to);
        }
        Ok(())
    }
}

impl Committed {
    /// The lineage that a checkpoint is of.
    fn of_checkpoint(&mut self, checkpoint: u64) -> &mut Self {
        if self.earlier.as_ref().is_none_or(|earlier| checkpoint > earlier.newest) {
            return self;
        }
        let earlier = self.earlier.as_mut().expect("the checkpoint is of an earlier lineage");
        earlier.committed.of_checkpoint(checkpoint)
    }

    /// Nothing fences a savepoint: a JobManager that was deposed may complete one while another runs the job.
    fn note_deposed(&mut self, epoch: u64) {
        self.stops.values_mut().filter(|stop| stop.epoch < epoch).for_each(|stop| stop.undone = true);
    }

    /// Whether what this range repeats was committed for a savepoint with which the job was to end and did not, or is.
    fn may_repeat(&self, range: Range, expected: u64) -> bool {
        let twice_to = range.to.min(expected);
        let holds = |&(partition, from, to): &(u32, u64, u64)| {
            partition == range.partition && from <= range.from && twice_to <= to
        };
        let undone = |stop: &&Stop| stop.undone;
        let own = self.stops.get(&range.checkpoint).filter(undone).is_some();
        own || self.stops.values().filter(undone).any(|stop| stop.committed.iter().any(holds))
    }

    /// The savepoint with which the job ended, if it did.
    fn ended_with(&self) -> Option<&Stop> {
        self.stops.values().next_back().filter(|stop| !stop.undone)
    }

    /// A job that was stopped with a savepoint has committed what is in it and nothing else.
    fn check_stopped(&self, stop: &Stop) -> Verdict {
        let may_be_more = self.stops.values().any(|stop| stop.undone);
        for (partition, offset) in &stop.offsets {
            let next = self.next.get(partition).copied().unwrap_or_default();
            must(next == *offset || (may_be_more && next > *offset), EXACTLY_ONCE, || {
                format!(
                    "the job was stopped with a savepoint at record {offset} of partition {partition}, and records up \
                     to {next} are committed"
                )
            })?;
        }
        Ok(())
    }
}

impl Stop {
    /// A sink may have several transactions that follow one another: from checkpoints that were given up for this savepoint.
    fn committed(&mut self, partition: u32, from: u64, to: u64) {
        match self.committed.iter_mut().find(|(of, _, end)| *of == partition && *end == from) {
            Some((_, _, end)) => *end = to,
            None => self.committed.push((partition, from, to)),
        }
    }
}

impl Oracle for Output {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        if let Event::CheckpointWritten { id, .. } | Event::SavepointCompleted { id, .. } = &seen.entry.event
        {
            self.snapshots.insert(*id);
        }
        match &seen.entry.event {
            Event::Wished { what: Wish::Reset { id, .. }, .. } | Event::RolledOut { named: Some(id), .. } => {
                self.wished.insert(*id);
                Ok(())
            }
            Event::JobRestored { job, epoch, from, failover } => {
                self.restored(job, *from);
                if *failover {
                    self.started(seen.log, job, *epoch, *from);
                }
                Ok(())
            }
            Event::StartedFrom { job, id, offsets, .. } => {
                self.started_from(job, *id, offsets);
                Ok(())
            }
            Event::SavepointCompleted { job, id, epoch, stops: true, offsets } => {
                let (offsets, undone) = (offsets.clone(), *epoch < seen.log.epoch());
                let stop = Stop { epoch: *epoch, offsets, committed: Vec::new(), undone };
                self.jobs.entry(job.clone()).or_default().stops.insert(*id, stop);
                Ok(())
            }
            &Event::SinkCommitted { ref job, partition, from, to, checkpoint } => {
                self.commit(seen.log, job, Range { partition, from, to, checkpoint })
            }
            _ => Ok(()),
        }
    }

    /// A job that finished has committed everything: all of its input, or all of the savepoint that it was stopped with.
    fn finish(&mut self, log: &Log, _now_ms: u64) -> Verdict {
        let Some(state) = log.state() else { return Ok(()) };
        let finished = state.results.jobs.iter().filter(|(_, result)| result.status == "FINISHED");
        for (job, _) in finished {
            let committed = self.jobs.get(job);
            if let Some((committed, stop)) = committed.and_then(|all| Some((all, all.ended_with()?))) {
                committed.check_stopped(stop)?;
                continue;
            }
            let Some(records) = self.records else { continue };
            for partition in 0..self.parallelism {
                let next = committed.and_then(|committed| committed.next.get(&partition)).copied();
                must(next == Some(records), EXACTLY_ONCE, || {
                    let next = next.unwrap_or_default();
                    format!(
                        "the job finished, and records {next} to {records} of partition {partition} are missing"
                    )
                })?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, properties};
    use super::*;

    fn output(records: Option<u64>) -> Output {
        Output::of(&Job { parallelism: 1, records, ..Job::default() })
    }

    fn committed(from: u64, to: u64) -> Event {
        Event::SinkCommitted { job: JOB.to_owned(), partition: 0, from, to, checkpoint: 1 }
    }

    fn started_empty(epoch: u64) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch, from: None, failover: true }
    }

    fn verdict(events: &[Event]) -> Option<&'static str> {
        let events: Vec<_> = events.iter().map(|event| ("tm-0", event.clone())).collect();
        properties(&mut History::default(), &mut output(None), &events)
    }

    #[test]
    fn ranges_follow_one_another() {
        assert_eq!(verdict(&[committed(0, 5), committed(5, 5), committed(5, 9)]), None);
    }

    #[test]
    fn a_gap_and_a_repetition_are_told_apart() {
        let what = |events: &[Event]| {
            let (mut history, mut output) = (History::default(), output(None));
            let verdicts = events.iter().map(|event| history.show(&mut output, "tm-0", event.clone()));
            verdicts.collect::<Vec<_>>().into_iter().find_map(Result::err).map(|broken| broken.what)
        };
        assert!(
            what(&[committed(0, 5), committed(6, 9)]).unwrap().contains("5 to 6 of partition 0 are missing")
        );
        assert!(
            what(&[committed(0, 5), committed(3, 9)])
                .unwrap()
                .contains("3 to 5 of partition 0 were committed twice")
        );
        assert!(what(&[committed(0, 5), committed(0, 5)]).unwrap().contains("0 to 5"));
        assert!(what(&[committed(1, 5)]).unwrap().contains("0 to 1"));
    }

    #[test]
    fn only_a_new_rollout_may_begin_again() {
        let mut history = History::default();
        let mut output = output(None);
        history.append(&Draft::claim(1, "a")).unwrap();
        let before = [started_empty(1), committed(0, 5), started_empty(1)].map(|event| ("jm-0", event));
        assert_eq!(properties(&mut history, &mut output, &before), None);
        assert!(history.show(&mut output, "tm-0", committed(0, 5)).is_err());
        history.append(&Draft { generation: "2".to_owned(), ..Draft::claim(2, "b") }).unwrap();
        let next = [("jm-1", started_empty(2)), ("tm-0", committed(0, 5))];
        assert_eq!(properties(&mut history, &mut output, &next), None);
    }

    #[test]
    fn a_task_manager_may_commit_what_was_complete_before_the_job_began_again() {
        let late = |events: &[Event]| {
            let (mut history, mut output) = (History::default(), output(None));
            history.append(&Draft::claim(1, "a")).unwrap();
            let written = |id| Event::CheckpointWritten { job: JOB.to_owned(), id };
            let before =
                [started_empty(1), written(1), committed(0, 5), written(2)].map(|event| ("jm-0", event));
            assert_eq!(properties(&mut history, &mut output, &before), None);
            history.append(&Draft { generation: "2".to_owned(), ..Draft::claim(2, "b") }).unwrap();
            let events: Vec<_> = events.iter().map(|event| ("tm-0", event.clone())).collect();
            properties(&mut history, &mut output, &events)
        };
        let (begins, of_the_one_before, of_this_one) =
            (started_empty(2), committed_for(2, 5, 9), committed_for(3, 0, 7));
        let in_order = [&begins, &of_the_one_before, &of_this_one].map(Clone::clone);
        assert_eq!(late(&in_order), None);
        assert_eq!(late(&[&of_the_one_before, &begins, &of_this_one].map(Clone::clone)), None);
        assert_eq!(late(&[&begins, &of_this_one, &of_the_one_before].map(Clone::clone)), None);
        for twice in [&of_the_one_before, &of_this_one] {
            assert_eq!(late(&[&in_order[..], std::slice::from_ref(twice)].concat()), Some(EXACTLY_ONCE));
        }
        assert_eq!(late(&[begins, committed_for(3, 5, 9)]), Some(EXACTLY_ONCE), "it is no late commit");
    }

    #[test]
    fn what_the_job_went_back_behind_is_a_start_only_for_whoever_wished_so() {
        let written = |id| Event::CheckpointWritten { job: JOB.to_owned(), id };
        let from = |id, offset| {
            let (job, offsets) = (JOB.to_owned(), BTreeMap::from([(0, offset)]));
            Event::StartedFrom { job, epoch: 2, id, claimed: false, offsets }
        };
        let wish = Event::Wished { wish: 1, what: Wish::Reset { id: 2, pointer: "s3://b/chk-2".to_owned() } };
        let back_and_forth = |wishes: &[Event]| {
            let there = [written(1), written(2), committed(0, 9)];
            let back = [from(1, 3), restored(2)];
            let forth = [from(2, 9), committed(9, 12)];
            verdict(&[&there[..], wishes, &back, &forth].concat())
        };
        assert_eq!(back_and_forth(&[wish]), None);
        assert_eq!(back_and_forth(&[]), Some(EXACTLY_ONCE));
    }

    #[test]
    fn a_job_that_finished_has_committed_all() {
        let finished_after = |to| {
            let (mut history, mut output) = (History::default(), output(Some(9)));
            history.append(&Draft::claim(1, "a")).unwrap();
            history.show(&mut output, "tm-0", committed(0, to)).unwrap();
            history.append(&Draft { result: Some("FINISHED"), ..Draft::commit(1, "a") }).unwrap();
            output.finish(&history.log, 0).is_ok()
        };
        assert!(finished_after(9));
        assert!(!finished_after(8));
    }
    fn committed_for(checkpoint: u64, from: u64, to: u64) -> Event {
        Event::SinkCommitted { job: JOB.to_owned(), partition: 0, from, to, checkpoint }
    }

    /// Savepoint 2, taken under epoch 1 at this record of partition 0.
    fn saved(stops: bool, offset: u64) -> Event {
        let (job, offsets) = (JOB.to_owned(), BTreeMap::from([(0, offset)]));
        Event::SavepointCompleted { job, id: 2, epoch: 1, stops, offsets }
    }

    fn restored(epoch: u64) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch, from: Some(1), failover: true }
    }

    #[test]
    fn what_was_committed_for_a_stop_that_a_crash_undid_may_come_twice_and_nothing_else() {
        let stopped = |then: &[Event]| {
            let events = [&[committed(0, 5), saved(true, 9), committed_for(2, 5, 9)], then].concat();
            verdict(&events)
        };
        assert_eq!(stopped(&[restored(1), committed(5, 7), committed(7, 12), committed(12, 13)]), None);
        let in_two = [committed_for(2, 5, 7), committed_for(2, 7, 9), restored(1), committed(5, 12)];
        assert_eq!(verdict(&[&[committed(0, 5), saved(true, 9)], &in_two[..]].concat()), None);
        assert_eq!(stopped(&[committed(5, 7)]), Some(EXACTLY_ONCE), "nothing undid it");
        assert_eq!(stopped(&[restored(1), committed(4, 7)]), Some(EXACTLY_ONCE), "4 was in a checkpoint");
        assert_eq!(stopped(&[restored(1), committed(10, 12)]), Some(EXACTLY_ONCE), "9 is missing");
        let ordinary = [committed(0, 5), saved(false, 9), restored(1), committed(5, 9), committed(5, 9)];
        assert_eq!(verdict(&ordinary), Some(EXACTLY_ONCE));
    }

    #[test]
    fn a_deposed_job_manager_may_commit_its_stop_late() {
        let late = |deposed: bool| {
            let (mut history, mut output) = (History::default(), output(None));
            history.append(&Draft::claim(1, "a")).unwrap();
            if deposed {
                history.append(&Draft::claim(2, "b")).unwrap();
            }
            let events = [saved(true, 9), committed(0, 12), committed_for(2, 5, 9)];
            let events: Vec<_> = events.iter().map(|event| ("tm-0", event.clone())).collect();
            properties(&mut history, &mut output, &events)
        };
        assert_eq!(late(true), None);
        assert_eq!(late(false), Some(EXACTLY_ONCE));
    }

    #[test]
    fn a_job_that_was_stopped_has_committed_its_savepoint_and_no_more() {
        let finished_after = |events: &[Event]| {
            let (mut history, mut output) = (History::default(), output(Some(99)));
            history.append(&Draft::claim(1, "a")).unwrap();
            events.iter().for_each(|event| history.show(&mut output, "tm-0", event.clone()).unwrap());
            history.append(&Draft { result: Some("FINISHED"), ..Draft::commit(1, "a") }).unwrap();
            output.finish(&history.log, 0).is_ok()
        };
        assert!(finished_after(&[committed(0, 5), saved(true, 9), committed_for(2, 5, 9)]));
        assert!(!finished_after(&[committed(0, 5), saved(true, 9)]), "its last transaction is missing");
        assert!(!finished_after(&[committed(0, 5), saved(true, 4)]), "5 is in no savepoint");
        let undone = [committed(0, 5), saved(true, 9), committed_for(2, 5, 9), restored(1)];
        assert!(!finished_after(&undone), "it went on, and its input goes to 99");
    }
}
