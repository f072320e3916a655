//! Identical attempts until the outcome is known, and what an outcome means for Flink: the adapter's `Attempts` and
//! `DurableCalls`.

use std::time::Duration;

use ha_store::Entropy;
use tokio::time::{Instant, sleep};

use super::answer::{ALREADY_EXISTS, Answer, FENCED};
use super::backoff::Backoff;
use super::cluster::Adapter;
use super::http::{Call, Client, Failure};
use crate::seed::Stream;
use crate::trace::{Trace, reached};

/// The adapter's `request-timeout`.
pub(super) const REQUEST_TIMEOUT_MS: u64 = 5_000;
/// Its `add-deadline`.
const ADD_DEADLINE_MS: u64 = 30_000;
/// Its `recovery-deadline`.
const RECOVERY_DEADLINE_MS: u64 = 300_000;
/// Removals and counters.
const SHORT_DEADLINE_MS: u64 = 10_000;

const FIRST_PAUSE_MS: u64 = 50;
const LONGEST_PAUSE_MS: u64 = 1_000;
const LONGEST_RETRY_AFTER_MS: u64 = 2_000;
/// A last attempt with less than this part of a time-out is not begun.
const LEAST_PART_OF_TIMEOUT: u64 = 4;

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallError {
    /// Nothing was recorded: a plain exception in Flink. The last part of the problem's type, or why there is none.
    Refused(String),
    /// Every answer to Flink would be wrong: the process ends itself.
    Halt(String),
}

/// All calls of one JobManager.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    client: Client,
    adapter: Adapter,
    actor: String,
    trace: Trace,
    stream: Stream,
}

/// How attempts ended.
#[derive(Debug)]
struct Outcome {
    /// `None`: the deadline passed without a definite one.
    answer: Option<Answer>,
    /// Some attempt without a definite answer may have been recorded.
    maybe_recorded: bool,
    last_failure: String,
}

/// A random id in the form of a UUID.
pub(super) fn uuid(stream: &Stream) -> String {
    let mut bytes = [0; 16];
    stream.fill(&mut bytes);
    let hex = format!("{:032x}", u128::from_be_bytes(bytes));
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

// === impl Calls ===

impl Calls {
    pub(super) fn new(client: Client, adapter: Adapter, actor: String, trace: Trace, stream: Stream) -> Self {
        Self { client, adapter, actor, trace, stream }
    }

    /// A key for a write that is intended now.
    pub(super) fn key(&self) -> String {
        uuid(&self.stream)
    }

    /// Without this no job can start: waited for until the recovery deadline, then the process ends itself.
    pub(super) async fn needed(&self, call: &Call, answers: &[&str]) -> Result<Answer, CallError> {
        self.needed_within(RECOVERY_DEADLINE_MS, call, answers).await
    }

    /// The registration of the job's graph.
    pub(super) async fn add_graph(&self, call: &Call, answers: &[&str]) -> Result<Answer, CallError> {
        self.needed_within(ADD_DEADLINE_MS, call, answers).await
    }

    async fn needed_within(&self, limit_ms: u64, call: &Call, answers: &[&str]) -> Result<Answer, CallError> {
        let outcome = self.until_definite(call, limit_ms).await;
        if outcome.answer.is_none() {
            let why = format!("{} had no definite answer: {}", call.path, outcome.last_failure);
            return Err(CallError::Halt(why));
        }
        Self::expect(outcome, answers)
    }

    /// The registration of a completed checkpoint: Flink's commit point. `Ok` with a problem: another one stands there.
    pub(super) async fn add(&self, call: &Call) -> Result<Answer, CallError> {
        let outcome = self.believed(self.until_definite(call, ADD_DEADLINE_MS).await);
        let success = outcome.answer.as_ref().is_some_and(|answer| answer.problem.is_none());
        let other = outcome.answer.as_ref().is_some_and(|answer| answer.is(ALREADY_EXISTS));
        if outcome.maybe_recorded && !success && !other {
            let why = format!("it is unknown whether {} was recorded: {}", call.path, outcome.last_failure);
            return Err(CallError::Halt(why));
        }
        Self::expect(outcome, &[ALREADY_EXISTS])
    }

    /// A write that Flink repeats, or whose failure ends the process in an orderly way.
    pub(super) async fn write(&self, call: &Call, answers: &[&str]) -> Result<Answer, CallError> {
        let outcome = self.believed(self.until_definite(call, ADD_DEADLINE_MS).await);
        Self::expect(outcome, answers)
    }

    /// The same for what is done under a lock or is not urgent.
    pub(super) async fn short_write(&self, call: &Call, answers: &[&str]) -> Result<Answer, CallError> {
        let outcome = self.until_definite(call, SHORT_DEADLINE_MS).await;
        Self::expect(outcome, answers)
    }

    /// What a defective adapter makes of it.
    fn believed(&self, outcome: Outcome) -> Outcome {
        let done = |answer: Answer| match self.adapter.fenced_is_done && answer.is(FENCED) {
            true => Answer { problem: None, ..answer },
            false => answer,
        };
        Outcome { answer: outcome.answer.map(done), ..outcome }
    }

    fn expect(outcome: Outcome, answers: &[&str]) -> Result<Answer, CallError> {
        let Some(answer) = outcome.answer else { return Err(CallError::Refused(outcome.last_failure)) };
        match &answer.problem {
            None => Ok(answer),
            Some(problem) if answers.contains(&problem.kind.as_str()) => Ok(answer),
            Some(problem) => Err(CallError::Refused(problem.kind.clone())),
        }
    }

    /// One attempt at least, and then until there is a definite answer or the limit is reached.
    async fn until_definite(&self, call: &Call, limit_ms: u64) -> Outcome {
        let deadline = Instant::now() + Duration::from_millis(limit_ms);
        let left_ms = || deadline.saturating_duration_since(Instant::now()).as_millis() as u64;
        let least_ms = REQUEST_TIMEOUT_MS.min(limit_ms) / LEAST_PART_OF_TIMEOUT;
        let mut backoff = Backoff::new(FIRST_PAUSE_MS, LONGEST_PAUSE_MS, &self.stream);
        let mut maybe_recorded = false;
        let mut call = call.clone();
        loop {
            let (failure, retry_after_ms) =
                match self.client.call(&call, REQUEST_TIMEOUT_MS.min(left_ms()).max(1)).await {
                    Ok(answer) if answer.is_definite() => {
                        if call.key.is_some() && answer.is(FENCED) {
                            self.trace.reached(&self.actor, reached::ZOMBIE_FENCED);
                        }
                        let last_failure = format!("refused: {:?}", answer.problem);
                        return Outcome { answer: Some(answer), maybe_recorded, last_failure };
                    }
                    Ok(answer) => {
                        let problem = answer.problem.expect("a success is definite");
                        maybe_recorded |= !problem.not_recorded;
                        (format!("{}: {}", problem.kind, problem.detail), answer.retry_after_ms)
                    }
                    Err(Failure::NotSent(why)) => (why, 0),
                    Err(Failure::NoAnswer(why)) => {
                        maybe_recorded = true;
                        (why, 0)
                    }
                };
            let pause_ms = backoff.next_ms().max(retry_after_ms.min(LONGEST_RETRY_AFTER_MS));
            if left_ms() <= pause_ms + least_ms {
                return Outcome { answer: None, maybe_recorded, last_failure: failure };
            }
            sleep(Duration::from_millis(pause_ms)).await;
            let renewed = self.adapter.no_idempotency_key || self.adapter.conflict_is_loss;
            if renewed && call.key.is_some() {
                call.key = Some(self.key());
            }
        }
    }
}
