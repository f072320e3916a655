//! What a new rollout starts from: the restore plan. It is durable before anybody is granted leadership, it never changes within
//! its generation, and it names the newest snapshot of the lineage, unless the user wished otherwise.
//!
//! What is newest is judged from what happened to the job, not from what the product believes: a savepoint that the job was
//! restored behind is not restored again, whatever the log says of it.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use super::property::{NEVER_BACK, OWN_CODE, PLAN_KEPT, PLAN_VERIFIED};
use super::record::{Fate, RestorePlan, Snapshot, State};
use super::{Oracle, Seen, Verdict, must};
use crate::plan::Plan;
use crate::trace::Event;

/// Settings of the sidecars of one rollout.
type Settings = BTreeMap<String, String>;

/// What became of snapshots, and what the user wished of each rollout.
#[derive(Debug, Default)]
pub(super) struct Plans {
    settings: Settings,
    rollouts: BTreeMap<String, Settings>,
    /// By id, under which epoch each savepoint was completed. There is one job, and its ids go on along the lineage.
    savepoints: BTreeMap<u64, u64>,
    /// Every id that was completed.
    completed: BTreeSet<u64>,
    /// What the job was restored behind.
    left_behind: BTreeSet<u64>,
    /// The newest epoch under which the job was restored.
    restored_under: u64,
    /// What somebody who is no part of the job harmed.
    harmed: BTreeSet<u64>,
    /// A record has shown a snapshot.
    any_seen: bool,
}

impl Plans {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { settings: plan.world.settings.clone(), ..Self::default() }
    }

    fn wish(&self, generation: &str, setting: &str) -> Option<&str> {
        let own = self.rollouts.get(generation).and_then(|settings| settings.get(setting));
        own.or_else(|| self.settings.get(setting)).map(String::as_str)
    }

    fn restored(&mut self, epoch: u64, from: Option<u64>) {
        if epoch < self.restored_under {
            return;
        }
        self.restored_under = epoch;
        let behind = self.completed.iter().filter(|id| from.is_none_or(|from| **id > from));
        self.left_behind.extend(behind.copied());
    }

    fn saved(&mut self, id: u64, epoch: u64) {
        self.completed.insert(id);
        self.savepoints.insert(id, epoch);
        // Another JobManager has the job: what this one's tasks prepared is aborted.
        if epoch < self.restored_under {
            self.left_behind.insert(id);
        }
    }

    /// A record with a plan that the one before it did not have, or not for this generation.
    fn appended(&mut self, log: &Log) -> Verdict {
        let Some(newest) = log.newest() else { return Ok(()) };
        if let Some(previous) = log.previous() {
            check_times(newest.header.sequence, &previous.state, &newest.state)?;
        }
        let plan = newest.state.plan.as_ref();
        let before = log.previous().and_then(|previous| previous.state.plan.as_ref());
        if let Some(plan) = plan {
            match before.filter(|before| before.generation == plan.generation) {
                Some(before) => must(plan.is_still(before), PLAN_KEPT, || {
                    let sequence = newest.header.sequence;
                    format!("record {sequence} changes the plan of generation {}", plan.generation)
                })?,
                None => self.judge(newest.header.sequence, &newest.state, plan)?,
            }
        } else if let Some(before) = before {
            // A new generation begins without one.
            must(newest.state.generation.as_ref() != Some(&before.generation), PLAN_KEPT, || {
                format!("record {} has lost the plan of its generation", newest.header.sequence)
            })?;
        }
        self.any_seen |= newest.state.snapshots().next().is_some();
        Ok(())
    }

    fn judge(&self, sequence: u64, state: &State, plan: &RestorePlan) -> Verdict {
        let planned = plan.snapshot.as_ref().map(|snapshot| snapshot.id);
        let refuse = |what: String| {
            let shown = planned.map_or("to start empty".to_owned(), |id| format!("to restore snapshot {id}"));
            format!("record {sequence} plans {shown}, but {what}")
        };
        if let Some(id) = planned {
            must(!self.harmed.contains(&id), PLAN_VERIFIED, || refuse("its files were harmed".to_owned()))?;
        }
        let strategy = self.wish(&plan.generation, "restore").unwrap_or("latest-state");
        let named = strategy.starts_with("snapshot:") || plan.strategy == "reset";
        match planned {
            None => must(strategy == "none" || !self.any_seen, NEVER_BACK, || {
                refuse(format!("the strategy is {strategy} and there were snapshots"))
            }),
            Some(_) if named => Ok(()),
            Some(id) => {
                must(strategy != "none", NEVER_BACK, || refuse("the strategy is none".to_owned()))?;
                must(!self.left_behind.contains(&id), NEVER_BACK, || {
                    refuse("the job was restored behind it".to_owned())
                })?;
                let is_of_kind = strategy != "latest-savepoint" || self.savepoints.contains_key(&id);
                must(is_of_kind, NEVER_BACK, || refuse("it is no savepoint".to_owned()))?;
                let passes_over = self.wish(&plan.generation, "on-broken-snapshot") == Some("previous");
                let newer = self.reference(state, strategy == "latest-savepoint", |snapshot| {
                    !passes_over || (is_kept(snapshot) && !self.harmed.contains(&snapshot.id))
                });
                must(newer.is_none_or(|newer| newer <= id), NEVER_BACK, || {
                    refuse(format!("snapshot {} is newer", newer.unwrap_or_default()))
                })
            }
        }
    }

    /// The newest that the log shows and does not hold for rolled back.
    fn reference(&self, state: &State, savepoints: bool, counts: impl Fn(&Snapshot) -> bool) -> Option<u64> {
        let of_kind = |snapshot: &&Snapshot| !savepoints || self.savepoints.contains_key(&snapshot.id);
        let all = state.snapshots().filter(|snapshot| !snapshot.rolled_back).filter(of_kind);
        all.filter(|snapshot| counts(snapshot)).map(|snapshot| snapshot.id).max()
    }

    /// The files of what is to be restored were harmed after it was planned, or of what Flink's store holds: nobody can start it.
    fn check_granted(&self, log: &Log, epoch: u64) -> Verdict {
        let Some(last) = log.last_of(epoch) else { return Ok(()) };
        let generation = last.state.generation.as_ref();
        let planned = last.state.plan.as_ref().map(|plan| &plan.generation);
        must(planned.is_some() && planned == generation, PLAN_KEPT, || {
            format!("epoch {epoch} was granted, and record {} has no plan for it", last.header.sequence)
        })
    }

    /// A job that was started under a plan never goes back behind it.
    fn check_restored(&self, log: &Log, epoch: u64, from: Option<u64>) -> Verdict {
        let Some(plan) = log.last_of(epoch).and_then(|last| last.state.plan.as_ref()) else { return Ok(()) };
        let planned = plan.snapshot.as_ref().map(|snapshot| snapshot.id);
        must(from >= planned, NEVER_BACK, || {
            let shown = |id: Option<u64>| id.map_or("nothing".to_owned(), |id| format!("checkpoint {id}"));
            format!("epoch {epoch} restores {}, but its plan is to restore {}", shown(from), shown(planned))
        })
    }
}

/// When a snapshot was completed stays known: its age decides whether it is restored.
fn check_times(sequence: u64, before: &State, after: &State) -> Verdict {
    let timed = |snapshot: &&Snapshot| snapshot.pointer.completion_timestamp_ms > 0;
    let known: BTreeSet<u64> = before.snapshots().filter(timed).map(|snapshot| snapshot.id).collect();
    let lost = after.snapshots().find(|snapshot| !timed(snapshot) && known.contains(&snapshot.id));
    must(lost.is_none(), NEVER_BACK, || {
        let id = lost.map_or(0, |lost| lost.id);
        format!("record {sequence} does not say any more when snapshot {id} was completed")
    })
}

/// Whether nobody was to delete its files.
pub(super) fn is_kept(snapshot: &Snapshot) -> bool {
    matches!(snapshot.state, Fate::Active | Fate::Retained)
}

impl Oracle for Plans {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        match &seen.entry.event {
            Event::RolledOut { generation, settings, .. } => {
                self.rollouts.insert(generation.clone(), settings.clone());
            }
            Event::CheckpointWritten { id, .. } => {
                self.completed.insert(*id);
            }
            Event::SavepointCompleted { id, epoch, .. } => self.saved(*id, *epoch),
            Event::SnapshotHarmed { id, .. } => {
                self.harmed.insert(*id);
            }
            Event::Granted { epoch, resumed: false } => self.check_granted(seen.log, *epoch)?,
            Event::JobRestored { epoch, from, failover, .. } => {
                if *failover {
                    self.check_restored(seen.log, *epoch, *from)?;
                }
                self.restored(*epoch, *from);
            }
            Event::GraphUsed { epoch, generation, code, own, .. } => {
                let present = seen.log.last_of(*epoch).and_then(|last| last.state.generation.clone());
                must(present.is_none_or(|present| present == *generation), OWN_CODE, || {
                    format!("epoch {epoch} runs the graph of generation {generation}, which is not its own")
                })?;
                must(code == own, OWN_CODE, || {
                    format!("epoch {epoch} runs the graph of {code}, and its code is {own}")
                })?;
            }
            _ if seen.appended => return self.appended(seen.log),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, plan};
    use super::*;

    fn saved(id: u64, epoch: u64) -> Event {
        let (job, offsets) = (JOB.to_owned(), BTreeMap::new());
        Event::SavepointCompleted { job, id, epoch, stops: false, offsets }
    }

    fn restored(epoch: u64, from: Option<u64>, failover: bool) -> Event {
        Event::JobRestored { job: JOB.to_owned(), epoch, from, failover }
    }

    /// What is broken when the next rollout, with these settings, plans this after these snapshots and events.
    fn planned(
        history_of: &[(u64, &'static str, u64)],
        events: &[Event],
        settings: &[(&str, &str)],
        snapshot: Option<u64>,
    ) -> Option<&'static str> {
        let (mut history, mut oracle) = (History::default(), Plans::of(&plan()));
        let known = |draft: Draft| Draft { history: history_of.to_vec(), ..draft };
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        history.record(&mut oracle, &known(Draft::commit(1, "a"))).unwrap();
        for event in events {
            history.show(&mut oracle, "jm-0", event.clone()).unwrap();
        }
        let settings = settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let rolled_out =
            Event::RolledOut { generation: "2".to_owned(), settings: settings.collect(), named: None };
        history.show(&mut oracle, "user", rolled_out).unwrap();
        let of_two = |draft: Draft| Draft { generation: "2".to_owned(), ..known(draft) };
        history.record(&mut oracle, &of_two(Draft::claim(2, "b"))).unwrap();
        let with_plan = Draft { plan: Some(snapshot), ..of_two(Draft::commit(2, "b")) };
        history.record(&mut oracle, &with_plan).err().map(|broken| broken.property)
    }

    const SIX_AND_SEVEN: [(u64, &str, u64); 2] = [(6, "retained", 1), (7, "retained", 1)];

    #[test]
    fn the_newest_snapshot_is_planned_and_not_an_older_one_or_none() {
        assert_eq!(planned(&SIX_AND_SEVEN, &[], &[], Some(7)), None);
        assert_eq!(planned(&SIX_AND_SEVEN, &[], &[], Some(6)), Some(NEVER_BACK));
        assert_eq!(planned(&SIX_AND_SEVEN, &[], &[], None), Some(NEVER_BACK));
        assert_eq!(planned(&SIX_AND_SEVEN, &[], &[("restore", "none")], None), None);
        assert_eq!(planned(&[], &[], &[], None), None);
        let named = [("restore", "snapshot:s3://b/chk-6")];
        assert_eq!(planned(&SIX_AND_SEVEN, &[], &named, Some(6)), None);
    }

    #[test]
    fn only_a_savepoint_is_the_newest_savepoint() {
        let newest = [("restore", "latest-savepoint")];
        assert_eq!(planned(&SIX_AND_SEVEN, &[saved(6, 1)], &newest, Some(6)), None);
        assert_eq!(planned(&SIX_AND_SEVEN, &[saved(6, 1)], &newest, Some(7)), Some(NEVER_BACK));
    }

    #[test]
    fn when_a_snapshot_was_completed_stays_known() {
        let state = |ms: i64| {
            let known = serde_json::json!({"id": 7, "pointer": {"completion_timestamp_ms": ms}, "state": "retained", "epoch": 1});
            let job = serde_json::json!({"checkpoints": {}, "history": [known], "next_checkpoint_id": 8, "graph": null});
            let results = serde_json::json!({"jobs": {}, "applications": {}});
            let state = serde_json::json!({"generation": null, "grant": null, "jobs": {JOB: job}, "results": results,
                "archived_results": [], "collected_before": 0});
            serde_json::from_value::<State>(state).expect("a state")
        };
        assert!(check_times(2, &state(5), &state(5)).is_ok() && check_times(2, &state(0), &state(0)).is_ok());
        assert_eq!(check_times(2, &state(5), &state(0)).unwrap_err().property, NEVER_BACK);
    }

    #[test]
    fn a_newest_whose_files_are_gone_is_passed_over_only_if_that_was_wished() {
        let gone = [(6, "retained", 1), (7, "discarded", 1)];
        assert_eq!(planned(&gone, &[], &[], Some(6)), Some(NEVER_BACK));
        assert_eq!(planned(&gone, &[], &[("on-broken-snapshot", "previous")], Some(6)), None);
        let harmed = [Event::SnapshotHarmed { job: JOB.to_owned(), id: 7 }];
        assert_eq!(planned(&SIX_AND_SEVEN, &harmed, &[], Some(7)), Some(PLAN_VERIFIED));
        let previous = [("on-broken-snapshot", "previous")];
        assert_eq!(planned(&SIX_AND_SEVEN, &harmed, &previous, Some(6)), None);
        assert_eq!(planned(&SIX_AND_SEVEN, &harmed, &[], Some(6)), Some(NEVER_BACK));
    }

    #[test]
    fn a_savepoint_that_the_job_was_restored_behind_is_not_planned() {
        let behind = [saved(7, 1), restored(1, Some(6), false)];
        assert_eq!(planned(&SIX_AND_SEVEN, &behind, &[], Some(7)), Some(NEVER_BACK));
        let before = [restored(1, Some(6), false), saved(7, 1)];
        assert_eq!(planned(&SIX_AND_SEVEN, &before, &[], Some(7)), None);
        let late = [restored(2, Some(6), true), saved(7, 1)];
        assert_eq!(planned(&SIX_AND_SEVEN, &late, &[], Some(7)), Some(NEVER_BACK), "of a deposed JobManager");
    }

    #[test]
    fn a_plan_stays_as_it_is_and_is_there_before_the_grant() {
        let (mut history, mut oracle) = (History::default(), Plans::of(&plan()));
        history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
        let granted = Event::Granted { epoch: 1, resumed: false };
        let early = history.show(&mut oracle, "jm-0", granted.clone()).unwrap_err();
        assert_eq!(early.property, PLAN_KEPT);
        history.record(&mut oracle, &Draft { plan: Some(None), ..Draft::commit(1, "a") }).unwrap();
        history.show(&mut oracle, "jm-0", granted).unwrap();
        for changed in [None, Some(Some(7))] {
            let (mut history, mut oracle) = (History::default(), Plans::of(&plan()));
            history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
            history.record(&mut oracle, &Draft { plan: Some(None), ..Draft::commit(1, "a") }).unwrap();
            let other = history.record(&mut oracle, &Draft { plan: changed, ..Draft::commit(1, "a") });
            assert_eq!(other.unwrap_err().property, PLAN_KEPT);
        }
    }

    #[test]
    fn a_rollout_runs_its_own_code() {
        let used = |generation: &str, code: &str| {
            let (mut history, mut oracle) = (History::default(), Plans::of(&plan()));
            history.record(&mut oracle, &Draft::claim(1, "a")).unwrap();
            let (job, generation) = (JOB.to_owned(), generation.to_owned());
            let (code, own) = (code.to_owned(), "new".to_owned());
            let used = Event::GraphUsed { job, epoch: 1, generation, code, own };
            history.show(&mut oracle, "jm-0", used).is_ok()
        };
        assert!(used("1", "new") && !used("0", "new") && !used("1", "old"));
    }
}
