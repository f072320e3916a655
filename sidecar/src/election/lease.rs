//! The elector's requests to the API server, and what the answers mean.

use std::sync::Arc;
use std::time::Duration;

use ha_store::{Clock, Epoch};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as KubeLease, LeaseSpec};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, ObjectMeta, PostParams};

use super::LeaseElection;
use super::refusal::Refusal;
use crate::elector::{HolderPod, Lease, Observation};

const CREATE: &str = "create leases.coordination.k8s.io";
const UPDATE: &str = "update leases.coordination.k8s.io";

const EPOCH: &str = "holdfast.io/epoch";
const VERSION: &str = "holdfast.io/version";
const POD: &str = "holdfast.io/pod";

/// The Lease of a deployment, and what was last read of it.
#[derive(Debug)]
pub(super) struct LeaseClient {
    election: LeaseElection,
    leases: Api<KubeLease>,
    pods: Api<Pod>,
    clock: Arc<dyn Clock>,
    /// Whether it was said that evidence is worth nothing here.
    warned: bool,
    /// Whole, because a write replaces the object: other people's labels and annotations stay.
    last: Option<KubeLease>,
    /// The pod of whoever held the Lease when it was last there, as the Lease names it.
    holder_pod: Option<String>,
}

// === impl LeaseClient ===

impl LeaseClient {
    pub(super) fn new(client: kube::Client, election: LeaseElection, clock: Arc<dyn Clock>) -> Self {
        let leases = Api::namespaced(client.clone(), &election.namespace);
        let pods = Api::namespaced(client, &election.namespace);
        Self { election, leases, pods, clock, warned: false, last: None, holder_pod: None }
    }

    pub(super) async fn read(&mut self, sent_ms: u64) -> Observation {
        let name = self.election.lease_name.clone();
        let found = self.asked("get leases.coordination.k8s.io", &name, self.leases.get(&name)).await;
        match found.map(Some).or_else(Refusal::absent) {
            Ok(found) => {
                if let Some(found) = &found {
                    self.holder_pod = annotation(found, POD);
                }
                self.last = found;
                Observation::Read { sent_ms, lease: self.last.as_ref().map(seen) }
            }
            Err(refusal) => refusal.into(),
        }
    }

    pub(super) async fn create(&mut self, sent_ms: u64, epoch: Option<Epoch>) -> Observation {
        let name = self.election.lease_name.clone();
        let mut lease = KubeLease {
            metadata: ObjectMeta { name: Some(name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec::default()),
        };
        self.hold(&mut lease, epoch);
        let parameters = PostParams::default();
        let create = self.leases.create(&parameters, &lease);
        let result = self.asked(CREATE, &name, create).await;
        self.written(sent_ms, CREATE, &lease, result)
    }

    /// Holds the Lease that was last read, which has this version.
    pub(super) async fn update(&mut self, sent_ms: u64, version: &str, epoch: Option<Epoch>) -> Observation {
        let mut lease = self.named(version);
        self.hold(&mut lease, epoch);
        self.replace(sent_ms, &lease).await
    }

    /// Gives the Lease up, as client-go does it: nobody's, and over in a second.
    pub(super) async fn release(&mut self, sent_ms: u64, version: &str) -> Observation {
        let mut lease = self.named(version);
        let now = self.now();
        let spec = lease.spec.get_or_insert_default();
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        spec.renew_time = Some(now);
        self.replace(sent_ms, &lease).await
    }

    /// Whether the holder of the Lease that was last read can still be running.
    pub(super) async fn look_at_pod(&mut self, holder: String) -> Observation {
        let Some(name) = self.holder_pod.clone() else {
            return Observation::Pod { holder, pod: HolderPod::Unknown };
        };
        let found = match self.pod(&name).await {
            Ok(pod) => pod.as_ref().map_or(HolderPod::Gone, |pod| judge(pod, &holder)),
            Err(refusal) => return refusal.into(),
        };
        match found {
            HolderPod::Gone | HolderPod::Terminated => self.believe(holder, found).await,
            HolderPod::MayRun | HolderPod::Unknown => Observation::Pod { holder, pod: found },
        }
    }

    /// Evidence counts only from a candidate that sees itself: one whose identity is not its pod's UID, or that asks in
    /// the wrong namespace, would take every other pod for gone.
    async fn believe(&mut self, holder: String, found: HolderPod) -> Observation {
        let me = match self.pod(&self.election.pod_name).await {
            Ok(me) => me,
            Err(refusal) => return refusal.into(),
        };
        let LeaseElection { pod_name, identity, namespace, .. } = &self.election;
        if me.and_then(|me| me.metadata.uid).as_ref() == Some(identity) {
            return Observation::Pod { holder, pod: found };
        }
        if !self.warned {
            self.warned = true;
            tracing::warn!(
                event = "no-evidence",
                "pod {pod_name:?} in namespace {namespace:?} does not have the UID {identity:?}, so what this process \
                 sees of other pods proves nothing: it waits for Leases to expire. Set --pod-name, --identity and \
                 --namespace from the downward API"
            );
        }
        Observation::Pod { holder, pod: HolderPod::Unknown }
    }

    /// One without a UID would be taken for another's than the holder's.
    async fn pod(&self, name: &str) -> Result<Option<Pod>, Refusal> {
        let pod =
            self.asked("get pods", name, self.pods.get(name)).await.map(Some).or_else(Refusal::absent)?;
        match pod.as_ref().is_some_and(|pod| pod.metadata.uid.is_none()) {
            true => Err(Refusal::garbage(&format!("get pods {name:?}"))),
            false => Ok(pod),
        }
    }

    /// The wall clock's time goes into the Lease for people; nobody decides by it.
    fn now(&self) -> MicroTime {
        MicroTime(Timestamp::from_millisecond(self.clock.wall_ms()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    fn named(&self, version: &str) -> KubeLease {
        let last = self.last.clone().expect("what is to be written was read before");
        assert_eq!(
            last.metadata.resource_version.as_deref(),
            Some(version),
            "a write names the version it read"
        );
        last
    }

    fn hold(&self, lease: &mut KubeLease, epoch: Option<Epoch>) {
        let now = self.now();
        let annotations = lease.metadata.annotations.get_or_insert_default();
        annotations.insert(VERSION.into(), env!("CARGO_PKG_VERSION").into());
        annotations.insert(POD.into(), self.election.pod_name.clone());
        match epoch {
            Some(epoch) => annotations.insert(EPOCH.into(), epoch.to_string()),
            None => annotations.remove(EPOCH),
        };
        let spec = lease.spec.get_or_insert_default();
        if spec.holder_identity.as_ref() != Some(&self.election.identity) {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions =
                Some(spec.lease_transitions.map_or(0, |before| before.saturating_add(1)));
        }
        spec.holder_identity = Some(self.election.identity.clone());
        spec.renew_time = Some(now);
        let seconds = self.election.timings.lease_duration_ms().div_ceil(1_000);
        spec.lease_duration_seconds = Some(i32::try_from(seconds).unwrap_or(i32::MAX));
    }

    async fn replace(&mut self, sent_ms: u64, lease: &KubeLease) -> Observation {
        let name = self.election.lease_name.clone();
        let parameters = PostParams::default();
        let replace = self.leases.replace(&name, &parameters, lease);
        let result = self.asked(UPDATE, &name, replace).await;
        self.written(sent_ms, UPDATE, lease, result)
    }

    fn written(
        &mut self,
        sent_ms: u64,
        verb: &str,
        lease: &KubeLease,
        result: Result<KubeLease, Refusal>,
    ) -> Observation {
        match result {
            // An accepted write is answered with what was written. Whatever else this is, it proves nothing about the
            // holder: only a read does.
            Ok(answer) if seen(&answer).holder != seen(lease).holder => {
                let reason = format!("{verb}: answered with a Lease that {:?} holds", seen(&answer).holder);
                Observation::Conflict { reason }
            }
            Ok(answer) => {
                self.last = Some(answer);
                Observation::Written { sent_ms, lease: self.last.as_ref().map(seen).expect("just set") }
            }
            Err(refusal) if refusal.is_about_the_version() => {
                Observation::Conflict { reason: refusal.message }
            }
            Err(refusal) => refusal.into(),
        }
    }

    /// One request under its own time-out. An answer that is not the object that was asked for is none.
    async fn asked<K: kube::Resource>(
        &self,
        verb: &str,
        name: &str,
        call: impl Future<Output = kube::Result<K>>,
    ) -> Result<K, Refusal> {
        let limit_ms = self.election.call_timeout_ms;
        let what = format!("{verb} {name:?} in namespace {:?}", self.election.namespace);
        match tokio::time::timeout(Duration::from_millis(limit_ms), call).await {
            Ok(Ok(answer)) => {
                let ObjectMeta { name: its_name, resource_version, .. } = answer.meta();
                let is_it = its_name.as_deref() == Some(name) && resource_version.is_some();
                is_it.then_some(answer).ok_or_else(|| Refusal::garbage(&what))
            }
            Ok(Err(error)) => Err(Refusal::new(&what, error)),
            Err(_) => Err(Refusal::silence(&what, limit_ms)),
        }
    }
}

fn annotation(lease: &KubeLease, key: &str) -> Option<String> {
    lease.metadata.annotations.as_ref()?.get(key).cloned()
}

fn seen(lease: &KubeLease) -> Lease {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds).unwrap_or_default();
    Lease {
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        holder: spec.and_then(|spec| spec.holder_identity.clone()).unwrap_or_default(),
        duration_ms: u64::try_from(seconds).unwrap_or_default() * 1_000,
    }
}

/// Whether a pod that goes by the holder's name is the holder, and whether anything in it can still run.
fn judge(pod: &Pod, holder: &str) -> HolderPod {
    if pod.metadata.uid.as_deref() != Some(holder) {
        return HolderPod::Gone;
    }
    let Some(status) = &pod.status else { return HolderPod::MayRun };
    if matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return HolderPod::Terminated;
    }
    let containers = status.container_statuses.iter().flatten();
    let init_containers = status.init_container_statuses.iter().flatten();
    let terminated =
        |status: &ContainerStatus| status.state.as_ref().is_some_and(|state| state.terminated.is_some());
    let all: Vec<_> = containers.chain(init_containers).collect();
    match !all.is_empty() && all.into_iter().all(terminated) {
        true => HolderPod::Terminated,
        false => HolderPod::MayRun,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"uid": "u1"}, "status": status})).expect("a pod")
    }

    #[test]
    fn another_pod_of_the_same_name_means_that_the_holder_is_gone() {
        assert_eq!(judge(&pod(json!({"phase": "Running"})), "u2"), HolderPod::Gone);
    }

    #[test]
    fn a_pod_that_ended_cannot_run() {
        for phase in ["Succeeded", "Failed"] {
            assert_eq!(judge(&pod(json!({ "phase": phase })), "u1"), HolderPod::Terminated);
        }
    }

    #[test]
    fn one_container_that_is_not_terminated_may_run() {
        let ended = json!({"name": "a", "image": "", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"terminated": {"exitCode": 137}}});
        let waits = json!({"name": "b", "image": "", "imageID": "", "ready": false, "restartCount": 1,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
        let both = pod(json!({"phase": "Running", "containerStatuses": [ended, waits]}));
        assert_eq!(judge(&both, "u1"), HolderPod::MayRun);
        let sidecar_runs = json!({"phase": "Running", "containerStatuses": [ended],
            "initContainerStatuses": [{"name": "holdfast", "image": "", "imageID": "", "ready": true,
                "restartCount": 0, "state": {"running": {}}}]});
        assert_eq!(judge(&pod(sidecar_runs), "u1"), HolderPod::MayRun);
        let all = pod(json!({"phase": "Running", "containerStatuses": [ended, ended]}));
        assert_eq!(judge(&all, "u1"), HolderPod::Terminated);
    }

    #[test]
    fn a_pod_of_which_nothing_is_known_may_run() {
        assert_eq!(judge(&pod(json!({"phase": "Pending"})), "u1"), HolderPod::MayRun);
    }
}
