//! What must hold, checked at the moment something becomes durable, is deleted, or is answered.

use ha_store::{
    Answer, BlobRef, DeploymentState, Epoch, IdempotencyKey, Nonce, RecordHeader, RecordKind, Sequence,
    SessionId, StoreError,
};
use object_store::path::Path;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Record {
    pub(crate) header: RecordHeader,
    pub(crate) state: DeploymentState,
}

/// Everything that was ever true of the log, and every promise that was given.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// The one true log: every record that became durable in its turn, whether it was collected since or not.
    pub(crate) log: Vec<Record>,
    /// Records that a stalled writer created below the boundary.
    pub(crate) strays: Vec<RecordHeader>,
    /// Blobs that exist.
    blobs: BTreeSet<String>,
    /// Writes that are in the log.
    applied: BTreeMap<IdempotencyKey, Answer>,
    /// Writes of which somebody was told that they are not recorded and never will be.
    denied: BTreeSet<IdempotencyKey>,
    /// Snapshots whose addition was acknowledged.
    acknowledged_ids: BTreeSet<u64>,
    /// Counter values that were acknowledged.
    values: BTreeSet<u64>,
    /// Sessions whose claim was definitely refused.
    denied_sessions: BTreeSet<SessionId>,
    granted: BTreeSet<Epoch>,
    violations: Vec<String>,
    /// What was reached, so that a green run says something.
    pub(crate) reached: BTreeMap<&'static str, u64>,
}

impl Oracle {
    fn must(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(what());
        }
    }

    pub(crate) fn reach(&mut self, what: &'static str) {
        *self.reached.entry(what).or_default() += 1;
    }

    pub(crate) fn check(&self) {
        assert!(self.violations.is_empty(), "violated:\n{}", self.violations.join("\n"));
    }

    pub(crate) fn newest(&self) -> Option<&Record> {
        self.log.last()
    }

    pub(crate) fn newest_epoch(&self) -> Epoch {
        self.newest().map_or(Epoch::new(0), |record| record.header.epoch)
    }

    pub(crate) fn newest_sequence(&self) -> Sequence {
        self.newest().map_or(Sequence::new(0), |record| record.header.sequence)
    }

    pub(crate) fn boundary(&self) -> Sequence {
        self.newest().map_or(Sequence::new(0), |record| record.state.collected_before)
    }

    /// An object became durable.
    pub(crate) fn created(&mut self, key: &Path, bytes: &[u8]) {
        if key.as_ref().contains("/blob/") {
            self.blobs.insert(key.filename().unwrap_or_default().to_owned());
        }
        if key.as_ref().contains("/log/") {
            let record: Record = serde_json::from_slice(bytes).expect("a record");
            self.recorded(record);
        }
    }

    /// A create came to a key that is taken.
    pub(crate) fn taken(&mut self, key: &Path) {
        let name = key.filename().and_then(|name| name.strip_suffix(".json"));
        let sequence = name.and_then(|name| name.parse().ok()).map(Sequence::new);
        if sequence.is_some_and(|sequence| sequence < self.boundary()) {
            self.reach("a late create found its place taken below the boundary");
        }
    }

    /// P2: along the true log, each record follows the one before it, and epochs never go down.
    fn recorded(&mut self, record: Record) {
        let (header, state) = (record.header.clone(), record.state.clone());
        let sequence = header.sequence;
        if sequence < self.boundary() {
            self.reach("a stalled writer's create succeeded below the boundary");
            self.strays.push(header);
            return;
        }
        let newest = self.newest_sequence();
        self.must(sequence == newest.next(), || {
            format!("record {sequence} was created after record {newest}")
        });
        let before = self.newest().map(|record| record.header.clone());
        let follows = before.as_ref().map(|before| before.nonce.clone());
        self.must(header.follows == follows, || {
            format!("record {sequence} does not follow the one before it")
        });
        let epoch = self.newest_epoch();
        let lineage = match header.kind {
            RecordKind::Claim => header.epoch > epoch,
            RecordKind::Adopt => header.epoch == epoch,
            RecordKind::Commit => {
                let owner = before.as_ref().map(|before| &before.incarnation);
                header.epoch == epoch && owner == Some(&header.incarnation)
            }
        };
        self.must(lineage, || {
            format!("P2: a {} of epoch {} became durable after epoch {epoch}", header.kind, header.epoch)
        });
        self.check_content(&header, &state);
        self.log.push(record);
    }

    /// P3 and P4, at the record: nothing acknowledged is missing, nothing denied turns up, no named blob is gone.
    fn check_content(&mut self, header: &RecordHeader, state: &DeploymentState) {
        let sequence = header.sequence;
        for applied in state.applied.iter().chain(&state.applied_before) {
            let known = *self.applied.entry(applied.key.clone()).or_insert(applied.answer);
            self.must(known == applied.answer, || format!("{} was applied twice", applied.key));
            let denied = self.denied.contains(&applied.key);
            self.must(!denied, || format!("P3: {} was denied and is in record {sequence}", applied.key));
        }
        let denied = state.grant.as_ref().is_some_and(|grant| self.denied_sessions.contains(&grant.session));
        self.must(!denied, || format!("P3: a claim was denied and is in record {sequence}"));
        let held: BTreeSet<u64> = ids_of(state);
        let missing: Vec<u64> = self.acknowledged_ids.difference(&held).copied().collect();
        self.must(missing.is_empty(), || {
            format!("P3: acknowledged snapshots {missing:?} are not in record {sequence}")
        });
        let gone: Vec<String> =
            state.blobs().into_iter().map(name_of).filter(|blob| !self.blobs.contains(blob)).collect();
        self.must(gone.is_empty(), || format!("P4: record {sequence} names {gone:?}, which do not exist"));
    }

    /// P4: an object was deleted.
    pub(crate) fn deleted(&mut self, key: &Path) {
        let name = key.filename().unwrap_or_default().to_owned();
        if key.as_ref().contains("/log/") {
            let sequence: u64 = name.trim_end_matches(".json").parse().expect("a record's key");
            let (boundary, newest) = (self.boundary().get(), self.newest_sequence().get());
            self.must(sequence < boundary && sequence < newest, || {
                format!("P4: record {sequence} was deleted with boundary {boundary} and newest {newest}")
            });
        }
        if key.as_ref().contains("/blob/") {
            self.blobs.remove(&name);
            let boundary = self.boundary();
            let kept = self.log.iter().filter(|record| record.header.sequence >= boundary);
            let named_by: Vec<Sequence> = kept
                .filter(|record| record.state.blobs().into_iter().any(|blob| name_of(blob) == name))
                .map(|record| record.header.sequence)
                .collect();
            self.must(named_by.is_empty(), || format!("P4: blob {name} was deleted, named by {named_by:?}"));
        }
    }

    /// P3, at the answer.
    pub(crate) fn answered(
        &mut self,
        key: &IdempotencyKey,
        id: Option<u64>,
        result: &Result<Answer, StoreError>,
    ) {
        match result {
            Ok(answer) => {
                let durable = self.applied.get(key).copied();
                let recorded = durable == Some(*answer);
                self.must(recorded, || format!("P3: {key} was answered {answer:?}, the log has {durable:?}"));
                if let Answer::Value(value) = answer {
                    self.values.insert(*value);
                }
                self.acknowledged_ids.extend(id);
            }
            Err(StoreError::Unknown { .. }) => self.reach("unknown"),
            Err(error) => {
                let applied = self.applied.contains_key(key);
                self.must(!applied, || format!("P3: {key} is in the log, but was denied: {error}"));
                self.denied.insert(key.clone());
                match error {
                    StoreError::Fenced { .. } => self.reach("fenced"),
                    StoreError::Unavailable { .. } => self.reach("unavailable"),
                    other => self.violations.push(format!("unexpected: {other}")),
                }
            }
        }
    }

    /// Every grant has an epoch of its own, which is in the log under its session.
    pub(crate) fn claimed(&mut self, session: &SessionId, result: Result<Epoch, &StoreError>) {
        match result {
            Ok(epoch) => {
                let fresh = self.granted.insert(epoch);
                self.must(fresh, || format!("epoch {epoch} was granted twice"));
                let claim = |record: &&Record| {
                    let grant = record.state.grant.as_ref();
                    record.header.kind == RecordKind::Claim
                        && grant.is_some_and(|grant| grant.epoch == epoch && grant.session == *session)
                };
                let recorded = self.log.iter().any(|record| claim(&record));
                self.must(recorded, || format!("P3: epoch {epoch} was granted, but is not in the log"));
            }
            Err(StoreError::Unknown { .. }) => self.reach("unknown claim"),
            Err(_) => {
                let in_log = |record: &Record| {
                    record.state.grant.as_ref().is_some_and(|grant| grant.session == *session)
                };
                let recorded = self.log.iter().any(in_log);
                self.must(!recorded, || format!("P3: the claim of {session} is in the log, but was denied"));
                self.denied_sessions.insert(session.clone());
            }
        }
    }

    /// A linearizable read was answered with this record; it began when the log ended at `began_at`.
    pub(crate) fn read(&mut self, sequence: Sequence, nonce: Option<&Nonce>, began_at: Sequence) {
        self.must(sequence >= began_at, || {
            format!("P3: a read that began at record {began_at} was answered with record {sequence}")
        });
        let index = usize::try_from(sequence.get()).expect("a short test");
        let truth = index.checked_sub(1).and_then(|index| self.log.get(index));
        let truth = truth.map(|record| record.header.nonce.clone());
        self.must(truth.as_ref() == nonce, || {
            format!("a read showed a stray in the place of record {sequence}")
        });
    }
}

fn ids_of(state: &DeploymentState) -> BTreeSet<u64> {
    let live = state.jobs.values().flat_map(|job| job.checkpoints.keys().copied());
    let history = state.jobs.values().flat_map(|job| job.history.iter().map(|snapshot| snapshot.id));
    live.chain(history).collect()
}

fn name_of(blob: &BlobRef) -> String {
    format!("{}.{}", blob.hash, blob.copy)
}
