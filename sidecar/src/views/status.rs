//! What the log knows, in short: the part of a status that does not depend on who is asked.

use std::collections::BTreeMap;

use ha_store::{DeploymentState, JobId, JobStatus};
use serde::{Deserialize, Serialize};

use super::{GrantView, PlanDetails, ResetView, SnapshotView, snapshots};

/// The state in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSummary {
    /// When this view was made. Unix milliseconds.
    pub now_ms: i64,
    /// The generation of the newest grant; null before the first.
    pub recorded_generation: Option<String>,
    /// The newest grant of leadership.
    pub grant: Option<GrantView>,
    /// What is known of each job.
    pub jobs: BTreeMap<JobId, JobSummary>,
    /// Where latest-state stands: the newest snapshot that is not rolled back.
    pub newest_snapshot: Option<SnapshotView>,
    /// What the present generation restores.
    pub plan: Option<PlanDetails>,
    /// What the next generation was asked to start from.
    pub reset: Option<ResetView>,
}

/// One job in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSummary {
    /// The ids of its live checkpoints.
    pub checkpoints: Vec<u64>,
    /// Where the newest of them is.
    pub newest_pointer: Option<String>,
    /// When the newest of them was complete. Unix milliseconds.
    pub newest_completed_at_ms: Option<i64>,
    /// The id that the next checkpoint gets.
    pub next_checkpoint_id: u64,
    /// The size of the stored graph.
    pub graph_bytes: Option<u64>,
    /// The globally terminal status that it reached in this generation.
    pub ended: Option<JobStatus>,
}

/// The state in short.
pub fn summary(state: &DeploymentState, now_ms: i64) -> StateSummary {
    let jobs = state.jobs.iter().map(|(id, job)| {
        let newest = job.checkpoints.values().next_back().map(|snapshot| &snapshot.pointer);
        let summary = JobSummary {
            checkpoints: job.checkpoints.keys().copied().collect(),
            newest_pointer: newest.map(|pointer| pointer.external_pointer.clone()),
            newest_completed_at_ms: newest.map(|pointer| pointer.completion_timestamp_ms),
            next_checkpoint_id: job.next_checkpoint_id,
            graph_bytes: job.graph.as_ref().map(|graph| graph.blob.bytes),
            ended: job.ended,
        };
        (id.clone(), summary)
    });
    StateSummary {
        now_ms,
        recorded_generation: state.generation.clone(),
        grant: state.grant.as_ref().map(GrantView::from),
        jobs: jobs.collect(),
        newest_snapshot: snapshots("", state, now_ms).snapshots.into_iter().find(|snapshot| snapshot.newest),
        plan: state.plan.as_ref().map(PlanDetails::from),
        reset: ResetView::of(state),
    }
}

#[cfg(test)]
mod tests {
    use super::super::examples::{JOB, lineage};
    use super::*;

    #[test]
    fn the_summary_names_where_latest_state_stands() {
        let summary = summary(&lineage(), 10_000);
        assert_eq!(summary.newest_snapshot.map(|snapshot| snapshot.id), Some(8));
        let job = &summary.jobs[&JOB.parse::<JobId>().unwrap()];
        assert_eq!((job.checkpoints.as_slice(), job.newest_completed_at_ms), ([8].as_slice(), Some(810)));
        assert_eq!(summary.grant.map(|grant| grant.epoch.get()), Some(3));
    }
}
