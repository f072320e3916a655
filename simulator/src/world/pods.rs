//! Pods: what they are, what their kubelet knows of them, and what the API server shows of that.

use serde_json::{Value, json};

use super::api::NAMESPACE;
use super::restarts::Restarts;

/// The container that runs the JobManager.
pub(super) const JOB_MANAGER: &str = "jobmanager";
/// The native sidecar: an init container that is always started again and outlives the others.
pub(super) const SIDECAR: &str = "holdfast";

/// For this long a container that ended is shown as terminated; then as waiting for its next start.
const SHOWN_TERMINATED_MS: u64 = 1_000;

/// A pod of the Job, from its creation until nothing of it is left.
#[derive(Debug, Clone)]
pub(super) struct Pod {
    /// Which pair of hosts it runs on.
    pub(super) slot: usize,
    /// Its name, which is never used again.
    pub(super) name: String,
    /// Its UID.
    pub(super) uid: String,
    /// The Job that it belongs to, by its UID.
    pub(super) generation: String,
    /// The sidecar.
    pub(super) sidecar: Container,
    /// The JobManager.
    pub(super) job_manager: Container,
    /// The pod's object is there.
    pub(super) object: bool,
    /// Somebody deleted it; what it is then.
    pub(super) deleting: Option<Deleting>,
    /// Its kubelet reaches the API server.
    pub(super) reachable: bool,
}

/// A pod that is being deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Deleting {
    /// How long its processes have after its kubelet knows of it.
    pub(super) grace_ms: u64,
    /// When its kubelet notices it, unless it is cut off then.
    pub(super) noticed_at_ms: u64,
    /// When its kubelet noticed it.
    pub(super) known_at_ms: Option<u64>,
}

/// A container and its process.
#[derive(Debug, Clone, Default)]
pub(super) struct Container {
    /// What it is in.
    pub(super) phase: Phase,
    /// How often it ended.
    pub(super) restarts: Restarts,
}

/// What a container is in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// It is created, and nothing else has happened yet.
    #[default]
    Created,
    /// It starts then. `ended`: it ran before, until then and with this code.
    Starts {
        /// When it starts.
        at_ms: u64,
        /// Its last end.
        ended: Option<(u64, i32)>,
    },
    /// It runs.
    Runs {
        /// Since then.
        since_ms: u64,
    },
    /// It has ended, and is not started again.
    Done {
        /// Its exit code.
        code: i32,
    },
}

/// The part of a container's phase that the API server shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Waiting(&'static str),
    Running,
    Terminated(i32),
}

/// Everything about a pod that the API server shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    sidecar: (Shown, u32),
    job_manager: (Shown, u32),
    deleting: bool,
    phase: &'static str,
}

// === impl Pod ===

impl Pod {
    /// A pod that the controller has just made.
    pub(super) fn new(slot: usize, name: String, uid: String, generation: String) -> Self {
        let (sidecar, job_manager) = Default::default();
        let (object, reachable) = (true, true);
        Self { slot, name, uid, generation, sidecar, job_manager, object, deleting: None, reachable }
    }

    /// Its JobManager ended in order, and with it the pod's work.
    pub(super) fn succeeded(&self) -> bool {
        self.job_manager.phase == Phase::Done { code: 0 }
    }

    /// Nothing of it runs, or will.
    pub(super) fn is_over(&self) -> bool {
        let over = |container: &Container| matches!(container.phase, Phase::Done { .. });
        over(&self.sidecar) && over(&self.job_manager)
    }

    /// Counts as one of those that the Job wants: until the API server shows it as `Succeeded`, which is when its sidecar has
    /// ended too and its kubelet could say so.
    pub(super) fn is_active(&self) -> bool {
        let shown_succeeded = self.reachable && self.succeeded() && self.is_over();
        self.object && self.deleting.is_none() && !shown_succeeded
    }

    /// What the kubelet tells the API server.
    pub(super) fn view(&self, now_ms: u64) -> View {
        let shown = |container: &Container| (container.shown(now_ms), container.restarts.count());
        let phase = match (self.succeeded() && self.is_over(), &self.sidecar.phase) {
            (true, _) => "Succeeded",
            (_, Phase::Created | Phase::Starts { ended: None, .. }) => "Pending",
            _ => "Running",
        };
        let (sidecar, job_manager) = (shown(&self.sidecar), shown(&self.job_manager));
        View { sidecar, job_manager, deleting: self.deleting.is_some(), phase }
    }

    /// The pod's object.
    pub(super) fn show(&self, view: &View) -> Value {
        let status = |name: &str, (shown, restarts): (Shown, u32)| {
            json!({
                "name": name, "image": name, "imageID": "", "ready": shown == Shown::Running,
                "restartCount": restarts, "state": shown.state(),
            })
        };
        let mut metadata = json!({"name": self.name, "namespace": NAMESPACE, "uid": self.uid});
        if view.deleting {
            metadata["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        }
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"containers": [{"name": JOB_MANAGER}], "initContainers": [{"name": SIDECAR}]},
            "status": {
                "phase": view.phase,
                "containerStatuses": [status(JOB_MANAGER, view.job_manager)],
                "initContainerStatuses": [status(SIDECAR, view.sidecar)],
            },
        })
    }
}

// === impl Container ===

impl Container {
    /// It ended with this code. `again_in_ms`: it is started again, and the process takes that long to start.
    pub(super) fn ended(&mut self, now_ms: u64, code: i32, again_in_ms: Option<u64>) {
        let ran_ms = match self.phase {
            Phase::Runs { since_ms } => now_ms - since_ms,
            _ => 0,
        };
        self.phase = match again_in_ms {
            None => Phase::Done { code },
            Some(start_ms) => {
                let at_ms = now_ms + self.restarts.wait_ms(ran_ms) + start_ms;
                Phase::Starts { at_ms, ended: Some((now_ms, code)) }
            }
        };
    }

    /// Whether its process is to be started now.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        matches!(self.phase, Phase::Starts { at_ms, .. } if at_ms <= now_ms)
    }

    /// Whatever held it back is forgiven: it starts within this time.
    pub(super) fn hurry(&mut self, now_ms: u64, start_ms: u64) {
        self.restarts.forget();
        if let Phase::Starts { at_ms, .. } = &mut self.phase {
            *at_ms = (*at_ms).min(now_ms + start_ms);
        }
    }

    fn shown(&self, now_ms: u64) -> Shown {
        match self.phase {
            Phase::Created => Shown::Waiting("PodInitializing"),
            Phase::Starts { ended: None, .. } => Shown::Waiting("ContainerCreating"),
            Phase::Starts { ended: Some((at_ms, code)), .. } if now_ms < at_ms + SHOWN_TERMINATED_MS => {
                Shown::Terminated(code)
            }
            Phase::Starts { .. } => Shown::Waiting("CrashLoopBackOff"),
            Phase::Runs { .. } => Shown::Running,
            Phase::Done { code } => Shown::Terminated(code),
        }
    }
}

// === impl Shown ===

impl Shown {
    fn state(self) -> Value {
        match self {
            Self::Waiting(reason) => json!({"waiting": {"reason": reason}}),
            Self::Running => json!({"running": {}}),
            Self::Terminated(code) => json!({"terminated": {"exitCode": code}}),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Pod {
        let mut pod = Pod::new(0, "orders-a".into(), "u1".into(), "g1".into());
        pod.sidecar.phase = Phase::Runs { since_ms: 0 };
        pod.job_manager.phase = Phase::Runs { since_ms: 0 };
        pod
    }

    #[test]
    fn a_container_that_ended_is_shown_as_terminated_for_a_moment_and_then_as_waiting() {
        let mut pod = running();
        pod.job_manager.ended(5_000, 137, Some(200));
        pod.job_manager.phase = Phase::Starts { at_ms: 20_000, ended: Some((5_000, 137)) };
        let state = |now_ms| {
            let object = pod.show(&pod.view(now_ms));
            object["status"]["containerStatuses"][0]["state"].clone()
        };
        assert_eq!(state(5_500), json!({"terminated": {"exitCode": 137}}));
        assert_eq!(state(6_000), json!({"waiting": {"reason": "CrashLoopBackOff"}}));
    }

    #[test]
    fn a_pod_has_succeeded_when_its_job_manager_ended_in_order_and_its_sidecar_is_gone() {
        let mut pod = running();
        pod.job_manager.ended(5_000, 0, None);
        assert!(pod.succeeded() && pod.is_active(), "its sidecar runs still");
        assert_eq!(pod.show(&pod.view(5_000))["status"]["phase"], "Running");
        pod.sidecar.ended(6_000, 0, None);
        assert!(!pod.is_active());
        assert_eq!(pod.show(&pod.view(6_000))["status"]["phase"], "Succeeded");
    }

    #[test]
    fn mending_everything_forgives_the_back_off() {
        let mut container = Container { phase: Phase::Runs { since_ms: 0 }, ..Container::default() };
        container.ended(1_000, 1, Some(200));
        container.phase = Phase::Runs { since_ms: 1_200 };
        container.ended(2_000, 1, Some(200));
        assert!(!container.is_due(12_000));
        container.hurry(3_000, 500);
        assert!(container.is_due(3_500));
    }
}
