//! The log: what its newest record is, and how one more is appended.
//!
//! One writer task owns it ([`crate::writer`]); nothing here is shared, and every method runs until it knows.
//! Whoever awaits one may drop it while it is not in doubt ([`Progress`]): state changes only at the very end.

mod append;
mod progress;

pub(crate) use append::{Appended, Draft};
pub(crate) use progress::{Backoff, Progress};

use crate::keys::Keys;
use crate::objects::{Objects, Read};
use crate::record::{Record, decode, read_bytes_max};
use crate::{Clock, DeploymentName, Entropy, Epoch, Incarnation, Sequence, StoreError, StoreOptions, View};
use bytes::Bytes;
use std::sync::Arc;

/// A log, and what is known of its end.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) objects: Objects,
    pub(crate) keys: Keys,
    pub(crate) deployment: DeploymentName,
    pub(crate) options: Arc<StoreOptions>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) incarnation: Incarnation,
    tail: Tail,
}

/// The newest record that is known.
#[derive(Debug, Clone, Default)]
struct Tail {
    view: Arc<View>,
    /// Its bytes, if this process created it with one request, and that was answered "created": no second request for
    /// it is on its way, so after a delete nothing can bring it back.
    sole: Option<Bytes>,
}

/// Why something could not be read.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Try again.
    Unclear(String),
    /// Do not.
    Corrupt(StoreError),
}

impl Log {
    pub(crate) fn new(
        objects: Objects,
        keys: Keys,
        deployment: DeploymentName,
        options: Arc<StoreOptions>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let incarnation = Incarnation::random(&*entropy);
        Self { objects, keys, deployment, options, clock, entropy, incarnation, tail: Tail::default() }
    }

    /// The newest record that is known, and its state.
    pub(crate) fn view(&self) -> &Arc<View> {
        &self.tail.view
    }

    /// The sequence of the newest record that is known; 0 when the log is empty.
    pub(crate) fn newest(&self) -> Sequence {
        self.tail.view.header.as_ref().map_or(Sequence::new(0), |header| header.sequence)
    }

    /// The epoch that this process owns, as far as it knows.
    ///
    /// Whoever owns an epoch has written the newest record: its claim, its adoption, or a commit.
    pub(crate) fn held(&self) -> Option<Epoch> {
        let header = self.tail.view.header.as_ref()?;
        (header.incarnation == self.incarnation).then_some(header.epoch)
    }

    /// What to tell somebody whose epoch is not the owner's any more.
    pub(crate) fn fenced(&self, ours: Epoch) -> StoreError {
        let view = &self.tail.view;
        let newest = view.state.epoch();
        let by = match &view.header {
            Some(header) if newest == ours => format!("adopted by incarnation {}", header.incarnation),
            Some(_) if newest < ours => format!("epoch {ours} was never claimed; {}", view.state.holder()),
            Some(_) => format!("claimed by {}", view.state.holder()),
            None => "nothing was ever claimed".to_owned(),
        };
        StoreError::Fenced { ours, newest, by }
    }

    /// Finds the newest record, knowing nothing: one LIST and one GET of a record, plus the hint that keeps the
    /// LIST short.
    pub(crate) async fn locate(&mut self, progress: &Progress) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(&self.options);
        loop {
            match self.try_locate().await {
                Ok(tail) => {
                    self.tail = tail;
                    return Ok(());
                }
                Err(trouble) => backoff.after(trouble, progress).await?,
            }
        }
    }

    async fn try_locate(&self) -> Result<Tail, Trouble> {
        let hint = self.read_hint().await;
        let mut newest = None;
        if let Some(hint) = hint {
            newest = self.newest_after(hint.previous()).await?;
        }
        // No hint, or one that points behind the end: then, and only then, the whole log is listed.
        if newest.is_none() {
            newest = self.newest_after(None).await?;
        }
        match newest {
            Some(sequence) => self.read_newest(sequence).await,
            None => Ok(Tail::default()),
        }
    }

    /// Brings what is known up to date with the store, whoever wrote there. Afterwards, the view includes every
    /// record that was durable when this was called.
    pub(crate) async fn look(&mut self, progress: &Progress) -> Result<(), StoreError> {
        let mut backoff = Backoff::new(&self.options);
        loop {
            match self.try_look().await {
                Ok(None) => return Ok(()),
                Ok(Some(tail)) => {
                    self.check_lineage(&tail)?;
                    self.tail = tail;
                    return Ok(());
                }
                Err(trouble) => backoff.after(trouble, progress).await?,
            }
        }
    }

    /// `None` when the newest record is the one that is known.
    async fn try_look(&self) -> Result<Option<Tail>, Trouble> {
        let known = self.newest();
        if let Some(ours) = &self.tail.sole
            && self.nothing_follows(known, ours).await?
        {
            return Ok(None);
        }
        // The listing begins *with* the record that is known: if nothing at all is there, somebody emptied the
        // log, and an empty log must not be mistaken for a fresh one.
        match self.newest_after(known.previous()).await? {
            Some(newest) if newest == known => Ok(None),
            Some(newest) => self.read_newest(newest).await.map(Some),
            None if known == Sequence::new(0) => Ok(None),
            None => Err(Trouble::Corrupt(
                self.corrupt(known, "it was the newest record and is gone, with nothing after it".to_owned()),
            )),
        }
    }

    /// Two GETs in place of a LIST, for a record of our own that nothing can bring back.
    ///
    /// The order matters: deletes ascend, so if our record is there *after* the next key was seen empty, then that
    /// key was empty because nobody ever wrote it.
    async fn nothing_follows(&self, known: Sequence, ours: &Bytes) -> Result<bool, Trouble> {
        if self.read_record(known.next()).await?.is_some() {
            return Ok(false);
        }
        self.still_holds(known, ours).await
    }

    /// Whether the newest record that is known, one of our own, is still in its place. Only a record that cannot come
    /// back proves anything by being there.
    ///
    /// Its bytes are compared, not read: this is asked every few seconds, and a record holds the whole state.
    async fn still_holds(&self, known: Sequence, ours: &Bytes) -> Result<bool, Trouble> {
        match self.read_bytes(known).await? {
            Some(found) if found == ours => Ok(true),
            Some(found) => {
                // Somebody else's, or damaged.
                self.decode(known, &found)?;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    /// The newest sequence after `after` that the store lists.
    async fn newest_after(&self, after: Option<Sequence>) -> Result<Option<Sequence>, Trouble> {
        let after = after.map(|sequence| self.keys.record(sequence));
        let listed = self.objects.list(&self.keys.log(), after.as_ref()).await.map_err(Trouble::Unclear)?;
        Ok(listed.iter().filter_map(|meta| self.keys.sequence_of(&meta.location)).max())
    }

    async fn read_newest(&self, sequence: Sequence) -> Result<Tail, Trouble> {
        let Some(record) = self.read_record(sequence).await? else {
            // Listed, and collected before it was read: a hundred newer ones came in between.
            return Err(Trouble::Unclear(format!("record {sequence} was collected while it was looked for")));
        };
        let view = View { header: Some(record.header), state: Arc::new(record.state) };
        Ok(Tail { view: Arc::new(view), sole: None })
    }

    pub(crate) async fn read_record(&self, sequence: Sequence) -> Result<Option<Record>, Trouble> {
        let bytes = self.read_bytes(sequence).await?;
        bytes.map(|bytes| self.decode(sequence, &bytes)).transpose()
    }

    async fn read_bytes(&self, sequence: Sequence) -> Result<Option<Bytes>, Trouble> {
        let bytes_max = read_bytes_max(self.options.limits.record_bytes_max);
        match self.objects.read(&self.keys.record(sequence), bytes_max).await.map_err(Trouble::Unclear)? {
            Read::Absent => Ok(None),
            Read::Bytes(bytes) => Ok(Some(bytes)),
            Read::TooLarge(bytes) => Err(Trouble::Corrupt(self.corrupt(
                sequence,
                format!(
                    "it has {bytes} bytes, more than the {bytes_max} that record_bytes_max allows to be read"
                ),
            ))),
        }
    }

    fn decode(&self, sequence: Sequence, bytes: &[u8]) -> Result<Record, Trouble> {
        decode(bytes, &self.deployment, sequence)
            .map_err(|reason| Trouble::Corrupt(self.corrupt(sequence, reason)))
    }

    /// Epochs never go down along the log, nor does the boundary of collection.
    fn check_lineage(&self, newer: &Tail) -> Result<(), StoreError> {
        let (known, found) = (&self.tail.view.state, &newer.view.state);
        let sequence = newer.view.header.as_ref().map_or(Sequence::new(0), |header| header.sequence);
        if found.epoch() < known.epoch() {
            let reason = format!("its epoch is {}, after records of epoch {}", found.epoch(), known.epoch());
            return Err(self.corrupt(sequence, reason));
        }
        if found.collected_before < known.collected_before {
            let (found, known) = (found.collected_before, known.collected_before);
            let reason = format!("its collection boundary is {found}, after records with {known}");
            return Err(self.corrupt(sequence, reason));
        }
        Ok(())
    }

    fn corrupt(&self, sequence: Sequence, reason: String) -> StoreError {
        StoreError::Corrupt { key: self.keys.record(sequence).to_string(), reason }
    }

    /// The hint may be absent, stale, unreadable or a lie: all of them cost a longer listing and nothing else.
    async fn read_hint(&self) -> Option<Sequence> {
        match self.objects.read(&self.keys.hint(), 64).await {
            Ok(Read::Bytes(bytes)) => {
                let number = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
                Some(Sequence::new(number)).filter(|hint| hint.get() > 0)
            }
            _ => None,
        }
    }

    /// Leaves a hint for the next `locate`. Best effort.
    pub(crate) fn hint(&self) -> impl Future<Output = ()> + Send + 'static {
        let (objects, key) = (self.objects.clone(), self.keys.hint());
        let text = format!("{:020}\n", self.newest().get());
        async move {
            if let Err(reason) = objects.overwrite(&key, text.into()).await {
                tracing::debug!(%key, reason, "the hint was not written; opening will list more");
            }
        }
    }
}
