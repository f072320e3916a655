//! The promises, checked at every event.
//!
//! A [`Judge`] reads the trace as it grows and remembers the first [`Violation`]. It knows nothing of the product's types:
//! the log is read from the bytes that became durable, by a reader of its own.
//!
//! Checking at every durable write and delete is what finds things: the same planted bug was found in 3 of 300 seeds when
//! the oracle looked at the end of the run, and in all of them when it looked at every event.
//!
//! # The properties
//!
//! *P1* to *P6* are the promises of the design, *I1* to *I10* the invariants of the simulation notes (§3.5).
//!
//! | property | what must hold | source |
//! | --- | --- | --- |
//! | [`create-only`](property::CREATE_ONLY) | no record, blob or probe is put twice; only the hint is overwritten | decision 0001 |
//! | [`log-unbroken`](property::LOG_UNBROKEN) | records have no gap, each follows the one before it, ids are never given out again | decision 0001 |
//! | [`fenced`](property::FENCED) | behind a durable record of an epoch nothing of an older epoch, or of an older process under it, becomes durable | P2, I2, decision 0002 |
//! | [`epoch-unique`](property::EPOCH_UNIQUE) | an epoch is granted to one process, once, after its claim is durable | I1 |
//! | [`claim-needs-lease`](property::CLAIM_NEEDS_LEASE) | who claims an epoch holds the Lease, or lost it a moment ago | I9, decision 0009 |
//! | [`lease-respected`](property::LEASE_RESPECTED) | nobody takes the Lease from a holder that renews it and runs | kubernetes#120824 |
//! | [`lease-cas`](property::LEASE_CAS) | a Lease write names the version that it read | I10 |
//! | [`acknowledged-durable`](property::ACKNOWLEDGED_DURABLE) | what was acknowledged is in the log at that moment, and stays in it | P3, I3 |
//! | [`refused-dead`](property::REFUSED_DEAD) | what was refused is not in the log and never will be | P3, I4, FLINK-28265 |
//! | [`unknown-not-failed`](property::UNKNOWN_NOT_FAILED) | a process with an unknown outcome does not act as if it had failed | P3, I5, FLINK-22494, decision 0005 |
//! | [`commit-recorded`](property::COMMIT_RECORDED) | sinks are told of a checkpoint, and commit, after it is durable; of savepoints only for one with which the job ends | P3, I8 |
//! | [`no-dangling`](property::NO_DANGLING) | what the newest record names exists and is complete: checkpoint files and blobs | P4, I6 |
//! | [`id-unique`](property::ID_UNIQUE) | ids of checkpoints and savepoints are the counter's, and no two are written under one | protocol: counter |
//! | [`savepoint-kept`](property::SAVEPOINT_KEPT) | the files of a savepoint are the user's: nobody in the job deletes them | Flink's contract |
//! | [`referenced-kept`](property::REFERENCED_KEPT) | no record at or above the boundary, and no blob that one of those names, is deleted | P4, decision 0003 |
//! | [`never-back`](property::NEVER_BACK) | a JobManager, and every restart of its tasks, restores the newest acknowledged checkpoint, a rollout the newest snapshot of the lineage; never nothing, unless the user wished so | P1, I7 |
//! | [`plan-kept`](property::PLAN_KEPT) | a generation's restore plan is durable before a grant, and stays as it is | P1, design §7 |
//! | [`plan-verified`](property::PLAN_VERIFIED) | a plan names no snapshot whose files were harmed before | P1 |
//! | [`reset-kept`](property::RESET_KEPT) | a reset that was acknowledged is durable, and is what the next generation plans and starts from; nobody makes one up | design §7 |
//! | [`pin-kept`](property::PIN_KEPT) | a pinned snapshot stays, and its files with it, until a person lets it go | design §7 |
//! | [`savepoint-told`](property::SAVEPOINT_TOLD) | what a person is told of a savepoint that they asked the product for is true | design §7, decision 0005 |
//! | [`own-code`](property::OWN_CODE) | a job is made from a graph of its own generation and of its own code | FLINK-30527 |
//! | [`ended-stays-ended`](property::ENDED_STAYS_ENDED) | a job with a durable result is not started again in its generation | P5 |
//! | [`ends-for-a-reason`](property::ENDS_FOR_A_REASON) | a job ends because its input did, its user wanted it, or its restarts are used up | P5, FLINK-19154 |
//! | [`exactly-once`](property::EXACTLY_ONCE) | what the sinks committed is a prefix of the input: no gap, nothing twice | I8 |
//! | [`calm`](property::CALM) | an API server outage, a sidecar restart or a slow store restarts no healthy job | P6 |
//! | [`leads-again`](property::LEADS_AGAIN) | once everything is mended, somebody leads in time | liveness |
//! | [`runs-again`](property::RUNS_AGAIN) | once everything is mended, the job runs and its checkpoints go on | liveness |
//!
//! Two processes that both believe they lead break nothing: with pauses that cannot be prevented, and the fence is what
//! makes it harmless.

mod acknowledged;
mod calm;
mod endings;
mod epochs;
mod lease;
mod liveness;
mod log;
mod output;
mod patience;
mod plans;
mod pointers;
mod record;
mod restores;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod wishes;

use std::sync::{Arc, Mutex, PoisonError};

use self::acknowledged::Acknowledged;
use self::calm::Calm;
use self::endings::Endings;
use self::epochs::Epochs;
use self::lease::Lease;
use self::liveness::Liveness;
use self::log::Log;
use self::output::Output;
use self::plans::Plans;
use self::pointers::{Files, Objects};
use self::restores::Restores;
use self::wishes::Wishes;
use crate::outcome::Violation;
use crate::plan::Plan;
use crate::trace::{Entry, Observer};

/// The names of the properties: stable, for people who count them. The module's front page says what each one means.
#[allow(missing_docs)]
pub mod property {
    pub const CREATE_ONLY: &str = "create-only";
    pub const LOG_UNBROKEN: &str = "log-unbroken";
    pub const FENCED: &str = "fenced";
    pub const EPOCH_UNIQUE: &str = "epoch-unique";
    pub const CLAIM_NEEDS_LEASE: &str = "claim-needs-lease";
    pub const LEASE_RESPECTED: &str = "lease-respected";
    pub const LEASE_CAS: &str = "lease-cas";
    pub const ACKNOWLEDGED_DURABLE: &str = "acknowledged-durable";
    pub const REFUSED_DEAD: &str = "refused-dead";
    pub const UNKNOWN_NOT_FAILED: &str = "unknown-not-failed";
    pub const COMMIT_RECORDED: &str = "commit-recorded";
    pub const NO_DANGLING: &str = "no-dangling";
    pub const ID_UNIQUE: &str = "id-unique";
    pub const SAVEPOINT_KEPT: &str = "savepoint-kept";
    pub const REFERENCED_KEPT: &str = "referenced-kept";
    pub const NEVER_BACK: &str = "never-back";
    pub const PLAN_KEPT: &str = "plan-kept";
    pub const PLAN_VERIFIED: &str = "plan-verified";
    pub const RESET_KEPT: &str = "reset-kept";
    pub const PIN_KEPT: &str = "pin-kept";
    pub const SAVEPOINT_TOLD: &str = "savepoint-told";
    pub const OWN_CODE: &str = "own-code";
    pub const ENDED_STAYS_ENDED: &str = "ended-stays-ended";
    pub const ENDS_FOR_A_REASON: &str = "ends-for-a-reason";
    pub const EXACTLY_ONCE: &str = "exactly-once";
    pub const CALM: &str = "calm";
    pub const LEADS_AGAIN: &str = "leads-again";
    pub const RUNS_AGAIN: &str = "runs-again";

    /// All of them, in the order of the table.
    pub const ALL: [&str; 28] = [
        CREATE_ONLY,
        LOG_UNBROKEN,
        FENCED,
        EPOCH_UNIQUE,
        CLAIM_NEEDS_LEASE,
        LEASE_RESPECTED,
        LEASE_CAS,
        ACKNOWLEDGED_DURABLE,
        REFUSED_DEAD,
        UNKNOWN_NOT_FAILED,
        COMMIT_RECORDED,
        NO_DANGLING,
        ID_UNIQUE,
        SAVEPOINT_KEPT,
        REFERENCED_KEPT,
        NEVER_BACK,
        PLAN_KEPT,
        PLAN_VERIFIED,
        RESET_KEPT,
        PIN_KEPT,
        SAVEPOINT_TOLD,
        OWN_CODE,
        ENDED_STAYS_ENDED,
        ENDS_FOR_A_REASON,
        EXACTLY_ONCE,
        CALM,
        LEADS_AGAIN,
        RUNS_AGAIN,
    ];
}

/// Judges a run by all properties. Clones share one judgement, so one can observe the trace while another is asked.
#[derive(Clone)]
pub struct Judge(Arc<Mutex<Inner>>);

struct Inner {
    log: Log,
    oracles: Vec<Box<dyn Oracle>>,
    now_ms: u64,
    entries: usize,
    violation: Option<Violation>,
}

/// A judge for runs of this plan.
pub fn judge(plan: &Plan) -> Judge {
    let oracles: Vec<Box<dyn Oracle>> = vec![
        Box::new(Epochs::default()),
        Box::new(Acknowledged::new()),
        // Before whoever judges the same files by less: the deleted files of a pinned snapshot dangle, too.
        Box::new(Wishes::default()),
        Box::new(Files::default()),
        Box::new(Objects::default()),
        Box::new(Restores::default()),
        Box::new(Plans::of(plan)),
        Box::new(Endings::of(plan)),
        Box::new(Output::of(&plan.job)),
        Box::new(Lease::of(plan)),
        Box::new(Calm::of(plan)),
        Box::new(Liveness::of(plan)),
    ];
    Judge(Arc::new(Mutex::new(Inner {
        log: Log::default(),
        oracles,
        now_ms: 0,
        entries: 0,
        violation: None,
    })))
}

/// One family of properties: pure, and blind to everything but the events and the log that they made.
trait Oracle: Send {
    /// Sees one event, after the log has taken it in.
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict;

    /// The run is over: what should have happened by now, has it?
    fn finish(&mut self, _log: &Log, _now_ms: u64) -> Verdict {
        Ok(())
    }
}

/// What an oracle is shown.
struct Seen<'a> {
    entry: &'a Entry,
    log: &'a Log,
    /// The event made a new newest record, which is `log.newest()`.
    appended: bool,
}

/// A property that does not hold, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Broken {
    property: &'static str,
    what: String,
}

type Verdict = Result<(), Broken>;

/// Fails with this property and reason unless the condition holds.
fn must(holds: bool, property: &'static str, what: impl FnOnce() -> String) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(Broken { property, what: what() }),
    }
}

// === impl Judge ===

impl Judge {
    /// The first violation so far.
    pub fn violation(&self) -> Option<Violation> {
        self.lock().violation.clone()
    }

    /// How many events were judged.
    pub fn checks(&self) -> u64 {
        self.lock().entries as u64
    }

    /// The run is over: the first violation, now including what should have happened and did not.
    pub fn finish(&self) -> Option<Violation> {
        let inner = &mut *self.lock();
        if inner.violation.is_none() {
            let (log, now_ms) = (&inner.log, inner.now_ms);
            let verdict = inner.oracles.iter_mut().try_for_each(|oracle| oracle.finish(log, now_ms));
            let last = inner.entries.saturating_sub(1);
            inner.violation = verdict.err().map(|broken| broken.at(now_ms, last));
        }
        inner.violation.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.lock();
        f.debug_struct("Judge")
            .field("entries", &inner.entries)
            .field("violation", &inner.violation)
            .finish_non_exhaustive()
    }
}

impl Observer for Judge {
    fn observe(&mut self, entry: &Entry) {
        let inner = &mut *self.lock();
        let index = inner.entries;
        inner.entries += 1;
        inner.now_ms = entry.at_ms;
        // What follows a violation follows from it: nobody learns anything from the second one.
        if inner.violation.is_none() {
            inner.violation = inner.judge(entry).err().map(|broken| broken.at(entry.at_ms, index));
        }
    }
}

// === impl Inner ===

impl Inner {
    fn judge(&mut self, entry: &Entry) -> Verdict {
        let appended = self.log.observe(&entry.event)?;
        let seen = Seen { entry, log: &self.log, appended };
        self.oracles.iter_mut().try_for_each(|oracle| oracle.observe(&seen))
    }
}

// === impl Broken ===

impl Broken {
    fn at(self, at_ms: u64, entry: usize) -> Violation {
        Violation { property: self.property, at_ms, entry, what: self.what }
    }
}
