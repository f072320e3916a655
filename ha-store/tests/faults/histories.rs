//! Random histories: processes that claim, resume, commit, collect, stall and die, on a network with random faults.
//!
//! Faults are data (a list that the network consumes), so proptest shrinks them.

use crate::far::{Call, Far, Fault};
use crate::stage::claim_for;
use ha_store::conformance::pointer;
use ha_store::{
    Change, Clock, DeploymentName, Entropy, Epoch, Expected, GraphEntry, IdempotencyKey, Incarnation, JobId,
    Limits, SessionId, Store, StoreError, StoreOptions,
};
use object_store::path::Path;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const PROCESSES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Start, if it is not running.
    Open(usize),
    Claim(usize),
    /// Go on under the newest epoch that anybody was granted, as after a restart of the sidecar.
    Resume(usize),
    /// Send so many writes at once, under the newest epoch that this process was granted.
    Commit(usize, u8, Write),
    /// Send the oldest write of unknown outcome again, through this process.
    Retry(usize),
    Confirm(usize),
    Refresh(usize),
    Collect(usize),
    /// The process dies: whatever it had sent is on its way all the same.
    Kill(usize),
    Wait(u64),
}

#[derive(Debug, Clone, Copy)]
enum Write {
    AddCheckpoint,
    NextCheckpointId,
    PutGraph,
    DropGraph,
}

/// How patient the processes are. An impatient one has creates on their way that it knows nothing of; a patient one
/// stalls, and wakes up to an answer that it believes.
#[derive(Debug, Clone, Copy)]
struct Patience {
    call_timeout_ms: u64,
    commit_deadline_ms: u64,
}

#[derive(Debug)]
struct Ticks;

impl Clock for Ticks {
    fn wall_ms(&self) -> i64 {
        0
    }
}

/// One counter is all the randomness that is needed: no two draws are equal.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Entropy for Counter {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.fill(0);
        for (byte, n) in bytes.iter_mut().rev().zip(n.iter().rev()) {
            *byte = *n;
        }
    }
}

#[derive(Debug, Clone)]
struct Pending {
    epoch: Epoch,
    key: IdempotencyKey,
    change: Change,
    id: Option<u64>,
}

/// What a process leads under.
type Leadership = Option<(SessionId, Epoch)>;

struct World {
    far: Far,
    entropy: Arc<Counter>,
    options: StoreOptions,
    running: [Option<Store>; PROCESSES],
    /// The newest epoch that each process was granted, and to whom.
    granted: Arc<Mutex<[Leadership; PROCESSES]>>,
    unknown: Arc<Mutex<VecDeque<Pending>>>,
    /// Which processes led under each epoch, in this order.
    owners: Arc<Mutex<BTreeMap<Epoch, Vec<Incarnation>>>>,
    next_id: u64,
    tasks: Vec<JoinHandle<()>>,
}

pub(crate) fn job() -> JobId {
    JobId::try_from("00000000000000000000000000000001").unwrap()
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap()
}

impl World {
    fn new(far: Far, patience: Patience) -> Self {
        let limits = Limits {
            idempotency_keys_max: 16,
            batch_max: 3,
            snapshot_history_max: 1000,
            released_blobs_max: 3,
            ..Limits::default()
        };
        let options = StoreOptions {
            limits,
            call_timeout_ms: patience.call_timeout_ms,
            commit_deadline_ms: patience.commit_deadline_ms,
            retry_initial_ms: 10,
            retry_max_ms: 100,
            hint_every_records: 4,
            collect_keep_records: 2,
            collect_min_age_ms: 0,
            collect_deletes_max: 20,
            ..StoreOptions::default()
        };
        Self {
            far,
            entropy: Arc::default(),
            options,
            running: [const { None }; PROCESSES],
            granted: Arc::default(),
            unknown: Arc::default(),
            owners: Arc::default(),
            next_id: 1,
            tasks: Vec::new(),
        }
    }

    async fn open(&self) -> Result<Store, StoreError> {
        let deployment = DeploymentName::try_from("orders").unwrap();
        let (clock, entropy) = (Arc::new(Ticks), self.entropy.clone());
        let backend = Arc::new(self.far.clone());
        Store::open(backend, Path::default(), deployment, self.options.clone(), clock, entropy).await
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Open(process) => {
                if self.running[process].is_none() {
                    self.running[process] = self.open().await.ok();
                    locked(&self.granted)[process] = None;
                }
            }
            Step::Kill(process) => {
                if let Some(store) = self.running[process].take() {
                    store.close(Duration::ZERO).await;
                    self.far.inner().oracle.reach("killed");
                }
            }
            Step::Wait(ms) => sleep(Duration::from_millis(ms)).await,
            Step::Claim(process) => self.claim(process),
            Step::Resume(process) => self.resume(process),
            Step::Commit(process, count, write) => {
                for _ in 0..count {
                    self.commit(process, write);
                }
            }
            Step::Retry(process) => {
                let pending = locked(&self.unknown).pop_front();
                if let Some(pending) = pending {
                    match self.may_send(process, pending.epoch) {
                        true => self.send(process, pending),
                        false => locked(&self.unknown).push_back(pending),
                    }
                }
            }
            Step::Confirm(process) => self.read(process, true),
            Step::Refresh(process) => self.read(process, false),
            Step::Collect(process) => self.collect(process),
        }
        // Whatever was begun has left the process before the next step.
        sleep(Duration::from_millis(1)).await;
    }

    /// A session never comes back to a process after it was resumed by another one.
    fn may_send(&self, process: usize, epoch: Epoch) -> bool {
        let Some(store) = &self.running[process] else { return true };
        let owners = locked(&self.owners);
        let owners = owners.get(&epoch).map(Vec::as_slice).unwrap_or_default();
        !owners.contains(store.incarnation()) || owners.last() == Some(store.incarnation())
    }

    fn claim(&mut self, process: usize) {
        let Some(store) = self.running[process].clone() else { return };
        let (far, granted, owners) = (self.far.clone(), self.granted.clone(), self.owners.clone());
        let session = SessionId::random(&*self.entropy);
        self.tasks.push(tokio::spawn(async move {
            let claimed = store.claim(claim_for(session.clone())).await;
            let epoch = claimed.as_ref().map(|claimed| claimed.epoch);
            far.inner().oracle.claimed(&session, epoch);
            if let Ok(epoch) = epoch {
                locked(&owners).entry(epoch).or_default().push(store.incarnation().clone());
                locked(&granted)[process] = Some((session, epoch));
            }
        }));
    }

    fn resume(&mut self, process: usize) {
        let Some(store) = self.running[process].clone() else { return };
        let newest = locked(&self.granted).iter().flatten().max_by_key(|(_, epoch)| *epoch).cloned();
        let Some((session, epoch)) = newest else { return };
        let (far, granted, owners) = (self.far.clone(), self.granted.clone(), self.owners.clone());
        self.tasks.push(tokio::spawn(async move {
            let began_at = far.inner().oracle.newest_sequence();
            if let Ok(resumed) = store.resume(&session, epoch).await {
                let header = resumed.view.header.clone().unwrap();
                let mut inner = far.inner();
                inner.oracle.reach("resumed");
                inner.oracle.read(header.sequence, Some(&header.nonce), began_at);
                drop(inner);
                locked(&owners).entry(epoch).or_default().push(store.incarnation().clone());
                locked(&granted)[process] = Some((session, epoch));
            }
        }));
    }

    fn commit(&mut self, process: usize, write: Write) {
        let Some((_, epoch)) = locked(&self.granted)[process].clone() else { return };
        let key = IdempotencyKey::random(&*self.entropy);
        if let Write::PutGraph = write {
            return self.put_graph(process, epoch, key);
        }
        let (change, id) = match write {
            Write::AddCheckpoint => {
                let id = self.next_id;
                self.next_id += 1;
                (Change::AddCheckpoint { job: job(), id, pointer: pointer(id) }, Some(id))
            }
            Write::NextCheckpointId => (Change::NextCheckpointId { job: job() }, None),
            Write::DropGraph => (Change::DropGraph { job: job() }, None),
            Write::PutGraph => unreachable!("handled above"),
        };
        self.send(process, Pending { epoch, key, change, id });
    }

    fn put_graph(&mut self, process: usize, epoch: Epoch, key: IdempotencyKey) {
        let Some(store) = self.running[process].clone() else { return };
        self.tasks.push(tokio::spawn(async move {
            let Ok(blob) = store.put_blob(format!("graph {key}").into()).await else { return };
            let graph = GraphEntry { blob, flink_version: "2.2.1".to_owned(), fingerprint: None };
            let change = Change::PutGraph { job: job(), graph, expected: Expected::Absent };
            // Refused when another graph stands; what matters here is the blob.
            let _ = store.commit(epoch, key, change).await;
        }));
    }

    fn send(&mut self, process: usize, pending: Pending) {
        let Some(store) = self.running[process].clone() else {
            // The sender keeps it until somebody is there to take it.
            return locked(&self.unknown).push_back(pending);
        };
        let (far, unknown) = (self.far.clone(), self.unknown.clone());
        self.tasks.push(tokio::spawn(async move {
            let result = store.commit(pending.epoch, pending.key.clone(), pending.change.clone()).await;
            // A repetition is answered without a record; it is nothing that the log would show.
            let repeated = matches!(result, Ok(ha_store::Answer::Unchanged | ha_store::Answer::Removed(0)));
            if !repeated {
                far.inner().oracle.answered(&pending.key, pending.id, &result);
            }
            if matches!(result, Err(StoreError::Unknown { .. })) {
                locked(&unknown).push_back(pending);
            }
        }));
    }

    fn read(&mut self, process: usize, confirm: bool) {
        let Some(store) = self.running[process].clone() else { return };
        let granted = locked(&self.granted)[process].clone();
        let far = self.far.clone();
        self.tasks.push(tokio::spawn(async move {
            let began_at = far.inner().oracle.newest_sequence();
            let view = match granted {
                Some((_, epoch)) if confirm => store.confirm(epoch).await,
                _ => store.refresh().await,
            };
            if let Ok(view) = view {
                let header = view.header.as_ref();
                let sequence = header.map(|header| header.sequence).unwrap_or_default();
                far.inner().oracle.read(sequence, header.map(|header| &header.nonce), began_at);
            }
        }));
    }

    fn collect(&mut self, process: usize) {
        let Some(store) = self.running[process].clone() else { return };
        let Some((_, epoch)) = locked(&self.granted)[process].clone() else { return };
        let far = self.far.clone();
        self.tasks.push(tokio::spawn(async move {
            if let Ok(collected) = store.collect(epoch).await {
                let mut inner = far.inner();
                if collected.records > 0 {
                    inner.oracle.reach("records collected");
                }
                if collected.blobs > 0 {
                    inner.oracle.reach("blobs collected");
                }
            }
        }));
    }

    /// The faults end, and everything must come to a good end: every write of unknown outcome becomes definite, and
    /// what was acknowledged is there.
    async fn heal(mut self) {
        self.far.heal();
        sleep(Duration::from_secs(200)).await;
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
        for store in self.running.iter_mut().filter_map(Option::take) {
            store.close(Duration::from_secs(60)).await;
        }
        self.running[0] = Some(self.open().await.unwrap());
        self.claim(0);
        sleep(Duration::from_secs(60)).await;
        let unknown = std::mem::take(&mut *locked(&self.unknown));
        let last_epochs = locked(&self.granted)[0].clone();
        let (_, newest) = last_epochs.expect("a claim on a good network succeeds");
        let before = {
            let inner = self.far.inner();
            let epochs = inner.oracle.log.iter().rev().map(|record| record.header.epoch);
            epochs.into_iter().find(|epoch| *epoch < newest)
        };
        for pending in unknown {
            let definite = Some(pending.epoch) == before;
            self.send(0, pending);
            self.tasks.pop().unwrap().await.unwrap();
            assert!(!definite || locked(&self.unknown).is_empty(), "it must be definite one epoch later");
            locked(&self.unknown).clear();
        }
        for write in [Write::AddCheckpoint, Write::NextCheckpointId] {
            self.commit(0, write);
        }
        sleep(Duration::from_secs(10)).await;
        self.step(Step::Confirm(0)).await;
        sleep(Duration::from_secs(10)).await;
        for task in self.tasks.drain(..) {
            task.await.unwrap();
        }
    }
}

fn steps() -> impl Strategy<Value = Step> {
    let process = 0..PROCESSES;
    let write = prop_oneof![
        4 => Just(Write::AddCheckpoint),
        2 => Just(Write::NextCheckpointId),
        1 => Just(Write::PutGraph),
        1 => Just(Write::DropGraph),
    ];
    prop_oneof![
        3 => process.clone().prop_map(Step::Open),
        3 => process.clone().prop_map(Step::Claim),
        2 => process.clone().prop_map(Step::Resume),
        8 => (process.clone(), 1..5_u8, write).prop_map(|(p, n, w)| Step::Commit(p, n, w)),
        2 => process.clone().prop_map(Step::Retry),
        1 => process.clone().prop_map(Step::Confirm),
        1 => process.clone().prop_map(Step::Refresh),
        3 => process.clone().prop_map(Step::Collect),
        1 => process.prop_map(Step::Kill),
        5 => prop_oneof![1..50_u64, 50..500_u64, 500..5_000_u64].prop_map(Step::Wait),
    ]
}

fn faults() -> impl Strategy<Value = Vec<Fault>> {
    let ms = || prop_oneof![5..50_u64, 50..500_u64, 500..20_000_u64];
    let fault = prop_oneof![
        3 => ms().prop_map(Fault::Slow),
        2 => ms().prop_map(Fault::SlowAnswer),
        2 => ms().prop_map(Fault::Late),
        2 => Just(Fault::LostAnswer),
        1 => Just(Fault::ErrorAfter),
        1 => Just(Fault::ErrorBefore),
        1 => Just(Fault::Refused),
        1 => Just(Fault::Contended),
        1 => Just(Fault::SentTwice),
    ];
    // Runs differ in how bad their network is: an even mixture would keep anything from ever getting far.
    prop_oneof![Just(1_u32), Just(4), Just(10)].prop_flat_map(move |badness| {
        proptest::collection::vec(prop_oneof![20 => Just(Fault::None), badness => fault.clone()], 0..300)
    })
}

fn patience() -> impl Strategy<Value = Patience> {
    prop_oneof![
        Just(Patience { call_timeout_ms: 100, commit_deadline_ms: 1_000 }),
        Just(Patience { call_timeout_ms: 30_000, commit_deadline_ms: 60_000 }),
    ]
}

/// Runs one history and gives back what it reached.
fn run(steps: Vec<Step>, faults: Vec<Fault>, patience: Patience) -> Vec<&'static str> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async move {
        let mut faults = VecDeque::from(faults);
        let far = Far::new(move |call| match (faults.pop_front().unwrap_or(Fault::None), call) {
            // What only a create can suffer.
            (Fault::Contended | Fault::SentTwice, Call::Create(_)) if faults.is_empty() => Fault::None,
            (Fault::Contended | Fault::SentTwice, call) if !matches!(call, Call::Create(_)) => Fault::None,
            (fault, _) => fault,
        });
        let mut world = World::new(far.clone(), patience);
        for step in steps {
            world.step(step).await;
            far.inner().oracle.check();
        }
        world.heal().await;
        let inner = far.inner();
        inner.oracle.check();
        inner.oracle.reached.keys().copied().collect()
    })
}

/// Every history begins with a leader, or most would wait for one.
fn history() -> impl Strategy<Value = (Vec<Step>, Vec<Fault>, Patience)> {
    let begin = [Step::Open(0), Step::Claim(0), Step::Wait(5), Step::Open(1), Step::Open(2)];
    let steps = proptest::collection::vec(steps(), 1..80)
        .prop_map(move |steps| begin.clone().into_iter().chain(steps).collect());
    (steps, faults(), patience())
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn the_promises_hold_in_every_history((steps, faults, patience) in history()) {
        run(steps, faults, patience);
    }
}

/// A green run of the test above says nothing if its histories are too gentle.
#[test]
fn histories_reach_what_they_are_about() {
    let mut runner = TestRunner::deterministic();
    let mut reached = BTreeMap::new();
    for _ in 0..400 {
        let (steps, faults, patience) = history().new_tree(&mut runner).unwrap().current();
        for what in run(steps, faults, patience) {
            *reached.entry(what).or_insert(0) += 1;
        }
    }
    println!("{reached:#?}");
    for what in [
        "a late create found its place taken below the boundary",
        "blobs collected",
        "fenced",
        "killed",
        "records collected",
        "resumed",
        "unavailable",
        "unknown",
        "unknown claim",
    ] {
        assert!(reached.contains_key(what), "never reached: {what}");
    }
}
