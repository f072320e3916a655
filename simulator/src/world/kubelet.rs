//! The kubelets and the Job controller, acting: processes start, end, are killed, and the API server learns of it.

use std::sync::Arc;

use super::clock::PodClock;
use super::host::{Host, Start};
use super::jobs::Action;
use super::pods::{Deleting, Phase, Pod, View};
use super::probe::Probes;
use super::sidecar::Sidecar;
use super::{JOB_ID, PRIVATE_PORT, RPC_PORT, World};
use crate::flink::{self, Env};
use crate::plan::Process;
use crate::seed::Stream;
use crate::trace::{Event, reached};
use tokio::sync::watch;

/// What Kubernetes gives a pod by default in our manifests.
pub(super) const GRACE_MS: u64 = 45_000;
/// A process that did not end by itself: 128 + SIGKILL, and 128 + SIGTERM.
pub(super) const KILLED: i32 = 137;
const TERMINATED: i32 = 143;

/// A pod, and what its kubelet has at hand for it.
pub(super) struct Kubelet {
    pub(super) pod: Pod,
    pub(super) clock: PodClock,
    /// This pod's own randomness.
    pub(super) stream: Stream,
    probes: Probes,
    stop: watch::Sender<bool>,
    /// How long the JobManager takes to end when it is asked to.
    ends_in_ms: u64,
    /// Both containers are asked to stop at the same time: an ordinary container in place of the native sidecar.
    together: bool,
    shown: Option<View>,
}

/// The two hosts of a pod. They outlive it: another pod may run there later.
pub(super) struct Slot {
    pub(super) sidecar: Host,
    pub(super) job_manager: Host,
}

// === impl Slot ===

impl Slot {
    pub(super) fn new(number: usize) -> Self {
        let host = |kind| Host::new(format!("{kind}-{number}"));
        Self { sidecar: host("sidecar"), job_manager: host("job-manager") }
    }

    fn host(&self, process: Process) -> &Host {
        match process {
            Process::Sidecar => &self.sidecar,
            _ => &self.job_manager,
        }
    }

    fn host_mut(&mut self, process: Process) -> &mut Host {
        match process {
            Process::Sidecar => &mut self.sidecar,
            _ => &mut self.job_manager,
        }
    }

    fn is_free(&self) -> bool {
        !self.sidecar.is_running() && !self.job_manager.is_running()
    }
}

// === impl World ===

impl World<'_> {
    /// What the Job controller does now.
    pub(super) fn control_jobs(&mut self) {
        let pods: Vec<&Pod> = self.kubelets.iter().map(|kubelet| &kubelet.pod).collect();
        for action in self.jobs.step(self.now_ms, &pods) {
            match action {
                Action::Create { generation } => self.create_pod(generation),
                Action::Delete { pod } => self.delete_pod(&pod, GRACE_MS),
            }
        }
    }

    fn create_pod(&mut self, generation: String) {
        let taken = |slot: &usize| self.kubelets.iter().any(|kubelet| kubelet.pod.slot == *slot);
        let free = (0..self.slots.len()).find(|slot| self.slots[*slot].is_free() && !taken(slot));
        // No node has room for it. It stays pending until one has.
        let Some(slot) = free else { return };
        self.pods_made += 1;
        let stream = Stream::new(self.scene.plan.seed, &format!("pod {}", self.pods_made));
        let (name, uid) = (format!("orders-{:05x}", stream.any() & 0xf_ffff), uuid(&stream));
        let world = &self.scene.plan.world;
        let (offset, drift) = (world.clock_offset_max_ms, world.clock_drift_max_permille);
        let clock = PodClock::new(self.scene.trace.clone(), offset, drift, &stream);
        let mut pod = Pod::new(slot, name.clone(), uid.clone(), generation.clone());
        let start_ms = self.scene.start_ms(&stream);
        pod.sidecar.phase = Phase::Starts { at_ms: self.now_ms + start_ms, ended: None };
        self.scene.trace.record("api-server", Event::PodCreated { pod: name, uid, generation });
        self.kubelets.push(Kubelet {
            pod,
            clock,
            probes: Probes::default(),
            stop: watch::Sender::new(false),
            ends_in_ms: stream.between(100, 1_500),
            together: stream.chance(250),
            stream,
            shown: None,
        });
    }

    /// Somebody deletes a pod's object: it goes when its kubelet has ended the processes.
    pub(super) fn delete_pod(&mut self, name: &str, grace_ms: u64) {
        let found = self.kubelets.iter_mut().find(|kubelet| kubelet.pod.name == name);
        let Some(kubelet) = found.filter(|kubelet| kubelet.pod.deleting.is_none()) else { return };
        let noticed_at_ms = self.now_ms + kubelet.stream.between(0, 1_000);
        kubelet.pod.deleting = Some(Deleting { grace_ms, noticed_at_ms, known_at_ms: None });
        // The API server knows of the deletion before the kubelet does.
        let (view, name) = (kubelet.pod.view(self.now_ms), &kubelet.pod.name);
        self.scene.api.with(|objects| objects.set_pod(self.now_ms, name, kubelet.pod.show(&view)));
        kubelet.shown = Some(view);
    }

    /// The pod's object goes, whatever its processes do.
    pub(super) fn remove_object(&mut self, name: &str) {
        let found = self.kubelets.iter_mut().find(|kubelet| kubelet.pod.name == name && kubelet.pod.object);
        let Some(kubelet) = found else { return };
        kubelet.pod.object = false;
        self.scene.api.with(|objects| objects.remove_pod(self.now_ms, name));
        let (pod, uid) = (kubelet.pod.name.clone(), kubelet.pod.uid.clone());
        self.scene.trace.record("api-server", Event::PodDeleted { pod, uid });
    }

    /// What the kubelets do now.
    pub(super) fn run_kubelets(&mut self) {
        for index in 0..self.kubelets.len() {
            self.note_exits(index);
            self.terminate(index);
            self.start_due(index);
            self.report(index);
        }
        let over = |kubelet: &Kubelet| kubelet.pod.is_over() && !kubelet.pod.object;
        self.kubelets.retain(|kubelet| !over(kubelet));
        self.run_task_managers();
        let newest_ready = self.kubelets.iter().rev().find(|kubelet| {
            let pod = &kubelet.pod;
            pod.is_active() && pod.reachable && kubelet.probes.ready()
        });
        let host = newest_ready.map(|kubelet| self.slots[kubelet.pod.slot].sidecar.name());
        self.scene.service.point_at(host);
    }

    fn note_exits(&mut self, index: usize) {
        let slot = &mut self.slots[self.kubelets[index].pod.slot];
        let sidecar = slot.sidecar.take_exit(&mut self.sim);
        let job_manager = slot.job_manager.take_exit(&mut self.sim);
        for (process, code) in [(Process::Sidecar, sidecar), (Process::JobManager, job_manager)] {
            if let Some(code) = code {
                let event = Event::ProcessEnded { kind: kind(process), code };
                self.scene.trace.record(self.actor(index, process), event);
                self.ended(index, process, code);
            }
        }
        if self.kubelets[index].probes.dead() {
            self.kill(index, Process::Sidecar);
        }
    }

    /// Kills one process of a pod. Its kubelet starts it again, if it should run.
    pub(super) fn kill(&mut self, index: usize, process: Process) {
        let actor = self.actor(index, process);
        let committing = process == Process::Sidecar && self.scene.store.is_committing(&actor);
        if !self.is_running(index, process) {
            return;
        }
        if committing {
            self.scene.trace.reached(actor.clone(), reached::CRASH_IN_COMMIT);
        }
        self.scene.trace.record(actor.clone(), Event::ProcessKilled { kind: kind(process) });
        self.free(&actor);
        self.kill_host(index, process);
        self.ended(index, process, KILLED);
    }

    fn is_running(&self, index: usize, process: Process) -> bool {
        self.slots[self.kubelets[index].pod.slot].host(process).is_running()
    }

    fn kill_host(&mut self, index: usize, process: Process) {
        self.slots[self.kubelets[index].pod.slot].host_mut(process).kill(&mut self.sim);
    }

    fn ended(&mut self, index: usize, process: Process, code: i32) {
        let kubelet = &mut self.kubelets[index];
        let terminating = kubelet.pod.deleting.as_ref().is_some_and(|gone| gone.known_at_ms.is_some());
        let again = match process {
            Process::JobManager => !terminating && code != 0,
            _ => !terminating && !kubelet.pod.succeeded(),
        };
        let start_ms = again.then(|| self.scene.start_ms(&kubelet.stream));
        let container = match process {
            Process::Sidecar => {
                kubelet.probes = Probes::default();
                &mut kubelet.pod.sidecar
            }
            _ => &mut kubelet.pod.job_manager,
        };
        container.ended(self.now_ms, code, start_ms);
    }

    /// Ends what has to end: the JobManager first, then the sidecar, and both when their time is up.
    fn terminate(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let pod = &mut self.kubelets[index].pod;
        if let Some(deleting) = &mut pod.deleting
            && pod.reachable
            && deleting.noticed_at_ms <= now_ms
        {
            deleting.known_at_ms.get_or_insert(now_ms);
        }
        let known = pod.deleting.as_ref().and_then(|gone| Some((gone.known_at_ms?, gone.grace_ms)));
        if let Some((known_at_ms, grace_ms)) = known {
            for container in [&mut pod.sidecar, &mut pod.job_manager] {
                if matches!(container.phase, Phase::Created | Phase::Starts { .. }) {
                    container.phase = Phase::Done { code: TERMINATED };
                }
            }
            if now_ms >= known_at_ms + grace_ms {
                self.kill(index, Process::JobManager);
                self.kill(index, Process::Sidecar);
            } else if now_ms >= known_at_ms + self.kubelets[index].ends_in_ms {
                self.end_job_manager(index);
            }
        }
        let kubelet = &mut self.kubelets[index];
        let job_manager_over = matches!(kubelet.pod.job_manager.phase, Phase::Done { .. });
        let stop_sidecar = job_manager_over || (known.is_some() && kubelet.together);
        if stop_sidecar {
            match kubelet.pod.sidecar.phase {
                Phase::Runs { .. } => drop(kubelet.stop.send_replace(true)),
                Phase::Created | Phase::Starts { .. } => kubelet.pod.sidecar.phase = Phase::Done { code: 0 },
                Phase::Done { .. } => {}
            }
        }
        if known.is_some() && kubelet.pod.is_over() && kubelet.pod.reachable {
            let name = kubelet.pod.name.clone();
            self.remove_object(&name);
        }
    }

    /// A JobManager that got SIGTERM ends without tidying up.
    fn end_job_manager(&mut self, index: usize) {
        if self.is_running(index, Process::JobManager) {
            self.kill_host(index, Process::JobManager);
            let event = Event::ProcessEnded { kind: "job-manager", code: TERMINATED };
            self.scene.trace.record(self.actor(index, Process::JobManager), event);
            self.ended(index, Process::JobManager, TERMINATED);
        }
    }

    fn start_due(&mut self, index: usize) {
        let now_ms = self.now_ms;
        let kubelet = &mut self.kubelets[index];
        let pod = &mut kubelet.pod;
        if pod.job_manager.phase == Phase::Created && kubelet.probes.started() {
            let at_ms = now_ms + self.scene.start_ms(&kubelet.stream);
            pod.job_manager.phase = Phase::Starts { at_ms, ended: None };
        }
        if pod.sidecar.is_due(now_ms) {
            pod.sidecar.phase = Phase::Runs { since_ms: now_ms };
            self.start_sidecar(index);
        }
        let pod = &mut self.kubelets[index].pod;
        if pod.job_manager.is_due(now_ms) {
            pod.job_manager.phase = Phase::Runs { since_ms: now_ms };
            self.start_job_manager(index);
        }
    }

    fn start_sidecar(&mut self, index: usize) {
        let actor = self.actor(index, Process::Sidecar);
        let stream = self.process_stream(index, Process::Sidecar);
        let kubelet = &mut self.kubelets[index];
        let (stop, stopping) = watch::channel(false);
        let mut settings = self.scene.plan.world.settings.clone();
        settings.extend(
            self.rollouts
                .get(&kubelet.pod.generation)
                .into_iter()
                .flatten()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
        kubelet.stop = stop;
        kubelet.probes = Probes::default();
        let sidecar = Sidecar {
            actor: actor.clone(),
            pod: kubelet.pod.name.clone(),
            uid: kubelet.pod.uid.clone(),
            generation: kubelet.pod.generation.clone(),
            settings,
            clock: kubelet.clock.clone(),
            stream,
            wrap: self.scene.product.sidecar.clone(),
            stop: stopping,
        };
        let probes = kubelet.probes.clone();
        let start: Start = Box::new(move || {
            Box::pin(async move {
                tokio::task::spawn_local(probes.run());
                sidecar.run().await
            })
        });
        self.scene.trace.record(actor, Event::ProcessStarted { kind: "sidecar" });
        self.links_changed |= !self.slots[self.kubelets[index].pod.slot].sidecar.is_registered();
        self.slots[self.kubelets[index].pod.slot].sidecar.start(&mut self.sim, start);
    }

    fn start_job_manager(&mut self, index: usize) {
        let actor = self.actor(index, Process::JobManager);
        let pod = &self.kubelets[index].pod;
        let env = Env {
            sidecar: format!("{}:{PRIVATE_PORT}", self.slots[pod.slot].sidecar.name()),
            listen: format!("{actor}:{RPC_PORT}"),
            generation: pod.generation.clone(),
            clock: Arc::new(self.kubelets[index].clock.clone()),
            ..self.env(&actor, self.process_stream(index, Process::JobManager))
        };
        let cluster = self.scene.cluster.clone();
        let start: Start = Box::new(move || Box::pin(flink::job_manager(env, cluster)));
        self.scene.trace.record(actor, Event::ProcessStarted { kind: "job-manager" });
        let host = &mut self.slots[self.kubelets[index].pod.slot].job_manager;
        self.links_changed |= !host.is_registered();
        host.start(&mut self.sim, start);
    }

    fn report(&mut self, index: usize) {
        let kubelet = &mut self.kubelets[index];
        let view = kubelet.pod.view(self.now_ms);
        if kubelet.pod.object && kubelet.pod.reachable && kubelet.shown.as_ref() != Some(&view) {
            let object = kubelet.pod.show(&view);
            self.scene.api.with(|objects| objects.set_pod(self.now_ms, &kubelet.pod.name, object));
            kubelet.shown = Some(view);
        }
    }

    /// Every back-off is forgiven: whatever waits to be started starts soon.
    pub(super) fn hurry(&mut self) {
        for kubelet in &mut self.kubelets {
            for container in [&mut kubelet.pod.sidecar, &mut kubelet.pod.job_manager] {
                container.hurry(self.now_ms, self.scene.start_ms(&kubelet.stream));
            }
        }
        for one in &mut self.task_managers {
            one.container.hurry(self.now_ms, self.scene.start_ms(&one.stream));
        }
    }

    pub(super) fn env(&self, actor: &str, stream: Stream) -> Env {
        Env {
            actor: actor.to_owned(),
            sidecar: String::new(),
            listen: String::new(),
            job_id: JOB_ID.to_owned(),
            generation: String::new(),
            job: self.scene.plan.job.clone(),
            trace: self.scene.trace.clone(),
            points: self.scene.points.clone(),
            clock: Arc::new(PodClock::new(self.scene.trace.clone(), 0, 0, &Stream::new(0, "no clock"))),
            stream,
        }
    }

    /// Who a process is in the trace, which is the name of its host.
    pub(super) fn actor(&self, index: usize, process: Process) -> String {
        self.slots[self.kubelets[index].pod.slot].host(process).name().to_owned()
    }

    /// A process draws what no other process ever does.
    fn process_stream(&self, index: usize, process: Process) -> Stream {
        let Pod { uid, sidecar, job_manager, .. } = &self.kubelets[index].pod;
        let container = if process == Process::Sidecar { sidecar } else { job_manager };
        let name = format!("{} of {uid} start {}", kind(process), container.restarts.count());
        Stream::new(self.scene.plan.seed, &name)
    }

    /// The probes know that a process that stands still answers nothing.
    pub(super) fn probe_paused(&self, is_paused: impl Fn(&str) -> bool) {
        for kubelet in &self.kubelets {
            kubelet.probes.set_paused(is_paused(self.slots[kubelet.pod.slot].sidecar.name()));
        }
    }
}

pub(super) fn kind(process: Process) -> &'static str {
    match process {
        Process::Sidecar => "sidecar",
        Process::JobManager => "job-manager",
        Process::TaskManagers => "task-manager",
    }
}

fn uuid(stream: &Stream) -> String {
    let (high, low) = (stream.any(), stream.any());
    format!(
        "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}
