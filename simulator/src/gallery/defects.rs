//! The defects: what each one is, the story in which it shows, and how many seeds that may take.

use super::stories::{
    answers_lost_at_an_add, cancelled_harmed_and_rolled_out, cancelled_then_rolled_out,
    job_manager_dies_before_the_sinks_know, job_manager_dies_while_it_cleans_up,
    job_manager_dies_with_three_checkpoints, leader_is_cut_off_from_the_api_server,
    leader_sleeps_through_a_takeover, newest_of_three_is_harmed_and_the_job_manager_dies, nothing,
    other_code_and_the_job_manager_dies, reset_and_rolled_out, rivals,
    rolled_out_from_a_savepoint_and_the_job_manager_dies, savepoint_is_asked_for_while_files_are_slow,
    savepoint_is_pinned_and_rolled_out, savepoint_then_rolled_out, sidecar_dies,
    store_loses_requests_while_a_job_manager_starts, store_slower_than_a_request,
    tasks_go_back_behind_a_savepoint_and_all_is_made_anew,
};
use super::{Defect, Planted, api, store};
use crate::flink::Adapter;
use crate::oracle::property;
use crate::plan::Plan;
use crate::seed::Stream;

/// All of them: those of the model of the adapter first, then those of the store and of the election.
pub(super) fn all() -> Vec<Defect> {
    let mut all = adapter();
    all.extend(rollouts());
    all.extend(wishes());
    all.extend(sinks());
    all.extend(stores());
    all.extend(elections());
    all
}

/// One that the model of the adapter has.
fn adapter_does(
    name: &'static str,
    incident: &'static str,
    what: &'static str,
    adapter: Adapter,
    story: fn(&mut Plan, &Stream),
    budget_seeds: u64,
    properties: &'static [&'static str],
) -> Defect {
    let planted = Planted { adapter, ..Planted::default() };
    Defect { name, incident, what, planted, story, budget_seeds, properties }
}

#[allow(clippy::too_many_lines, reason = "a table")]
fn adapter() -> Vec<Defect> {
    vec![
        adapter_does(
            "unknown-is-failed",
            "FLINK-22494",
            "an add without an answer is reported as failed: its files are deleted, the tasks rolled back",
            Adapter { unknown_is_failed: true, ..Adapter::default() },
            answers_lost_at_an_add,
            3,
            &[property::UNKNOWN_NOT_FAILED],
        ),
        adapter_does(
            "conflict-is-loss",
            "FLINK-28265",
            "what an own earlier attempt has recorded is taken for another's: its files are deleted",
            Adapter { conflict_is_loss: true, no_idempotency_key: true, ..Adapter::default() },
            store_slower_than_a_request,
            5,
            &[property::REFUSED_DEAD],
        ),
        adapter_does(
            "fenced-is-done",
            "FLINK-10333",
            "a write that is refused because a newer epoch exists returns as if it had been done",
            Adapter { fenced_is_done: true, ..Adapter::default() },
            leader_sleeps_through_a_takeover,
            5,
            &[property::ACKNOWLEDGED_DURABLE, property::COMMIT_RECORDED],
        ),
        adapter_does(
            "files-before-pointer",
            "FLINK-26286",
            "the files of a subsumed checkpoint are deleted before its pointer is",
            Adapter { files_before_pointer: true, ..Adapter::default() },
            nothing,
            1,
            &[property::NO_DANGLING],
        ),
        adapter_does(
            "unreadable-is-empty",
            "FLINK-8943",
            "a restore that cannot read the list of checkpoints at once starts empty",
            Adapter { unreadable_list_is_empty: true, ..Adapter::default() },
            store_loses_requests_while_a_job_manager_starts,
            5,
            &[property::NEVER_BACK],
        ),
        adapter_does(
            "restores-oldest",
            "FLINK-14145",
            "a restore takes the wrong one of several checkpoints",
            Adapter { restores_oldest: true, ..Adapter::default() },
            job_manager_dies_with_three_checkpoints,
            3,
            &[property::NEVER_BACK],
        ),
        adapter_does(
            "starts-ended-jobs",
            "FLINK-39704",
            "a job is started although its result is recorded",
            Adapter { starts_ended_jobs: true, ..Adapter::default() },
            job_manager_dies_while_it_cleans_up,
            10,
            &[property::ENDED_STAYS_ENDED],
        ),
        adapter_does(
            "broken-session-is-revoked",
            "FLINK-10052",
            "a broken connection to whoever elects is a lost leadership: the job is restarted",
            Adapter { broken_session_is_revoked: true, ..Adapter::default() },
            sidecar_dies,
            2,
            &[property::CALM],
        ),
        adapter_does(
            "commits-before-recorded",
            "StarRocks/starrocks-connector-for-apache-flink#115",
            "sinks commit before the checkpoint is recorded",
            Adapter { commits_before_recorded: true, ..Adapter::default() },
            nothing,
            1,
            &[property::COMMIT_RECORDED],
        ),
        adapter_does(
            "counts-in-memory",
            "FLINK-19154",
            "the ids of checkpoints are counted by each JobManager for itself",
            Adapter { counts_in_memory: true, ..Adapter::default() },
            nothing,
            1,
            &[property::ID_UNIQUE],
        ),
        adapter_does(
            "end-is-not-said",
            "FLINK-35857",
            "the pointers of a job that ended are removed as if newer ones had taken their place: the next rollout finds nothing to start from",
            Adapter { end_is_not_said: true, ..Adapter::default() },
            cancelled_then_rolled_out,
            3,
            &[property::NEVER_BACK, property::LEADS_AGAIN],
        ),
    ]
}

fn rollouts() -> Vec<Defect> {
    vec![
        adapter_does(
            "stale-path-wins",
            "FLINK-35292",
            "the plan is not asked for, and the path of an old savepoint is still in the job's settings",
            Adapter { ignores_plan: true, ..Adapter::default() },
            savepoint_then_rolled_out,
            3,
            &[property::NEVER_BACK],
        ),
        adapter_does(
            "starts-empty",
            "FLINK-35857",
            "the plan is not asked for, and the job's settings name nothing: the next rollout starts empty",
            Adapter { ignores_plan: true, ..Adapter::default() },
            cancelled_then_rolled_out,
            3,
            &[property::NEVER_BACK],
        ),
        adapter_does(
            "skips-what-cannot-be-read",
            "FLINK-22502",
            "a restore leaves out checkpoints whose files cannot be read, and goes on from an older one",
            Adapter { skip_unreadable_newest: true, ..Adapter::default() },
            newest_of_three_is_harmed_and_the_job_manager_dies,
            3,
            &[property::NEVER_BACK],
        ),
        adapter_does(
            "old-graph-is-kept",
            "FLINK-30527",
            "a launcher uses a stored graph that was made from other code",
            Adapter { keeps_old_graphs: true, ..Adapter::default() },
            other_code_and_the_job_manager_dies,
            3,
            &[property::OWN_CODE],
        ),
        adapter_does(
            "restore-is-not-said",
            "FLINK-20441",
            "nobody is told that the tasks went back behind a savepoint: the next rollout takes it for the newest state",
            Adapter { restores_unsaid: true, ..Adapter::default() },
            tasks_go_back_behind_a_savepoint_and_all_is_made_anew,
            5,
            &[property::NEVER_BACK],
        ),
    ]
}

/// What a person asked for, or owns.
fn wishes() -> Vec<Defect> {
    let lingers = Defect {
        name: "deleted-files-linger",
        incident: "Kodiqa-Solutions/VaultS3#34",
        what: "the store says of a file that was deleted that it is there: a snapshot looks whole that is not",
        planted: Planted { bucket: Some(store::How::Lingering), ..Planted::default() },
        story: cancelled_harmed_and_rolled_out,
        budget_seeds: 3,
        properties: &[property::PLAN_VERIFIED],
    };
    vec![
        adapter_does(
            "claims-anyway",
            "apache/streampark#2870",
            "a rollout claims what it starts from although the plan says that it may not: its files go with the next checkpoint",
            Adapter { claims_anyway: true, ..Adapter::default() },
            savepoint_is_pinned_and_rolled_out,
            3,
            &[property::PIN_KEPT],
        ),
        adapter_does(
            "ownership-is-forgotten",
            "FLINK-26985",
            "the next JobManager does not know any more that the files of what the job started from are the user's",
            Adapter { forgets_ownership: true, ..Adapter::default() },
            rolled_out_from_a_savepoint_and_the_job_manager_dies,
            3,
            &[property::SAVEPOINT_KEPT],
        ),
        adapter_does(
            "newest-in-the-folder",
            "FLINK-9043",
            "a rollout starts from the newest checkpoint that is in the bucket, whatever its user reset the deployment to",
            Adapter { newest_in_the_folder: true, ..Adapter::default() },
            reset_and_rolled_out,
            3,
            &[property::RESET_KEPT],
        ),
        adapter_does(
            "slow-is-failed",
            "FLINK-27675",
            "a savepoint that takes longer than a request may is said to have failed, and is made all the same",
            Adapter { savepoints_time_out: true, ..Adapter::default() },
            savepoint_is_asked_for_while_files_are_slow,
            3,
            &[property::SAVEPOINT_TOLD],
        ),
        lingers,
    ]
}

fn sinks() -> Vec<Defect> {
    vec![
        adapter_does(
            "commits-again",
            "apache/iceberg#16008",
            "a sink that is restored commits again what was committed before",
            Adapter { commits_again: true, ..Adapter::default() },
            job_manager_dies_with_three_checkpoints,
            3,
            &[property::EXACTLY_ONCE],
        ),
        adapter_does(
            "prepared-is-dropped",
            "apache/iceberg#14090",
            "a sink that is restored forgets what it had prepared for the checkpoint",
            Adapter { forgets_prepared: true, ..Adapter::default() },
            job_manager_dies_before_the_sinks_know,
            3,
            &[property::EXACTLY_ONCE],
        ),
    ]
}

fn stores() -> Vec<Defect> {
    let store = |name, incident, what, store, story, budget_seeds, properties| Defect {
        name,
        incident,
        what,
        planted: Planted { store: Some(store), ..Planted::default() },
        story,
        budget_seeds,
        properties,
    };
    vec![
        store(
            "overwrites",
            "pithings/mountx#19",
            "the condition of a create is dropped on its way: the second writer overwrites the first",
            store::How::Overwritten,
            nothing,
            1,
            &[property::CREATE_ONLY],
        ),
        store(
            "no-epoch-check",
            "kubernetes/kubernetes#44887",
            "a commit whose place is taken goes to the next free one: nobody asks whose epoch is the newest",
            store::How::NextFreePlace,
            leader_is_cut_off_from_the_api_server,
            3,
            &[property::FENCED],
        ),
        store(
            "acknowledged-and-lost",
            "cvmfs/cvmfs#2965",
            "the store answers 200 and drops the object",
            store::How::Lost,
            nothing,
            2,
            &[property::ACKNOWLEDGED_DURABLE, property::LOG_UNBROKEN],
        ),
        store(
            "written-behind",
            "s2-streamstore/s2#669",
            "a write is acknowledged when it is in a cache, and durable later",
            store::How::WrittenBehind,
            nothing,
            2,
            &[property::ACKNOWLEDGED_DURABLE, property::ENDS_FOR_A_REASON, property::PLAN_KEPT],
        ),
        store(
            "collection-without-boundary",
            "slatedb/slatedb#352",
            "somebody deletes old records and tells nobody: a stalled writer may find its place free again",
            store::How::Expired,
            nothing,
            1,
            &[property::REFERENCED_KEPT],
        ),
    ]
}

fn elections() -> Vec<Defect> {
    let election = |name, incident, what, api, story, budget_seeds, properties| Defect {
        name,
        incident,
        what,
        planted: Planted { api: Some(api), ..Planted::default() },
        story,
        budget_seeds,
        properties,
    };
    vec![
        election(
            "blind-lease-writes",
            "hendrikmaus/kube-leader-election, 0.44.0",
            "the Lease is written by a patch that does not name the version that was read",
            api::How::Blind,
            nothing,
            1,
            &[property::LEASE_CAS],
        ),
        election(
            "swallowed-lease-errors",
            "fabric8io/kubernetes-client#4246",
            "a write of the Lease that never reached the API server is taken for done",
            api::How::Swallowed,
            nothing,
            1,
            &[property::CLAIM_NEEDS_LEASE],
        ),
        election(
            "expiry-by-wall-clock",
            "kubernetes/client-go#448",
            "whether the Lease has expired is read from clocks that do not agree",
            api::How::WallClock,
            rivals,
            10,
            &[property::LEASE_RESPECTED],
        ),
        election(
            "evidence-from-a-stale-cache",
            "kubernetes/kubernetes#59848",
            "the pod of the holder is taken for gone although it runs",
            api::How::PodGone,
            rivals,
            2,
            &[property::LEASE_RESPECTED],
        ),
    ]
}
