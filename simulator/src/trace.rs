//! What happened in a run: events in order, a hash over all of them, and the interesting things that were reached.

mod event;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

pub use self::event::{AddAnswer, Event, JobStatus, SavepointEnd, SavepointWord, Told, Wish};

/// How many events make one block of the rolling hash, which tells where two runs first differ.
pub const BLOCK: usize = 1_000;

/// One event, when it happened and to whom.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Simulated milliseconds since the start of the run. Every host shares this clock; none can read it.
    pub at_ms: u64,
    /// Who did it or saw it: `sidecar-0`, `job-manager-1`, `store`, `api-server`, `user`.
    pub actor: String,
    /// What happened.
    pub event: Event,
}

/// Reads events as they happen.
pub trait Observer: Send {
    /// Sees one event. Called in order, once for each.
    fn observe(&mut self, entry: &Entry);
}

/// The record of a run. Clones share it.
#[derive(Clone, Default)]
pub struct Trace(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    now_ms: u64,
    entries: Vec<Entry>,
    hasher: blake3::Hasher,
    blocks: Vec<[u8; 32]>,
    reached: BTreeMap<&'static str, u64>,
    observers: Vec<Box<dyn Observer>>,
}

// === impl Trace ===

impl Trace {
    /// Adds an observer, which sees every event from now on.
    pub fn observed_by(&self, observer: Box<dyn Observer>) {
        self.lock().observers.push(observer);
    }

    /// Moves the clock of the trace. Only the world's driver does, once per tick.
    pub fn set_now_ms(&self, now_ms: u64) {
        self.lock().now_ms = now_ms;
    }

    /// Simulated milliseconds since the start of the run.
    pub fn now_ms(&self) -> u64 {
        self.lock().now_ms
    }

    /// Records what happened.
    pub fn record(&self, actor: impl Into<String>, event: Event) {
        let inner = &mut *self.lock();
        let entry = Entry { at_ms: inner.now_ms, actor: actor.into(), event };
        inner.hasher.update(&entry.at_ms.to_le_bytes());
        hash_event(&mut inner.hasher, &entry);
        if let Event::Reached(what) = &entry.event {
            *inner.reached.entry(what).or_default() += 1;
        }
        for observer in &mut inner.observers {
            observer.observe(&entry);
        }
        inner.entries.push(entry);
        if inner.entries.len().is_multiple_of(BLOCK) {
            inner.blocks.push(*inner.hasher.finalize().as_bytes());
        }
    }

    /// An interesting thing was reached: a counter that the summary shows. The names are in [`reached`].
    pub fn reached(&self, actor: impl Into<String>, what: &'static str) {
        self.record(actor, Event::Reached(what));
    }

    /// The hash over every event so far, 16 hex digits.
    pub fn hash(&self) -> String {
        self.lock().hasher.finalize().to_hex()[..16].to_owned()
    }

    /// The hash after each [`BLOCK`] of events.
    pub fn blocks(&self) -> Vec<[u8; 32]> {
        self.lock().blocks.clone()
    }

    /// Everything that happened so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.lock().entries.clone()
    }

    /// How often each interesting thing was reached.
    pub fn reached_counts(&self) -> BTreeMap<&'static str, u64> {
        self.lock().reached.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bodies go into the hash as they are: writing them out as text costs more than everything else.
fn hash_event(hasher: &mut blake3::Hasher, entry: &Entry) {
    match &entry.event {
        Event::StoreCreated { key, body } => {
            hasher
                .update(format!("{}\0created {key}\0{}\0", entry.actor, body.len()).as_bytes())
                .update(body);
        }
        Event::StoreOverwritten { key, body } => {
            hasher
                .update(format!("{}\0overwritten {key}\0{}\0", entry.actor, body.len()).as_bytes())
                .update(body);
        }
        event => {
            hasher.update(format!("{}\0{event:?}\0", entry.actor).as_bytes());
        }
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace").field("entries", &self.lock().entries.len()).finish_non_exhaustive()
    }
}

/// The interesting things: what a set of runs must have met to be worth something. The summary shows which were never
/// reached.
pub mod reached {
    /// A process that was deposed tried to write, and the store refused it.
    pub const ZOMBIE_FENCED: &str = "zombie write fenced";
    /// An outcome was unknown, and turned out to be recorded.
    pub const UNKNOWN_RECORDED: &str = "unknown resolved as recorded";
    /// An outcome was unknown, and turned out not to be.
    pub const UNKNOWN_ABSENT: &str = "unknown resolved as not recorded";
    /// A conflict was caused by the writer's own earlier attempt.
    pub const OWN_CONFLICT: &str = "own conflict recognised";
    /// Another process took over while the leader stood still, and the leader woke up.
    pub const TAKEOVER_AFTER_PAUSE: &str = "takeover after a pause";
    /// The Lease was taken before it expired.
    pub const TAKEOVER_ON_EVIDENCE: &str = "takeover on evidence";
    /// A process ended between the create of a record and its answer.
    pub const CRASH_IN_COMMIT: &str = "crash inside a commit";
    /// Two sidecars tried to claim the same record.
    pub const CLAIM_RACE: &str = "claim lost a race";
    /// A sidecar restarted and its JobManager's session went on.
    pub const SESSION_RESUMED: &str = "session resumed";
    /// A JobManager was granted while the API server was away from somebody.
    pub const LED_THROUGH_OUTAGE: &str = "led through an API server outage";
    /// A job was restored from a checkpoint by another JobManager.
    pub const RESTORED: &str = "restored from a checkpoint";
    /// A JobManager ended itself because it could not know what became of its checkpoint.
    pub const AMBIGUOUS_ADD: &str = "ambiguous add ended the process";
    /// A task acknowledged a checkpoint that had been given up.
    pub const LATE_ACKNOWLEDGEMENT: &str = "late acknowledgement";
    /// A savepoint was taken while the job ran on.
    pub const SAVEPOINT: &str = "savepoint taken";
    /// A savepoint was taken with which the job is to end.
    pub const STOPPED_WITH_SAVEPOINT: &str = "stopped with a savepoint";
    /// The JobManager died between such a savepoint and the job's result, and the next one started the job again.
    pub const STOP_UNDONE: &str = "stop undone by a crash";

    /// A job was started from the snapshot of its plan.
    pub const PLANNED: &str = "started from the plan's snapshot";
    /// A stored graph was used in place of `main()`.
    pub const STORED_GRAPH: &str = "stored graph in place of main()";
    /// `main()` failed.
    pub const MAIN_FAILED: &str = "main() failed";
    /// What a new generation is to restore is not there, or cannot be asked for: nobody was granted, and the pod says so.
    pub const REFUSED: &str = "restore refused";
    /// A job was started from its plan's snapshot after it had FAILED.
    pub const AFTER_FAILED: &str = "started again after it FAILED";
    /// A job was started from the snapshot that a person had reset its deployment to.
    pub const RESET: &str = "started from a reset";
    /// A person's pin was acknowledged.
    pub const PINNED: &str = "snapshot pinned";
    /// A new generation restored a pinned snapshot.
    pub const PINNED_RESTORED: &str = "pinned snapshot restored";
    /// A savepoint that a person had asked the product for is complete and recorded.
    pub const HOLDFAST_SAVEPOINT: &str = "savepoint through Holdfast";
    /// The product could not say what became of one.
    pub const HOLDFAST_SAVEPOINT_UNKNOWN: &str = "savepoint of unknown fate";

    /// All of them, in the order in which they are shown.
    pub const ALL: [&str; 26] = [
        ZOMBIE_FENCED,
        UNKNOWN_RECORDED,
        UNKNOWN_ABSENT,
        OWN_CONFLICT,
        TAKEOVER_AFTER_PAUSE,
        TAKEOVER_ON_EVIDENCE,
        CRASH_IN_COMMIT,
        CLAIM_RACE,
        SESSION_RESUMED,
        LED_THROUGH_OUTAGE,
        RESTORED,
        AMBIGUOUS_ADD,
        LATE_ACKNOWLEDGEMENT,
        SAVEPOINT,
        STOPPED_WITH_SAVEPOINT,
        STOP_UNDONE,
        PLANNED,
        STORED_GRAPH,
        MAIN_FAILED,
        REFUSED,
        AFTER_FAILED,
        RESET,
        PINNED,
        PINNED_RESTORED,
        HOLDFAST_SAVEPOINT,
        HOLDFAST_SAVEPOINT_UNKNOWN,
    ];
}
