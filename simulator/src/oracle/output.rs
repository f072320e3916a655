//! What the sinks committed: a prefix of each partition's records, nothing missing and nothing twice.

use std::collections::BTreeMap;

use super::log::Log;
use super::property::EXACTLY_ONCE;
use super::{Oracle, Seen, Verdict, must};
use crate::plan::Job;
use crate::trace::Event;

/// The committed output of every job, by partition.
#[derive(Debug)]
pub(super) struct Output {
    parallelism: u32,
    records: Option<u64>,
    jobs: BTreeMap<String, Committed>,
}

/// What one job committed since its lineage began.
#[derive(Debug, Default)]
struct Committed {
    /// The generation that committed last.
    generation: Option<String>,
    /// Where the next range of each partition begins.
    next: BTreeMap<u32, u64>,
}

impl Output {
    pub(super) fn of(job: &Job) -> Self {
        Self { parallelism: job.parallelism, records: job.records, jobs: BTreeMap::new() }
    }

    /// A rollout that starts with nothing, because the one before it ended and kept nothing, is a new lineage: it processes
    /// its input from the beginning. Whether it was right to start with nothing is another oracle's question.
    fn begin(&mut self, log: &Log, job: &str, epoch: u64) {
        let generation = log.last_of(epoch).and_then(|last| last.state.generation.clone());
        if self.jobs.get(job).is_some_and(|committed| committed.generation != generation) {
            self.jobs.remove(job);
        }
    }

    fn commit(&mut self, log: &Log, job: &str, partition: u32, from: u64, to: u64) -> Verdict {
        let committed = self.jobs.entry(job.to_owned()).or_default();
        committed.generation = log.state().and_then(|state| state.generation.clone());
        let next = committed.next.entry(partition).or_default();
        let expected = *next;
        must(from <= to, EXACTLY_ONCE, || format!("records {from} to {to} of partition {partition}"))?;
        must(from >= expected, EXACTLY_ONCE, || {
            let twice = to.min(expected);
            format!("records {from} to {twice} of partition {partition} were committed twice")
        })?;
        must(from == expected, EXACTLY_ONCE, || {
            format!("records {expected} to {from} of partition {partition} are missing")
        })?;
        *next = to;
        Ok(())
    }
}

impl Oracle for Output {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match &seen.entry.event {
            Event::JobRestored { job, epoch, from: None, failover: true } => {
                self.begin(seen.log, job, *epoch);
                Ok(())
            }
            Event::SinkCommitted { job, partition, from, to, .. } => {
                self.commit(seen.log, job, *partition, *from, *to)
            }
            _ => Ok(()),
        }
    }

    /// A job that finished has committed everything.
    fn finish(&mut self, log: &Log, _now_ms: u64) -> Verdict {
        let (Some(state), Some(records)) = (log.state(), self.records) else { return Ok(()) };
        let finished = state.results.jobs.iter().filter(|(_, result)| result.status == "FINISHED");
        for (job, _) in finished {
            for partition in 0..self.parallelism {
                let next = self.jobs.get(job).and_then(|committed| committed.next.get(&partition)).copied();
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
        let before = [("tm-0", committed(0, 5)), ("jm-0", started_empty(1))];
        assert_eq!(properties(&mut history, &mut output, &before), None);
        assert!(history.show(&mut output, "tm-0", committed(0, 5)).is_err());
        history.append(&Draft { generation: "2".to_owned(), ..Draft::claim(2, "b") }).unwrap();
        let next = [("jm-1", started_empty(2)), ("tm-0", committed(0, 5))];
        assert_eq!(properties(&mut history, &mut output, &next), None);
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
}
