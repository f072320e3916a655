//! What outlives Flink's processes: checkpoint files, the system behind the sink, and what the world and the user do to
//! the job.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::files::StateFiles;
use super::snapshots::{self, Found, Kind};
use super::state::{Attempt, Snapshot, Transaction};
use crate::plan::{Harm, Job, Which};
use crate::trace::{Event, Trace};

/// Everything that outlives Flink's processes. Clones share it.
#[derive(Debug, Clone)]
pub struct Cluster {
    inner: Arc<Mutex<Inner>>,
    files: StateFiles,
    changed: Arc<watch::Sender<u64>>,
    adapter: Adapter,
}

/// The adapter's planted defects, all of them off by default: the adapter is a model here, so that a switch in it forks
/// nothing of the product. Each is what some real system did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // they are switches, and independent
pub struct Adapter {
    /// An add without an answer is reported as failed: Flink deletes the checkpoint's files and rolls the tasks back to
    /// the one before (FLINK-22494).
    pub unknown_is_failed: bool,
    /// A retry of an add has a key of its own, and "it stands there already" is taken for somebody else's checkpoint: its
    /// files are deleted (FLINK-28265).
    pub conflict_is_loss: bool,
    /// Every retry of a write has a new idempotency key.
    pub no_idempotency_key: bool,
    /// A write that is refused because a newer epoch exists returns as if it had been done: Flink's own Kubernetes store
    /// does so for graphs.
    pub fenced_is_done: bool,
    /// The files of a subsumed checkpoint are deleted before its pointer is.
    pub files_before_pointer: bool,
    /// A restore leaves out checkpoints whose files cannot be read (FLINK-22502).
    pub skip_unreadable_newest: bool,
    /// A restore whose list of checkpoints cannot be read at once starts empty.
    pub unreadable_list_is_empty: bool,
    /// A restore takes the oldest live checkpoint: the order of the names was not that of the numbers.
    pub restores_oldest: bool,
    /// A job is started although a result is recorded (`job-result-store.delete-on-commit`).
    pub starts_ended_jobs: bool,
    /// A revocation is ignored: the process goes on as before.
    pub ignores_revoke: bool,
    /// A broken session is a lost leadership, and a resumed one a new grant: a restart of the sidecar restarts the job.
    pub broken_session_is_revoked: bool,
    /// Sinks are told to commit before the checkpoint is recorded.
    pub commits_before_recorded: bool,
    /// Checkpoint ids are counted in memory, from the newest restored one on.
    pub counts_in_memory: bool,
    /// The plan is not asked for: what the job's own settings say stays (a stale path, or nothing).
    pub ignores_plan: bool,
    /// Nobody is told what a job is restored from.
    pub restores_unsaid: bool,
    /// A stored graph is used whatever it was made from.
    pub keeps_old_graphs: bool,
    /// The end of a job is not announced before its pointers are removed.
    pub end_is_not_said: bool,
    /// What the plan says of whose the files are is not looked at: a rollout claims whatever it starts from.
    pub claims_anyway: bool,
    /// Whose the files of a restored snapshot are is known only to the JobManager that restored it (FLINK-26985).
    pub forgets_ownership: bool,
    /// In place of the plan's snapshot a rollout starts from the newest checkpoint that it finds in the bucket.
    pub newest_in_the_folder: bool,
    /// A savepoint that is asked for over REST and not there at once is said to have failed, and is taken all the same.
    pub savepoints_time_out: bool,
    /// What is restored is committed again, whether it was committed before or not.
    pub commits_again: bool,
    /// What is restored and was prepared before is not committed.
    pub forgets_prepared: bool,
}

#[derive(Debug, Default)]
struct Inner {
    transactions: BTreeMap<Transaction, Fate>,
    /// Whose snapshots there are.
    job: Option<String>,
    switches: Switches,
}

/// What became of a transaction in the system behind the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Prepared,
    Committed,
    Aborted,
}

#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools)] // as above
struct Switches {
    fail_tasks: u32,
    stall_checkpoints: bool,
    fail_checkpoint_files: bool,
    /// By how much longer checkpoint files take.
    slow_checkpoint_files_ms: u64,
    cancel: bool,
    savepoints: u32,
    /// The first savepoint that was ever completed.
    first_savepoint: Option<String>,
    /// Counts the versions of the code.
    code: u64,
    /// The code gets past the poison record.
    code_mended: bool,
    main_fails: bool,
    /// By how much longer `main()` takes.
    main_slow_ms: u64,
    stop_with_savepoint: bool,
    /// The savepoint with which the job was to end is there, and no result of the job yet.
    stopping: bool,
}

// === impl Cluster ===

impl Cluster {
    /// An empty one, for a deployment whose JobManagers have this adapter.
    pub fn new(adapter: Adapter) -> Self {
        let (inner, files) = Default::default();
        Self { inner, files, changed: Arc::new(watch::Sender::new(0)), adapter }
    }

    /// The bucket of checkpoints and savepoints.
    pub fn files(&self) -> &StateFiles {
        &self.files
    }

    /// The switches of the adapter.
    pub fn adapter(&self) -> Adapter {
        self.adapter
    }

    // --- for the world and the user ---

    /// One running task fails: now, or as soon as there is one.
    pub fn fail_task(&self) {
        self.switch(|switches| switches.fail_tasks += 1);
    }

    /// While it is on, one task acknowledges no checkpoint.
    pub fn stall_checkpoints(&self, on: bool) {
        self.switch(|switches| switches.stall_checkpoints = on);
    }

    /// While it is on, no checkpoint file can be written.
    pub fn fail_checkpoint_files(&self, on: bool) {
        self.switch(|switches| switches.fail_checkpoint_files = on);
    }

    /// Checkpoint files take this much longer; 0: as usual.
    pub fn slow_checkpoint_files(&self, by_ms: u64) {
        self.switch(|switches| switches.slow_checkpoint_files_ms = by_ms);
    }

    /// While it is on, `main()` fails.
    pub fn fail_main(&self, on: bool) {
        self.switch(|switches| switches.main_fails = on);
    }

    /// `main()` takes this much longer; 0: as usual.
    pub fn slow_main(&self, by_ms: u64) {
        self.switch(|switches| switches.main_slow_ms = by_ms);
    }

    /// Whoever starts from now on has other code.
    pub fn change_code(&self) {
        self.switch(|switches| switches.code += 1);
    }

    /// Whoever starts from now on has code that gets past the poison record.
    pub fn mend_code(&self) {
        self.switch(|switches| switches.code_mended = true);
    }

    /// Somebody harms the newest snapshot of this kind that is whole: its job and its id. `None`: there is none.
    pub fn harm(&self, which: Which, how: Harm) -> Option<(String, u64)> {
        let all = snapshots::all(&self.files);
        let meant =
            |one: &&Found| which == Which::Newest || snapshots::kind_of(&one.pointer) == Kind::Savepoint;
        let newest = all.iter().filter(meant).max_by_key(|one| one.id)?;
        snapshots::harm(&self.files, &newest.pointer, how);
        // There is one job in the world.
        Some((self.lock().job.clone()?, newest.id))
    }

    /// The oldest snapshot that is whole: its id, and where it is.
    pub fn oldest_snapshot(&self) -> Option<(u64, String)> {
        let all = snapshots::all(&self.files);
        all.into_iter().min_by_key(|one| one.id).map(|one| (one.id, one.pointer))
    }

    /// The newest checkpoint whose files are whole: where it is.
    pub(super) fn newest_checkpoint(&self) -> Option<String> {
        let all = snapshots::all(&self.files);
        let checkpoints = all.into_iter().filter(|one| snapshots::kind_of(&one.pointer) == Kind::Checkpoint);
        checkpoints.max_by_key(|one| one.id).map(|one| one.pointer)
    }

    /// The user triggers a savepoint, as soon as a job runs that can take one. When that fails they leave it at that.
    pub fn savepoint(&self) {
        self.switch(|switches| switches.savepoints += 1);
    }

    /// The user stops the job with a savepoint, and tries again until a JobManager has recorded that it ended.
    pub fn stop_with_savepoint(&self) {
        self.switch(|switches| switches.stop_with_savepoint = true);
    }

    /// The user cancels the job, and tries again until a JobManager has recorded that.
    pub fn cancel(&self) {
        self.switch(|switches| switches.cancel = true);
    }

    // --- for whoever judges ---

    /// Are the files of this checkpoint or savepoint there?
    pub fn has_files(&self, job: &str, id: u64) -> bool {
        let kinds = [Kind::Checkpoint, Kind::Savepoint];
        kinds.iter().any(|kind| snapshots::exists(&self.files, &snapshots::pointer(job, id, *kind)))
    }

    /// Writes a checkpoint of two partitions; its external pointer.
    #[cfg(test)]
    pub(crate) fn example_snapshot(&self) -> String {
        let job = "00000000000000000000000000000001";
        let pointer = snapshots::pointer(job, 7, Kind::Checkpoint);
        let snapshot = [0, 1].map(|partition| (partition, Default::default())).into();
        assert!(self.write_files(&pointer, 7, Kind::Checkpoint, &snapshot));
        pointer
    }

    // --- for the processes ---

    /// Wakes up at every turn of a switch.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(super) fn take_task_failure(&self) -> bool {
        let switches = &mut self.lock().switches;
        let any = switches.fail_tasks > 0;
        switches.fail_tasks = switches.fail_tasks.saturating_sub(1);
        any
    }

    pub(super) fn checkpoints_stall(&self) -> bool {
        self.lock().switches.stall_checkpoints
    }

    pub(super) fn checkpoint_files_fail(&self) -> bool {
        self.lock().switches.fail_checkpoint_files
    }

    pub(super) fn checkpoint_files_take_ms(&self) -> u64 {
        self.lock().switches.slow_checkpoint_files_ms
    }

    /// Which version of the code whoever starts now has.
    pub(super) fn code(&self) -> u64 {
        self.lock().switches.code
    }

    /// Whether whoever starts now gets past the poison record.
    pub(super) fn code_is_mended(&self) -> bool {
        self.lock().switches.code_mended
    }

    pub(super) fn main_fails(&self) -> bool {
        self.lock().switches.main_fails
    }

    /// Waits for as long as `main()` takes longer.
    pub(super) async fn main_takes(&self) {
        let slow_ms = self.lock().switches.main_slow_ms;
        tokio::time::sleep(std::time::Duration::from_millis(slow_ms)).await;
    }

    /// The snapshot that the job's own settings name: a user's who once started it from a savepoint, and left the path there.
    pub(super) fn configured_path(&self, job: &Job) -> Option<String> {
        self.lock().switches.first_savepoint.clone().filter(|_| job.stale_path)
    }

    /// A savepoint was completed.
    pub(super) fn saved(&self, pointer: &str) {
        self.lock().switches.first_savepoint.get_or_insert_with(|| pointer.to_owned());
    }

    /// True: a savepoint was wanted, and is now the caller's to take.
    pub(super) fn take_savepoint_wish(&self) -> bool {
        let switches = &mut self.lock().switches;
        let any = switches.savepoints > 0;
        switches.savepoints = switches.savepoints.saturating_sub(1);
        any
    }

    pub(super) fn stop_wanted(&self) -> bool {
        self.lock().switches.stop_with_savepoint
    }

    /// The savepoint with which the job ends is there: from now on sinks may commit what is in it and in no checkpoint.
    pub(super) fn stop_has_begun(&self) {
        self.lock().switches.stopping = true;
    }

    /// Whether the job was being stopped, and is started again although its savepoint was there. Asking forgets it.
    pub(super) fn take_stop_undone(&self) -> bool {
        std::mem::take(&mut self.lock().switches.stopping)
    }

    pub(super) fn cancel_wanted(&self) -> bool {
        self.lock().switches.cancel
    }

    /// A JobManager has recorded that the job is over: nobody asks for anything any more.
    pub(super) fn ended(&self) {
        self.switch(|switches| {
            switches.cancel = false;
            switches.stop_with_savepoint = false;
            switches.stopping = false;
            switches.savepoints = 0;
        });
    }

    /// This job runs here.
    pub(super) fn begin(&self, job: &str) {
        self.lock().job = Some(job.to_owned());
    }

    /// Writes the files of a checkpoint or savepoint. False: there are files already, and nothing was changed.
    pub(super) fn write_files(&self, pointer: &str, id: u64, kind: Kind, snapshot: &Snapshot) -> bool {
        snapshots::write(&self.files, pointer, id, kind, snapshot)
    }

    /// Reads a snapshot to restore it. An error says what is wrong with it.
    pub(super) fn read_files(&self, pointer: &str) -> Result<(u64, Snapshot), String> {
        snapshots::read(&self.files, pointer)
    }

    /// True: they were there.
    pub(super) fn delete_files(&self, pointer: &str) -> bool {
        snapshots::delete(&self.files, pointer)
    }

    /// A sink prepared it.
    pub(super) fn prepare(&self, transaction: &Transaction) {
        self.lock().transactions.entry(transaction.clone()).or_insert(Fate::Prepared);
    }

    /// The task that prepared it commits it. Nothing stops it: it renames a file that it holds. What was committed
    /// already, it finds renamed.
    pub(super) fn commit_held(&self, transaction: &Transaction) -> bool {
        let before = self.lock().transactions.insert(transaction.clone(), Fate::Committed);
        before != Some(Fate::Committed)
    }

    /// A task that restored it commits it, unless somebody did so before, or aborted it: then its records are lost.
    pub(super) fn commit_restored(&self, transaction: &Transaction) -> bool {
        let transactions = &mut self.lock().transactions;
        let fate = transactions.entry(transaction.clone()).or_insert(Fate::Prepared);
        let commits = *fate == Fate::Prepared;
        if commits {
            *fate = Fate::Committed;
        }
        commits
    }

    /// A task that starts aborts what earlier attempts prepared and it knows nothing of: that is newer than what it
    /// restored. Later attempts' are not its to touch.
    pub(super) fn abort_unknown(&self, partition: u32, by: Attempt) {
        for (transaction, fate) in &mut self.lock().transactions {
            let earlier = transaction.partition == partition && transaction.by < by;
            if earlier && *fate == Fate::Prepared {
                *fate = Fate::Aborted;
            }
        }
    }

    fn switch(&self, turn: impl FnOnce(&mut Switches)) {
        turn(&mut self.lock().switches);
        self.changed.send_modify(|turns| *turns += 1);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Records that a sink committed these for this checkpoint.
pub(super) fn committed(trace: &Trace, actor: &str, job: &str, transaction: &Transaction, checkpoint: u64) {
    let &Transaction { partition, from, to, .. } = transaction;
    trace.record(actor, Event::SinkCommitted { job: job.to_owned(), partition, from, to, checkpoint });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transaction(epoch: u64, checkpoint: u64) -> Transaction {
        Transaction { by: Attempt { epoch, number: 1 }, partition: 0, checkpoint, from: 0, to: 9 }
    }

    #[test]
    fn a_transaction_is_committed_once_whoever_does_it() {
        let cluster = Cluster::new(Adapter::default());
        let transaction = transaction(1, 5);
        cluster.prepare(&transaction);
        assert!(cluster.commit_restored(&transaction));
        assert!(!cluster.commit_restored(&transaction));
        assert!(!cluster.commit_held(&transaction));
    }

    #[test]
    fn what_a_restore_aborted_is_lost_for_later_restores_but_not_for_a_task_that_holds_it() {
        let cluster = Cluster::new(Adapter::default());
        let (old, own) = (transaction(1, 5), transaction(3, 7));
        cluster.prepare(&old);
        cluster.prepare(&own);
        cluster.abort_unknown(1, Attempt { epoch: 2, number: 1 });
        cluster.abort_unknown(0, Attempt { epoch: 2, number: 1 });
        assert!(!cluster.commit_restored(&old), "aborted");
        assert!(cluster.commit_held(&old), "a zombie asks nobody");
        assert!(cluster.commit_restored(&own), "a later attempt's is not touched");
    }

    #[test]
    fn a_failure_that_was_asked_for_hits_one_task() {
        let cluster = Cluster::new(Adapter::default());
        let changes = cluster.changes();
        cluster.fail_task();
        assert!(changes.has_changed().expect("the cluster lives"));
        assert!(cluster.take_task_failure());
        assert!(!cluster.take_task_failure());
    }
}
