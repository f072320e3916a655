//! A synthetic runner for the tests of everything that stands around runs: fast, deterministic, and it fails now and then.

use bytes::Bytes;

use crate::outcome::{Outcome, Violation};
use crate::plan::{Plan, What, When};
use crate::scenario::Scenario;
use crate::trace::{AddAnswer, Event, Trace, reached};

/// A scenario with many faults, some of which break the synthetic run when they come together.
pub(crate) fn scenario() -> Scenario {
    let text = "# Anything happens.\nincident: [FLINK-1, FLINK-2]\nreaches: [restored from a checkpoint]\nfaulty: 60s\nhealed: 30s\n\
                faults:\n  - pause: { process: sidecar }\n    for: 1s..20s\n    times: 1..4\n  - fail-task: {}\n    chance: 50%\n  \
                - store-slow: { by: 1s..5s }\n    for: 5s\n    chance: 50%\n";
    Scenario::parse("anything", "anything.yaml", text).unwrap_or_else(|broken| panic!("{broken}"))
}

/// A scenario in which nothing happens, although it is for something.
pub(crate) fn calm() -> Scenario {
    let text = "# Nothing < happens & all is \"well\".\nreaches: [ambiguous add ended the process]\nfaulty: 10s\nhealed: 10s\n";
    Scenario::parse("calm", "calm.yaml", text).unwrap_or_else(|broken| panic!("{broken}"))
}

/// Runs nothing, and records what a run could look like. A task that fails while the store is slow breaks it.
pub(crate) fn run(plan: &Plan) -> (Outcome, Trace) {
    let trace = Trace::default();
    start(&trace);
    let mut faults: Vec<_> = plan.faults.iter().enumerate().collect();
    faults.sort_by_key(|(_, fault)| match fault.when {
        When::AtMs(at_ms) => at_ms,
        When::On { nth, .. } => u64::from(nth) * 1_000,
    });
    for (index, fault) in faults {
        if let When::AtMs(at_ms) = fault.when {
            trace.set_now_ms(trace.now_ms().max(at_ms));
        }
        trace.record("world", Event::FaultBegins { fault: index });
        restart(&trace, index as u64 + 2);
        trace.set_now_ms(trace.now_ms() + fault.for_ms);
        trace.record("world", Event::FaultEnds { fault: index });
    }
    let slow = plan.faults.iter().any(|fault| matches!(fault.what, What::StoreSlow { .. }));
    let failing = plan.faults.iter().any(|fault| fault.what == What::FailTask);
    let mut violation = None;
    if slow && failing {
        let what = "checkpoint 3 <of> job \"a\" & b was written by epoch 1 behind epoch 2".to_owned();
        violation =
            Some(Violation { property: "fenced", at_ms: trace.now_ms(), entry: trace.entries().len(), what });
        let body = Bytes::from_static(b"{}");
        trace.record("store", Event::StoreCreated { key: "log/00000000000000000009.json".into(), body });
    } else {
        trace.set_now_ms(plan.faulty_ms.max(trace.now_ms()));
        trace.record("world", Event::Healed);
        trace.set_now_ms(trace.now_ms() + plan.healed_ms);
    }
    let outcome = Outcome {
        violation,
        hash: trace.hash(),
        simulated_ms: trace.now_ms(),
        worst_recovery_ms: (!plan.faults.is_empty()).then_some(2_000 + plan.seed % 7 * 1_000),
        reached: trace.reached_counts(),
        checks: trace.entries().len() as u64,
    };
    (outcome, trace)
}

fn start(trace: &Trace) {
    let pod = Event::PodCreated { pod: "pod-0".into(), uid: "uid-0".into(), generation: "1".into() };
    trace.record("api-server", pod);
    trace.record("sidecar-0", Event::ProcessStarted { kind: "sidecar" });
    trace.record("task-manager-0", Event::ProcessStarted { kind: "task-manager" });
    trace.record("job-manager-0", Event::ProcessStarted { kind: "job-manager" });
    trace.set_now_ms(500);
    trace.record("job-manager-0", Event::Granted { epoch: 1, resumed: false });
    let restored = Event::JobRestored { job: "a".into(), epoch: 1, from: None, failover: true };
    trace.record("job-manager-0", restored);
    trace.record("job-manager-0", Event::JobRunning { job: "a".into() });
}

/// A checkpoint, a kill, and a restore from it.
fn restart(trace: &Trace, epoch: u64) {
    let (job, id) = (|| "a".to_owned(), epoch);
    let actor = "job-manager-0";
    trace.record(actor, Event::AddAsked { job: job(), id, epoch: epoch - 1 });
    trace.record(actor, Event::AddAnswered { job: job(), id, epoch: epoch - 1, answer: AddAnswer::Recorded });
    trace.record(actor, Event::CheckpointCompleted { job: job(), id, epoch: epoch - 1 });
    trace.record("sidecar-0", Event::ProcessPaused);
    trace.set_now_ms(trace.now_ms() + 700);
    trace.record("sidecar-0", Event::ProcessWoken);
    trace.record(actor, Event::ProcessKilled { kind: "job-manager" });
    trace.set_now_ms(trace.now_ms() + 1_300);
    trace.record(actor, Event::ProcessStarted { kind: "job-manager" });
    trace.record(actor, Event::Granted { epoch, resumed: false });
    trace.record(actor, Event::JobRestored { job: job(), epoch, from: Some(id), failover: true });
    trace.reached(actor, reached::RESTORED);
    trace.record(actor, Event::JobRunning { job: job() });
}

/// A runner under which everything holds.
pub(crate) fn held(plan: &Plan) -> (Outcome, Trace) {
    let (outcome, trace) = run(plan);
    (Outcome { violation: None, ..outcome }, trace)
}
