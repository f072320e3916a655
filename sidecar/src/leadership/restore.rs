//! What a new leader is going to restore, in words for people.

use ha_store::{DeploymentState, JobState};

/// Beyond so many jobs a person does not read on.
const JOBS_SHOWN_MAX: usize = 3;

/// What the JobManager that is granted now finds in this state.
pub(super) fn in_words(state: &DeploymentState) -> String {
    let restorable = state.jobs.values().any(|job| !job.checkpoints.is_empty());
    if !restorable && state.jobs.values().all(|job| job.ended.is_none()) {
        let nothing = || "nothing to restore: no checkpoint is recorded, so the job starts empty".into();
        return state.plan.as_ref().map_or_else(nothing, |plan| plan.why.clone());
    }
    let mut words: Vec<_> =
        state.jobs.iter().take(JOBS_SHOWN_MAX).map(|(id, job)| format!("job {id} {}", of_job(job))).collect();
    if state.jobs.len() > JOBS_SHOWN_MAX {
        words.push(format!("and {} more", state.jobs.len() - JOBS_SHOWN_MAX));
    }
    words.join("; ")
}

fn of_job(job: &JobState) -> String {
    if let Some(status) = job.ended {
        return format!("ended as {status} in this generation and is not started again");
    }
    match job.checkpoints.last_key_value() {
        Some((id, newest)) => format!("continues from checkpoint {id} ({})", newest.pointer.external_pointer),
        None => "starts empty: no checkpoint of it is recorded".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const JOB: &str = "00000000002efde30000000000000000";

    fn snapshot(id: u64) -> Value {
        let pointer = json!({"external_pointer": format!("s3://b/chk-{id}"), "kind": "checkpoint",
            "trigger_timestamp_ms": 1, "completion_timestamp_ms": 2, "properties": ""});
        json!({"id": id, "pointer": pointer, "state": "active", "epoch": 1, "added_at_ms": 3, "left_epoch": null})
    }

    fn state(ended: Option<&str>) -> DeploymentState {
        let job = json!({"checkpoints": {"6": snapshot(6), "17": snapshot(17)}, "history": [], "next_checkpoint_id": 18,
            "graph": null, "ended": ended, "touched_at": 1});
        let job = serde_json::from_value(job).expect("a job's state");
        DeploymentState { jobs: [(JOB.parse().expect("a job id"), job)].into(), ..DeploymentState::default() }
    }

    #[test]
    fn the_newest_checkpoint_is_named() {
        assert_eq!(in_words(&state(None)), format!("job {JOB} continues from checkpoint 17 (s3://b/chk-17)"));
    }

    #[test]
    fn what_is_certainly_empty_is_said_to_be() {
        let words = in_words(&DeploymentState::default());
        assert_eq!(words, "nothing to restore: no checkpoint is recorded, so the job starts empty");
    }

    #[test]
    fn before_the_first_checkpoint_it_is_what_the_plan_says() {
        let plan = json!({"generation": "g", "strategy": "latest-state", "snapshot": null, "first_start": false,
            "claim_mode": "CLAIM", "allow_non_restored_state": false, "why": "checkpoint 17 is the newest",
            "planned_at_ms": 1, "epoch": 1, "taken_by": JOB});
        let plan = serde_json::from_value(plan).expect("a plan");
        let begun = DeploymentState { plan: Some(plan), ..DeploymentState::default() };
        assert_eq!(in_words(&begun), "checkpoint 17 is the newest");
    }

    #[test]
    fn a_job_that_ended_is_not_promised() {
        let words = in_words(&state(Some("FAILED")));
        assert_eq!(words, format!("job {JOB} ended as FAILED in this generation and is not started again"));
    }
}
