//! How long things may take in a run, from the plan's settings and faults.

use jiff::SignedDuration;

use crate::plan::{Fault, Plan, Process, RestartStrategy, What};

/// Times in force, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Patience {
    /// From the end of all faults until somebody leads, if no kubelet waits before it starts a container.
    pub(super) leads_again_ms: u64,
    /// From the loss of a Lease until a claim that was made under it may still become durable.
    pub(super) late_claim_ms: u64,
    /// From a write of the Lease until somebody else may take it: its duration on the fastest clock.
    pub(super) lease_expires_ms: u64,
    /// The longest pause between the failure of a task and the restart that follows it.
    pub(super) restart_max_ms: u64,
}

/// The sidecar's defaults: those of its command line.
const LEASE_MS: u64 = 15_000;
const RENEW_DEADLINE_MS: u64 = 10_000;
const RETRY_MS: u64 = 2_000;
const STORE_TIMEOUT_MS: u64 = 5_000;
const COMMIT_DEADLINE_MS: u64 = 20_000;

impl Patience {
    pub(super) fn of(plan: &Plan) -> Self {
        let set = |key, default_ms| setting_ms(plan, key, default_ms);
        let renew_deadline_ms = set("renew-deadline", RENEW_DEADLINE_MS);
        let commit_deadline_ms = set("commit-deadline", COMMIT_DEADLINE_MS);
        let store_timeout_ms = set("store-timeout", STORE_TIMEOUT_MS);
        // What is true of a healthy world: the last Lease expires, somebody tries, and one request hangs.
        let lease_ms = set("lease-duration", LEASE_MS);
        let elects_ms = lease_ms + set("retry-period", RETRY_MS) * 22 / 10 + renew_deadline_ms / 2;
        // And what the faults left behind: a request to the store that hangs, containers that must start first, and pauses
        // before the next try of a sidecar or a JobManager that found nobody. A kubelet's come on top (`back_off_ms`).
        let leads_again_ms = elects_ms + store_timeout_ms + 2 * plan.world.start_ms.1 + PAUSES_MS;
        let faults_ms: u64 = plan.faults.iter().map(lasts_ms).sum();
        let late_claim_ms = renew_deadline_ms + commit_deadline_ms + 2 * store_timeout_ms + faults_ms;
        let drift = 1_000 + plan.world.clock_drift_max_permille;
        Self {
            leads_again_ms: leads_again_ms * drift / 1_000,
            late_claim_ms: late_claim_ms * drift / 1_000,
            // By no more than the clock of each of two pods is off.
            lease_expires_ms: lease_ms * 1_000 / (drift + plan.world.clock_drift_max_permille),
            restart_max_ms: match plan.job.restart {
                RestartStrategy::None => 0,
                RestartStrategy::FixedDelay { delay_ms, .. }
                | RestartStrategy::FailureRate { delay_ms, .. } => delay_ms,
                RestartStrategy::ExponentialDelay { max_ms, .. } => max_ms,
            },
        }
    }
}

/// Pauses between tries, together: the sidecar's at the store (4 s), the adapter's at its sidecar (about as long), and half a
/// minute for a session that hangs on a dead connection.
const PAUSES_MS: u64 = 40_000;

/// How long a kubelet waits before it starts a container for the nth time again: Kubernetes' own times.
pub(super) fn back_off_ms(restarts: u32) -> u64 {
    match restarts {
        0 | 1 => 0,
        more => (10_000 << (more - 2).min(5)).min(300_000),
    }
}

/// How long a fault may hold something up.
fn lasts_ms(fault: &Fault) -> u64 {
    let by_ms = match fault.what {
        What::StoreSlow { by_ms }
        | What::StoreDelaysWrites { by_ms, .. }
        | What::ApiStale { by_ms }
        | What::ApiSlow { by_ms } => by_ms,
        What::ClockJump { by_ms, .. } => by_ms.unsigned_abs(),
        _ => 0,
    };
    fault.for_ms + by_ms
}

/// Whether this plan holds nothing but what a healthy job must not notice (P6). Rather too narrow than too wide: what is
/// short of a violation in a run with other faults is one here.
///
/// * One pod: a rival may rightly take the Lease of somebody who cannot renew it.
/// * Nothing in the job itself that fails.
/// * API server faults of any kind, at most one sidecar restart, and a store that is slow but within its time-outs: a
///   commit takes up to four requests in a row, a sidecar's start many more.
/// * Savepoints: one that fails is the user's to try again. And what people want of the snapshots that are there.
pub(super) fn must_stay_calm(plan: &Plan) -> bool {
    let store_timeout_ms = setting_ms(plan, "store-timeout", STORE_TIMEOUT_MS);
    let kills = plan.faults.iter().filter(|fault| matches!(fault.what, What::Kill { .. })).count() as u64;
    let slow_max_ms = store_timeout_ms / (10 * (1 + 4 * kills));
    let is_calm = |fault: &Fault| match fault.what {
        What::ApiSilent
        | What::ApiDown
        | What::ApiRefuses { .. }
        | What::ApiLosesAnswers { .. }
        | What::ApiAppliesAndFails { .. }
        | What::ApiGarbage { .. }
        | What::ApiSlow { .. }
        | What::Savepoint
        | What::HoldfastSavepoint { stop: false }
        | What::Reset { .. }
        | What::Pin { .. }
        | What::Unpin { .. } => true,
        What::Kill { process, .. } => process == Process::Sidecar,
        What::StoreSlow { by_ms } => by_ms <= slow_max_ms,
        _ => false,
    };
    let slow_store = plan.world.store_latency_ms.1 > store_timeout_ms / 20;
    let slow_job = plan.job.checkpoint_timeout_ms < 5_000 || plan.job.poison_offset.is_some();
    plan.world.pods == 1 && kills <= 1 && !slow_store && !slow_job && plan.faults.iter().all(is_calm)
}

/// A duration among the settings. One that cannot be read is the configuration's to refuse, and then nothing starts.
fn setting_ms(plan: &Plan, key: &str, default_ms: u64) -> u64 {
    let text = plan.world.settings.get(key);
    let duration = text.and_then(|text| text.parse::<SignedDuration>().ok());
    duration.and_then(|duration| u64::try_from(duration.as_millis()).ok()).unwrap_or(default_ms)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{plan, plan_with};
    use super::*;
    use crate::plan::{Chosen, Job, PodChoice};

    const KILL: What = What::Kill { pod: PodChoice::Leader, process: Process::Sidecar };

    #[test]
    fn only_the_api_server_a_slow_store_and_one_sidecar_must_go_unnoticed() {
        assert!(must_stay_calm(&plan()));
        let slow = |by_ms| What::StoreSlow { by_ms };
        for calm in [
            vec![What::Savepoint, What::HoldfastSavepoint { stop: false }, What::Reset { to: Chosen::Any }],
            vec![What::ApiSilent, What::ApiGarbage { permille: 9 }],
            vec![KILL, slow(100)],
            vec![slow(500)],
        ] {
            assert!(must_stay_calm(&plan_with(&calm)), "{calm:?}");
        }
        let job_manager = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
        for wild in [
            vec![KILL, KILL],
            vec![KILL, slow(500)],
            vec![slow(501)],
            vec![job_manager],
            vec![What::FailTask],
            vec![What::Suspend],
            vec![What::StopWithSavepoint],
            vec![What::HoldfastSavepoint { stop: true }],
        ] {
            assert!(!must_stay_calm(&plan_with(&wild)), "{wild:?}");
        }
    }

    #[test]
    fn a_rival_and_a_poisoned_job_excuse_a_restart() {
        let rivals = Plan { world: crate::plan::World { pods: 2, ..plan().world }, ..plan() };
        assert!(!must_stay_calm(&rivals));
        let poisoned = Plan { job: Job { poison_offset: Some(7), ..plan().job }, ..plan() };
        assert!(!must_stay_calm(&poisoned));
    }

    #[test]
    fn a_kubelet_waits_ten_seconds_then_twice_as_long_each_time_up_to_five_minutes() {
        let waits: Vec<u64> = (0..9).map(|restarts| back_off_ms(restarts) / 1_000).collect();
        assert_eq!(waits, [0, 0, 10, 20, 40, 80, 160, 300, 300]);
    }

    #[test]
    fn times_follow_the_settings_and_the_faults() {
        let mut plan = plan();
        plan.world.clock_drift_max_permille = 0;
        let usual = Patience::of(&plan);
        plan.world.settings.insert("lease-duration".to_owned(), "20s".to_owned());
        assert_eq!(Patience::of(&plan).leads_again_ms, usual.leads_again_ms + 5_000);
        plan.faults = plan_with(&[What::StoreDelaysWrites { by_ms: 700, permille: 1 }]).faults;
        assert_eq!(Patience::of(&plan).late_claim_ms, usual.late_claim_ms + 700);
    }
}
