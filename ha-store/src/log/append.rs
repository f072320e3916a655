//! Appending one record: gathers the evidence that [`judge`] asks for, until it knows.

use super::{Backoff, Log, Progress, Tail, Trouble};
use crate::judge::{Collector, CreateAnswer, Evidence, Holds, Verdict, compare, judge};
use crate::record::{FORMAT, encode};
use crate::state::DeploymentState;
use crate::{Epoch, Nonce, RecordHeader, RecordKind, StoreError, View};
use bytes::Bytes;
use std::sync::Arc;

/// What became of a record. Definite, but for `Undecidable`.
#[derive(Debug)]
pub(crate) enum Appended {
    /// Recorded. The view is the one that it made; the log's may be a newer one already.
    Recorded(Arc<View>),
    /// Not recorded, never will be: another record has its place. The log's view shows a newer one.
    Lost,
    /// Perhaps recorded, followed and collected before its outcome could be learnt.
    Undecidable,
    /// Not recorded, never will be: what has its place cannot be read.
    Blocked(StoreError),
}

/// A record that was not sent yet.
#[derive(Debug)]
pub(crate) struct Draft {
    header: RecordHeader,
    state: Arc<DeploymentState>,
    bytes: Bytes,
}

impl Draft {
    /// Its size in the store.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.header.epoch
    }
}

/// A record on its way, and what is known of it.
struct Pending {
    draft: Draft,
    evidence: Evidence,
    /// An earlier create of this record got no clear answer.
    doubtful: bool,
    /// The newest record that was seen on the way, if it is not this one.
    newer: Option<Tail>,
    corrupt: Option<StoreError>,
}

impl Log {
    /// The record that would come next, with this state.
    pub(crate) fn draft(&self, kind: RecordKind, state: Arc<DeploymentState>) -> Draft {
        let header = RecordHeader {
            format: FORMAT,
            deployment: self.deployment.clone(),
            sequence: self.newest().next(),
            follows: self.tail.view.header.as_ref().map(|header| header.nonce.clone()),
            epoch: state.epoch(),
            incarnation: self.incarnation.clone(),
            nonce: Nonce::random(&*self.entropy),
            kind,
            written_at_ms: self.clock.wall_ms(),
        };
        let bytes = encode(&header, &state);
        Draft { header, state, bytes }
    }

    /// Appends a record after the newest one that is known, and does not return before its fate is known.
    ///
    /// The same bytes are sent each time: a second create of the same record is harmless wherever the first one
    /// ended.
    ///
    /// # Panics
    /// When the log holds what no correct writer can have written (design, §4: "impossible: stop, loudly"). Going
    /// on would build on a log whose fence does not hold.
    pub(crate) async fn append(&mut self, draft: Draft, progress: &Progress) -> Appended {
        assert_eq!(draft.header.sequence, self.newest().next(), "a record goes right after the newest");
        assert!(draft.header.epoch >= self.tail.view.state.epoch(), "epochs never go down along the log");
        let evidence = Evidence {
            answer: CreateAnswer::Refused,
            doubtful_before: false,
            holds: Holds::NotRead,
            collector: Collector::NotAsked,
        };
        let mut pending = Pending { draft, evidence, doubtful: false, newer: None, corrupt: None };
        let mut backoff = Backoff::new(&self.options);
        self.send(&mut pending, progress).await;
        loop {
            let trouble = match judge(pending.evidence) {
                Verdict::SendAgain => {
                    backoff.pause().await;
                    self.send(&mut pending, progress).await;
                    continue;
                }
                Verdict::ReadKey => self.read_key(&mut pending).await,
                Verdict::AskCollector => self.ask_collector(&mut pending).await,
                verdict => return self.conclude(pending, verdict),
            };
            if let Err(reason) = trouble {
                progress.set_trouble(reason);
                backoff.pause().await;
            }
        }
    }

    async fn send(&self, pending: &mut Pending, progress: &Progress) {
        // From here on, until the answer: it may be applied although we never hear of it.
        progress.set_doubtful(true);
        let key = self.keys.record(pending.draft.header.sequence);
        let (answer, reason) = self.objects.create(&key, pending.draft.bytes.clone()).await;
        pending.evidence = Evidence {
            answer,
            doubtful_before: pending.doubtful,
            holds: Holds::NotRead,
            collector: Collector::NotAsked,
        };
        pending.doubtful |= answer == CreateAnswer::Unclear;
        progress.set_doubtful(pending.doubtful || answer != CreateAnswer::Refused);
        if matches!(answer, CreateAnswer::Unclear | CreateAnswer::Refused) {
            progress.set_trouble(reason);
        }
    }

    async fn read_key(&self, pending: &mut Pending) -> Result<(), String> {
        pending.evidence.holds = match self.read_record(pending.draft.header.sequence).await {
            Ok(None) => Holds::Absent,
            Ok(Some(found)) => {
                let holds = compare(&pending.draft.header, &found.header);
                if holds != Holds::Mine {
                    let view = View { header: Some(found.header), state: Arc::new(found.state) };
                    pending.newer = Some(Tail { view: Arc::new(view), sole: None });
                }
                holds
            }
            Err(Trouble::Corrupt(error)) => {
                pending.corrupt = Some(error);
                Holds::Unreadable
            }
            Err(Trouble::Unclear(reason)) => return Err(reason),
        };
        Ok(())
    }

    /// Learns whether the collector has passed the record's place. Must be asked after the key was read or created:
    /// it vouches for what the key held until now.
    async fn ask_collector(&self, pending: &mut Pending) -> Result<(), String> {
        let reason = |trouble| match trouble {
            Trouble::Unclear(reason) => reason,
            Trouble::Corrupt(error) => error.to_string(),
        };
        let mine = pending.draft.header.sequence;
        // Whoever took over from this process did it right behind our newest record, and that stays: the collector keeps
        // what begins an ownership. So a place that was free for the one create that was sent for it always was.
        let sent_once = pending.evidence.answer == CreateAnswer::Created && !pending.doubtful;
        if sent_once && self.held().is_some() {
            pending.evidence.collector = Collector::HasNotPassed;
            return Ok(());
        }
        // Deletes ascend: while the record that ours follows is in its place, ours was never deleted. That holds
        // only if nothing can have brought that record back, which is so for one of our own that was sent once.
        if let Some(ours) = &self.tail.sole
            && self.still_holds(self.newest(), ours).await.map_err(reason)?
        {
            pending.evidence.collector = Collector::HasNotPassed;
            return Ok(());
        }
        // The sure way. The boundary only rises, and is durable before anything below it is deleted; so the newest
        // record shows it. The newest record itself is never deleted.
        pending.evidence.collector = match self.newest_after(Some(mine)).await.map_err(reason)? {
            None => Collector::HasNotPassed,
            Some(sequence) => {
                let newest = self.read_newest(sequence).await.map_err(reason)?;
                let boundary = newest.view.state.collected_before;
                pending.newer = Some(newest);
                if boundary > mine { Collector::HasPassed } else { Collector::HasNotPassed }
            }
        };
        Ok(())
    }

    fn conclude(&mut self, pending: Pending, verdict: Verdict) -> Appended {
        let Pending { draft: Draft { header, state, bytes }, evidence, doubtful, newer, corrupt } = pending;
        let sequence = header.sequence;
        let nonce = header.nonce.clone();
        let view = Arc::new(View { header: Some(header), state });
        if verdict == Verdict::Recorded {
            let sole = !doubtful && evidence.answer == CreateAnswer::Created;
            self.tail = Tail { view: view.clone(), sole: sole.then_some(bytes) };
        }
        if let Some(newer) = newer {
            self.tail = newer;
        }
        match verdict {
            Verdict::Recorded => Appended::Recorded(view),
            Verdict::Lost => {
                assert!(self.newest() >= sequence, "what has our place is known");
                Appended::Lost
            }
            Verdict::Undecidable => Appended::Undecidable,
            Verdict::Blocked => Appended::Blocked(corrupt.expect("an unreadable key was read")),
            Verdict::Impossible => panic!(
                "the log is not what its writers make it: {} holds a record of epoch {} and incarnation {} where \
                 only record {nonce} of incarnation {} can be; stopping before anything is built on it",
                self.keys.record(sequence),
                self.tail.view.state.epoch(),
                self.tail.view.header.as_ref().map_or("(none)", |header| header.incarnation.as_str()),
                self.incarnation,
            ),
            Verdict::SendAgain | Verdict::ReadKey | Verdict::AskCollector => {
                unreachable!("the driver acts on {verdict:?} and asks again")
            }
        }
    }
}
