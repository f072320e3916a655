//! Waits for what a JobManager of the training is to reach, and notices when it ends instead.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::super::child::Child;
use crate::job_manager::{AskError, JobManager, NetConnect, RestAddress};

/// A JobManager that is to get somewhere.
pub(super) struct Watched<'a> {
    pub(super) process: &'a mut Child,
    /// Where the sidecar tells who leads.
    pub(super) leaders: SocketAddr,
    /// The REST address of the one before, which stays published until this one is granted.
    pub(super) not_at: Option<String>,
}

/// On a busy machine a JobManager may take a minute, and the first checkpoint another one.
const LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(20);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// What people and liveness probes ask a JobManager for soon after its start. `JOB` is the job's id.
const TOUCHED: [&str; 10] = [
    "/overview",
    "/config",
    "/taskmanagers",
    "/jobmanager/config",
    "/jobmanager/metrics",
    "/jobs/JOB",
    "/jobs/JOB/config",
    "/jobs/JOB/exceptions",
    "/jobs/JOB/checkpoints",
    "/jobs/JOB/checkpoints/config",
];

// === impl Watched ===

impl Watched<'_> {
    /// The REST address of whoever leads, if anybody has said so.
    pub(super) async fn rest_address(leaders: SocketAddr) -> Option<String> {
        let sidecar = asked_at(&format!("http://{leaders}"))?;
        let map = sidecar.get("/v1/leaders").await.ok()?;
        map["leaders"]["restserver"]["address"].as_str().map(str::to_owned)
    }

    /// Waits until all tasks run after a restore.
    pub(super) async fn restored(&mut self) -> Result<()> {
        let (job, rest) = self.running().await?;
        let checkpoints = rest.get(&format!("/jobs/{job}/checkpoints")).await?;
        ensure!(
            !checkpoints["latest"]["restored"].is_null(),
            "the JobManager started the training job anew instead of recovering it:\n{}",
            self.process.last_words()
        );
        Ok(())
    }

    /// Waits until all tasks run and a checkpoint of this process is complete.
    pub(super) async fn running_with_a_checkpoint(&mut self) -> Result<()> {
        let (job, rest) = self.running().await?;
        let path = format!("/jobs/{job}/checkpoints");
        self.until("a checkpoint to complete", async || {
            let checkpoints = unless_starting(rest.get(&path).await)?;
            Ok(checkpoints.filter(|told| told["counts"]["completed"].as_u64() > Some(0)))
        })
        .await?;
        Ok(())
    }

    /// Asks for what people ask for.
    pub(super) async fn touched(&mut self) -> Result<()> {
        let (job, rest) = self.running().await?;
        for path in TOUCHED {
            match rest.get(&path.replace("JOB", &job)).await {
                // One that this Flink does not have, or that is turned off, is nobody's to load.
                Ok(_) | Err(AskError::Refused { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits until all tasks of the one job run. Its id, and whom to ask.
    async fn running(&mut self) -> Result<(String, JobManager)> {
        let (leaders, not_at) = (self.leaders, self.not_at.clone());
        self.until("all tasks of the training job to run", async || {
            let address =
                Self::rest_address(leaders).await.filter(|address| Some(address) != not_at.as_ref());
            let Some(rest) = address.as_deref().and_then(asked_at) else { return Ok(None) };
            let overview = unless_starting(rest.get("/jobs/overview").await)?;
            Ok(overview.and_then(|overview| running_job(&overview)).map(|job| (job, rest)))
        })
        .await
    }

    async fn until<T>(&mut self, what: &str, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        let give_up = Instant::now() + LIMIT;
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            self.process.require_alive()?;
            if Instant::now() >= give_up {
                bail!(
                    "waited {} s for {what}; the JobManager's last words:\n{}",
                    LIMIT.as_secs(),
                    self.process.last_words()
                );
            }
            sleep(POLL).await;
        }
    }
}

fn asked_at(url: &str) -> Option<JobManager> {
    let address: RestAddress = url.parse().ok()?;
    Some(JobManager::new(address, Arc::new(NetConnect::default()), REQUEST_TIMEOUT))
}

/// One that has just started refuses, or is not there yet; one that was killed is not there any more.
fn unless_starting(answer: Result<Value, AskError>) -> Result<Option<Value>> {
    match answer {
        Ok(value) => Ok(Some(value)),
        Err(AskError::Unreachable { .. } | AskError::NoAnswer { .. } | AskError::Refused { .. }) => Ok(None),
        Err(error @ AskError::Unreadable { .. }) => Err(error.into()),
    }
}

fn running_job(overview: &Value) -> Option<String> {
    let job = overview["jobs"].as_array()?.first()?;
    let (running, total) = (job["tasks"]["running"].as_u64()?, job["tasks"]["total"].as_u64()?);
    let all_run = job["state"] == "RUNNING" && total > 0 && running == total;
    all_run.then(|| job["jid"].as_str().map(str::to_owned)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_job_runs_when_all_of_its_tasks_do() {
        let overview = |state: &str, running: u64| json!({"jobs": [{"jid": "a", "state": state, "tasks": {"running": running, "total": 2}}]});
        assert_eq!(running_job(&overview("RUNNING", 2)).as_deref(), Some("a"));
        assert_eq!(running_job(&overview("RUNNING", 1)), None);
        assert_eq!(running_job(&overview("RESTARTING", 2)), None);
        assert_eq!(running_job(&json!({"jobs": []})), None);
    }
}
