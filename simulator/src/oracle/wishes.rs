//! What people asked of the product over its API: a reset that was acknowledged is what the next generation restores, the files
//! of what is pinned are let go by nobody, and what they are told of a savepoint is true.
//!
//! Judged from the records and from the files: whoever acknowledges a wish has made it durable, and it stays so until it is
//! fulfilled or somebody wished otherwise.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use super::property::{PIN_KEPT, RESET_KEPT, SAVEPOINT_TOLD};
use super::record::{Fate, Record, Snapshot};
use super::{Oracle, Seen, Verdict, must};
use crate::trace::{Event, SavepointEnd, SavepointWord, Told, Wish};

/// What people asked for, and what the records made of it.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    /// The newest record when each of them asked.
    asked_at: BTreeMap<u64, u64>,
    /// The last record that held each reset, by where it leads.
    reset_in: BTreeMap<String, u64>,
    /// Where people asked to go.
    resets_asked: BTreeSet<String>,
    /// The last record in which each snapshot was pinned, and in which one was not that somebody wanted to let go.
    pinned_in: BTreeMap<u64, u64>,
    loose_in: BTreeMap<u64, u64>,
    pins_asked: BTreeSet<u64>,
    unpins_asked: BTreeSet<u64>,
    /// Savepoints that were made for a request, by its trigger id.
    served: BTreeMap<String, u64>,
    /// How many ends of a job the records held before each of them was made.
    ends_before: BTreeMap<String, u64>,
    /// How many they have held so far.
    ends: u64,
    /// Requests of which people were told that they had failed, and that nothing was made.
    failed: BTreeSet<String>,
}

impl Wishes {
    fn appended(&mut self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        let (sequence, before) = (newest.header.sequence, log.previous());
        let is_new =
            |job: &&String| before.is_none_or(|before| !before.state.results.jobs.contains_key(*job));
        self.ends += newest.state.results.jobs.keys().filter(is_new).count() as u64;
        self.check_reset(newest, before)?;
        if let Some(reset) = &newest.state.reset {
            self.reset_in.insert(reset.external_pointer.clone(), sequence);
        }
        let pinned_before = before.map(pins).unwrap_or_default();
        for snapshot in newest.state.snapshots() {
            self.check_pin(sequence, snapshot, pinned_before.contains(&snapshot.id))?;
            if snapshot.pinned {
                self.pinned_in.insert(snapshot.id, sequence);
            } else if self.unpins_asked.contains(&snapshot.id) {
                self.loose_in.insert(snapshot.id, sequence);
            }
        }
        let lost = pinned_before.iter().find(|id| !newest.state.snapshots().any(|one| one.id == **id));
        must(lost.is_none(), PIN_KEPT, || {
            let id = lost.copied().unwrap_or_default();
            format!("record {sequence} has lost snapshot {id}, which is pinned")
        })
    }

    /// Nobody but a person sets a reset, and nothing but a plan that follows it takes it out.
    fn check_reset(&self, newest: &Record, before: Option<&Record>) -> Verdict {
        let sequence = newest.header.sequence;
        let pointer =
            |record: &Record| record.state.reset.as_ref().map(|reset| reset.external_pointer.clone());
        let (was, is) = (before.and_then(pointer), pointer(newest));
        let before_plan = before.and_then(|before| before.state.plan.as_ref());
        let plan = newest.state.plan.as_ref();
        let planned =
            plan.filter(|plan| before_plan.is_none_or(|before| before.generation != plan.generation));
        if let Some(plan) = planned {
            let leads_to = plan.snapshot.as_ref().map(|snapshot| &snapshot.external_pointer);
            let follows = plan.strategy == "reset" && leads_to == was.as_ref();
            return must(if was.is_some() { follows } else { plan.strategy != "reset" }, RESET_KEPT, || {
                let wish = was.as_deref().map_or("nobody wished for a reset".to_owned(), |was| {
                    format!("the deployment was reset to {was}")
                });
                let to = leads_to.map_or("to start empty", String::as_str);
                format!("record {sequence} plans {to} ({}), but {wish}", plan.strategy)
            });
        }
        let asked = is.as_ref().is_some_and(|is| self.resets_asked.contains(is));
        must(is == was || asked, RESET_KEPT, || {
            let shown = |reset: Option<&String>| reset.cloned().unwrap_or_else(|| "nothing".to_owned());
            format!(
                "record {sequence} makes a reset to {} of one to {}, which nobody asked for",
                shown(is.as_ref()),
                shown(was.as_ref())
            )
        })
    }

    fn check_pin(&self, sequence: u64, snapshot: &Snapshot, was_pinned: bool) -> Verdict {
        let Snapshot { id, state, pinned, .. } = snapshot;
        let asked = if *pinned { &self.pins_asked } else { &self.unpins_asked };
        must(*pinned == was_pinned || asked.contains(id), PIN_KEPT, || {
            let what = if *pinned { "pins" } else { "lets go" };
            format!("record {sequence} {what} snapshot {id}, which nobody asked for")
        })?;
        let kept = matches!(state, Fate::Active | Fate::Retained);
        must(!pinned || kept, PIN_KEPT, || {
            format!("snapshot {id} is pinned, and record {sequence} has its files deleted ({state:?})")
        })
    }

    /// What was acknowledged became durable after it was asked for, or was so then.
    fn check_done(&self, wish: u64, what: &Wish) -> Verdict {
        let asked_at = self.asked_at.get(&wish).copied().unwrap_or_default();
        let (property, held_in, name) = match what {
            Wish::Reset { pointer, .. } => {
                (RESET_KEPT, self.reset_in.get(pointer), format!("the reset to {pointer}"))
            }
            Wish::Pin { id } => (PIN_KEPT, self.pinned_in.get(id), format!("the pin of snapshot {id}")),
            Wish::Unpin { id } => (PIN_KEPT, self.loose_in.get(id), format!("the end of the pin of {id}")),
        };
        must(held_in.is_some_and(|held_in| *held_in >= asked_at), property, || {
            format!("{name} was acknowledged, and no record since {asked_at} holds it")
        })
    }

    fn check_told(&self, log: &Log, word: &SavepointWord) -> Verdict {
        let SavepointWord { trigger, stop, end, recorded, id, placed } = word;
        let served = self.served.get(trigger);
        let known = |id: u64| log.state().is_some_and(|state| state.snapshots().any(|one| one.id == id));
        match end {
            SavepointEnd::Completed => {
                // One that a person triggered at Flink itself at that time cannot be told from it.
                let of_another =
                    self.served.iter().any(|(other, made)| other != trigger && Some(*made) == *id);
                let is_it = served.is_none() || id.is_none() || id.as_ref() == served;
                must(is_it && !of_another, SAVEPOINT_TOLD, || {
                    format!(
                        "{trigger} is said to be complete as {id:?}, which is another's; Flink made {served:?} for it"
                    )
                })?;
                must(!recorded || id.is_some_and(known), SAVEPOINT_TOLD, || {
                    format!(
                        "{trigger} is said to be recorded as savepoint {id:?}, and the newest record has none"
                    )
                })?;
                let ends_before = self.ends_before.get(trigger).copied().unwrap_or_default();
                must(!stop || self.ends > ends_before, SAVEPOINT_TOLD, || {
                    format!(
                        "the job is said to be stopped with {trigger}, and no record since then holds its end"
                    )
                })
            }
            SavepointEnd::Failed => must(*placed || served.is_none(), SAVEPOINT_TOLD, || {
                format!("{trigger} is said to have failed, and savepoint {served:?} was made for it")
            }),
            SavepointEnd::Unknown => Ok(()),
        }
    }

    fn check_deleted(log: &Log, actor: &str, id: u64) -> Verdict {
        must(!log.newest().is_some_and(|newest| pins(newest).contains(&id)), PIN_KEPT, || {
            format!("{actor} deleted the files of snapshot {id}, which is pinned")
        })
    }
}

fn pins(record: &Record) -> BTreeSet<u64> {
    record.state.snapshots().filter(|snapshot| snapshot.pinned).map(|snapshot| snapshot.id).collect()
}

impl Oracle for Wishes {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match &seen.entry.event {
            Event::Wished { wish, what } => {
                let newest = seen.log.newest().map_or(0, |newest| newest.header.sequence);
                self.asked_at.insert(*wish, newest);
                match what {
                    Wish::Reset { pointer, .. } => self.resets_asked.insert(pointer.clone()),
                    Wish::Pin { id } => self.pins_asked.insert(*id),
                    Wish::Unpin { id } => {
                        let pinned = seen.log.newest().is_some_and(|newest| pins(newest).contains(id));
                        self.loose_in.extend((!pinned).then_some((*id, newest)));
                        self.unpins_asked.insert(*id)
                    }
                };
                Ok(())
            }
            Event::WishAnswered { wish, what, told: Told::Done } => self.check_done(*wish, what),
            Event::SavepointServed { trigger, id } => {
                self.served.insert(trigger.clone(), *id);
                self.ends_before.insert(trigger.clone(), self.ends);
                must(!self.failed.contains(trigger), SAVEPOINT_TOLD, || {
                    format!("{trigger} was said to have failed, and now savepoint {id} is made for it")
                })
            }
            Event::SavepointTold(word) => {
                if word.end == SavepointEnd::Failed && !word.placed {
                    self.failed.insert(word.trigger.clone());
                }
                self.check_told(seen.log, word)
            }
            Event::CheckpointFilesDeleted { id, .. } => Self::check_deleted(seen.log, &seen.entry.actor, *id),
            _ if seen.appended => self.appended(seen.log),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB};
    use super::*;

    const TO: &str = "s3://b/chk-6";

    struct Run(History, Wishes);

    impl Run {
        fn new() -> Self {
            let mut run = Self(History::default(), Wishes::default());
            run.record(&Draft::claim(1, "a")).expect("nothing is wished yet");
            run
        }

        fn record(&mut self, draft: &Draft) -> Result<(), &'static str> {
            self.0.record(&mut self.1, draft).map_err(|broken| broken.property)
        }

        fn show(&mut self, event: Event) -> Result<(), &'static str> {
            self.0.show(&mut self.1, "user", event).map_err(|broken| broken.property)
        }

        fn asks(&mut self, what: &Wish) {
            self.show(Event::Wished { wish: 1, what: what.clone() }).expect("people may ask");
        }

        fn is_told_done(&mut self, what: &Wish) -> Result<(), &'static str> {
            self.show(Event::WishAnswered { wish: 1, what: what.clone(), told: Told::Done })
        }
    }

    fn to_six() -> Wish {
        Wish::Reset { id: 6, pointer: TO.to_owned() }
    }

    fn reset(draft: Draft) -> Draft {
        Draft { reset: Some(TO), ..draft }
    }

    fn planned(strategy: &'static str, id: u64) -> Draft {
        Draft { generation: "2".to_owned(), plan: Some(Some(id)), strategy, ..Draft::commit(2, "b") }
    }

    #[test]
    fn a_reset_is_acknowledged_once_it_is_durable() {
        let mut run = Run::new();
        run.asks(&to_six());
        assert_eq!(run.is_told_done(&to_six()), Err(RESET_KEPT));
        assert_eq!(run.record(&reset(Draft::commit(1, "a"))), Ok(()));
        assert_eq!(run.is_told_done(&to_six()), Ok(()));
    }

    #[test]
    fn a_reset_that_is_durable_is_what_the_next_generation_restores() {
        for (plan, verdict) in [
            (planned("reset", 6), Ok(())),
            (planned("reset", 7), Err(RESET_KEPT)),
            (planned("latest-state", 6), Err(RESET_KEPT)),
        ] {
            let mut run = Run::new();
            run.asks(&to_six());
            run.record(&reset(Draft::commit(1, "a"))).unwrap();
            run.record(&reset(Draft { generation: "2".to_owned(), ..Draft::claim(2, "b") })).unwrap();
            assert_eq!(run.record(&plan), verdict);
        }
    }

    #[test]
    fn a_reset_is_neither_made_up_nor_lost() {
        assert_eq!(Run::new().record(&reset(Draft::commit(1, "a"))), Err(RESET_KEPT));
        let mut run = Run::new();
        run.asks(&to_six());
        run.record(&reset(Draft::commit(1, "a"))).unwrap();
        assert_eq!(run.record(&Draft::commit(1, "a")), Err(RESET_KEPT));
        let mut run = Run::new();
        run.record(&Draft { generation: "2".to_owned(), ..Draft::claim(2, "b") }).unwrap();
        assert_eq!(run.record(&planned("reset", 6)), Err(RESET_KEPT));
    }

    fn six(state: &'static str) -> Draft {
        Draft { history: vec![(6, state, 1)], ..Draft::commit(1, "a") }
    }

    fn pinned(draft: Draft) -> Draft {
        Draft { pinned: vec![6], ..draft }
    }

    #[test]
    fn a_pinned_snapshot_stays_until_somebody_lets_it_go() {
        let pin = Wish::Pin { id: 6 };
        let deleted = || Event::CheckpointFilesDeleted { job: JOB.to_owned(), id: 6 };
        let with_a_pin = || {
            let mut run = Run::new();
            run.asks(&pin);
            run.record(&pinned(six("retained"))).unwrap();
            assert_eq!(run.is_told_done(&pin), Ok(()));
            run
        };
        assert_eq!(with_a_pin().show(deleted()), Err(PIN_KEPT));
        assert_eq!(with_a_pin().record(&six("retained")), Err(PIN_KEPT));
        assert_eq!(with_a_pin().record(&pinned(six("discarded"))), Err(PIN_KEPT));
        assert_eq!(with_a_pin().record(&Draft::commit(1, "a")), Err(PIN_KEPT), "forgotten");
        let mut run = with_a_pin();
        run.asks(&Wish::Unpin { id: 6 });
        assert_eq!(run.record(&six("retained")), Ok(()));
        assert_eq!(run.show(deleted()), Ok(()));
        assert_eq!(Run::new().record(&pinned(six("retained"))), Err(PIN_KEPT), "nobody asked");
    }

    #[test]
    fn what_is_said_of_a_savepoint_is_true() {
        let told = |end, recorded, id| {
            let trigger = "t".to_owned();
            Event::SavepointTold(SavepointWord { trigger, stop: false, end, recorded, id, placed: false })
        };
        let served = || Event::SavepointServed { trigger: "t".to_owned(), id: 6 };
        let verdict = |events: Vec<Event>| {
            let mut run = Run::new();
            run.record(&six("retained")).unwrap();
            events.into_iter().try_for_each(|event| run.show(event))
        };
        use SavepointEnd::{Completed, Failed, Unknown};
        assert_eq!(verdict(vec![served(), told(Completed, true, Some(6))]), Ok(()));
        let anothers = || Event::SavepointServed { trigger: "u".to_owned(), id: 6 };
        assert_eq!(verdict(vec![anothers(), told(Completed, true, Some(6))]), Err(SAVEPOINT_TOLD));
        assert_eq!(verdict(vec![told(Completed, true, Some(6))]), Ok(()), "triggered at Flink itself");
        assert_eq!(verdict(vec![served(), told(Failed, false, None)]), Err(SAVEPOINT_TOLD));
        assert_eq!(verdict(vec![told(Failed, false, None), served()]), Err(SAVEPOINT_TOLD));
        assert_eq!(verdict(vec![served(), told(Unknown, false, None)]), Ok(()));
        let mut run = Run::new();
        run.show(served()).unwrap();
        assert_eq!(run.show(told(Completed, true, Some(6))), Err(SAVEPOINT_TOLD), "not in the ledger");
    }

    #[test]
    fn a_job_that_is_said_to_be_stopped_has_ended_after_its_savepoint_was_made() {
        let told = |end| {
            let word = SavepointWord {
                trigger: "t".to_owned(),
                stop: true,
                end,
                recorded: true,
                id: Some(6),
                placed: true,
            };
            Event::SavepointTold(word)
        };
        let served = || Event::SavepointServed { trigger: "t".to_owned(), id: 6 };
        let ended = || Draft { result: Some("FINISHED"), ..six("retained") };
        let mut run = Run::new();
        run.record(&six("retained")).unwrap();
        run.show(served()).unwrap();
        assert_eq!(run.show(told(SavepointEnd::Completed)), Err(SAVEPOINT_TOLD), "it may be run again");
        assert_eq!(run.show(told(SavepointEnd::Unknown)), Ok(()));
        run.record(&ended()).unwrap();
        assert_eq!(run.show(told(SavepointEnd::Completed)), Ok(()));
        let mut run = Run::new();
        run.record(&ended()).unwrap();
        run.show(served()).unwrap();
        assert_eq!(run.show(told(SavepointEnd::Completed)), Err(SAVEPOINT_TOLD), "that was another end");
    }
}
