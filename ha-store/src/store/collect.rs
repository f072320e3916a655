//! Collection: deletes records that nobody reads any more, and blobs that no record names.
//!
//! What makes it safe, whatever stalls and for however long:
//!
//! 1. *The boundary first.* `collected_before` goes through the log before the first delete below it, so a deposed
//!    collector never raises it, and a writer can always learn whether its place was passed
//!    ([`judge`](crate::judge)). It never reaches the newest record.
//! 2. *Ascending, one by one.* A record is deleted after every record below it is known to be gone, or to be kept. So a
//!    record that is still in its place vouches for all places after it, until the next that is kept.
//! 3. *What begins an ownership is kept*: claims and adoptions, the newest
//!    [`collect_keep_takeovers`](StoreOptions::collect_keep_takeovers) of them. A process that was deposed would write
//!    next where the one that took over from it has begun, and must never find that place free.
//! 4. *Records below the boundary are dead.* Whatever lies there, or turns up there later, is never read and never
//!    acknowledged; a collector that wakes up late repeats deletes that were decided for good.
//! 5. *Blobs are judged by a state that is newer than their listing.* The listing comes first, then the proof that
//!    this process owns the epoch. So whoever put a listed blob is this process, or one that lost its ownership before
//!    and never gets it back: not after a newer claim, and not after an adoption
//!    ([`Store::resume`]). What this process put is left alone while it is young or recent.
//! 6. *A blob's key is never used twice*, so a late delete cannot hit what was put after it was decided.

use super::{Collected, Store, View};
use crate::apply::collect_before;
use crate::objects::Read;
use crate::record::{kind_of, read_bytes_max};
use crate::state::DeploymentState;
use crate::writer::Edit;
use crate::{BlobRef, Epoch, Nonce, RecordKind, Sequence, StoreError, StoreOptions};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{ObjectMeta, path::Path};
use std::{collections::BTreeSet, sync::Arc};

/// A listed record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    sequence: Sequence,
    modified_ms: i64,
}

/// What the next round of collection would delete.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Collectable {
    /// Records, ascending.
    pub records: Vec<Sequence>,
    /// Blobs: the key in the store, and the size in bytes.
    pub blobs: Vec<(String, u64)>,
    /// Whether there is more to delete than one round may.
    pub more: bool,
}

/// What lies in the store, oldest record first.
struct Listing {
    records: Vec<Listed>,
    blobs: Vec<ObjectMeta>,
}

impl Store {
    /// One bounded round. Call it again while `more`, and every hour or so.
    ///
    /// Commits go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Fenced`] when `epoch` is not the owner's any more; [`StoreError::Unavailable`] when the store
    /// did not do as it was told: the round ends, and the next one goes on where it stopped.
    pub async fn collect(&self, epoch: Epoch) -> Result<Collected, StoreError> {
        // One round at a time, or the deletes of two would mix.
        let _round = self.shared.collecting.lock().await;
        let shared = &self.shared;
        let listing = self.listing().await?;
        let mut view = self.confirm_owner(epoch).await?;
        if let Some(first_kept) = listing.raised(view.state.collected_before, &shared.options) {
            self.edit(epoch, Edit::CollectBefore(first_kept)).await?;
            view = self.confirm_owner(epoch).await?;
        }

        let mut collected = Collected::default();
        let (records, more) = self.deletable(&listing, &view.state).await?;
        for sequence in records {
            let key = shared.keys.record(sequence);
            // An unclear delete ends the round: what comes after it must not go before it.
            shared.objects.delete(&key).await.map_err(unavailable)?;
            collected.records += 1;
        }
        let left = usize::try_from(collected.records).unwrap_or(usize::MAX);
        let left = shared.options.collect_deletes_max.saturating_sub(left);
        let blobs = if more.records_left { Vec::new() } else { self.unnamed(&listing, &view.state) };
        collected.more = more.any() || blobs.len() > left;
        for meta in blobs.into_iter().take(left) {
            shared.objects.delete(&meta.location).await.map_err(unavailable)?;
            collected.blobs += 1;
        }
        Ok(collected)
    }

    /// What [`Store::collect`] would delete if it were called now, by the same decisions. Deletes and writes nothing, and
    /// needs no epoch.
    ///
    /// A process that does not own the epoch cannot know what the owner is about to name, but that is young, and what is
    /// young is kept.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] or [`StoreError::Corrupt`] when it could not be found out.
    pub async fn collectable(&self) -> Result<Collectable, StoreError> {
        let shared = &self.shared;
        let listing = self.listing().await?;
        let mut state = DeploymentState::clone(&self.refresh().await?.state);
        if let Some(first_kept) = listing.raised(state.collected_before, &shared.options) {
            collect_before(&mut state, first_kept);
        }
        let (records, more) = self.deletable(&listing, &state).await?;
        let left = shared.options.collect_deletes_max.saturating_sub(records.len());
        let blobs = if more.records_left { Vec::new() } else { self.unnamed(&listing, &state) };
        let more = more.any() || blobs.len() > left;
        let blobs = blobs.into_iter().take(left).map(|meta| (meta.location.to_string(), meta.size)).collect();
        Ok(Collectable { records, blobs, more })
    }

    /// The records below the boundary, ascending, as many as one round may delete, without those that begin an ownership.
    async fn deletable(
        &self,
        listing: &Listing,
        state: &DeploymentState,
    ) -> Result<(Vec<Sequence>, More), StoreError> {
        const READS_AT_ONCE: usize = 16;
        let shared = &self.shared;
        let mut takeovers = shared.takeovers.lock().await;
        takeovers.retain(|sequence| listing.has(*sequence));
        let (dead, more) = listing.dead(state, &takeovers, &shared.options);
        let mut kinds = stream::iter(dead)
            .map(async |sequence| {
                Ok::<_, StoreError>((sequence, self.may_begin_an_ownership(sequence).await?))
            })
            .buffered(READS_AT_ONCE);
        let mut deletable = Vec::new();
        while let Some((sequence, is_takeover)) = kinds.try_next().await? {
            match is_takeover {
                true => drop(takeovers.insert(sequence)),
                false => deletable.push(sequence),
            }
        }
        while takeovers.len() > shared.options.collect_keep_takeovers {
            deletable.extend(takeovers.pop_first());
        }
        deletable.sort_unstable();
        Ok((deletable, more))
    }

    /// Whether the record is a claim or an adoption. One that cannot be understood may be.
    async fn may_begin_an_ownership(&self, sequence: Sequence) -> Result<bool, StoreError> {
        let shared = &self.shared;
        let bytes_max = read_bytes_max(shared.options.limits.record_bytes_max);
        match shared.objects.read(&shared.keys.record(sequence), bytes_max).await.map_err(unavailable)? {
            Read::Absent => Ok(false),
            Read::TooLarge(_) => Ok(true),
            Read::Bytes(bytes) => Ok(kind_of(&bytes).is_none_or(RecordKind::begins_an_ownership)),
        }
    }

    async fn listing(&self) -> Result<Listing, StoreError> {
        let shared = &self.shared;
        let log = shared.objects.list(&shared.keys.log(), None).await.map_err(unavailable)?;
        let blobs = shared.objects.list(&shared.keys.blobs(), None).await.map_err(unavailable)?;
        let mut records: Vec<Listed> = log.iter().filter_map(|meta| self.listed(meta)).collect();
        records.sort_unstable_by_key(|listed| listed.sequence);
        Ok(Listing { records, blobs })
    }

    /// Another incarnation of our own epoch may be about to name what it put, so the newest epoch is not enough.
    async fn confirm_owner(&self, epoch: Epoch) -> Result<Arc<View>, StoreError> {
        let view = self.confirm(epoch).await?;
        let owner = view.header.as_ref().map(|header| &header.incarnation);
        if owner != Some(&self.shared.incarnation) {
            let reason = format!("this process has not resumed epoch {epoch}");
            return Err(StoreError::Unavailable { what: "collection".to_owned(), reason });
        }
        Ok(view)
    }

    fn listed(&self, meta: &ObjectMeta) -> Option<Listed> {
        let sequence = self.shared.keys.sequence_of(&meta.location)?;
        Some(Listed { sequence, modified_ms: modified_ms(meta) })
    }

    /// Old blobs that no kept record names and no change of this process may be about to.
    fn unnamed<'l>(&self, listing: &'l Listing, state: &DeploymentState) -> Vec<&'l ObjectMeta> {
        let recent = self.shared.recent_blobs.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let recent: BTreeSet<Path> = recent.iter().map(|blob| self.shared.keys.blob(blob)).collect();
        let newest_ms = listing.records.last().map_or(i64::MIN, |newest| newest.modified_ms);
        let old = |meta: &&ObjectMeta| is_old(modified_ms(meta), newest_ms, &self.shared.options);
        let unnamed = |meta: &&ObjectMeta| match blob_of(meta) {
            Some(blob) => !recent.contains(&meta.location) && !state.may_be_named(&blob),
            // Not one of ours. Whoever put it there can take it away.
            None => false,
        };
        listing.blobs.iter().filter(old).filter(unnamed).collect()
    }
}

/// Why a round does not finish what there is to do.
#[derive(Debug, Clone, Copy)]
struct More {
    /// Dead records are left, so that no blob is looked at yet.
    records_left: bool,
    /// The boundary could rise further.
    boundary_left: bool,
}

impl More {
    fn any(self) -> bool {
        self.records_left || self.boundary_left
    }
}

impl Listing {
    /// What the boundary is to be raised to, if that is worth it: raising it takes a record, so one that frees no more
    /// than that would be written for ever, by a deployment that does nothing.
    fn raised(&self, boundary_now: Sequence, options: &StoreOptions) -> Option<Sequence> {
        let first_kept = boundary(self.from(boundary_now), options);
        let frees = |listed: &&Listed| (boundary_now..first_kept).contains(&listed.sequence);
        (self.records.iter().filter(frees).count() > 1).then_some(first_kept)
    }

    /// The records below the boundary that are not known to be kept, ascending, as many as one round may delete.
    fn dead(
        &self,
        state: &DeploymentState,
        kept: &BTreeSet<Sequence>,
        options: &StoreOptions,
    ) -> (Vec<Sequence>, More) {
        let dead = self.records.iter().map(|listed| listed.sequence);
        let dead = dead.take_while(|sequence| *sequence < state.collected_before);
        let mut dead: Vec<Sequence> = dead.filter(|sequence| !kept.contains(sequence)).collect();
        let more = More {
            records_left: dead.len() > options.collect_deletes_max,
            boundary_left: self.raised(state.collected_before, options).is_some(),
        };
        dead.truncate(options.collect_deletes_max);
        (dead, more)
    }

    /// The records from this place on.
    fn from(&self, first: Sequence) -> &[Listed] {
        let below = self.records.partition_point(|listed| listed.sequence < first);
        &self.records[below..]
    }

    fn has(&self, sequence: Sequence) -> bool {
        self.records.binary_search_by_key(&sequence, |listed| listed.sequence).is_ok()
    }
}

fn unavailable(reason: String) -> StoreError {
    StoreError::Unavailable { what: "collection".to_owned(), reason }
}

/// The blob that an object's key names.
fn blob_of(meta: &ObjectMeta) -> Option<BlobRef> {
    let (hash, copy) = meta.location.filename()?.split_once('.')?;
    let copy = Nonce::try_from(copy).ok()?;
    hash.starts_with("blake3-").then(|| BlobRef { hash: hash.to_owned(), bytes: meta.size, copy })
}

/// The first record to keep: the last ones stay, and everything from the first young one on.
///
/// Ages are differences of the store's own times: no local clock has a say in what is deleted, and nothing becomes
/// old while nothing is written.
fn boundary(records: &[Listed], options: &StoreOptions) -> Sequence {
    let Some(newest) = records.last() else { return Sequence::new(0) };
    let kept_by_number = usize::try_from(options.collect_keep_records).unwrap_or(usize::MAX);
    let by_number = records.len().saturating_sub(kept_by_number);
    let is_young = |listed: &Listed| !is_old(listed.modified_ms, newest.modified_ms, options);
    let by_age = records.iter().position(is_young).unwrap_or(records.len());
    let first_kept = by_number.min(by_age).min(options.collect_deletes_max).min(records.len() - 1);
    records[first_kept].sequence
}

fn is_old(modified_ms: i64, newest_ms: i64, options: &StoreOptions) -> bool {
    let min_age_ms = i64::try_from(options.collect_min_age_ms).unwrap_or(i64::MAX);
    newest_ms.saturating_sub(modified_ms) >= min_age_ms
}

fn modified_ms(meta: &ObjectMeta) -> i64 {
    meta.last_modified.timestamp_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_MS: i64 = 24 * 60 * 60 * 1000;

    fn listed(times_ms: &[i64]) -> Vec<Listed> {
        let one = |(index, modified_ms): (usize, &i64)| Listed {
            sequence: Sequence::new(10 + index as u64),
            modified_ms: *modified_ms,
        };
        times_ms.iter().enumerate().map(one).collect()
    }

    fn keep(collect_keep_records: u64) -> StoreOptions {
        StoreOptions { collect_keep_records, ..StoreOptions::default() }
    }

    #[test]
    fn the_last_records_stay_however_old() {
        let records = listed(&[0, 1, 2, 3 * DAY_MS]);
        assert_eq!(boundary(&records, &keep(1)), Sequence::new(13));
        assert_eq!(boundary(&records, &keep(3)), Sequence::new(11));
        assert_eq!(boundary(&records, &keep(100)), Sequence::new(10));
    }

    #[test]
    fn whatever_follows_a_young_record_stays() {
        // The store's times may go back; the boundary must not jump over the young one.
        let records = listed(&[0, 2 * DAY_MS, 1, 2 * DAY_MS + 1]);
        assert_eq!(boundary(&records, &keep(1)), Sequence::new(11));
    }

    #[test]
    fn nothing_grows_old_while_nothing_is_written() {
        let records = listed(&[0, 1, 2, 3]);
        assert_eq!(boundary(&records, &keep(1)), Sequence::new(10));
    }

    #[test]
    fn one_round_deletes_no_more_than_it_may() {
        let records = listed(&[0, 1, 2, 3, 9 * DAY_MS]);
        let options = StoreOptions { collect_deletes_max: 2, ..keep(1) };
        assert_eq!(boundary(&records, &options), Sequence::new(12));
    }

    #[test]
    fn an_empty_log_has_no_boundary() {
        assert_eq!(boundary(&[], &keep(1)), Sequence::new(0));
    }
}
