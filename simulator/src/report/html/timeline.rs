//! A run as lanes: what the picture shows, without how it is drawn.

use std::collections::BTreeMap;

use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::trace::{Entry, Event};
use crate::words;

/// One run, ready to be drawn.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Timeline {
    /// A lane for each process, store and so on, from top to bottom.
    pub(super) lanes: Vec<Lane>,
    /// The faults that began, in the order of the plan.
    pub(super) faults: Vec<Band>,
    /// When everything was mended.
    pub(super) healed_ms: Option<u64>,
    /// The end of the picture.
    pub(super) end_ms: u64,
    /// When a promise was broken, and in which lane it was seen.
    pub(super) broken: Option<(u64, Option<usize>)>,
}

/// One actor.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Lane {
    pub(super) actor: String,
    pub(super) lives: Vec<Life>,
    /// From and to.
    pub(super) pauses: Vec<(u64, u64)>,
    pub(super) terms: Vec<Term>,
    pub(super) marks: Vec<Mark>,
}

/// A process from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) end: End,
}

/// How a life ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It did not: the run did.
    StillThere,
    InOrder,
    ByItself,
    Killed,
}

/// Leadership under one epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) epoch: u64,
}

/// A fault's time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Band {
    /// Its index in the plan.
    pub(super) fault: usize,
    pub(super) from_ms: u64,
    pub(super) to_ms: u64,
    pub(super) words: String,
}

/// Something that happened at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) at_ms: u64,
    pub(super) kind: MarkKind,
    pub(super) words: String,
}

/// How it is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MarkKind {
    Checkpoint,
    CheckpointFailed,
    Restore,
    TasksRestart,
    JobEnded,
    /// A write that became durable.
    Write,
    /// A write that was refused.
    Refused,
    Delete,
    Commit,
}

// === impl Timeline ===

impl Timeline {
    pub(super) fn of(plan: &Plan, outcome: &Outcome, entries: &[Entry]) -> Self {
        let last_ms = entries.last().map_or(0, |entry| entry.at_ms);
        let mut timeline = Self { end_ms: outcome.simulated_ms.max(last_ms).max(1), ..Self::default() };
        let mut builders: BTreeMap<(u64, usize, &str), Builder> = BTreeMap::new();
        for entry in entries {
            match &entry.event {
                Event::FaultBegins { fault } => timeline.begin_fault(plan, *fault, entry.at_ms),
                Event::FaultEnds { fault } => timeline.end_fault(*fault, entry.at_ms),
                Event::Healed => timeline.healed_ms = Some(entry.at_ms),
                _ if shows(&entry.event) => {
                    let builder = builders.entry(rank(&entry.actor)).or_default();
                    builder.lane.actor.clone_from(&entry.actor);
                    builder.see(entry);
                }
                _ => {}
            }
        }
        timeline.lanes = builders.into_values().map(|builder| builder.finish(timeline.end_ms)).collect();
        if let Some(violation) = &outcome.violation {
            let actor = entries.get(violation.entry).map(|entry| &entry.actor);
            let lane = timeline.lanes.iter().position(|lane| Some(&lane.actor) == actor);
            timeline.broken = Some((violation.at_ms.min(timeline.end_ms), lane));
        }
        timeline
    }

    fn begin_fault(&mut self, plan: &Plan, fault: usize, at_ms: u64) {
        let lasts = plan.faults.get(fault).is_some_and(|fault| fault.for_ms > 0);
        let words = plan.faults.get(fault).map(words::fault).unwrap_or_default();
        // One that lasts and whose end is never seen goes on to the end of the run.
        let to_ms = if lasts { self.end_ms } else { at_ms };
        self.faults.push(Band { fault, from_ms: at_ms, to_ms, words });
    }

    fn end_fault(&mut self, fault: usize, at_ms: u64) {
        if let Some(band) = self.faults.iter_mut().rev().find(|band| band.fault == fault) {
            band.to_ms = at_ms;
        }
    }
}

/// Whether an event makes its actor worth a lane.
fn shows(event: &Event) -> bool {
    !matches!(
        event,
        Event::Reached(_)
            | Event::KubernetesEvent { .. }
            | Event::PodCreated { .. }
            | Event::PodDeleted { .. }
    )
}

/// Lanes are sorted by pod, and by kind within one; what belongs to no pod comes last.
fn rank(actor: &str) -> (u64, usize, &str) {
    const KINDS: [&str; 3] = ["sidecar", "job-manager", "task-manager"];
    let numbered =
        actor.rsplit_once('-').and_then(|(kind, number)| Some((kind, number.parse::<u64>().ok()?)));
    match numbered {
        Some((kind, number)) => {
            (number, KINDS.iter().position(|known| *known == kind).unwrap_or(KINDS.len()), actor)
        }
        None => (u64::MAX, 0, actor),
    }
}

/// A lane while its events are read.
#[derive(Default)]
struct Builder {
    lane: Lane,
    alive_from_ms: Option<u64>,
    paused_from_ms: Option<u64>,
    /// From when it leads, and under which epoch.
    leads: Option<(u64, u64)>,
}

// === impl Builder ===

impl Builder {
    fn see(&mut self, entry: &Entry) {
        let at_ms = entry.at_ms;
        match &entry.event {
            Event::ProcessStarted { .. } => {
                self.end_life(at_ms, End::ByItself);
                self.alive_from_ms = Some(at_ms);
            }
            Event::ProcessEnded { code: 0, .. } => self.end_life(at_ms, End::InOrder),
            Event::ProcessEnded { .. } => self.end_life(at_ms, End::ByItself),
            Event::ProcessKilled { .. } => self.end_life(at_ms, End::Killed),
            Event::ProcessPaused => self.paused_from_ms = self.paused_from_ms.or(Some(at_ms)),
            Event::ProcessWoken => self.wake(at_ms),
            Event::Granted { epoch, .. } => {
                if self.leads.is_none_or(|(_, led)| led != *epoch) {
                    self.end_term(at_ms);
                    self.leads = Some((at_ms, *epoch));
                }
            }
            Event::Revoked { .. } => self.end_term(at_ms),
            event => {
                if let Some(kind) = mark(event) {
                    self.lane.marks.push(Mark { at_ms, kind, words: words::event(event) });
                }
            }
        }
    }

    fn end_life(&mut self, at_ms: u64, end: End) {
        if let Some(from_ms) = self.alive_from_ms.take() {
            self.lane.lives.push(Life { from_ms, to_ms: at_ms, end });
        }
        self.wake(at_ms);
        self.end_term(at_ms);
    }

    fn wake(&mut self, at_ms: u64) {
        if let Some(from_ms) = self.paused_from_ms.take() {
            self.lane.pauses.push((from_ms, at_ms));
        }
    }

    fn end_term(&mut self, at_ms: u64) {
        if let Some((from_ms, epoch)) = self.leads.take() {
            self.lane.terms.push(Term { from_ms, to_ms: at_ms, epoch });
        }
    }

    fn finish(mut self, end_ms: u64) -> Lane {
        self.end_life(end_ms, End::StillThere);
        self.lane
    }
}

fn mark(event: &Event) -> Option<MarkKind> {
    if is_probe(event) {
        return None;
    }
    Some(match event {
        Event::CheckpointCompleted { .. } | Event::SavepointCompleted { .. } => MarkKind::Checkpoint,
        Event::CheckpointFailed { .. } => MarkKind::CheckpointFailed,
        Event::JobRestored { .. } => MarkKind::Restore,
        Event::JobRestarting { .. } => MarkKind::TasksRestart,
        Event::JobEnded { .. } => MarkKind::JobEnded,
        Event::StoreCreated { .. } | Event::StoreOverwritten { .. } | Event::LeaseWritten { .. } => {
            MarkKind::Write
        }
        Event::StoreRefused { .. } => MarkKind::Refused,
        // Files of older checkpoints go with every newer one: that is no news.
        Event::StoreDeleted { .. } | Event::LeaseDeleted { .. } => MarkKind::Delete,
        Event::SinkCommitted { .. } => MarkKind::Commit,
        _ => return None,
    })
}

/// Whether a sidecar tries there what the store does with conditions. Dozens of refusals, all of them wanted, would look
/// like a fight.
fn is_probe(event: &Event) -> bool {
    match event {
        Event::StoreCreated { key, .. }
        | Event::StoreRefused { key, .. }
        | Event::StoreDeleted { key, .. } => key.contains("/probe/"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    fn timeline(record: impl FnOnce(&Trace)) -> Timeline {
        let trace = Trace::default();
        record(&trace);
        let plan = crate::report::testing::calm().plan(1);
        let (outcome, _) = crate::report::testing::held(&plan);
        Timeline::of(&plan, &Outcome { simulated_ms: 1_000, ..outcome }, &trace.entries())
    }

    #[test]
    fn a_life_ends_as_the_process_did_and_takes_pause_and_leadership_with_it() {
        let timeline = timeline(|trace| {
            trace.record("job-manager-0", Event::ProcessStarted { kind: "job-manager" });
            trace.set_now_ms(100);
            trace.record("job-manager-0", Event::Granted { epoch: 1, resumed: false });
            trace.set_now_ms(200);
            trace.record("job-manager-0", Event::Granted { epoch: 1, resumed: true });
            trace.record("job-manager-0", Event::ProcessPaused);
            trace.set_now_ms(300);
            trace.record("job-manager-0", Event::ProcessKilled { kind: "job-manager" });
            trace.set_now_ms(400);
            trace.record("job-manager-0", Event::ProcessStarted { kind: "job-manager" });
        });
        let lane = &timeline.lanes[0];
        let life = |from_ms, to_ms, end| Life { from_ms, to_ms, end };
        assert_eq!(lane.lives, [life(0, 300, End::Killed), life(400, 1_000, End::StillThere)]);
        assert_eq!(lane.pauses, [(200, 300)]);
        assert_eq!(lane.terms, [Term { from_ms: 100, to_ms: 300, epoch: 1 }]);
    }

    #[test]
    fn lanes_are_sorted_by_pod_and_what_belongs_to_none_comes_last() {
        let timeline = timeline(|trace| {
            for actor in
                ["store", "task-manager-1", "job-manager-10", "sidecar-1", "job-manager-1", "sidecar-10"]
            {
                trace.record(actor, Event::ProcessPaused);
            }
            trace.reached("nobody", crate::trace::reached::CLAIM_RACE);
        });
        let actors: Vec<_> = timeline.lanes.iter().map(|lane| lane.actor.as_str()).collect();
        assert_eq!(
            actors,
            ["sidecar-1", "job-manager-1", "task-manager-1", "sidecar-10", "job-manager-10", "store"]
        );
    }

    #[test]
    fn what_a_sidecar_tries_at_its_start_is_not_drawn() {
        let timeline = timeline(|trace| {
            let body = bytes::Bytes::from_static(b"{}");
            for key in ["orders/probe/4f95/create", "orders/log/00000000000000000001.json"] {
                trace.record("store", Event::StoreCreated { key: key.into(), body: body.clone() });
            }
        });
        let marks = &timeline.lanes[0].marks;
        assert!(matches!(&marks[..], [Mark { words, .. }] if words.contains("/log/")), "{marks:?}");
    }

    #[test]
    fn the_violating_write_is_in_the_lane_in_which_it_was_seen() {
        let plan = (1..).map(|seed| crate::report::testing::scenario().plan(seed));
        let (plan, (outcome, trace)) = plan
            .map(|plan| (plan.clone(), crate::report::testing::run(&plan)))
            .find(|(_, (outcome, _))| outcome.violation.is_some())
            .expect("one seed fails");
        let timeline = Timeline::of(&plan, &outcome, &trace.entries());
        let (at_ms, lane) = timeline.broken.expect("it is broken");
        assert_eq!(timeline.lanes[lane.expect("a lane")].actor, "store");
        assert_eq!(Some(at_ms), outcome.violation.map(|violation| violation.at_ms));
        assert_eq!(timeline.faults.len(), plan.faults.len());
        assert!(timeline.faults.iter().all(|band| band.from_ms <= band.to_ms));
    }
}
