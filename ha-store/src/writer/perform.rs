//! What the writer does: claims, adoptions, commits and looks.
//!
//! Every method runs until it knows, and may be dropped as long as its progress is not doubtful.

use super::{Ask, Edit, Entry, Reply};
use crate::apply::{Applying, apply, apply_claim, collect_before};
use crate::log::{Appended, Draft, Log, Progress};
use crate::{Answer, Claim, Claimed, Epoch, RecordKind, Refusal, SessionId, StoreError, View};
use std::{collections::BTreeSet, mem, sync::Arc};

/// Epochs of this process that are remembered. Asked for an older one, it answers less definitely.
const VOUCHED_MAX: usize = 1024;

#[derive(Debug)]
pub(super) struct Performer {
    pub(super) log: Log,
    /// Epochs under which every write that was ever sent is settled, by this process or an earlier one, as far as
    /// it is not in the log: for them, "not in the log" means "never will be".
    vouched: BTreeSet<Epoch>,
    /// Epochs that this process was ever the owner of.
    owned: BTreeSet<Epoch>,
    /// Records of ours that the desk has not learnt from yet. The log's view may have moved on past them.
    made: Vec<Arc<View>>,
}

/// Whether somebody may write.
enum Stand {
    /// It is recorded already.
    Answered(Answer),
    Owner,
    No(StoreError),
}

/// A batch, applied to a copy of the state.
struct Batch {
    draft: Draft,
    changed: bool,
    results: Vec<Result<Answer, StoreError>>,
}

impl Performer {
    pub(super) fn new(log: Log) -> Self {
        Self { log, vouched: BTreeSet::new(), owned: BTreeSet::new(), made: Vec::new() }
    }

    pub(super) fn vouched(&self) -> &BTreeSet<Epoch> {
        &self.vouched
    }

    /// The views that this process made since it was last asked.
    pub(super) fn take_made(&mut self) -> Vec<Arc<View>> {
        mem::take(&mut self.made)
    }

    /// Does all of them, which go together ([`Ask::joins`]); the results come in the same order.
    pub(super) async fn perform(
        &mut self,
        asks: &[Arc<Ask>],
        progress: &Progress,
    ) -> Vec<Result<Reply, StoreError>> {
        match &*asks[0] {
            Ask::Claim(claim) => vec![self.claim(claim, progress).await.map(Reply::Claimed)],
            Ask::Resume { session, epoch } => {
                vec![self.resume(session, *epoch, progress).await.map(Reply::Claimed)]
            }
            Ask::Confirm(_) | Ask::Refresh => {
                let looked = self.log.look(progress).await;
                let answer = |ask: &Arc<Ask>| match (&looked, &**ask) {
                    (Err(error), _) => Err(error.clone()),
                    (Ok(()), Ask::Confirm(epoch)) => self.confirmed(*epoch).map(Reply::View),
                    (Ok(()), _) => Ok(Reply::View(self.log.view().clone())),
                };
                asks.iter().map(answer).collect()
            }
            Ask::Commit(_) => {
                let entries: Vec<&Entry> = asks.iter().map(|ask| ask.entry()).collect();
                let answers = self.commit(&entries, progress).await;
                answers.into_iter().map(|answer| answer.map(Reply::Answer)).collect()
            }
        }
    }

    async fn claim(&mut self, claim: &Claim, progress: &Progress) -> Result<Claimed, StoreError> {
        for _ in 0..self.log.options.claim_attempts_max {
            progress.set_doubtful(false);
            self.log.look(progress).await?;
            let newest = self.log.view().state.epoch();
            let epoch = newest.max(Epoch::new(claim.epoch_hint)).next();
            let mut state = (*self.log.view().state).clone();
            let options = self.log.options.clone();
            apply_claim(&mut state, claim, &self.applying(epoch, &options.limits))?;
            let draft = self.log.draft(RecordKind::Claim, Arc::new(state));
            match self.log.append(draft, progress).await {
                Appended::Recorded(view) => {
                    self.vouch(epoch);
                    self.made.push(view.clone());
                    return Ok(Claimed { epoch, view });
                }
                // A rival was faster.
                Appended::Lost => {}
                Appended::Undecidable => {
                    let what = "the claim: its record was collected before it was found".to_owned();
                    return Err(StoreError::Unknown { what, waited_ms: 0 });
                }
                Appended::Blocked(error) => return Err(error),
            }
        }
        Err(self.outrun("the claim"))
    }

    async fn resume(
        &mut self,
        session: &SessionId,
        epoch: Epoch,
        progress: &Progress,
    ) -> Result<Claimed, StoreError> {
        for _ in 0..self.log.options.claim_attempts_max {
            progress.set_doubtful(false);
            self.log.look(progress).await?;
            let view = self.log.view().clone();
            let grant = view.state.grant.as_ref().filter(|grant| grant.epoch == epoch);
            match grant {
                None => return Err(self.log.fenced(epoch)),
                Some(grant) if grant.session != *session => {
                    let by = format!("granted to session {}", grant.session);
                    return Err(StoreError::Fenced { ours: epoch, newest: epoch, by });
                }
                Some(_) if self.log.held() == Some(epoch) => return Ok(Claimed { epoch, view }),
                // Another incarnation took it over. Whatever this one has begun since must stay undone: the other
                // one's collector counts on that.
                Some(_) if self.owned.contains(&epoch) => return Err(self.log.fenced(epoch)),
                Some(_) => {}
            }
            // Creates of the process that died may still arrive. Behind this record they come too late.
            let draft = self.log.draft(RecordKind::Adopt, view.state.clone());
            match self.log.append(draft, progress).await {
                Appended::Recorded(view) => {
                    self.vouch(epoch);
                    self.made.push(view.clone());
                    return Ok(Claimed { epoch, view });
                }
                // One did arrive: it is part of what is adopted.
                Appended::Lost | Appended::Undecidable => {}
                Appended::Blocked(error) => return Err(error),
            }
        }
        Err(self.outrun("the adoption"))
    }

    /// The view under `epoch`, given that it was just brought up to date.
    fn confirmed(&self, epoch: Epoch) -> Result<Arc<View>, StoreError> {
        let view = self.log.view();
        let taken_over = self.owned.contains(&epoch) && self.log.held() != Some(epoch);
        if epoch == Epoch::new(0) || view.state.epoch() != epoch || taken_over {
            return Err(self.log.fenced(epoch));
        }
        Ok(view.clone())
    }

    async fn commit(&mut self, entries: &[&Entry], progress: &Progress) -> Vec<Result<Answer, StoreError>> {
        if !entries.iter().all(|entry| self.is_clear(entry))
            && let Err(error) = self.log.look(progress).await
        {
            return entries.iter().map(|entry| Err(self.unread(entry, &error))).collect();
        }
        let stands: Vec<Stand> = entries.iter().map(|entry| self.stand(entry)).collect();
        let owners = entries.iter().zip(&stands).filter(|(_, stand)| matches!(stand, Stand::Owner));
        let ours: Vec<&Entry> = owners.map(|(entry, _)| *entry).collect();
        let mut written = match ours.as_slice() {
            [] => Vec::new(),
            ours => self.write(ours, progress).await,
        }
        .into_iter();
        let answer = |stand| match stand {
            Stand::Answered(answer) => Ok(answer),
            Stand::No(error) => Err(error),
            Stand::Owner => written.next().expect("whoever may write has a result"),
        };
        stands.into_iter().map(answer).collect()
    }

    /// Whether what is known is enough to say where an entry stands.
    fn is_clear(&self, entry: &Entry) -> bool {
        let deposed = self.vouched.contains(&entry.epoch) && self.log.view().state.epoch() > entry.epoch;
        self.answered(entry).is_some() || self.log.held() == Some(entry.epoch) || deposed
    }

    fn answered(&self, entry: &Entry) -> Option<Answer> {
        match &entry.edit {
            Edit::Change(key, _) => self.log.view().state.answer_of(key).copied(),
            Edit::CollectBefore(_) => None,
        }
    }

    fn stand(&self, entry: &Entry) -> Stand {
        let epoch = entry.epoch;
        if let Some(answer) = self.answered(entry) {
            return Stand::Answered(answer);
        }
        if self.log.held() == Some(epoch) {
            return Stand::Owner;
        }
        let state = &self.log.view().state;
        // Nothing of it is in the log. That is the end of it if nothing can be on its way any more, and if the log
        // would still know it: it remembers the last writes of the newest epoch and of the one before.
        let settled = self.vouched.contains(&epoch)
            || epoch > state.epoch()
            || state.epoch_before() == Some(epoch)
            || epoch == Epoch::new(0);
        if settled {
            return Stand::No(self.log.fenced(epoch));
        }
        let why = match epoch == state.epoch() {
            true => "this process has not resumed it",
            false => "it was deposed long ago, and this process did not hold it",
        };
        Stand::No(StoreError::Unknown { what: format!("a write under epoch {epoch}: {why}"), waited_ms: 0 })
    }

    /// What a corrupt log lets be said of an entry: an earlier process may have sent it.
    fn unread(&self, entry: &Entry, error: &StoreError) -> StoreError {
        match self.vouched.contains(&entry.epoch) {
            true => error.clone(),
            false => StoreError::Unknown { what: error.to_string(), waited_ms: 0 },
        }
    }

    /// Makes one record of all of them, or none if none of them changes anything.
    async fn write(&mut self, entries: &[&Entry], progress: &Progress) -> Vec<Result<Answer, StoreError>> {
        let Batch { draft, changed, results } = self.apply(entries);
        let epoch = draft.epoch();
        if !changed {
            // Refusals and repetitions are as true as the state that they rest on: it must still be the newest.
            let looked = self.log.look(progress).await;
            let held = self.log.held() == Some(epoch);
            return match looked {
                Ok(()) if held => results,
                Ok(()) => vec![Err(self.log.fenced(epoch)); entries.len()],
                Err(error) => vec![Err(error); entries.len()],
            };
        }
        let error = match self.log.append(draft, progress).await {
            Appended::Recorded(view) => {
                self.made.push(view);
                return results;
            }
            Appended::Lost => self.log.fenced(epoch),
            Appended::Blocked(error) => error,
            Appended::Undecidable => {
                // From here on, "this process never saw it recorded" does not mean "never was".
                self.vouched.remove(&epoch);
                return entries.iter().map(|entry| self.remembered(entry)).collect();
            }
        };
        vec![Err(error); entries.len()]
    }

    /// What the newest state remembers of an entry whose record is gone.
    fn remembered(&self, entry: &Entry) -> Result<Answer, StoreError> {
        match self.stand(entry) {
            Stand::Answered(answer) => Ok(answer),
            Stand::No(error) => Err(error),
            Stand::Owner => unreachable!("who was collected was followed by another"),
        }
    }

    /// Applies what can be applied. If the record becomes too large, then nothing that makes it larger.
    fn apply(&self, entries: &[&Entry]) -> Batch {
        let applied = self.apply_if(entries, None);
        match applied.draft.bytes() > self.log.options.limits.record_bytes_max {
            true => self.apply_if(entries, Some(applied.draft.bytes())),
            false => applied,
        }
    }

    fn apply_if(&self, entries: &[&Entry], too_large: Option<u64>) -> Batch {
        let limits = &self.log.options.limits;
        let mut state = (*self.log.view().state).clone();
        let ctx = self.applying(state.epoch(), limits);
        let mut changed = false;
        let mut apply_one = |entry: &&Entry| match (&entry.edit, too_large) {
            (Edit::Change(_, change), Some(bytes)) if change.grows() => {
                let what = "the record that this change would make".to_owned();
                let max_bytes = limits.record_bytes_max;
                let limit = "record_bytes_max";
                Err(Refusal::TooLarge { what, bytes, max_bytes, limit }.into())
            }
            (Edit::Change(key, change), _) => {
                let outcome = apply(&mut state, key, change, &ctx)?;
                changed |= outcome.changed;
                Ok(outcome.answer)
            }
            (Edit::CollectBefore(boundary), _) => {
                assert!(*boundary < ctx.at, "the newest record is never collected");
                let raised = collect_before(&mut state, *boundary);
                changed |= raised;
                Ok(if raised { Answer::Changed } else { Answer::Unchanged })
            }
        };
        let results = entries.iter().map(&mut apply_one).collect();
        Batch { draft: self.log.draft(RecordKind::Commit, Arc::new(state)), changed, results }
    }

    fn applying<'a>(&self, epoch: Epoch, limits: &'a crate::Limits) -> Applying<'a> {
        Applying { at: self.log.newest().next(), epoch, now_ms: self.log.clock.wall_ms(), limits }
    }

    fn vouch(&mut self, epoch: Epoch) {
        for epochs in [&mut self.vouched, &mut self.owned] {
            epochs.insert(epoch);
            if epochs.len() > VOUCHED_MAX {
                epochs.pop_first();
            }
        }
    }

    fn outrun(&self, what: &str) -> StoreError {
        let attempts = self.log.options.claim_attempts_max;
        let reason = format!("other writers were faster {attempts} times (claim_attempts_max)");
        StoreError::Unavailable { what: what.to_owned(), reason }
    }
}
