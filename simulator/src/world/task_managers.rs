//! TaskManagers: pods of a Deployment, of which only the process matters.

use super::host::{Host, Start};
use super::kubelet::KILLED;
use super::pods::{Container, Phase};
use super::{PUBLIC_PORT, World};
use crate::flink::{self, Env};
use crate::seed::Stream;
use crate::trace::Event;

/// A TaskManager's pod, of which only the process matters.
pub(super) struct TaskManager {
    pub(super) host: Host,
    pub(super) container: Container,
    pub(super) stream: Stream,
}

// === impl TaskManager ===

impl TaskManager {
    /// One that starts then.
    pub(super) fn new(seed: u64, number: usize, at_ms: u64) -> Self {
        let host = Host::new(format!("task-manager-{number}"));
        let stream = Stream::new(seed, host.name());
        let phase = Phase::Starts { at_ms, ended: None };
        Self { host, container: Container { phase, ..Container::default() }, stream }
    }
}

// === impl World ===

impl World<'_> {
    pub(super) fn run_task_managers(&mut self) {
        for index in 0..self.task_managers.len() {
            let one = &mut self.task_managers[index];
            if let Some(code) = one.host.take_exit(&mut self.sim) {
                let event = Event::ProcessEnded { kind: "task-manager", code };
                self.scene.trace.record(one.host.name(), event);
                one.container.ended(self.now_ms, code, Some(self.scene.start_ms(&one.stream)));
            }
            if one.container.is_due(self.now_ms) {
                one.container.phase = Phase::Runs { since_ms: self.now_ms };
                self.start_task_manager(index);
            }
        }
    }

    fn start_task_manager(&mut self, index: usize) {
        let one = &self.task_managers[index];
        let actor = one.host.name().to_owned();
        let starts = one.container.restarts.count();
        let stream = Stream::new(self.scene.plan.seed, &format!("{actor} start {starts}"));
        let env = Env { sidecar: format!("127.0.0.1:{PUBLIC_PORT}"), ..self.env(&actor, stream) };
        let (cluster, service) = (self.scene.cluster.clone(), self.scene.service.clone());
        let start: Start = Box::new(move || {
            Box::pin(async move {
                tokio::spawn(service.serve(PUBLIC_PORT));
                flink::task_manager(env, cluster).await
            })
        });
        self.scene.trace.record(actor, Event::ProcessStarted { kind: "task-manager" });
        let host = &mut self.task_managers[index].host;
        self.links_changed |= !host.is_registered();
        host.start(&mut self.sim, start);
    }

    /// Kills every TaskManager.
    pub(super) fn kill_task_managers(&mut self) {
        for one in &mut self.task_managers {
            if one.host.is_running() {
                let event = Event::ProcessKilled { kind: "task-manager" };
                self.scene.trace.record(one.host.name(), event);
                one.host.kill(&mut self.sim);
                one.container.ended(self.now_ms, KILLED, Some(self.scene.start_ms(&one.stream)));
            }
        }
    }
}
