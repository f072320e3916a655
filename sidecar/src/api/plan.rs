//! What a job is restored from, as the adapter needs it when Flink stores the job's first graph.

use axum::Json;
use axum::extract::State;
use ha_store::{ClaimMode, JobId, PlannedSnapshot, RestorePlan};
use serde::Serialize;

use super::Api;
use super::problem::Problem;
use super::request::{Params, UnderEpoch};
use crate::views::Restore;

#[derive(Debug, Serialize)]
pub(super) struct JobPlan {
    generation: String,
    restore: Restore,
    snapshot: Option<PlannedSnapshot>,
    claim_mode: ClaimMode,
    allow_non_restored_state: bool,
    why: String,
}

pub(super) async fn of_job(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    params: Params,
) -> Result<Json<JobPlan>, Problem> {
    let job: JobId = params.get("job")?;
    let view = api.confirmed(epoch).await?;
    let plan = view.state.plan.as_ref().ok_or_else(Problem::no_plan)?;
    Ok(Json(for_job(plan, &job)))
}

/// A generation's plan is for one job, the first; others that come later in the same generation bring their own settings.
fn for_job(plan: &RestorePlan, job: &JobId) -> JobPlan {
    let taken_by_another = plan.taken_by.as_ref().filter(|taker| *taker != job);
    let (restore, why) = match taken_by_another {
        Some(other) => {
            (Restore::Given, format!("job {other} has the plan of this generation; this one is new in it"))
        }
        None => (Restore::of(plan), plan.why.clone()),
    };
    JobPlan {
        generation: plan.generation.clone(),
        restore,
        snapshot: plan.snapshot.clone().filter(|_| restore == Restore::Snapshot),
        claim_mode: plan.claim_mode,
        allow_non_restored_state: plan.allow_non_restored_state,
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ha_store::Epoch;

    fn plan(first_start: bool, taken_by: Option<&str>) -> RestorePlan {
        RestorePlan {
            generation: "g".into(),
            strategy: "none".into(),
            snapshot: None,
            first_start,
            claim_mode: ClaimMode::NoClaim,
            allow_non_restored_state: false,
            why: "because".into(),
            planned_at_ms: 0,
            epoch: Epoch::new(1),
            taken_by: taken_by.map(|job| job.parse().unwrap()),
        }
    }

    const JOB: &str = "00000000000000000000000000000001";
    const OTHER: &str = "00000000000000000000000000000002";

    #[test]
    fn a_first_start_leaves_the_jobs_own_settings_and_none_clears_them() {
        let job = JOB.parse().unwrap();
        assert_eq!(for_job(&plan(true, None), &job).restore, Restore::Given);
        assert_eq!(for_job(&plan(false, None), &job).restore, Restore::Empty);
        assert_eq!(for_job(&plan(false, Some(JOB)), &job).restore, Restore::Empty);
    }

    #[test]
    fn a_second_job_of_a_generation_is_not_given_the_firsts_snapshot() {
        let snapshot = PlannedSnapshot {
            id: 7,
            kind: ha_store::SnapshotKind::Checkpoint,
            external_pointer: "s3://b/chk-7".into(),
        };
        let plan = RestorePlan { snapshot: Some(snapshot), ..plan(false, Some(OTHER)) };
        let second = for_job(&plan, &JOB.parse().unwrap());
        assert_eq!((second.restore, second.snapshot), (Restore::Given, None));
        assert_eq!(for_job(&plan, &OTHER.parse().unwrap()).restore, Restore::Snapshot);
    }
}
