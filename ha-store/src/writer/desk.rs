//! Who waits for what, and what to tell them when their time is up.
//!
//! No I/O and no waiting here. The one thing that it must never do is to call a write "certainly not recorded"
//! that may be: neither one that is under way, nor a retry of one that was.

use super::Mail;
use crate::log::Progress;
use crate::state::DeploymentState;
use crate::{
    Answer, Change, Claim, Claimed, Epoch, IdempotencyKey, Limits, Sequence, SessionId, StoreError, View,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::{mem, sync::Arc};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// Answers that are remembered. More than two epochs' worth of the log's own memory, by the default limits.
const RECORDED_MAX: usize = 1024;

/// What can be asked of the writer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Commit(Entry),
    Claim(Claim),
    Resume { session: SessionId, epoch: Epoch },
    Confirm(Epoch),
    Refresh,
}

/// One change on its way into a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) epoch: Epoch,
    pub(crate) edit: Edit,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Edit {
    Change(IdempotencyKey, Change),
    /// The collector's boundary. It needs no key: it only rises.
    CollectBefore(Sequence),
}

/// An answer to an [`Ask`] of the same kind.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Answer(Answer),
    Claimed(Claimed),
    View(Arc<View>),
}

/// Somebody who waits.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) reply: oneshot::Sender<Result<Reply, StoreError>>,
    pub(crate) asked_at: Instant,
    pub(crate) deadline: Instant,
}

#[derive(Debug)]
struct Request {
    ask: Arc<Ask>,
    /// More than one when a write was sent again before its first try was answered.
    callers: Vec<Caller>,
}

#[derive(Debug)]
pub(crate) struct Desk {
    waiting: VecDeque<Request>,
    in_flight: Vec<Request>,
    queue_max: usize,
    batch_max: usize,
    closing: Option<Vec<oneshot::Sender<()>>>,
    view: Arc<View>,
    recorded: Recorded,
    vouched: BTreeSet<Epoch>,
}

/// The answers that this process has seen in the log.
///
/// The log forgets them two epochs later; a sender that was deposed meanwhile, and never heard our answer, may ask
/// again after that, and must not be told that nothing was recorded.
#[derive(Debug, Default)]
struct Recorded {
    answers: BTreeMap<IdempotencyKey, Answer>,
    oldest_first: VecDeque<IdempotencyKey>,
}

impl Recorded {
    fn learn(&mut self, state: &DeploymentState) {
        for applied in state.applied_before.iter().chain(&state.applied) {
            // All but the last are known as a rule.
            if !self.answers.contains_key(&applied.key) {
                self.answers.insert(applied.key.clone(), applied.answer);
                self.oldest_first.push_back(applied.key.clone());
            }
        }
        let excess = self.oldest_first.len().saturating_sub(RECORDED_MAX);
        for key in self.oldest_first.drain(..excess) {
            self.answers.remove(&key);
        }
    }

    fn answer_to(&self, ask: &Ask) -> Option<Answer> {
        match ask {
            Ask::Commit(Entry { edit: Edit::Change(key, _), .. }) => self.answers.get(key).copied(),
            _ => None,
        }
    }
}

impl Ask {
    pub(crate) fn what(&self) -> String {
        match self {
            Self::Commit(entry) => format!("the commit under epoch {}", entry.epoch),
            Self::Claim(claim) => format!("the claim of {}", claim.holder),
            Self::Resume { epoch, .. } => format!("resuming epoch {epoch}"),
            Self::Confirm(epoch) => format!("confirming epoch {epoch}"),
            Self::Refresh => "reading the newest record".to_owned(),
        }
    }

    /// The change that is asked for.
    ///
    /// # Panics
    /// When something else is asked for: only commits go with commits.
    pub(super) fn entry(&self) -> &Entry {
        match self {
            Self::Commit(entry) => entry,
            other => unreachable!("{other:?} does not go with commits"),
        }
    }

    /// Whether both can be done in one go.
    fn joins(&self, first: &Self) -> bool {
        let reads = |ask: &Self| matches!(ask, Self::Confirm(_) | Self::Refresh);
        matches!((self, first), (Self::Commit(_), Self::Commit(_))) || (reads(self) && reads(first))
    }

    /// Whether the other is a retry of this one.
    fn is_retried_by(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Commit(ours), Self::Commit(theirs)) => match (&ours.edit, &theirs.edit) {
                (Edit::Change(ours_key, _), Edit::Change(key, _)) => {
                    ours_key == key && ours.epoch == theirs.epoch
                }
                _ => false,
            },
            _ => false,
        }
    }
}

impl Caller {
    fn answer(self, result: Result<Reply, StoreError>) {
        let waited_ms = u64::try_from(self.asked_at.elapsed().as_millis()).unwrap_or(u64::MAX);
        let result = match result {
            Err(StoreError::Unknown { what, .. }) => Err(StoreError::Unknown { what, waited_ms }),
            result => result,
        };
        // The caller may have gone away; what it asked for was done all the same.
        let _ = self.reply.send(result);
    }
}

impl Request {
    fn answer(self, result: &Result<Reply, StoreError>) {
        for caller in self.callers {
            caller.answer(result.clone());
        }
    }
}

impl Desk {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            waiting: VecDeque::new(),
            in_flight: Vec::new(),
            queue_max: limits.queue_max,
            batch_max: limits.batch_max,
            closing: None,
            view: Arc::default(),
            recorded: Recorded::default(),
            vouched: BTreeSet::new(),
        }
    }

    /// What unsent requests are judged by.
    pub(crate) fn learn(&mut self, view: &Arc<View>, vouched: &BTreeSet<Epoch>) {
        if !Arc::ptr_eq(&self.view, view) {
            self.view = view.clone();
            self.recorded.learn(&view.state);
        }
        if self.vouched != *vouched {
            self.vouched = vouched.clone();
        }
    }

    /// Keeps the answers that a record of ours shows.
    pub(crate) fn remember(&mut self, made: &View) {
        self.recorded.learn(&made.state);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(crate) fn receive(&mut self, mail: Mail) {
        match mail {
            Mail::Ask(ask, caller) => self.accept(ask, caller),
            Mail::Close(done) => self.closing.get_or_insert_default().push(done),
        }
    }

    fn accept(&mut self, ask: Arc<Ask>, caller: Caller) {
        if let Some(answer) = self.recorded.answer_to(&ask) {
            return caller.answer(Ok(Reply::Answer(answer)));
        }
        let mut known = self.in_flight.iter_mut().chain(self.waiting.iter_mut());
        if let Some(first_try) = known.find(|request| request.ask.is_retried_by(&ask)) {
            first_try.callers.push(caller);
            return;
        }
        if self.is_closing() {
            return caller.answer(self.unsent(&ask, "the store is being closed"));
        }
        if self.waiting.len() >= self.queue_max {
            let reason = format!("{} requests wait already (queue_max)", self.queue_max);
            return caller.answer(self.unsent(&ask, &reason));
        }
        self.waiting.push_back(Request { ask, callers: vec![caller] });
    }

    /// Takes what is to be done next: in the order of arrival, as much as goes in one.
    pub(crate) fn begin(&mut self) -> Option<Vec<Arc<Ask>>> {
        assert!(self.in_flight.is_empty(), "one thing at a time");
        while self.in_flight.len() < self.batch_max {
            let first = self.in_flight.first().map(|request| request.ask.clone());
            let joins = |next: &mut Request| first.as_ref().is_none_or(|first| next.ask.joins(first));
            let Some(next) = self.waiting.pop_front_if(joins) else { break };
            // Something that was done since it arrived may have settled it.
            match self.recorded.answer_to(&next.ask) {
                Some(answer) => next.answer(&Ok(Reply::Answer(answer))),
                None => self.in_flight.push(next),
            }
        }
        let asks: Vec<Arc<Ask>> = self.in_flight.iter().map(|request| request.ask.clone()).collect();
        (!asks.is_empty()).then_some(asks)
    }

    /// Answers those whose request is done, in the order of arrival.
    pub(crate) fn settle(&mut self, results: Vec<Result<Reply, StoreError>>) {
        assert_eq!(results.len(), self.in_flight.len(), "every request has its result");
        for (request, result) in mem::take(&mut self.in_flight).into_iter().zip(results) {
            request.answer(&result);
        }
    }

    /// The earliest deadline of anybody.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let requests = self.in_flight.iter().chain(&self.waiting);
        requests.flat_map(|request| &request.callers).map(|caller| caller.deadline).min()
    }

    /// Answers those whose time is up. `true`: nothing was sent for what is under way, and it must be dropped; those
    /// who still have time are first in the queue again.
    pub(crate) fn expire(&mut self, now: Instant, progress: &Progress) -> bool {
        let is_late = |caller: &Caller| caller.deadline <= now;
        let trouble = progress.trouble();
        for mut request in mem::take(&mut self.waiting) {
            for caller in request.callers.extract_if(.., |caller| is_late(caller)) {
                caller.answer(self.unsent(&request.ask, &trouble));
            }
            if !request.callers.is_empty() {
                self.waiting.push_back(request);
            }
        }
        if !self.in_flight.iter().flat_map(|request| &request.callers).any(is_late) {
            return false;
        }
        if progress.is_doubtful() {
            for request in &mut self.in_flight {
                let what = format!("{} ({trouble})", request.ask.what());
                for caller in request.callers.extract_if(.., |caller| is_late(caller)) {
                    caller.answer(Err(StoreError::Unknown { what: what.clone(), waited_ms: 0 }));
                }
            }
            return false;
        }
        for mut request in mem::take(&mut self.in_flight).into_iter().rev() {
            for caller in request.callers.extract_if(.., |caller| is_late(caller)) {
                caller.answer(self.unsent(&request.ask, &trouble));
            }
            if !request.callers.is_empty() {
                self.waiting.push_front(request);
            }
        }
        true
    }

    /// What is true of a request that this writer has not sent, although it may be the retry of one that was.
    fn unsent(&self, ask: &Ask, reason: &str) -> Result<Reply, StoreError> {
        let what = ask.what();
        if let Some(answer) = self.recorded.answer_to(ask) {
            return Ok(Reply::Answer(answer));
        }
        if let Ask::Commit(Entry { epoch, edit: Edit::Change(..) }) = ask {
            // An earlier process may have sent it under this epoch, and that may still be on its way.
            if !self.vouched.contains(epoch) {
                return Err(StoreError::Unknown { what: format!("{what} ({reason})"), waited_ms: 0 });
            }
        }
        Err(StoreError::Unavailable { what, reason: reason.to_owned() })
    }

    /// Tells those who asked for the end that it has come.
    pub(crate) fn closed(&mut self) {
        for done in self.closing.take().into_iter().flatten() {
            let _ = done.send(());
        }
    }
}

#[cfg(test)]
mod tests;
