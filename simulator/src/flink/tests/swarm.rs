//! Everything that the rig can do to the processes and the network between them, at random.

use super::rig::{JOB_MANAGER, Options, Rig, SIDECAR};
use crate::flink::Adapter;
use crate::seed::Stream;

const WORKERS: [&str; 2] = ["task-manager-0", "task-manager-1"];

/// Lets the world go on, and starts a JobManager that ended by itself again.
fn run(rig: &mut Rig, ms: u64) {
    let end_ms = rig.trace.now_ms() + ms;
    let mut exits = rig.exit_codes().len();
    while rig.trace.now_ms() < end_ms {
        rig.run_for(500);
        if rig.exit_codes().len() > exits {
            exits = rig.exit_codes().len();
            rig.sim.bounce(JOB_MANAGER);
        }
    }
}

fn disturb(rig: &mut Rig, stream: &Stream) {
    let for_ms = *stream.pick(&[0, 100, 1_000, 5_000, 12_000, 40_000]);
    let worker = *stream.pick(&WORKERS);
    let host = *stream.pick(&[JOB_MANAGER, JOB_MANAGER, SIDECAR, worker]);
    let (a, b) = *stream.pick(&[(JOB_MANAGER, SIDECAR), (JOB_MANAGER, worker), (worker, SIDECAR)]);
    match stream.between(0, 6) {
        0 => rig.cluster.fail_task(),
        1 => {
            rig.cluster.stall_checkpoints(true);
            run(rig, for_ms);
            rig.cluster.stall_checkpoints(false);
        }
        2 => {
            rig.cluster.fail_checkpoint_files(true);
            run(rig, for_ms);
            rig.cluster.fail_checkpoint_files(false);
        }
        3 => {
            rig.sim.hold(a, b);
            run(rig, for_ms);
            rig.sim.release(a, b);
        }
        4 => {
            rig.sim.partition_oneway(b, a);
            run(rig, for_ms);
            rig.sim.repair_oneway(b, a);
        }
        _ => {
            rig.sim.crash(host);
            if host == JOB_MANAGER {
                rig.run_for(for_ms);
            } else {
                run(rig, for_ms);
            }
            rig.sim.bounce(host);
        }
    }
}

/// What was seen of a run: it must have gone on at the end, and have committed everything once.
fn swarm(seed: u64, adapter: Adapter) -> Result<(), String> {
    let mut rig = Rig::new(Options { seed, adapter, ..Options::default() });
    let stream = Stream::new(seed, "swarm");
    for _ in 0..8 {
        run(&mut rig, stream.between(500, 6_000));
        disturb(&mut rig, &stream);
    }
    run(&mut rig, 70_000);
    let before = rig.newest_completed();
    run(&mut rig, 10_000);
    rig.exactly_once()?;
    match rig.newest_completed() > before {
        true => Ok(()),
        false => Err(format!("no checkpoint completes:\n{}", rig.story())),
    }
}

#[test]
fn nothing_is_lost_or_repeated_whatever_happens_to_processes_and_network() {
    for seed in 0..3 {
        swarm(seed, Adapter::default()).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}
