//! Whatever goes wrong, made to happen.

use std::collections::BTreeSet;

use super::faults::Begins;
use super::kubelet::GRACE_MS;
use super::links::{Trouble, Wrong};
use super::pods::Deleting;
use super::rollouts::Rollout;
use super::{API_SERVER, STORE, USER, World, watch};
use crate::plan::{PodChoice, Process, What};
use crate::seed::Stream;
use crate::trace::{Event, reached};

/// Who the nemesis is in the trace.
const ACTOR: &str = "world";

/// A fault that lasts, and what it did to whom.
#[derive(Debug, Clone)]
pub(super) struct Lasting {
    index: usize,
    effect: Effect,
}

#[derive(Debug, Clone)]
enum Effect {
    /// Those who suffer from it look it up among the active ones.
    Looked,
    /// These hosts stand still.
    Paused { hosts: BTreeSet<String> },
    /// A node is away.
    Away(Away),
}

/// A node that cannot be reached.
#[derive(Debug, Clone)]
struct Away {
    /// The pod on it.
    uid: String,
    wrong: Wrong,
    reaches_store: bool,
    reaches_task_managers: bool,
    /// When the node controller marks the pod for deletion, and when its object is removed by force.
    evicted_at_ms: u64,
    removed_at_ms: u64,
}

/// A leader that has been away from the API server, and how many grants there were when it began.
#[derive(Debug, Clone)]
pub(super) struct Outage {
    index: usize,
    grants: u64,
    led: bool,
}

impl World<'_> {
    /// Begins and ends what is due.
    pub(super) fn run_nemesis(&mut self) {
        for index in self.faults.end(self.now_ms) {
            self.end(index);
        }
        for begins in self.faults.begin(self.now_ms) {
            self.begin(&begins);
        }
        self.evict();
    }

    /// Mends everything.
    pub(super) fn mend(&mut self) {
        for index in self.faults.heal() {
            self.end(index);
        }
        self.hurry();
        self.scene.trace.record(ACTOR, Event::Healed);
    }

    fn begin(&mut self, begins: &Begins) {
        let Begins { index, actor, .. } = begins;
        let fault = self.scene.plan.faults[*index].clone();
        self.scene.trace.record(ACTOR, Event::FaultBegins { fault: *index });
        let stream = super::active::stream_of(&fault, self.scene.plan.seed);
        let effect = self.strike(&fault.what, actor.as_deref(), &stream);
        if !fault.what.lasts() {
            self.scene.trace.record(ACTOR, Event::FaultEnds { fault: *index });
            return;
        }
        self.scene.active.begin(*index, &fault, self.scene.plan.seed);
        self.lasting.push(Lasting { index: *index, effect: effect.unwrap_or(Effect::Looked) });
        if is_outage(&fault.what) {
            let (grants, led) = (self.watch.grants(), self.watch.leader().is_some());
            self.outages.push(Outage { index: *index, grants, led });
        }
        self.faults.lasts(*index, self.now_ms + fault.for_ms);
        self.turn_switches();
        self.links_changed = true;
    }

    fn end(&mut self, index: usize) {
        self.scene.active.end(index);
        self.note_outage(index);
        let ended = self.lasting.iter().position(|lasting| lasting.index == index);
        match ended.map(|position| self.lasting.remove(position).effect) {
            Some(Effect::Away(away)) => self.come_back(&away),
            Some(Effect::Paused { hosts }) => {
                for host in hosts.iter().filter(|host| !self.is_paused(host)) {
                    self.wake(host);
                }
            }
            Some(Effect::Looked) | None => {}
        }
        self.turn_switches();
        self.links_changed = true;
        self.scene.trace.record(ACTOR, Event::FaultEnds { fault: index });
    }

    /// What it does at once.
    fn strike(&mut self, what: &What, actor: Option<&str>, stream: &Stream) -> Option<Effect> {
        match *what {
            What::Kill { process: Process::TaskManagers, .. } => self.kill_task_managers(),
            What::Kill { pod, process } => self.kill(self.choose(pod, actor)?, process),
            What::KillPod { pod } => {
                let index = self.choose(pod, actor)?;
                self.kill(index, Process::JobManager);
                self.kill(index, Process::Sidecar);
            }
            What::DeletePod { pod, force } => {
                let name = self.kubelets[self.choose(pod, actor)?].pod.name.clone();
                self.delete_pod(&name, if force { 0 } else { GRACE_MS });
                if force {
                    self.remove_object(&name);
                }
            }
            What::PartitionNode { pod, reaches_store } => {
                return self.go_away(pod, actor, reaches_store, stream);
            }
            What::Pause { pod, process } => return self.pause(pod, process, actor),
            What::ClockJump { pod, by_ms } => self.kubelets[self.choose(pod, actor)?].clock.jump(by_ms),
            What::DeleteLease => {
                let gone = self.scene.api.with(|objects| objects.delete_leases(self.now_ms));
                for lease in gone {
                    self.scene.trace.record(API_SERVER, Event::LeaseDeleted { lease });
                }
            }
            What::FailTask => self.scene.cluster.fail_task(),
            What::Cancel => self.scene.cluster.cancel(),
            What::Savepoint => self.scene.cluster.savepoint(),
            What::StopWithSavepoint => self.scene.cluster.stop_with_savepoint(),
            What::Upgrade { restore, claims, previous, mends } => {
                if mends {
                    self.scene.cluster.mend_code();
                }
                let deleted_at_ms = self.now_ms + stream.between(1_000, 5_000);
                let generation = self.roll_out(restore, claims, previous);
                self.jobs.upgrade(generation, deleted_at_ms);
            }
            What::HarmSnapshot { which, how } => {
                if let Some((job, id)) = self.scene.cluster.harm(which, how) {
                    self.scene.trace.record(USER, Event::SnapshotHarmed { job, id });
                }
            }
            What::Reset { .. } | What::Pin { .. } | What::Unpin { .. } | What::HoldfastSavepoint { .. } => {
                self.ask_people(what, stream);
            }
            What::ChangeCode => self.scene.cluster.change_code(),
            What::DeleteJob => self.jobs.delete(self.now_ms),
            _ => {}
        }
        None
    }

    /// The pod that a fault hits: with a fault that is tied to a point, *the leader* is whoever came to that point.
    fn choose(&self, pod: PodChoice, actor: Option<&str>) -> Option<usize> {
        let of_slot = |slot| self.kubelets.iter().rposition(|kubelet| kubelet.pod.slot == slot);
        let of_actor = |actor: &str| {
            let by_uid = self.kubelets.iter().rposition(|kubelet| kubelet.pod.uid == actor);
            by_uid.or_else(|| watch::slot_of(actor).and_then(of_slot))
        };
        let leader = actor.and_then(of_actor).or_else(|| self.watch.leader().and_then(of_slot));
        let newest = |but: Option<usize>| {
            (0..self.kubelets.len())
                .rev()
                .find(|index| Some(*index) != but && self.kubelets[*index].pod.is_active())
        };
        match pod {
            PodChoice::Leader => leader.or_else(|| newest(None)),
            PodChoice::Other => newest(leader.or_else(|| newest(None))),
        }
    }

    fn pause(&mut self, pod: PodChoice, process: Option<Process>, actor: Option<&str>) -> Option<Effect> {
        let hosts: BTreeSet<String> = match process {
            Some(Process::TaskManagers) => {
                self.task_managers.iter().map(|one| one.host.name().to_owned()).collect()
            }
            Some(process) => [self.actor(self.choose(pod, actor)?, process)].into(),
            None => {
                let index = self.choose(pod, actor)?;
                [Process::Sidecar, Process::JobManager].map(|process| self.actor(index, process)).into()
            }
        };
        let running = |host: &String| self.hosts().any(|one| one.name() == host && one.is_running());
        let hosts: BTreeSet<String> = hosts.into_iter().filter(running).collect();
        for name in &hosts {
            self.hosts().filter(|host| host.name() == name).for_each(super::host::Host::pause);
            self.scene.trace.record(name.clone(), Event::ProcessPaused);
        }
        Some(Effect::Paused { hosts })
    }

    /// Whether a process on this host stands still.
    fn is_paused(&self, name: &str) -> bool {
        self.lasting.iter().any(|lasting| match &lasting.effect {
            Effect::Paused { hosts } => hosts.contains(name),
            _ => false,
        })
    }

    fn wake(&self, name: &str) {
        for host in self.hosts().filter(|host| host.name() == name && host.is_running()) {
            host.wake();
            self.scene.trace.record(name, Event::ProcessWoken);
        }
    }

    /// The process on this host is about to be killed: no pause holds back its end.
    pub(super) fn free(&mut self, name: &str) {
        if !self.is_paused(name) {
            return;
        }
        for lasting in &mut self.lasting {
            if let Effect::Paused { hosts } = &mut lasting.effect {
                hosts.remove(name);
            }
        }
        self.set_links();
    }

    fn go_away(
        &mut self,
        pod: PodChoice,
        actor: Option<&str>,
        reaches_store: bool,
        stream: &Stream,
    ) -> Option<Effect> {
        let index = self.choose(pod, actor)?;
        let pod = &mut self.kubelets[index].pod;
        pod.reachable = false;
        let evicted_at_ms = self.now_ms + stream.between(5_000, 20_000);
        let wrong = *stream.pick(&[Wrong::Held, Wrong::Cut]);
        Some(Effect::Away(Away {
            uid: pod.uid.clone(),
            wrong,
            reaches_store,
            reaches_task_managers: reaches_store || stream.chance(500),
            evicted_at_ms,
            removed_at_ms: evicted_at_ms + stream.between(0, 10_000),
        }))
    }

    /// The node is there again. Its kubelet learns what became of its pod meanwhile.
    fn come_back(&mut self, away: &Away) {
        let is_away = self.lasting.iter().any(|lasting| match &lasting.effect {
            Effect::Away(other) => other.uid == away.uid,
            _ => false,
        });
        let pod = self.kubelets.iter_mut().map(|kubelet| &mut kubelet.pod).find(|pod| pod.uid == away.uid);
        let Some(pod) = pod.filter(|_| !is_away) else { return };
        pod.reachable = true;
        if !pod.object {
            let noticed_at_ms = self.now_ms;
            pod.deleting.get_or_insert(Deleting { grace_ms: GRACE_MS, noticed_at_ms, known_at_ms: None });
        }
    }

    /// Pods on nodes that have been away for too long.
    fn evict(&mut self) {
        let away: Vec<Away> = self.lasting.iter().filter_map(Lasting::away).cloned().collect();
        for away in away {
            let found = self.kubelets.iter().find(|kubelet| kubelet.pod.uid == away.uid);
            let Some(name) =
                found.filter(|kubelet| kubelet.pod.object).map(|kubelet| kubelet.pod.name.clone())
            else {
                continue;
            };
            if self.now_ms >= away.removed_at_ms {
                self.remove_object(&name);
            } else if self.now_ms >= away.evicted_at_ms {
                self.delete_pod(&name, GRACE_MS);
            }
        }
    }

    fn turn_switches(&mut self) {
        let active = &self.scene.active;
        self.jobs.suspend(active.has(|what| matches!(what, What::Suspend)));
        if self.jobs.is_deleted(self.now_ms) && !active.has(|what| matches!(what, What::DeleteJob)) {
            let generation = self.next_generation(Rollout::new(), None);
            self.jobs.create(generation);
        }
        let active = &self.scene.active;
        self.scene.api.set_up(!active.has(|what| matches!(what, What::ApiDown)));
        self.scene.cluster.stall_checkpoints(active.has(|what| matches!(what, What::StallCheckpoints)));
        self.scene
            .cluster
            .fail_checkpoint_files(active.has(|what| matches!(what, What::FailCheckpointFiles)));
        self.scene.cluster.fail_main(active.has(|what| matches!(what, What::FailMain)));
        let main_ms = active.all().into_iter().filter_map(|going| match going.what {
            What::SlowMain { by_ms } => Some(by_ms),
            _ => None,
        });
        self.scene.cluster.slow_main(main_ms.max().unwrap_or_default());
        let slow_ms = active.all().into_iter().filter_map(|going| match going.what {
            What::SlowCheckpointFiles { by_ms } => Some(by_ms),
            _ => None,
        });
        self.scene.cluster.slow_checkpoint_files(slow_ms.max().unwrap_or_default());
    }

    fn note_outage(&mut self, index: usize) {
        let Some(position) = self.outages.iter().position(|outage| outage.index == index) else { return };
        let outage = self.outages.remove(position);
        if outage.led && self.watch.leader().is_some() && self.watch.grants() == outage.grants {
            self.scene.trace.reached(ACTOR, reached::LED_THROUGH_OUTAGE);
        }
    }

    /// Makes the links what everything that is going on wants them to be.
    pub(super) fn set_links(&mut self) {
        self.links_changed = false;
        let all: BTreeSet<String> = self.host_names();
        let known = |name: &String| all.contains(name);
        let mut troubles = Vec::new();
        for lasting in &self.lasting {
            match &lasting.effect {
                Effect::Looked => {}
                Effect::Paused { hosts } => {
                    let of = hosts.iter().filter(|name| known(name)).cloned().collect();
                    troubles.push(Trouble { of, with: all.clone(), wrong: Wrong::Held });
                }
                Effect::Away(away) => {
                    let Some(index) = self.kubelets.iter().position(|one| one.pod.uid == away.uid) else {
                        continue;
                    };
                    let of =
                        [Process::Sidecar, Process::JobManager].map(|process| self.actor(index, process));
                    let mut with = BTreeSet::from([API_SERVER.to_owned()]);
                    if !away.reaches_store {
                        with.insert(STORE.to_owned());
                    }
                    if !away.reaches_task_managers {
                        with.extend(self.task_managers.iter().map(|one| one.host.name().to_owned()));
                    }
                    let of = of.into_iter().filter(known).collect();
                    let with = with.into_iter().filter(known).collect();
                    troubles.push(Trouble { of, with, wrong: away.wrong });
                }
            }
        }
        self.links.set(&self.sim, &troubles);
        self.probe_paused(|name| self.is_paused(name));
    }
}

// === impl Lasting ===

impl Lasting {
    fn away(&self) -> Option<&Away> {
        match &self.effect {
            Effect::Away(away) => Some(away),
            _ => None,
        }
    }
}

/// Whether the API server is away from somebody.
fn is_outage(what: &What) -> bool {
    matches!(what, What::ApiDown | What::ApiSilent | What::PartitionNode { .. })
}
