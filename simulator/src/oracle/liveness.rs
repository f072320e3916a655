//! Once everything is mended: somebody leads in time, the job runs, and its checkpoints go on.

use std::collections::{BTreeMap, BTreeSet};

use super::log::Log;
use super::patience::{Patience, back_off_ms};
use super::property::{LEADS_AGAIN, RUNS_AGAIN};
use super::record::{Fate, Snapshot, State};
use super::{Oracle, Seen, Verdict, must};
use crate::plan::{Plan, What, When};
use crate::trace::{Event, JobStatus, Wish};

/// How long what was broken may go on to show.
const AFTERMATH_MS: u64 = 30_000;

/// What is demanded after [`Event::Healed`].
#[derive(Debug)]
pub(super) struct Liveness {
    leads_again_ms: u64,
    restart_max_ms: u64,
    /// A job that fails at a record of its input, however often, is not expected to get past it.
    is_poisoned: bool,
    healed_at_ms: Option<u64>,
    /// How often each process ended.
    ends: BTreeMap<String, u32>,
    /// How long kubelets may have waited since everything was mended, all together.
    waited_ms: u64,
    /// Which epoch each JobManager process believes to lead under.
    leaders: BTreeMap<String, u64>,
    /// When a leader was last there: until now, if one is.
    led_at_ms: Option<u64>,
    /// The JobManagers in which all tasks run.
    running: BTreeSet<String>,
    /// When the tasks failed of which no restart was seen yet.
    failed_at_ms: Option<u64>,
    completed_before: Option<u64>,
    completed_after: Option<u64>,
    /// Snapshots whose files were harmed, or deleted by Flink.
    gone: BTreeSet<u64>,
    savepoints: BTreeSet<u64>,
    /// The newest rollout, if it is not the first.
    rolled_out: Option<String>,
    /// The newest rollout is to start from a savepoint, or from this snapshot.
    wants_savepoint: bool,
    wants: Option<u64>,
    /// Where people asked to start from, by where it is.
    resets: BTreeMap<String, u64>,
    /// The job's end, in the eyes of the JobManager that saw it last.
    ended: Option<JobStatus>,
}

impl Liveness {
    pub(super) fn of(plan: &Plan) -> Self {
        let patience = Patience::of(plan);
        Self {
            leads_again_ms: patience.leads_again_ms,
            restart_max_ms: patience.restart_max_ms,
            is_poisoned: plan.job.poison_offset.is_some() && !is_mended(plan),
            healed_at_ms: None,
            ends: BTreeMap::new(),
            waited_ms: 0,
            leaders: BTreeMap::new(),
            led_at_ms: None,
            running: BTreeSet::new(),
            failed_at_ms: None,
            completed_before: None,
            completed_after: None,
            gone: BTreeSet::new(),
            savepoints: BTreeSet::new(),
            rolled_out: None,
            wants_savepoint: false,
            wants: None,
            resets: BTreeMap::new(),
            ended: None,
        }
    }

    /// Whether a process believes that it leads under the newest epoch.
    fn is_led(&self, log: &Log) -> bool {
        self.leaders.values().any(|epoch| *epoch == log.epoch())
    }

    fn take_in(&mut self, at_ms: u64, actor: &str, event: &Event) {
        match event {
            Event::Granted { epoch, .. } => {
                self.leaders.insert(actor.to_owned(), *epoch);
            }
            Event::Revoked { .. } => {
                self.leaders.remove(actor);
                self.running.remove(actor);
            }
            Event::ProcessStarted { .. } => {
                self.leaders.remove(actor);
                self.running.remove(actor);
            }
            Event::ProcessEnded { .. } | Event::ProcessKilled { .. } => {
                self.leaders.remove(actor);
                self.running.remove(actor);
                let ends = self.ends.entry(actor.to_owned()).or_default();
                *ends += 1;
                if self.healed_at_ms.is_some() {
                    self.waited_ms += back_off_ms(*ends);
                }
            }
            Event::JobRunning { .. } => {
                self.running.insert(actor.to_owned());
                self.ended = None;
            }
            Event::JobRestarting { .. } => {
                self.running.remove(actor);
                self.failed_at_ms = Some(at_ms);
            }
            Event::JobRestored { .. } => {
                self.running.remove(actor);
                self.failed_at_ms = None;
                self.ended = None;
            }
            Event::SnapshotHarmed { id, .. } | Event::CheckpointFilesDeleted { id, .. } => {
                self.gone.insert(*id);
            }
            Event::Wished { what: Wish::Reset { id, pointer }, .. } => {
                self.resets.insert(pointer.clone(), *id);
            }
            Event::SavepointCompleted { id, .. } => {
                self.savepoints.insert(*id);
            }
            Event::RolledOut { generation, settings, named } => {
                self.rolled_out = Some(generation.clone());
                self.ended = None;
                self.wants = *named;
                self.wants_savepoint = settings.get("restore").is_some_and(|one| one == "latest-savepoint");
            }
            Event::JobEnded { status, .. } => {
                self.running.remove(actor);
                self.ended = Some(*status);
            }
            Event::CheckpointCompleted { id, .. } => {
                let completed = match self.healed_at_ms {
                    None => &mut self.completed_before,
                    Some(_) => &mut self.completed_after,
                };
                *completed = (*completed).max(Some(*id));
            }
            _ => {}
        }
    }

    /// The job failed before everything was mended, or of what was broken then, and Flink waits before it restarts it.
    fn waits(&self, healed_at_ms: u64, now_ms: u64) -> bool {
        self.failed_at_ms.is_some_and(|failed_at_ms| {
            failed_at_ms <= healed_at_ms + AFTERMATH_MS
                && now_ms <= failed_at_ms + self.restart_max_ms + AFTERMATH_MS
        })
    }

    /// Nothing is to be expected any more: the job has ended, or it is right that nobody starts it.
    fn is_over(&self, log: &Log) -> bool {
        // What ended in an earlier rollout is to go on in this one.
        let present = |state: &&State| self.rolled_out.is_none() || state.generation == self.rolled_out;
        let result = log.state().filter(present).is_some_and(|state| !state.results.jobs.is_empty());
        result || self.ended.is_some() || self.is_refused_rightly(log)
    }

    /// What is to be restored cannot be restored any more: the snapshot where the lineage stands, the one that the user named or
    /// reset the deployment to, or the one of the plan. Or there are snapshots, and the job went back behind all of them: that is no proof of an empty
    /// start. A person has to decide.
    fn is_refused_rightly(&self, log: &Log) -> bool {
        let Some(state) = log.state().filter(|_| self.running.is_empty()) else { return false };
        let is_gone = |id: &u64| self.gone.contains(id);
        let counts = |one: &&Snapshot| {
            !one.rolled_back && (!self.wants_savepoint || self.savepoints.contains(&one.id))
        };
        let stands = state.snapshots().filter(counts).max_by_key(|one| one.id);
        let lost = |one: &Snapshot| one.state == Fate::Discarded || is_gone(&one.id);
        let planned = state.plan.as_ref().and_then(|plan| plan.snapshot.as_ref()).map(|planned| planned.id);
        let reset = state.reset.as_ref().and_then(|reset| self.resets.get(&reset.external_pointer));
        // Flink deletes the files of what is subsumed when it comes to it. Nobody counts on them who has not restored yet.
        let is_given_up = |id: &u64| {
            let begun = state.generation == self.rolled_out;
            let given_up = |one: &Snapshot| matches!(one.state, Fate::Subsumed | Fate::Discarded);
            !begun && state.snapshots().any(|one| one.id == *id && given_up(one))
        };
        stands.map_or(self.wants_savepoint || state.snapshots().next().is_some(), lost)
            || self.wants.iter().chain(&planned).chain(reset).any(is_gone)
            || self.wants.iter().any(is_given_up)
            // Flink reads all live checkpoints, and starts from none if there is one that it cannot read (FLINK-22502).
            || state.snapshots().any(|one| one.state == Fate::Active && is_gone(&one.id))
    }
}

/// Whether the user certainly upgrades to code that gets past the poison record.
fn is_mended(plan: &Plan) -> bool {
    let mends = |what: &What| matches!(what, What::Upgrade { mends: true, .. });
    plan.faults.iter().any(|fault| mends(&fault.what) && matches!(fault.when, When::AtMs(_)))
}

impl Oracle for Liveness {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        let at_ms = seen.entry.at_ms;
        if seen.entry.event == Event::Healed {
            self.healed_at_ms = Some(at_ms);
            self.led_at_ms = Some(at_ms);
            self.waited_ms = self.ends.values().map(|ends| back_off_ms(*ends)).max().unwrap_or_default();
        }
        let was_led = self.is_led(seen.log);
        self.take_in(at_ms, &seen.entry.actor, &seen.entry.event);
        let (Some(_), Some(led_at_ms)) = (self.healed_at_ms, self.led_at_ms) else { return Ok(()) };
        if was_led || self.is_led(seen.log) || self.is_over(seen.log) {
            self.led_at_ms = Some(at_ms);
        }
        let bound_ms = led_at_ms + self.leads_again_ms + self.waited_ms;
        must(was_led || at_ms <= bound_ms || self.is_over(seen.log), LEADS_AGAIN, || {
            format!("nobody has led since {led_at_ms} ms, although nothing is broken any more")
        })
    }

    fn finish(&mut self, log: &Log, now_ms: u64) -> Verdict {
        let Some(healed_at_ms) = self.healed_at_ms else { return Ok(()) };
        if self.is_over(log) {
            return Ok(());
        }
        must(self.is_led(log), LEADS_AGAIN, || {
            format!("at the end, {} ms after everything was mended, nobody leads", now_ms - healed_at_ms)
        })?;
        if self.is_poisoned || self.waits(healed_at_ms, now_ms) {
            return Ok(());
        }
        must(!self.running.is_empty(), RUNS_AGAIN, || {
            format!(
                "at the end, {} ms after everything was mended, the job does not run",
                now_ms - healed_at_ms
            )
        })?;
        must(self.completed_after > self.completed_before, RUNS_AGAIN, || {
            let before = self.completed_before.map_or("none".to_owned(), |id| id.to_string());
            format!("no checkpoint newer than {before} completed since everything was mended")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, JOB, plan};
    use super::*;

    struct Run {
        history: History,
        oracle: Liveness,
    }

    impl Run {
        /// A run that was mended at 0 ms, with one claim in the log.
        fn mended() -> Self {
            let mut history = History::default();
            history.append(&Draft::claim(1, "a")).unwrap();
            let mut run = Self { history, oracle: Liveness::of(&plan()) };
            run.at(0, Event::CheckpointCompleted { job: JOB.to_owned(), id: 3, epoch: 1 }).unwrap();
            run.at(0, Event::Healed).unwrap();
            run
        }

        fn at(&mut self, at_ms: u64, event: Event) -> Verdict {
            self.history.at_ms = at_ms;
            self.history.show(&mut self.oracle, "jm-0", event)
        }

        fn converges(mut self, epoch: u64, completed: u64) -> Option<&'static str> {
            let granted = Event::Granted { epoch, resumed: false };
            let completed = Event::CheckpointCompleted { job: JOB.to_owned(), id: completed, epoch };
            let events = [granted, Event::JobRunning { job: JOB.to_owned() }, completed];
            let verdict = events.into_iter().try_for_each(|event| self.at(1, event));
            let verdict = verdict.and_then(|()| self.oracle.finish(&self.history.log, 2));
            verdict.err().map(|broken| broken.property)
        }
    }

    #[test]
    fn a_run_that_leads_runs_and_completes_has_converged() {
        assert_eq!(Run::mended().converges(1, 4), None);
    }

    #[test]
    fn a_deposed_leader_is_none() {
        let mut run = Run::mended();
        run.history.append(&Draft::claim(2, "b")).unwrap();
        assert_eq!(run.converges(1, 4), Some(LEADS_AGAIN));
    }

    #[test]
    fn a_checkpoint_that_is_not_newer_proves_nothing() {
        assert_eq!(Run::mended().converges(1, 3), Some(RUNS_AGAIN));
    }

    #[test]
    fn a_job_that_does_not_run_has_not_converged() {
        let mut run = Run::mended();
        run.at(1, Event::Granted { epoch: 1, resumed: false }).unwrap();
        let verdict = run.oracle.finish(&run.history.log, 2);
        assert_eq!(verdict.unwrap_err().property, RUNS_AGAIN);
    }

    #[test]
    fn a_job_that_waits_for_its_restart_is_not_late() {
        let verdict = |failed_at_ms, now_ms| {
            let mut run = Run::mended();
            run.at(1, Event::Granted { epoch: 1, resumed: false }).unwrap();
            let restarting = Event::JobRestarting { job: JOB.to_owned(), cause: "a task failed".to_owned() };
            run.at(failed_at_ms, restarting).unwrap();
            run.oracle.finish(&run.history.log, now_ms).err().map(|broken| broken.property)
        };
        let restart_max_ms = Patience::of(&plan()).restart_max_ms;
        assert_eq!(verdict(5, 5 + restart_max_ms), None);
        assert_eq!(verdict(5, 6 + restart_max_ms + AFTERMATH_MS), Some(RUNS_AGAIN));
        assert_eq!(verdict(AFTERMATH_MS + 1, AFTERMATH_MS + 2), Some(RUNS_AGAIN));
    }

    #[test]
    fn an_ended_job_needs_no_leader() {
        let mut run = Run::mended();
        run.at(1, Event::JobEnded { job: JOB.to_owned(), status: JobStatus::Failed }).unwrap();
        assert_eq!(run.oracle.finish(&run.history.log, 2), Ok(()));
    }

    #[test]
    fn somebody_leads_within_the_time_that_it_takes() {
        let bound_ms = Patience::of(&plan()).leads_again_ms;
        let anything = Event::ProcessPaused;
        assert_eq!(Run::mended().at(bound_ms, anything.clone()), Ok(()));
        assert_eq!(Run::mended().at(bound_ms + 1, anything.clone()).unwrap_err().property, LEADS_AGAIN);
        let mut restarted = Run::mended();
        for _ in 0..2 {
            restarted.at(1, Event::ProcessKilled { kind: "sidecar" }).unwrap();
        }
        assert_eq!(restarted.at(bound_ms + 10_000, anything.clone()), Ok(()));
        let mut led = Run::mended();
        led.at(1, Event::Granted { epoch: 1, resumed: false }).unwrap();
        assert_eq!(led.at(9 * bound_ms, anything), Ok(()));
    }

    #[test]
    fn a_live_checkpoint_that_somebody_harmed_keeps_flink_from_starting_although_a_newer_one_is_whole() {
        let verdict = |live: &[u64]| {
            let mut run = Run::mended();
            run.history.append(&Draft::commit(1, "a").live(live)).unwrap();
            run.at(1, Event::SnapshotHarmed { job: JOB.to_owned(), id: 2 }).unwrap();
            run.oracle.finish(&run.history.log, 2).err().map(|broken| broken.property)
        };
        assert_eq!(verdict(&[2, 3]), None);
        assert_eq!(verdict(&[3, 4]), Some(LEADS_AGAIN), "it is not live any more");
    }

    #[test]
    fn a_user_who_names_what_flink_is_about_to_delete_is_refused_until_somebody_decides() {
        let verdict = |state, generation: &str| {
            let mut run = Run::mended();
            let history = vec![(2, state, 1), (3, "retained", 1)];
            run.history.append(&Draft { history, ..Draft::commit(1, "a") }).unwrap();
            let generation = generation.to_owned();
            run.at(1, Event::RolledOut { generation, settings: BTreeMap::new(), named: Some(2) }).unwrap();
            run.oracle.finish(&run.history.log, 2).err().map(|broken| broken.property)
        };
        assert_eq!(verdict("subsumed", "2"), None);
        assert_eq!(verdict("retained", "2"), Some(LEADS_AGAIN), "that one can be restored");
        assert_eq!(verdict("subsumed", "1"), Some(LEADS_AGAIN), "that one was restored already");
    }

    #[test]
    fn nothing_is_demanded_before_everything_is_mended() {
        let mut oracle = Liveness::of(&plan());
        assert_eq!(oracle.finish(&Log::default(), 9), Ok(()));
    }
}
