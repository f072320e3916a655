//! What a run found out, and its JSON.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::case::Case;
use super::kill::Outcome;
use super::machine::Machine;
use super::peer::{Peer, Service};
use super::phases::Phase;
use super::spread::Spread;

/// Everything.
#[derive(Clone, Debug)]
pub struct Results {
    /// Where and with what.
    pub machine: Machine,
    /// One for each peer and case, in the order of the command line.
    pub rows: Vec<Row>,
    /// `--no-archive`: `holdfast exec` had no class-data archive, which it has in its own right.
    pub without_archive: bool,
}

/// One peer in one case.
#[derive(Clone, Debug)]
pub struct Row {
    /// Who.
    pub peer: Peer,
    /// What was done to it.
    pub case: Case,
    /// One for each fault.
    pub outcomes: Vec<Outcome>,
    /// Records below the highest committed one that nobody ever committed.
    pub lost: u64,
    /// Committed lines beyond the first of their record.
    pub duplicated: u64,
    /// Lines whose state and offset come from different checkpoints.
    pub miscounted: u64,
}

/// How many times as long one peer takes as another one.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    /// The case.
    pub case: String,
    /// The quicker one, which is Holdfast in one setting.
    pub peer: String,
    /// The other one.
    pub against: String,
    /// By the medians until all tasks run.
    pub all_running: Option<f64>,
    /// By the medians until the first record.
    pub first_record: Option<f64>,
}

impl Row {
    /// A row without faults yet.
    pub fn new(peer: &Peer, case: Case) -> Self {
        Self { peer: peer.clone(), case, outcomes: Vec::new(), lost: 0, duplicated: 0, miscounted: 0 }
    }

    /// A phase over all faults that did not fail.
    pub fn spread(&self, phase: Phase) -> Option<Spread> {
        let good = self.outcomes.iter().filter(|outcome| outcome.failed.is_none());
        Spread::of(good.filter_map(|outcome| outcome.phases.get(&phase).copied()))
    }

    /// Why faults failed, each reason once, with how often.
    pub fn failures(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for why in self.outcomes.iter().filter_map(|outcome| outcome.failed.as_deref()) {
            *counts.entry(why).or_default() += 1;
        }
        counts
    }

    /// How many failed.
    pub fn failed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failed.is_some()).count()
    }

    /// Faults that the job went through as if nothing had happened.
    pub fn undisturbed(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.failed.is_none() && outcome.undisturbed).count()
    }

    fn json(&self) -> Value {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
        set("peer", json!(self.peer.to_string()));
        set("settings", json!(self.peer.settings_in_words()));
        set("restart", json!(self.peer.restart_in_words()));
        set("case", json!(self.case.to_string()));
        set("kills", json!(self.outcomes.len()));
        for (phase, name) in Phase::NAMES {
            set(name, json!(self.spread(phase)));
        }
        set("lost", json!(self.lost));
        set("duplicated", json!(self.duplicated));
        set("miscounted", json!(self.miscounted));
        set("failed", json!(self.failed()));
        set("failures", json!(self.failures().keys().collect::<Vec<_>>()));
        set("undisturbed", json!(self.undisturbed()));
        set("job_restarts", json!(self.outcomes.iter().map(|it| it.job_restarts).sum::<usize>()));
        set("process_restarts", json!(self.outcomes.iter().map(|it| it.process_restarts).sum::<usize>()));
        let each = self.outcomes.iter().map(|outcome| {
            let named =
                Phase::NAMES.iter().filter_map(|(phase, name)| Some((*name, *outcome.phases.get(phase)?)));
            named.collect::<BTreeMap<_, _>>()
        });
        set("each", json!(each.collect::<Vec<_>>()));
        Value::Object(object)
    }
}

impl Results {
    /// For programs. `peers` has one object for each peer and case.
    pub fn json(&self) -> Value {
        json!({
            "machine": self.machine,
            "peers": self.rows.iter().map(Row::json).collect::<Vec<_>>(),
            "ratios": self.ratios(),
            "without_archive": self.without_archive,
        })
    }

    /// Holdfast in each setting against everybody else, where both came back.
    pub fn ratios(&self) -> Vec<Ratio> {
        let ours = self.rows.iter().filter(|row| row.peer.service == Service::Holdfast);
        let pairs = ours.flat_map(|row| {
            let others = self.rows.iter().filter(|other| other.peer.service != Service::Holdfast);
            others.filter(|other| other.case == row.case).map(move |other| (row, other))
        });
        let ratios = pairs.map(|(row, other)| {
            let of = |phase| Some(other.spread(phase)?.median / row.spread(phase)?.median.max(1.0));
            Ratio {
                case: row.case.to_string(),
                peer: row.peer.to_string(),
                against: other.peer.to_string(),
                all_running: of(Phase::AllRunning),
                first_record: of(Phase::FirstRecord),
            }
        });
        ratios.filter(|ratio| ratio.all_running.is_some() || ratio.first_record.is_some()).collect()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::failover::phases::Phases;

    pub(crate) fn outcome(all_running_ms: u64) -> Outcome {
        let phases = [
            (Phase::ProcessUp, all_running_ms / 4),
            (Phase::Leadership, all_running_ms / 2),
            (Phase::AllRunning, all_running_ms),
            (Phase::FirstRecord, all_running_ms + 20),
            (Phase::NewCheckpoint, all_running_ms + 800),
        ];
        Outcome { phases: Phases::from(phases), ..Outcome::default() }
    }

    pub(crate) fn row(peer: &str, all_running_ms: &[u64]) -> Row {
        let outcomes = all_running_ms.iter().map(|ms| outcome(*ms)).collect();
        Row { outcomes, ..Row::new(&peer.parse().unwrap(), Case::Process) }
    }

    pub(crate) fn results() -> Results {
        let mut never = row("zookeeper", &[41_000]);
        never.outcomes.push(Outcome { failed: Some("did not recover".into()), ..Outcome::default() });
        let rows =
            vec![never, row("kubernetes", &[16_000, 18_000, 24_000]), row("holdfast", &[1500, 2000, 1800])];
        Results { machine: Machine::default(), rows, without_archive: false }
    }

    #[test]
    fn json_has_an_object_for_each_phase() {
        let json = results().json();
        let kubernetes = &json["peers"][1];
        assert_eq!(kubernetes["peer"], "kubernetes");
        assert_eq!(kubernetes["case"], "process");
        assert_eq!(kubernetes["kills"], 3);
        let expected = json!({"median": 18_000.0, "min": 16_000.0, "max": 24_000.0});
        assert_eq!(kubernetes["all_running_ms"], expected);
        assert_eq!(kubernetes["restored_ms"], Value::Null, "not reached is not zero");
        for (_, name) in Phase::NAMES {
            assert!(kubernetes.get(name).is_some(), "{name}");
        }
        assert_eq!((&kubernetes["lost"], &kubernetes["duplicated"]), (&json!(0), &json!(0)));
        assert_eq!(json["machine"]["cores"], 0);
    }

    #[test]
    fn what_failed_is_counted_and_in_no_median() {
        let json = results().json();
        let zookeeper = &json["peers"][0];
        assert_eq!((&zookeeper["kills"], &zookeeper["failed"]), (&json!(2), &json!(1)));
        assert_eq!(zookeeper["failures"], json!(["did not recover"]));
        assert_eq!(zookeeper["all_running_ms"]["max"], 41_000.0);
    }

    #[test]
    fn ratios_are_of_holdfast_against_the_others() {
        let ratios = results().ratios();
        assert_eq!(ratios.len(), 2);
        assert_eq!((ratios[1].peer.as_str(), ratios[1].against.as_str()), ("holdfast", "kubernetes"));
        assert_eq!(ratios[1].all_running, Some(10.0));
    }
}
