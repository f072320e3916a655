//! What the world's driver learns from the trace: who leads, how long the job takes to run again, and which interesting
//! things were reached.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use crate::trace::{Entry, Event, JobStatus, Observer, Told, Wish, reached};

/// Reads the trace. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Watch(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    /// Who was granted last, and has neither ended nor been revoked.
    leader: Option<usize>,
    grants: u64,
    recovery: Recovery,
    /// Those who stood still, and how many grants there were when they began to, if they led.
    paused: BTreeMap<String, u64>,
    reached: Vec<&'static str>,
    /// Where people were told that the next generation starts.
    resets: BTreeSet<u64>,
    failed: bool,
    pinned: BTreeSet<u64>,
}

/// From the kill, or from the end of what was wrong, to the job running again.
#[derive(Debug, Default)]
struct Recovery {
    running_in: Option<String>,
    ran: bool,
    down_since_ms: Option<u64>,
    fault_ended_ms: u64,
    going: BTreeSet<usize>,
    worst_ms: Option<u64>,
}

// === impl Watch ===

impl Watch {
    /// The slot of the pod whose JobManager leads, as it sees it itself.
    pub(super) fn leader(&self) -> Option<usize> {
        self.lock().leader
    }

    /// How many grants there were.
    pub(super) fn grants(&self) -> u64 {
        self.lock().grants
    }

    /// The worst recovery so far.
    pub(super) fn worst_recovery_ms(&self) -> Option<u64> {
        self.lock().recovery.worst_ms
    }

    /// What was reached since the last call. It is the caller who records it: an observer must not.
    pub(super) fn take_reached(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.lock().reached)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Watch {
    fn observe(&mut self, entry: &Entry) {
        self.lock().observe(entry);
    }
}

/// The slot of the pod that an actor is part of: `job-manager-2` is part of pod 2.
pub(super) fn slot_of(actor: &str) -> Option<usize> {
    let number = actor.strip_prefix("sidecar-").or_else(|| actor.strip_prefix("job-manager-"))?;
    number.parse().ok()
}

// === impl Inner ===

impl Inner {
    fn observe(&mut self, entry: &Entry) {
        self.recovery.observe(entry);
        let slot = || slot_of(&entry.actor);
        match &entry.event {
            Event::Granted { resumed, .. } => {
                self.leader = slot();
                self.grants += u64::from(!resumed);
            }
            Event::Revoked { .. } if self.leader == slot() => self.leader = None,
            Event::ProcessEnded { kind: "job-manager", .. }
            | Event::ProcessKilled { kind: "job-manager" }
                if self.leader == slot() =>
            {
                self.leader = None;
            }
            Event::ProcessPaused if slot().is_some() && self.leader == slot() => {
                self.paused.insert(entry.actor.clone(), self.grants);
            }
            Event::ProcessWoken => {
                let overtaken = self.paused.remove(&entry.actor).is_some_and(|grants| grants < self.grants);
                self.reached.extend(overtaken.then_some(reached::TAKEOVER_AFTER_PAUSE));
            }
            Event::KubernetesEvent { reason, .. } if reason == "TakeoverOnEvidence" => {
                self.reached.push(reached::TAKEOVER_ON_EVIDENCE);
            }
            Event::KubernetesEvent { reason, .. } if reason == "RestoreRefused" => {
                self.reached.push(reached::REFUSED);
            }
            Event::WishAnswered { what, told: Told::Done, .. } => drop(match what {
                Wish::Reset { id, .. } => self.resets.insert(*id),
                Wish::Pin { id } => self.pinned.insert(*id),
                Wish::Unpin { id } => self.pinned.remove(id),
            }),
            Event::JobEnded { status, .. } => self.failed = *status == JobStatus::Failed,
            Event::StartedFrom { id, .. } => {
                self.reached.extend(std::mem::take(&mut self.failed).then_some(reached::AFTER_FAILED));
                self.reached.extend(self.resets.remove(id).then_some(reached::RESET));
                self.reached.extend(self.pinned.contains(id).then_some(reached::PINNED_RESTORED));
            }
            _ => {}
        }
    }
}

// === impl Recovery ===

impl Recovery {
    fn observe(&mut self, entry: &Entry) {
        let now_ms = entry.at_ms;
        match &entry.event {
            Event::FaultBegins { fault } => {
                self.going.insert(*fault);
            }
            Event::FaultEnds { fault } => {
                self.going.remove(fault);
                self.fault_ended_ms = now_ms;
            }
            Event::Healed => {
                self.going.clear();
                self.fault_ended_ms = now_ms;
            }
            Event::JobRestarting { .. } => self.down(now_ms),
            Event::ProcessKilled { kind: "task-manager" } => self.down(now_ms),
            Event::ProcessEnded { kind: "job-manager", .. }
            | Event::ProcessKilled { kind: "job-manager" }
                if self.running_in.as_ref() == Some(&entry.actor) =>
            {
                self.down(now_ms);
            }
            Event::JobRestored { .. } => self.down(now_ms),
            Event::JobEnded { .. } => {
                self.running_in = None;
                self.down_since_ms = None;
            }
            Event::JobRunning { .. } => self.up(now_ms, &entry.actor),
            _ => {}
        }
    }

    fn down(&mut self, now_ms: u64) {
        // Before it has run for the first time it does not recover, it starts.
        if self.ran {
            self.down_since_ms.get_or_insert(now_ms);
        }
    }

    fn up(&mut self, now_ms: u64, actor: &str) {
        self.ran = true;
        self.running_in = Some(actor.to_owned());
        let Some(down_since_ms) = self.down_since_ms.take() else { return };
        let since_ms = down_since_ms.max(self.fault_ended_ms);
        // While something is still wrong nobody can say how long it takes to recover from it.
        if self.going.is_empty() {
            self.worst_ms = self.worst_ms.max(Some(now_ms - since_ms));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn watched() -> (Trace, Watch) {
        let (trace, watch) = (Trace::default(), Watch::default());
        trace.observed_by(Box::new(watch.clone()));
        (trace, watch)
    }

    fn at(trace: &Trace, at_ms: u64, actor: &str, event: Event) {
        trace.set_now_ms(at_ms);
        trace.record(actor, event);
    }

    #[test]
    fn the_leader_is_who_was_granted_last_and_has_not_ended() {
        let (trace, watch) = watched();
        at(&trace, 1, "job-manager-2", Event::Granted { epoch: 1, resumed: false });
        assert_eq!(watch.leader(), Some(2));
        at(&trace, 2, "job-manager-1", Event::ProcessKilled { kind: "job-manager" });
        assert_eq!(watch.leader(), Some(2));
        at(&trace, 3, "job-manager-2", Event::ProcessKilled { kind: "job-manager" });
        assert_eq!(watch.leader(), None);
    }

    #[test]
    fn recovery_counts_from_the_kill_to_the_job_running_again() {
        let (trace, watch) = watched();
        let running = || Event::JobRunning { job: "j".into() };
        at(&trace, 1_000, "job-manager-0", running());
        assert_eq!(watch.worst_recovery_ms(), None, "a start is no recovery");
        at(&trace, 5_000, "job-manager-0", Event::ProcessKilled { kind: "job-manager" });
        at(&trace, 8_500, "job-manager-0", running());
        assert_eq!(watch.worst_recovery_ms(), Some(3_500));
    }

    #[test]
    fn recovery_from_what_lasts_counts_from_its_end() {
        let (trace, watch) = watched();
        let running = || Event::JobRunning { job: "j".into() };
        at(&trace, 1_000, "job-manager-0", running());
        at(&trace, 2_000, "world", Event::FaultBegins { fault: 0 });
        at(&trace, 5_000, "job-manager-0", Event::ProcessEnded { kind: "job-manager", code: 2 });
        at(&trace, 32_000, "world", Event::FaultEnds { fault: 0 });
        at(&trace, 33_000, "job-manager-0", running());
        assert_eq!(watch.worst_recovery_ms(), Some(1_000));
    }

    #[test]
    fn a_leader_that_wakes_up_deposed_is_noticed() {
        let (trace, watch) = watched();
        at(&trace, 1, "job-manager-0", Event::Granted { epoch: 1, resumed: false });
        at(&trace, 2, "sidecar-0", Event::ProcessPaused);
        at(&trace, 3, "job-manager-1", Event::Granted { epoch: 2, resumed: false });
        at(&trace, 4, "sidecar-0", Event::ProcessWoken);
        assert_eq!(watch.take_reached(), [reached::TAKEOVER_AFTER_PAUSE]);
        assert_eq!(watch.take_reached(), [] as [&str; 0]);
    }
}
