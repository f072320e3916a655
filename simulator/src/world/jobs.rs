//! The Job controller: how many pods there should be, and which have to go.

use super::pods::Pod;

/// The Jobs of the deployment: one, and for a while two when it is upgraded.
#[derive(Debug, Clone)]
pub(super) struct Jobs {
    pods: usize,
    all: Vec<Job>,
    /// Somebody has set `suspend: true`.
    suspended: bool,
}

/// A Kubernetes Job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Job {
    /// Its UID.
    pub(super) generation: String,
    /// A pod of it has succeeded: it wants no more.
    pub(super) complete: bool,
    /// When somebody deletes it.
    pub(super) deleted_at_ms: Option<u64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    /// Make a pod for the Job of this UID.
    Create {
        /// The Job.
        generation: String,
    },
    /// Delete the pod of this name.
    Delete {
        /// The pod.
        pod: String,
    },
}

// === impl Jobs ===

impl Jobs {
    /// One Job, which wants so many pods at a time.
    pub(super) fn new(pods: usize, generation: String) -> Self {
        Self { pods, all: vec![Job { generation, complete: false, deleted_at_ms: None }], suspended: false }
    }

    /// Makes one more Job.
    pub(super) fn create(&mut self, generation: String) {
        self.all.push(Job { generation, complete: false, deleted_at_ms: None });
    }

    /// Deletes those that are there.
    pub(super) fn delete(&mut self, at_ms: u64) {
        for job in &mut self.all {
            job.deleted_at_ms = Some(job.deleted_at_ms.map_or(at_ms, |before_ms| before_ms.min(at_ms)));
        }
    }

    /// Whether every Job was deleted, and none was made since.
    pub(super) fn is_deleted(&self, now_ms: u64) -> bool {
        self.all.iter().all(|job| job.deleted_at_ms.is_some_and(|at_ms| at_ms <= now_ms))
    }

    /// While they are suspended, Jobs want no pods.
    pub(super) fn suspend(&mut self, on: bool) {
        self.suspended = on;
    }

    /// Makes another Job, and deletes those that are there a little later.
    pub(super) fn upgrade(&mut self, generation: String, deleted_at_ms: u64) {
        for job in &mut self.all {
            job.deleted_at_ms.get_or_insert(deleted_at_ms);
        }
        self.create(generation);
    }

    /// What is to be done about these pods.
    pub(super) fn step(&mut self, now_ms: u64, pods: &[&Pod]) -> Vec<Action> {
        let mut actions = Vec::new();
        for job in &mut self.all {
            let of_job = || pods.iter().filter(|pod| pod.generation == job.generation);
            // A kubelet that cannot be reached has told nobody.
            let complete =
                of_job().any(|pod| pod.reachable && pod.object && pod.succeeded() && pod.is_over());
            job.complete |= complete;
            let gone = job.deleted_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            if gone || job.complete {
                let left = of_job().filter(|pod| pod.object && pod.deleting.is_none());
                let left = left.filter(|pod| gone || !pod.succeeded());
                actions.extend(left.map(|pod| Action::Delete { pod: pod.name.clone() }));
            } else if self.suspended {
                let active = of_job().filter(|pod| pod.is_active());
                actions.extend(active.map(|pod| Action::Delete { pod: pod.name.clone() }));
            } else if job.deleted_at_ms.is_none() || of_job().next().is_some() {
                let missing = self.pods.saturating_sub(of_job().filter(|pod| pod.is_active()).count());
                let create = || Action::Create { generation: job.generation.clone() };
                actions.extend(std::iter::repeat_with(create).take(missing));
            }
        }
        self.all.retain(|job| {
            let gone = job.deleted_at_ms.is_some_and(|at_ms| at_ms <= now_ms);
            !gone || pods.iter().any(|pod| pod.generation == job.generation && pod.object)
        });
        actions
    }
}

#[cfg(test)]
mod tests {
    use super::super::pods::{Deleting, Phase};
    use super::*;

    fn pod(name: &str, generation: &str) -> Pod {
        let mut pod = Pod::new(0, name.into(), format!("uid of {name}"), generation.into());
        pod.sidecar.phase = Phase::Runs { since_ms: 0 };
        pod.job_manager.phase = Phase::Runs { since_ms: 0 };
        pod
    }

    fn create(generation: &str) -> Action {
        Action::Create { generation: generation.into() }
    }

    #[test]
    fn a_pod_that_is_being_deleted_is_replaced_at_once() {
        let mut jobs = Jobs::new(1, "g1".into());
        assert_eq!(jobs.step(0, &[]), [create("g1")]);
        let mut old = pod("a", "g1");
        assert_eq!(jobs.step(0, &[&old]), []);
        old.deleting = Some(Deleting { grace_ms: 0, noticed_at_ms: 0, known_at_ms: None });
        assert_eq!(jobs.step(0, &[&old]), [create("g1")]);
    }

    #[test]
    fn a_job_with_a_pod_that_succeeded_wants_no_more() {
        let mut jobs = Jobs::new(1, "g1".into());
        let mut done = pod("a", "g1");
        done.job_manager.phase = Phase::Done { code: 0 };
        assert_eq!(jobs.step(0, &[&done]), [], "its sidecar is being ended: the pod still counts");
        done.sidecar.phase = Phase::Done { code: 0 };
        assert_eq!(jobs.step(0, &[&done]), []);
        assert_eq!(jobs.step(0, &[]), []);
    }

    #[test]
    fn a_job_that_is_suspended_deletes_its_pods_and_makes_new_ones_when_it_is_resumed() {
        let mut jobs = Jobs::new(1, "g1".into());
        let mut old = pod("a", "g1");
        jobs.suspend(true);
        assert_eq!(jobs.step(0, &[&old]), [Action::Delete { pod: "a".into() }]);
        old.deleting = Some(Deleting { grace_ms: 0, noticed_at_ms: 0, known_at_ms: None });
        assert_eq!(jobs.step(10, &[&old]), []);
        assert_eq!(jobs.step(20, &[]), []);
        assert!(!jobs.is_deleted(20));
        jobs.suspend(false);
        assert_eq!(jobs.step(30, &[]), [create("g1")], "the same generation");
    }

    #[test]
    fn a_job_that_was_deleted_is_made_again_in_a_new_generation() {
        let mut jobs = Jobs::new(1, "g1".into());
        let mut old = pod("a", "g1");
        jobs.delete(0);
        assert!(jobs.is_deleted(0));
        assert_eq!(jobs.step(0, &[&old]), [Action::Delete { pod: "a".into() }]);
        old.deleting = Some(Deleting { grace_ms: 0, noticed_at_ms: 0, known_at_ms: None });
        jobs.create("g2".into());
        assert!(!jobs.is_deleted(0));
        assert_eq!(jobs.step(10, &[&old]), [create("g2")]);
    }

    #[test]
    fn an_upgrade_makes_the_new_pod_first_and_deletes_the_old_one_then() {
        let mut jobs = Jobs::new(1, "g1".into());
        let old = pod("a", "g1");
        jobs.upgrade("g2".into(), 3_000);
        assert_eq!(jobs.step(0, &[&old]), [create("g2")]);
        let new = pod("b", "g2");
        let both = [&old, &new];
        assert_eq!(jobs.step(2_999, &both), []);
        assert_eq!(jobs.step(3_000, &both), [Action::Delete { pod: "a".into() }]);
    }
}
