//! The Lease: every write names what it read, nobody takes it from a holder that renews it, and who claims an epoch holds it
//! or lost it a moment ago.

use std::collections::{BTreeMap, BTreeSet};

use super::patience::Patience;
use super::property::{CLAIM_NEEDS_LEASE, LEASE_CAS, LEASE_RESPECTED};
use super::record::Kind;
use super::{Oracle, Seen, Verdict, must};
use crate::plan::Plan;
use crate::trace::Event;

/// For how long the end of a process may be what a taker has seen.
const EVIDENCE_MS: u64 = 60_000;

/// The run's one Lease.
#[derive(Debug)]
pub(super) struct Lease {
    late_claim_ms: u64,
    expires_ms: u64,
    elected: bool,
    version: Option<u64>,
    holder: Option<String>,
    written_at_ms: u64,
    /// Pods whose object is gone, by UID.
    gone: BTreeSet<String>,
    /// When a process last ended, whoever's it was.
    ended_at_ms: Option<u64>,
    /// When each former holder was last replaced.
    lost_at_ms: BTreeMap<String, u64>,
}

impl Lease {
    pub(super) fn of(plan: &Plan) -> Self {
        let patience = Patience::of(plan);
        Self {
            late_claim_ms: patience.late_claim_ms,
            expires_ms: patience.lease_expires_ms,
            elected: plan.world.settings.get("election").is_none_or(|election| election != "none"),
            version: None,
            holder: None,
            written_at_ms: 0,
            gone: BTreeSet::new(),
            ended_at_ms: None,
            lost_at_ms: BTreeMap::new(),
        }
    }

    /// Expiry is observed, never read from clocks: a holder that wrote a moment ago keeps the Lease, unless its pod is gone or
    /// what ran in it has ended. Which process belongs to which pod is not known here, so any that ended of late is an excuse.
    fn check_taken(&self, at_ms: u64, taker: &str) -> Verdict {
        let Some(holder) = self.holder.as_deref().filter(|holder| *holder != taker && !taker.is_empty())
        else {
            return Ok(());
        };
        let silent_ms = at_ms - self.written_at_ms;
        let evidence = self.gone.contains(holder)
            || self.ended_at_ms.is_some_and(|ended_at_ms| at_ms <= ended_at_ms + EVIDENCE_MS);
        must(silent_ms >= self.expires_ms || evidence, LEASE_RESPECTED, || {
            format!(
                "{taker} took the Lease from {holder}, which wrote it {silent_ms} ms before and still runs"
            )
        })
    }

    fn replace(&mut self, at_ms: u64, holder: Option<String>) {
        if self.holder != holder
            && let Some(before) = std::mem::replace(&mut self.holder, holder)
        {
            self.lost_at_ms.insert(before, at_ms);
        }
    }

    /// Decision 0009 and I9, by their effect in the store. The store is the fence, so a claim that comes late is harmless; a
    /// claim of somebody who was never elected is not how the epoch is meant to change hands.
    fn check_claim(&self, at_ms: u64, claimant: &str) -> Verdict {
        let holds = self.holder.as_deref() == Some(claimant);
        let lost_at_ms = self.lost_at_ms.get(claimant);
        let in_time = lost_at_ms.is_some_and(|lost_at_ms| at_ms <= lost_at_ms + self.late_claim_ms);
        must(holds || in_time || !self.elected, CLAIM_NEEDS_LEASE, || {
            let holder = self.holder.as_deref().unwrap_or("nobody");
            let since = lost_at_ms.map_or("never held it".to_owned(), |lost| format!("lost it at {lost} ms"));
            format!("{claimant} claimed an epoch, but the Lease is held by {holder}, and {claimant} {since}")
        })
    }
}

impl Oracle for Lease {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        let at_ms = seen.entry.at_ms;
        match &seen.entry.event {
            Event::LeaseWritten { version, named, holder, created, .. } => {
                must(*created || named.is_some(), LEASE_CAS, || {
                    format!("{holder:?} was written into the Lease without naming a version")
                })?;
                must(*created || *named == self.version, LEASE_CAS, || {
                    let (named, stood) = (named.unwrap_or_default(), self.version.unwrap_or_default());
                    format!("{holder:?} was written over version {stood} of the Lease, naming {named}")
                })?;
                must(!*created || self.version.is_none(), LEASE_CAS, || {
                    format!("{holder:?} created the Lease, which exists")
                })?;
                self.check_taken(at_ms, holder)?;
                self.version = Some(*version);
                self.written_at_ms = at_ms;
                self.replace(at_ms, Some(holder.clone()).filter(|holder| !holder.is_empty()));
                Ok(())
            }
            Event::LeaseDeleted { .. } => {
                self.version = None;
                self.replace(at_ms, None);
                Ok(())
            }
            Event::PodDeleted { uid, .. } => {
                self.gone.insert(uid.clone());
                Ok(())
            }
            Event::ProcessEnded { .. } | Event::ProcessKilled { .. } => {
                self.ended_at_ms = Some(at_ms);
                Ok(())
            }
            _ if seen.appended => {
                let newest = seen.log.newest().filter(|newest| newest.header.kind == Kind::Claim);
                let claimant = newest.and_then(|newest| newest.state.grant.as_ref());
                claimant.map_or(Ok(()), |grant| self.check_claim(at_ms, &grant.holder))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, plan};
    use super::*;

    fn written(version: u64, named: Option<u64>, holder: &str) -> Event {
        let (lease, holder) = ("orders".to_owned(), holder.to_owned());
        Event::LeaseWritten { lease, version, named, holder, created: named.is_none() && version == 1 }
    }

    /// What these events break, when each one happens once the Lease before it has expired.
    fn verdict(events: &[Event]) -> Option<&'static str> {
        let (mut history, mut oracle) = (History::default(), Lease::of(&plan()));
        let verdicts = events.iter().map(|event| {
            history.at_ms += Patience::of(&plan()).lease_expires_ms;
            history.show(&mut oracle, "api-server", event.clone())
        });
        verdicts.collect::<Vec<_>>().into_iter().find_map(Result::err).map(|broken| broken.property)
    }

    #[test]
    fn a_write_names_the_version_that_stands() {
        assert_eq!(
            verdict(&[written(1, None, "a"), written(2, Some(1), "a"), written(3, Some(2), "b")]),
            None
        );
        assert_eq!(verdict(&[written(1, None, "a"), written(2, None, "b")]), Some(LEASE_CAS));
        assert_eq!(verdict(&[written(1, None, "a"), written(3, Some(2), "b")]), Some(LEASE_CAS));
        assert_eq!(verdict(&[written(1, None, "a"), written(1, None, "b")]), Some(LEASE_CAS));
    }

    #[test]
    fn a_deleted_lease_is_created_again() {
        let deleted = Event::LeaseDeleted { lease: "orders".to_owned() };
        let created = written(1, None, "b");
        assert_eq!(verdict(&[written(1, None, "a"), deleted, created]), None);
    }

    /// What a claim of `a` breaks so long after these writes.
    fn claim(events: &[Event], at_ms: u64) -> Option<&'static str> {
        let mut history = History::default();
        let mut oracle = Lease::of(&plan());
        for (index, event) in (0..).zip(events) {
            history.at_ms = index * Patience::of(&plan()).lease_expires_ms;
            history.show(&mut oracle, "api-server", event.clone()).unwrap();
        }
        history.at_ms += at_ms;
        history.record(&mut oracle, &Draft::claim(1, "a")).err().map(|broken| broken.property)
    }

    #[test]
    fn who_claims_holds_the_lease_or_lost_it_a_moment_ago() {
        let late_ms = Patience::of(&plan()).late_claim_ms;
        assert_eq!(claim(&[written(1, None, "a")], 10 * late_ms), None);
        let lost = [written(1, None, "a"), written(2, Some(1), "b")];
        assert_eq!(claim(&lost, late_ms), None);
        assert_eq!(claim(&lost, late_ms + 1), Some(CLAIM_NEEDS_LEASE));
        assert_eq!(claim(&[written(1, None, "b")], 0), Some(CLAIM_NEEDS_LEASE));
        assert_eq!(claim(&[], 0), Some(CLAIM_NEEDS_LEASE));
    }

    /// What a write of `b` breaks so long after one of `a`, when this happened in between.
    fn taken(after_ms: u64, between: Event) -> Option<&'static str> {
        let (mut history, mut oracle) = (History::default(), Lease::of(&plan()));
        history.show(&mut oracle, "api-server", written(1, None, "a")).unwrap();
        history.at_ms = after_ms;
        history.show(&mut oracle, "world", between).unwrap();
        let verdict = history.show(&mut oracle, "api-server", written(2, Some(1), "b"));
        verdict.err().map(|broken| broken.property)
    }

    #[test]
    fn nobody_takes_the_lease_from_a_holder_that_has_just_renewed_it() {
        let expires_ms = Patience::of(&plan()).lease_expires_ms;
        let nothing = Event::ProcessPaused;
        assert_eq!(taken(expires_ms, nothing.clone()), None);
        assert_eq!(taken(expires_ms - 1, nothing), Some(LEASE_RESPECTED));
        let deleted = |uid: &str| Event::PodDeleted { pod: "p".to_owned(), uid: uid.to_owned() };
        assert_eq!(taken(1, deleted("a")), None);
        assert_eq!(taken(1, deleted("c")), Some(LEASE_RESPECTED));
        assert_eq!(taken(1, Event::ProcessKilled { kind: "sidecar" }), None);
    }
}
