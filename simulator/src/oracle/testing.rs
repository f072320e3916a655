//! Synthetic histories for the oracles' own tests.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};

use super::log::Log;
use super::{Broken, Oracle, Seen, Verdict};
use crate::plan::{Fault, Job, Plan, What, When, World};
use crate::trace::{Entry, Event};

/// The job that the tests speak of.
pub(super) const JOB: &str = "00000000000000000000000000000001";

/// The key of a record.
pub(super) fn key(sequence: u64) -> String {
    format!("d/log/{sequence:020}.json")
}

/// A record that is to be written.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) kind: &'static str,
    pub(super) epoch: u64,
    pub(super) incarnation: String,
    /// The epoch of the grant, if it is to differ.
    pub(super) granted: Option<u64>,
    /// Its place, if it is to be wrong.
    pub(super) sequence: Option<u64>,
    pub(super) follows: Option<String>,
    pub(super) generation: String,
    pub(super) counter: u64,
    pub(super) collected_before: u64,
    /// Live checkpoints: id, state, epoch.
    pub(super) live: Vec<(u64, &'static str, u64)>,
    pub(super) history: Vec<(u64, &'static str, u64)>,
    pub(super) graph: Option<&'static str>,
    /// Those of them that are pinned.
    pub(super) pinned: Vec<u64>,
    /// There is a plan, and the snapshot that it names.
    pub(super) plan: Option<Option<u64>>,
    /// What the plan follows.
    pub(super) strategy: &'static str,
    /// Where the next generation is to start.
    pub(super) reset: Option<&'static str>,
    /// The status of the job's terminal result.
    pub(super) result: Option<&'static str>,
}

/// A log that grows, and an oracle's view of it.
#[derive(Debug, Default)]
pub(super) struct History {
    pub(super) log: Log,
    pub(super) at_ms: u64,
}

impl Draft {
    fn new(kind: &'static str, epoch: u64, incarnation: &str) -> Self {
        Self {
            kind,
            epoch,
            incarnation: incarnation.to_owned(),
            granted: None,
            sequence: None,
            follows: None,
            generation: "1".to_owned(),
            counter: 1,
            collected_before: 0,
            live: vec![],
            history: vec![],
            graph: None,
            pinned: vec![],
            plan: None,
            strategy: "latest-state",
            reset: None,
            result: None,
        }
    }

    pub(super) fn claim(epoch: u64, incarnation: &str) -> Self {
        Self::new("claim", epoch, incarnation)
    }

    pub(super) fn adopt(epoch: u64, incarnation: &str) -> Self {
        Self::new("adopt", epoch, incarnation)
    }

    pub(super) fn commit(epoch: u64, incarnation: &str) -> Self {
        Self::new("commit", epoch, incarnation)
    }

    /// With these live checkpoints of this epoch.
    pub(super) fn live(mut self, ids: &[u64]) -> Self {
        self.live = ids.iter().map(|id| (*id, "active", self.epoch)).collect();
        self
    }

    fn state(&self) -> Value {
        let snapshot = |(id, state, epoch): &(u64, &str, u64)| json!({"id": id, "state": state, "epoch": epoch, "added_at_ms": 0, "left_epoch": null, "pinned": self.pinned.contains(id)});
        let live: BTreeMap<String, Value> =
            self.live.iter().map(|one| (one.0.to_string(), snapshot(one))).collect();
        let history: Vec<Value> = self.history.iter().map(snapshot).collect();
        let blob = |copy: &str| json!({"hash": "blake3-1", "bytes": 1, "copy": copy});
        let graph = self.graph.map(|copy| json!({"blob": blob(copy)}));
        let job = json!({"checkpoints": live, "history": history, "next_checkpoint_id": self.counter, "graph": graph});
        let result = self.result.map(|status| (JOB, json!({"status": status, "payload": blob("result")})));
        let pointer =
            |id: u64| json!({"id": id, "kind": "checkpoint", "external_pointer": format!("s3://b/chk-{id}")});
        let plan = self.plan.map(|snapshot| {
            json!({
                "generation": self.generation, "strategy": self.strategy, "snapshot": snapshot.map(pointer),
                "claim_mode": "NO_CLAIM", "taken_by": null,
            })
        });
        json!({
            "plan": plan,
            "reset": self.reset.map(|to| json!({"external_pointer": to, "asked_at_ms": 0})),
            "generation": self.generation,
            "grant": {"session": "s", "holder": self.incarnation, "epoch": self.granted.unwrap_or(self.epoch)},
            "jobs": {JOB: job},
            "results": {"jobs": result.into_iter().collect::<BTreeMap<_, _>>(), "applications": {}},
            "archived_results": [],
            "collected_before": self.collected_before,
        })
    }
}

impl History {
    /// The record's bytes, as the next one of the log unless it says otherwise.
    pub(super) fn body(&self, draft: &Draft) -> Bytes {
        let newest = self.log.newest().map(|record| &record.header);
        let sequence = draft.sequence.unwrap_or(newest.map_or(1, |newest| newest.sequence + 1));
        let follows = draft.follows.clone().or_else(|| newest.map(|newest| newest.nonce.clone()));
        let header = json!({
            "sequence": sequence, "follows": follows, "epoch": draft.epoch, "incarnation": draft.incarnation,
            "nonce": format!("nonce-{sequence}"), "kind": draft.kind,
        });
        json!({"header": header, "state": draft.state()}).to_string().into()
    }

    /// The event of its becoming durable.
    pub(super) fn created(&self, draft: &Draft) -> Event {
        let next = self.log.newest().map_or(1, |newest| newest.header.sequence + 1);
        Event::StoreCreated { key: key(draft.sequence.unwrap_or(next)), body: self.body(draft) }
    }

    /// Makes it durable.
    pub(super) fn append(&mut self, draft: &Draft) -> Result<bool, Broken> {
        let event = self.created(draft);
        self.log.observe(&event)
    }

    /// Shows an oracle that it becomes durable.
    pub(super) fn record(&mut self, oracle: &mut dyn Oracle, draft: &Draft) -> Verdict {
        let event = self.created(draft);
        self.show(oracle, "store", event)
    }

    /// Shows an oracle an event.
    pub(super) fn show(&mut self, oracle: &mut dyn Oracle, actor: &str, event: Event) -> Verdict {
        let entry = Entry { at_ms: self.at_ms, actor: actor.to_owned(), event };
        let appended = self.log.observe(&entry.event)?;
        oracle.observe(&Seen { entry: &entry, log: &self.log, appended })
    }
}

/// The first property that one of these events breaks.
pub(super) fn properties(
    history: &mut History,
    oracle: &mut dyn Oracle,
    events: &[(&str, Event)],
) -> Option<&'static str> {
    let mut verdicts = events.iter().map(|(actor, event)| history.show(oracle, actor, event.clone()));
    verdicts.find_map(Result::err).map(|broken| broken.property)
}

/// A plan in which nothing goes wrong.
pub(super) fn plan() -> Plan {
    Plan {
        scenario: "none".to_owned(),
        seed: 1,
        world: World::default(),
        job: Job::default(),
        faults: vec![],
        faulty_ms: 60_000,
        healed_ms: 60_000,
    }
}

/// A plan in which these things go wrong.
pub(super) fn plan_with(faults: &[What]) -> Plan {
    let fault = |what: &What| Fault { when: When::AtMs(1_000), what: what.clone(), for_ms: 0 };
    Plan { faults: faults.iter().map(fault).collect(), ..plan() }
}
