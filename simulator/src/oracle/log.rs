//! The one true log, as it became durable: what every other oracle judges by, and itself the judge of its form and of the
//! fence.

use std::collections::{BTreeMap, BTreeSet};

use super::property::{CREATE_ONLY, FENCED, LOG_UNBROKEN};
use super::record::{Header, Kind, Record, State};
use super::{Verdict, must};
use crate::trace::Event;

/// The log of the run's one deployment.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// Every key that exists.
    keys: BTreeSet<String>,
    newest: Option<Record>,
    /// The one before it.
    previous: Option<Record>,
    /// The last record of each epoch.
    by_epoch: BTreeMap<u64, Record>,
}

/// What a key of the store is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key<'a> {
    /// A record, and the sequence that its key says.
    Record(u64),
    /// A blob, and its file name.
    Blob(&'a str),
    /// The hint where the newest record may be.
    Hint,
    /// Whatever else: what preflight tries out.
    Other,
}

impl Log {
    /// The newest record.
    pub(super) fn newest(&self) -> Option<&Record> {
        self.newest.as_ref()
    }

    /// The record before the newest one.
    pub(super) fn previous(&self) -> Option<&Record> {
        self.previous.as_ref()
    }

    /// The state that the newest record shows.
    pub(super) fn state(&self) -> Option<&State> {
        self.newest.as_ref().map(|record| &record.state)
    }

    /// The newest epoch; 0 before the first claim.
    pub(super) fn epoch(&self) -> u64 {
        self.newest.as_ref().map_or(0, |record| record.header.epoch)
    }

    /// The last record that was written under this epoch.
    pub(super) fn last_of(&self, epoch: u64) -> Option<&Record> {
        self.by_epoch.get(&epoch)
    }

    /// Takes an event in. True when it made a new newest record.
    pub(super) fn observe(&mut self, event: &Event) -> Result<bool, super::Broken> {
        match event {
            Event::StoreCreated { key, body } => self.created(key, body),
            Event::StoreOverwritten { key, .. } => {
                self.keys.insert(key.clone());
                must(Key::of(key) == Key::Hint, CREATE_ONLY, || {
                    format!("{key} was put without a condition; only the hint may be")
                })?;
                Ok(false)
            }
            Event::StoreDeleted { key } => {
                self.keys.remove(key);
                Ok(false)
            }
            _ => Ok(false),
        }
    }

    fn created(&mut self, key: &str, body: &[u8]) -> Result<bool, super::Broken> {
        let fresh = self.keys.insert(key.to_owned());
        must(fresh, CREATE_ONLY, || format!("{key} was created although it exists"))?;
        let Key::Record(sequence) = Key::of(key) else { return Ok(false) };
        // A stalled writer's create, long after the collector has passed: nobody will ever read it (decision 0003).
        if sequence < self.state().map_or(0, |state| state.collected_before) {
            return Ok(false);
        }
        let record = Record::read(body);
        let unreadable = record.as_ref().err().cloned();
        must(unreadable.is_none(), LOG_UNBROKEN, || {
            format!("{key} does not hold a record: {}", unreadable.unwrap_or_default())
        })?;
        let Ok(record) = record else { return Ok(false) };
        self.check(sequence, &record)?;
        self.by_epoch.insert(record.header.epoch, record.clone());
        self.previous = self.newest.replace(record);
        Ok(true)
    }

    fn check(&self, sequence: u64, record: &Record) -> Verdict {
        let header = &record.header;
        // The fence first: a record of a deposed writer is usually out of place as well, and that is the lesser news.
        self.check_fence(header)?;
        must(header.sequence == sequence, LOG_UNBROKEN, || {
            format!("the key says record {sequence}, its body record {}", header.sequence)
        })?;
        let newest = self.newest.as_ref().map(|newest| &newest.header);
        let next = newest.map_or(1, |newest| newest.sequence + 1);
        must(sequence == next, LOG_UNBROKEN, || {
            format!("record {sequence} became durable where record {next} comes next")
        })?;
        let nonce = newest.map(|newest| newest.nonce.as_str());
        must(header.follows.as_deref() == nonce, LOG_UNBROKEN, || {
            format!("record {sequence} says that it follows {:?}, but {nonce:?} is before it", header.follows)
        })?;
        self.check_state(header, &record.state)
    }

    /// P2, and decision 0002: within an epoch, only the process that claimed or adopted it last commits.
    fn check_fence(&self, header: &Header) -> Verdict {
        let newest = self.newest.as_ref().map(|newest| &newest.header);
        let (newest_epoch, owner) =
            newest.map_or((0, None), |newest| (newest.epoch, Some(newest.incarnation.as_str())));
        let (epoch, incarnation) = (header.epoch, header.incarnation.as_str());
        let holds = match header.kind {
            Kind::Claim => epoch > newest_epoch,
            Kind::Adopt => epoch == newest_epoch,
            Kind::Commit => epoch == newest_epoch && owner == Some(incarnation),
        };
        must(holds, FENCED, || {
            format!(
                "record {} ({:?} of epoch {epoch} by {incarnation}) became durable after epoch {newest_epoch} of {}",
                header.sequence,
                header.kind,
                owner.unwrap_or("nobody")
            )
        })
    }

    fn check_state(&self, header: &Header, state: &State) -> Verdict {
        let granted = state.grant.as_ref().map(|grant| grant.epoch);
        must(granted == Some(header.epoch), LOG_UNBROKEN, || {
            format!("record {} of epoch {} holds the grant of {granted:?}", header.sequence, header.epoch)
        })?;
        let Some(before) = self.state() else { return Ok(()) };
        must(state.collected_before >= before.collected_before, LOG_UNBROKEN, || {
            format!("the boundary went from {} back to {}", before.collected_before, state.collected_before)
        })?;
        for (id, job) in &state.jobs {
            let (was, is) =
                (before.jobs.get(id).map_or(0, |job| job.next_checkpoint_id), job.next_checkpoint_id);
            must(is >= was, LOG_UNBROKEN, || {
                format!("the checkpoint counter of job {id} went from {was} back to {is}")
            })?;
        }
        Ok(())
    }
}

// === impl Key ===

impl<'a> Key<'a> {
    /// What this key is for.
    pub(super) fn of(key: &'a str) -> Self {
        let Some((folder, name)) = key.rsplit_once('/') else { return Self::Other };
        let folder = folder.rsplit('/').next().unwrap_or_default();
        let sequence = name.strip_suffix(".json").filter(|digits| digits.len() == 20);
        match (folder, sequence.and_then(|digits| digits.parse().ok())) {
            ("log", Some(sequence)) => Self::Record(sequence),
            ("blob", _) => Self::Blob(name),
            _ if name == "hint" => Self::Hint,
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Draft, History, key};
    use super::*;

    fn broken(drafts: &[Draft]) -> Option<&'static str> {
        let mut history = History::default();
        drafts.iter().find_map(|draft| history.append(draft).err()).map(|broken| broken.property)
    }

    #[test]
    fn claims_commits_and_adoptions_in_their_order_make_a_log() {
        let drafts = [
            Draft::claim(1, "a"),
            Draft::commit(1, "a"),
            Draft::adopt(1, "b"),
            Draft::commit(1, "b"),
            Draft::claim(2, "a"),
            // An epoch that nobody was granted is left out.
            Draft::claim(7, "c"),
        ];
        assert_eq!(broken(&drafts), None);
    }

    #[test]
    fn nothing_of_an_older_epoch_becomes_durable_behind_a_newer_one() {
        let claimed = [Draft::claim(1, "a"), Draft::claim(2, "b")];
        for late in [Draft::commit(1, "a"), Draft::adopt(1, "a"), Draft::claim(2, "c"), Draft::claim(1, "c")]
        {
            assert_eq!(broken(&[claimed[0].clone(), claimed[1].clone(), late]), Some(FENCED));
        }
    }

    #[test]
    fn behind_an_adoption_the_process_before_it_commits_nothing() {
        let drafts = [Draft::claim(1, "a"), Draft::adopt(1, "b"), Draft::commit(1, "a")];
        assert_eq!(broken(&drafts), Some(FENCED));
    }

    #[test]
    fn a_gap_a_wrong_predecessor_and_a_foreign_grant_break_the_log() {
        let first = Draft::claim(1, "a");
        let gap = Draft { sequence: Some(3), ..Draft::commit(1, "a") };
        let orphan = Draft { follows: Some("another".to_owned()), ..Draft::commit(1, "a") };
        let lies = Draft { granted: Some(9), ..Draft::commit(1, "a") };
        for bad in [gap, orphan, lies] {
            assert_eq!(broken(&[first.clone(), bad]), Some(LOG_UNBROKEN));
        }
    }

    #[test]
    fn the_counter_of_a_job_never_goes_back() {
        let at = |next| Draft { counter: next, ..Draft::commit(1, "a") };
        assert_eq!(broken(&[Draft::claim(1, "a"), at(7), at(7), at(8)]), None);
        assert_eq!(broken(&[Draft::claim(1, "a"), at(7), at(6)]), Some(LOG_UNBROKEN));
    }

    #[test]
    fn a_record_below_the_boundary_is_no_part_of_the_log() {
        let mut history = History::default();
        let boundary = Draft { collected_before: 3, ..Draft::commit(1, "a") };
        for draft in [&Draft::claim(1, "a"), &boundary, &Draft { ..boundary.clone() }] {
            history.append(draft).unwrap();
        }
        history.log.observe(&Event::StoreDeleted { key: key(2) }).unwrap();
        let stray = Event::StoreCreated { key: key(2), body: history.body(&Draft::commit(1, "zombie")) };
        assert_eq!(history.log.observe(&stray), Ok(false));
        assert_eq!(history.log.newest().map(|record| record.header.sequence), Some(3));
    }

    #[test]
    fn nothing_but_the_hint_is_put_twice() {
        let property = |event| {
            let mut history = History::default();
            history.append(&Draft::claim(1, "a")).unwrap();
            history.log.observe(&event).err().map(|broken| broken.property)
        };
        let put = |key: String| Event::StoreOverwritten { key, body: "".into() };
        assert_eq!(property(put("d/hint".to_owned())), None);
        assert_eq!(property(put(key(1))), Some(CREATE_ONLY));
        assert_eq!(property(put("d/blob/blake3-1.a".to_owned())), Some(CREATE_ONLY));
        assert_eq!(property(Event::StoreCreated { key: key(1), body: "".into() }), Some(CREATE_ONLY));
    }

    #[test]
    fn what_is_not_a_record_has_no_place_in_the_log() {
        let event = Event::StoreCreated { key: key(1), body: "{}".into() };
        assert_eq!(Log::default().observe(&event).unwrap_err().property, LOG_UNBROKEN);
    }

    #[test]
    fn keys_are_known_by_their_folder() {
        assert_eq!(Key::of("flink/orders/log/00000000000000000042.json"), Key::Record(42));
        assert_eq!(Key::of("flink/orders/blob/blake3-ab.cd"), Key::Blob("blake3-ab.cd"));
        assert_eq!(Key::of("flink/orders/hint"), Key::Hint);
        assert_eq!(Key::of("flink/orders/probe/x/create"), Key::Other);
        assert_eq!(Key::of("flink/orders/log/42.json"), Key::Other);
    }
}
