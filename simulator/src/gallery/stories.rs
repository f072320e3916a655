//! The stories in which the defects show.

use crate::plan::{
    Chosen, Fault, Harm, Plan, PodChoice, Point, Process, RestartStrategy, Restore, What, When, Which,
};
use crate::seed::Stream;

pub(super) fn nothing(_plan: &mut Plan, _stream: &Stream) {}

pub(super) fn rivals(plan: &mut Plan, _stream: &Stream) {
    plan.world.pods = 2;
}

pub(super) fn answers_lost_at_an_add(plan: &mut Plan, stream: &Stream) {
    plan.faults = vec![tied(Point::BeforeAdd, stream, What::StoreLosesAnswers { permille: 1_000 }, 40_000)];
    plan.faulty_ms = 65_000;
}

pub(super) fn store_slower_than_a_request(plan: &mut Plan, stream: &Stream) {
    plan.faults = vec![tied(Point::BeforeAdd, stream, What::StoreSlow { by_ms: 6_000 }, 12_000)];
    plan.faulty_ms = 45_000;
}

pub(super) fn leader_sleeps_through_a_takeover(plan: &mut Plan, stream: &Stream) {
    plan.world.pods = 2;
    let pause = What::Pause { pod: PodChoice::Leader, process: None };
    plan.faults = vec![tied(Point::BeforeAdd, stream, pause, 30_000)];
    plan.faulty_ms = 55_000;
}

pub(super) fn leader_is_cut_off_from_the_api_server(plan: &mut Plan, stream: &Stream) {
    plan.world.pods = 2;
    let cut_off = What::PartitionNode { pod: PodChoice::Leader, reaches_store: true };
    plan.faults = vec![at(stream.between(8_000, 12_000), cut_off, 60_000)];
    plan.faulty_ms = 80_000;
}

pub(super) fn store_loses_requests_while_a_job_manager_starts(plan: &mut Plan, stream: &Stream) {
    let at_ms = stream.between(10_000, 15_000);
    plan.faults = vec![
        at(at_ms, What::Kill { pod: PodChoice::Leader, process: Process::JobManager }, 0),
        Fault {
            when: When::On { point: Point::Granted, nth: 2 },
            what: What::StoreLosesRequests { permille: 250 },
            for_ms: 60_000,
        },
    ];
    plan.faulty_ms = 80_000;
}

pub(super) fn job_manager_dies_with_three_checkpoints(plan: &mut Plan, stream: &Stream) {
    plan.job.checkpoints_retained = 3;
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
    plan.faults = vec![at(stream.between(10_000, 15_000), kill, 0)];
}

pub(super) fn job_manager_dies_while_it_cleans_up(plan: &mut Plan, stream: &Stream) {
    let cancel_ms = stream.between(10_000, 15_000);
    plan.faults = vec![
        at(cancel_ms - 1_000, What::StoreSlow { by_ms: 300 }, 20_000),
        at(cancel_ms, What::Cancel, 0),
        at(
            cancel_ms + stream.between(1_000, 6_000),
            What::Kill { pod: PodChoice::Leader, process: Process::JobManager },
            0,
        ),
    ];
    plan.faulty_ms = 35_000;
}

pub(super) fn sidecar_dies(plan: &mut Plan, stream: &Stream) {
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::Sidecar };
    plan.faults = vec![at(stream.between(10_000, 15_000), kill, 0)];
}

pub(super) fn cancelled_then_rolled_out(plan: &mut Plan, stream: &Stream) {
    let cancel_ms = stream.between(10_000, 15_000);
    plan.faults = vec![
        at(cancel_ms, What::Cancel, 0),
        at(cancel_ms + stream.between(10_000, 15_000), upgrade(Restore::LatestState), 0),
    ];
    plan.faulty_ms = 35_000;
}

pub(super) fn savepoint_then_rolled_out(plan: &mut Plan, stream: &Stream) {
    plan.job.stale_path = true;
    let savepoint_ms = stream.between(8_000, 12_000);
    plan.faults = vec![
        at(savepoint_ms, What::Savepoint, 0),
        at(savepoint_ms + stream.between(8_000, 12_000), upgrade(Restore::LatestState), 0),
    ];
    plan.faulty_ms = 35_000;
}

pub(super) fn newest_of_three_is_harmed_and_the_job_manager_dies(plan: &mut Plan, stream: &Stream) {
    plan.job.checkpoints_retained = 3;
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
    let harm = What::HarmSnapshot { which: Which::Newest, how: Harm::DeleteFile };
    let kill_ms = stream.between(10_000, 15_000);
    plan.faults = vec![at(kill_ms, kill, 0), at(kill_ms + 20, harm, 0)];
}

pub(super) fn other_code_and_the_job_manager_dies(plan: &mut Plan, stream: &Stream) {
    plan.job.launcher = true;
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
    let change_ms = stream.between(8_000, 12_000);
    plan.faults = vec![at(change_ms, What::ChangeCode, 0), at(change_ms + 2_000, kill, 0)];
}

/// Too soon after the restart for the product to have read of it in Flink's own statistics, which may be three seconds old.
pub(super) fn tasks_go_back_behind_a_savepoint_and_all_is_made_anew(plan: &mut Plan, stream: &Stream) {
    plan.job.checkpoint_interval_ms = 60_000;
    plan.job.restart = RestartStrategy::FixedDelay { attempts: 1_000, delay_ms: 100 };
    let savepoint_ms = stream.between(8_000, 12_000);
    let fail_ms = savepoint_ms + stream.between(6_000, 9_000);
    let gone_ms = fail_ms + stream.between(600, 1_200);
    plan.faults = vec![
        at(savepoint_ms, What::Savepoint, 0),
        at(fail_ms, What::FailTask, 0),
        at(gone_ms, What::DeleteJob, 1_000),
        at(gone_ms, What::KillPod { pod: PodChoice::Leader }, 0),
    ];
    plan.faulty_ms = 35_000;
    plan.healed_ms = 100_000;
}

/// The next rollout is told to claim what it starts from; what is pinned it may not.
pub(super) fn savepoint_is_pinned_and_rolled_out(plan: &mut Plan, stream: &Stream) {
    let savepoint_ms = stream.between(6_000, 9_000);
    let pin_ms = savepoint_ms + stream.between(3_000, 5_000);
    let claiming =
        What::Upgrade { restore: Restore::LatestSavepoint, claims: true, previous: false, mends: false };
    plan.faults = vec![
        at(savepoint_ms, What::Savepoint, 0),
        at(pin_ms, What::Pin { which: Chosen::Newest }, 0),
        at(pin_ms + stream.between(6_000, 9_000), claiming, 0),
    ];
    plan.faulty_ms = 30_000;
    plan.healed_ms = 60_000;
}

/// The JobManager dies while what it started from is still in Flink's store; later checkpoints take its place.
pub(super) fn rolled_out_from_a_savepoint_and_the_job_manager_dies(plan: &mut Plan, stream: &Stream) {
    plan.job.checkpoints_retained = 15;
    let savepoint_ms = stream.between(6_000, 9_000);
    let upgrade_ms = savepoint_ms + stream.between(6_000, 9_000);
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
    plan.faults = vec![
        at(savepoint_ms, What::Savepoint, 0),
        at(upgrade_ms, upgrade(Restore::LatestSavepoint), 0),
        at(upgrade_ms + stream.between(12_000, 15_000), kill, 0),
    ];
    plan.faulty_ms = 40_000;
    plan.healed_ms = 60_000;
}

pub(super) fn reset_and_rolled_out(plan: &mut Plan, stream: &Stream) {
    plan.job.checkpoints_retained = 3;
    let savepoint_ms = stream.between(6_000, 9_000);
    let reset_ms = savepoint_ms + stream.between(6_000, 9_000);
    plan.faults = vec![
        at(savepoint_ms, What::Savepoint, 0),
        at(reset_ms, What::Reset { to: Chosen::Oldest }, 0),
        at(reset_ms + stream.between(8_000, 12_000), upgrade(Restore::LatestState), 0),
    ];
    plan.faulty_ms = 40_000;
    plan.healed_ms = 60_000;
}

pub(super) fn savepoint_is_asked_for_while_files_are_slow(plan: &mut Plan, stream: &Stream) {
    let slow_ms = stream.between(8_000, 12_000);
    let asked_ms = slow_ms + stream.between(1_000, 5_000);
    plan.faults = vec![
        at(slow_ms, What::SlowCheckpointFiles { by_ms: 3_000 }, 20_000),
        at(asked_ms, What::HoldfastSavepoint { stop: false }, 0),
    ];
    plan.faulty_ms = 40_000;
}

pub(super) fn job_manager_dies_before_the_sinks_know(plan: &mut Plan, stream: &Stream) {
    let kill = What::Kill { pod: PodChoice::Leader, process: Process::JobManager };
    plan.faults = vec![tied(Point::BeforeNotify, stream, kill, 0)];
}

pub(super) fn cancelled_harmed_and_rolled_out(plan: &mut Plan, stream: &Stream) {
    let cancel_ms = stream.between(10_000, 15_000);
    let harm_ms = cancel_ms + stream.between(5_000, 7_000);
    let harm = What::HarmSnapshot { which: Which::Newest, how: Harm::DeleteFile };
    plan.faults = vec![
        at(cancel_ms, What::Cancel, 0),
        at(harm_ms, harm, 0),
        at(harm_ms + stream.between(5_000, 8_000), upgrade(Restore::LatestState), 0),
    ];
    plan.faulty_ms = 35_000;
}

fn upgrade(restore: Restore) -> What {
    What::Upgrade { restore, claims: false, previous: false, mends: false }
}

fn at(at_ms: u64, what: What, for_ms: u64) -> Fault {
    Fault { when: When::AtMs(at_ms), what, for_ms }
}

/// When the job has run for a while.
fn tied(point: Point, stream: &Stream, what: What, for_ms: u64) -> Fault {
    let nth = u32::try_from(stream.between(4, 12)).expect("twelve at most");
    Fault { when: When::On { point, nth }, what, for_ms }
}
