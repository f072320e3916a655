//! Where jobs are restored from: the newest acknowledged checkpoint, never an older one, never nothing, and not at all once
//! the job has ended.

use std::collections::BTreeMap;

use super::log::Log;
use super::property::{ENDED_STAYS_ENDED, NEVER_BACK};
use super::record::{Fate, Record};
use super::{Oracle, Seen, Verdict, must};
use crate::trace::{AddAnswer, Event};

/// What each process restored, and what it knows to be newer.
#[derive(Debug, Default)]
pub(super) struct Restores {
    /// Acknowledged checkpoints by job, and the epoch under which each was.
    acknowledged: BTreeMap<String, BTreeMap<u64, u64>>,
    /// By actor and job, of its present process.
    processes: BTreeMap<(String, String), Process>,
}

/// One job in one JobManager process.
#[derive(Debug, Clone, Copy)]
struct Process {
    epoch: u64,
    /// The newest checkpoint that it restored or was acknowledged.
    newest: Option<u64>,
}

impl Restores {
    /// P1, for a new leader: exactly what the log shows under its epoch.
    fn check_failover(&self, last: &Record, job: &str, epoch: u64, from: Option<u64>) -> Verdict {
        let newest = last.state.newest_live(job);
        must(from == newest, NEVER_BACK, || {
            let sequence = last.header.sequence;
            format!("epoch {epoch} restores {}, but record {sequence} shows {}", shown(from), shown(newest))
        })?;
        // And by what was promised, whatever the log makes of it: nothing is older than the newest acknowledged checkpoint,
        // unless its files went when its job ended, or a plan that a rollout took went back behind it.
        let known = last.state.jobs.get(job);
        let is_discarded = |id: u64| {
            let mut snapshots = known.into_iter().flat_map(|known| known.snapshots());
            snapshots.any(|snapshot| snapshot.id == id && snapshot.state == Fate::Discarded)
        };
        let is_given_up = |id: &u64| is_discarded(*id) || last.state.leaves_behind(*id);
        let acknowledged = self.acknowledged.get(job).into_iter().flatten();
        let newest = acknowledged.filter(|(_, added_under)| **added_under <= epoch).map(|(id, _)| *id).max();
        let promised = newest.filter(|id| !is_given_up(id));
        must(from >= promised, NEVER_BACK, || {
            format!("epoch {epoch} restores {}, but {} was acknowledged", shown(from), shown(promised))
        })
    }

    /// The same for tasks that restart within their JobManager.
    fn check_restart(&self, log: &Log, actor: &str, job: &str, from: Option<u64>) -> Verdict {
        let Some(process) = self.processes.get(&(actor.to_owned(), job.to_owned())) else { return Ok(()) };
        let live = log.last_of(process.epoch).and_then(|last| last.state.newest_live(job));
        // It may be newer than what this process knows of only if the log holds it.
        must(from >= process.newest && (from == process.newest || from <= live), NEVER_BACK, || {
            let newest = shown(process.newest);
            format!("{actor} restarts the tasks from {}, but its newest is {newest}", shown(from))
        })
    }

    /// P5: in the generation in which its result is durable, a job is not started again. What an older epoch does, whose
    /// leader does not know yet, is its own affair.
    fn check_not_ended(&self, last: Option<&Record>, actor: &str, job: &str, what: &str) -> Verdict {
        let result = last.and_then(|last| last.state.results.jobs.get(job));
        must(result.is_none(), ENDED_STAYS_ENDED, || {
            let status = result.map_or("", |result| result.status.as_str());
            let sequence = last.map_or(0, |last| last.header.sequence);
            format!("{actor} {what} job {job}, which ended as {status} by record {sequence}")
        })
    }
}

impl Oracle for Restores {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        let actor = &seen.entry.actor;
        match &seen.entry.event {
            Event::AddAnswered { job, id, epoch, answer: AddAnswer::Recorded } => {
                self.acknowledged.entry(job.clone()).or_default().insert(*id, *epoch);
                if let Some(process) = self.processes.get_mut(&(actor.clone(), job.clone())) {
                    process.newest = process.newest.max(Some(*id));
                }
                Ok(())
            }
            Event::JobRestored { job, epoch, from, failover } => {
                let last = seen.log.last_of(*epoch);
                self.check_not_ended(last, actor, job, "restores")?;
                if !failover {
                    return self.check_restart(seen.log, actor, job, *from);
                }
                if let Some(last) = last {
                    self.check_failover(last, job, *epoch, *from)?;
                }
                let process = Process { epoch: *epoch, newest: *from };
                self.processes.insert((actor.clone(), job.clone()), process);
                Ok(())
            }
            Event::JobRunning { job } => {
                let process = self.processes.get(&(actor.clone(), job.clone()));
                let last = process.and_then(|process| seen.log.last_of(process.epoch));
                self.check_not_ended(last, actor, job, "runs")
            }
            Event::ProcessStarted { .. } => {
                self.processes.retain(|(of, _), _| of != actor);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn shown(checkpoint: Option<u64>) -> String {
    checkpoint.map_or("nothing".to_owned(), |id| format!("checkpoint {id}"))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, properties};
    use super::*;

    fn restored(epoch: u64, from: Option<u64>) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch, from, failover: true }
    }

    fn restarted(epoch: u64, from: Option<u64>) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch, from, failover: false }
    }

    fn recorded(id: u64, epoch: u64) -> Event {
        Event::AddAnswered { job: JOB.to_owned(), id, epoch, answer: AddAnswer::Recorded }
    }

    fn running() -> Event {
        Event::JobRunning { job: JOB.to_owned() }
    }

    fn verdict(drafts: &[Draft], events: &[Event]) -> Option<&'static str> {
        let mut history = History::default();
        drafts.iter().for_each(|draft| assert_eq!(history.append(draft), Ok(true)));
        let events: Vec<_> = events.iter().map(|event| ("jm-0", event.clone())).collect();
        properties(&mut history, &mut Restores::default(), &events)
    }

    #[test]
    fn a_new_leader_restores_the_newest_that_the_log_shows_under_its_epoch() {
        let drafts =
            [Draft::claim(1, "a"), Draft::commit(1, "a").live(&[6, 7]), Draft::claim(2, "b").live(&[6, 7])];
        assert_eq!(verdict(&drafts, &[restored(2, Some(7))]), None);
        for from in [None, Some(6), Some(8)] {
            assert_eq!(verdict(&drafts, &[restored(2, from)]), Some(NEVER_BACK));
        }
        assert_eq!(verdict(&[Draft::claim(1, "a")], &[restored(1, None)]), None);
    }

    #[test]
    fn a_leader_that_was_deposed_meanwhile_restores_what_was_the_newest_for_it() {
        let drafts = [
            Draft::claim(1, "a").live(&[3]),
            Draft::claim(2, "b").live(&[3]),
            Draft::commit(2, "b").live(&[3, 4]),
        ];
        assert_eq!(verdict(&drafts, &[restored(1, Some(3))]), None);
    }

    #[test]
    fn what_was_acknowledged_is_restored_even_if_the_log_has_lost_it() {
        let drafts = [Draft::claim(1, "a").live(&[6])];
        assert_eq!(verdict(&drafts, &[recorded(7, 1), restored(1, Some(6))]), Some(NEVER_BACK));
        assert_eq!(verdict(&[Draft::claim(1, "a")], &[recorded(7, 1), restored(1, None)]), Some(NEVER_BACK));
        let gone = |fate| Draft { history: vec![(6, "subsumed", 1), (7, fate, 1)], ..Draft::claim(1, "a") };
        let events = [recorded(6, 1), recorded(7, 1), restored(1, None)];
        assert_eq!(verdict(&[gone("discarded")], &events), None);
        assert_eq!(verdict(&[gone("subsumed")], &events), Some(NEVER_BACK));
    }

    #[test]
    fn tasks_restart_from_the_newest_that_their_job_manager_knows() {
        let drafts = [Draft::claim(1, "a").live(&[6]), Draft::commit(1, "a").live(&[6, 7])];
        let restart = |from| {
            let events = [restored(1, Some(7)), recorded(7, 1), restarted(1, from)];
            verdict(&drafts, &events)
        };
        assert_eq!(restart(Some(7)), None);
        assert_eq!(restart(Some(6)), Some(NEVER_BACK));
        assert_eq!(restart(None), Some(NEVER_BACK));
        assert_eq!(restart(Some(8)), Some(NEVER_BACK));
    }

    #[test]
    fn an_ended_job_is_not_started_again_in_its_generation() {
        let ended = [
            Draft::claim(1, "a"),
            Draft { result: Some("FAILED"), ..Draft::commit(1, "a") },
            Draft { result: Some("FAILED"), ..Draft::claim(2, "b") },
        ];
        for events in [vec![restored(2, None)], vec![restored(1, None)]] {
            assert_eq!(verdict(&ended, &events), Some(ENDED_STAYS_ENDED));
        }
        let upgraded = Draft { generation: "2".to_owned(), ..Draft::claim(3, "c") };
        let next = [ended[0].clone(), ended[1].clone(), upgraded];
        assert_eq!(verdict(&next, &[restored(3, None), running()]), None);
    }

    #[test]
    fn an_ended_job_does_not_run_but_a_deposed_leader_s_may() {
        let mut history = History::default();
        let mut oracle = Restores::default();
        history.append(&Draft::claim(1, "a")).unwrap();
        history.show(&mut oracle, "jm-0", restored(1, None)).unwrap();
        history.append(&Draft::claim(2, "b")).unwrap();
        history.show(&mut oracle, "jm-1", restored(2, None)).unwrap();
        history.append(&Draft { result: Some("FAILED"), ..Draft::commit(2, "b") }).unwrap();
        assert_eq!(history.show(&mut oracle, "jm-0", running()), Ok(()));
        assert_eq!(history.show(&mut oracle, "jm-1", running()).unwrap_err().property, ENDED_STAYS_ENDED);
    }
}
