//! Who was granted which epoch: each one belongs to one process, once, and only after its claim is durable.

use std::collections::BTreeMap;

use super::property::EPOCH_UNIQUE;
use super::{Oracle, Seen, Verdict, must};
use crate::trace::Event;

/// Grants, as JobManagers heard them.
#[derive(Debug, Default)]
pub(super) struct Epochs {
    /// How often each actor was started: its process is known by that.
    starts: BTreeMap<String, u64>,
    /// The process that was granted each epoch.
    owners: BTreeMap<u64, (String, u64)>,
}

impl Oracle for Epochs {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        let actor = &seen.entry.actor;
        match &seen.entry.event {
            Event::ProcessStarted { .. } => {
                *self.starts.entry(actor.clone()).or_default() += 1;
                Ok(())
            }
            Event::Granted { epoch, resumed } => {
                must(seen.log.last_of(*epoch).is_some(), EPOCH_UNIQUE, || {
                    format!("{actor} was granted epoch {epoch}, which nobody has claimed")
                })?;
                let process = (actor.clone(), self.starts.get(actor).copied().unwrap_or_default());
                let owner = self.owners.get(epoch).cloned();
                let own = owner.as_ref() == Some(&process);
                let holds = if *resumed { own } else { owner.is_none() };
                must(holds, EPOCH_UNIQUE, || {
                    let had_it = owner.map(|(actor, start)| format!("{actor} (start {start})"));
                    let how = if *resumed { "goes on under" } else { "was granted" };
                    let before = had_it.unwrap_or("nobody".to_owned());
                    format!(
                        "{actor} (start {}) {how} epoch {epoch}, which {before} was granted before",
                        process.1
                    )
                })?;
                self.owners.insert(*epoch, process);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, properties};
    use super::*;

    const STARTED: Event = Event::ProcessStarted { kind: "job-manager" };

    fn granted(epoch: u64) -> Event {
        Event::Granted { epoch, resumed: false }
    }

    fn resumed(epoch: u64) -> Event {
        Event::Granted { epoch, resumed: true }
    }

    fn verdict(events: &[(&str, Event)]) -> Option<&'static str> {
        let mut history = History::default();
        for epoch in [1, 2] {
            history.append(&Draft::claim(epoch, "a")).unwrap();
        }
        properties(&mut history, &mut Epochs::default(), events)
    }

    #[test]
    fn each_process_has_an_epoch_of_its_own_and_may_resume_it() {
        let events = [
            ("jm-0", STARTED),
            ("jm-0", granted(1)),
            ("jm-0", resumed(1)),
            ("jm-0", STARTED),
            ("jm-0", granted(2)),
        ];
        assert_eq!(verdict(&events), None);
    }

    #[test]
    fn an_epoch_is_not_granted_twice() {
        assert_eq!(verdict(&[("jm-0", granted(1)), ("jm-1", granted(1))]), Some(EPOCH_UNIQUE));
        assert_eq!(verdict(&[("jm-0", granted(1)), ("jm-0", granted(1))]), Some(EPOCH_UNIQUE));
    }

    #[test]
    fn a_new_process_does_not_resume_what_the_one_before_it_was_granted() {
        let events = [("jm-0", STARTED), ("jm-0", granted(1)), ("jm-0", STARTED), ("jm-0", resumed(1))];
        assert_eq!(verdict(&events), Some(EPOCH_UNIQUE));
    }

    #[test]
    fn an_epoch_that_nobody_claimed_is_not_granted() {
        assert_eq!(verdict(&[("jm-0", granted(3))]), Some(EPOCH_UNIQUE));
    }
}
