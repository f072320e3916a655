//! A JobManager's REST endpoint.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::endpoint::Endpoint;

/// Asks one JobManager.
#[derive(Clone, Debug)]
pub struct Rest(Endpoint);

/// A line of `/jobs/overview`.
#[derive(Debug, Deserialize)]
pub struct Job {
    /// The job's id, 32 hex digits.
    #[serde(rename = "jid")]
    pub id: String,
    /// `RUNNING`, `RESTARTING`, `CANCELED`, …
    pub state: String,
    /// How many tasks are in which state.
    pub tasks: Tasks,
}

/// The tasks of a job.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Tasks {
    /// All of them.
    pub total: usize,
    /// Those that process records.
    pub running: usize,
}

/// The counts of `/jobs/ID/checkpoints`, since the JobManager process began.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Counts {
    /// Checkpoints that became durable.
    pub completed: u64,
    /// Checkpoints that did not.
    pub failed: u64,
}

/// What a job was restored from.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Restored {
    /// The checkpoint's or savepoint's id.
    pub id: u64,
    /// Whether it is a savepoint.
    pub is_savepoint: bool,
    /// Where it is.
    pub external_path: String,
}

#[derive(Deserialize)]
struct Overview {
    jobs: Vec<Job>,
}

#[derive(Deserialize)]
struct Checkpoints {
    counts: Counts,
    latest: Latest,
}

#[derive(Deserialize)]
struct Latest {
    restored: Option<Restored>,
}

#[derive(Deserialize)]
struct Details {
    timestamps: Timestamps,
    vertices: Vec<Vertex>,
}

#[derive(Deserialize)]
struct Vertex {
    parallelism: u32,
}

#[derive(Deserialize)]
struct Accepted {
    #[serde(rename = "request-id")]
    trigger: String,
}

#[derive(Deserialize)]
struct Timestamps {
    #[serde(rename = "RESTARTING")]
    restarting: i64,
}

impl Job {
    /// Whether the job runs, and each of its tasks.
    pub fn runs_with_all_tasks(&self) -> bool {
        self.state == "RUNNING" && self.tasks.running == self.tasks.total
    }
}

impl Rest {
    /// For the JobManager that listens at `address`.
    pub fn new(address: SocketAddr) -> Result<Self> {
        Ok(Self(Endpoint::new(address)?))
    }

    /// All jobs that this JobManager knows. An application has at most one.
    pub async fn jobs(&self) -> Result<Vec<Job>> {
        Ok(self.0.json::<Overview>("/jobs/overview").await?.jobs)
    }

    /// Checkpoints completed and failed under this JobManager.
    pub async fn checkpoint_counts(&self, job: &str) -> Result<Counts> {
        Ok(self.0.json::<Checkpoints>(&format!("/jobs/{job}/checkpoints")).await?.counts)
    }

    /// What the job was restored from last under this JobManager.
    pub async fn restored(&self, job: &str) -> Result<Option<Restored>> {
        Ok(self.0.json::<Checkpoints>(&format!("/jobs/{job}/checkpoints")).await?.latest.restored)
    }

    /// Whether the job was ever restarted under this JobManager. Flink keeps the time of the last restart, so that one
    /// between two calls is seen.
    pub async fn was_restarted(&self, job: &str) -> Result<bool> {
        Ok(self.0.json::<Details>(&format!("/jobs/{job}")).await?.timestamps.restarting > 0)
    }

    /// How many tasks the job's widest operators really have.
    pub async fn parallelism(&self, job: &str) -> Result<u32> {
        let vertices = self.0.json::<Details>(&format!("/jobs/{job}")).await?.vertices;
        vertices.iter().map(|vertex| vertex.parallelism).max().context("the job has no vertices")
    }

    /// Asks for a savepoint, and returns the id by which it is asked after.
    pub async fn trigger_savepoint(&self, job: &str) -> Result<String> {
        let order = json!({"cancel-job": false, "formatType": "CANONICAL"});
        Ok(self.0.post::<Accepted>(&format!("/jobs/{job}/savepoints"), &order).await?.trigger)
    }

    /// Asks for the job to be stopped with a savepoint, and returns the id by which that is asked after.
    pub async fn stop_with_savepoint(&self, job: &str) -> Result<String> {
        let order = json!({"drain": false, "formatType": "CANONICAL"});
        Ok(self.0.post::<Accepted>(&format!("/jobs/{job}/stop"), &order).await?.trigger)
    }

    /// Where the savepoint of this trigger id is, once it is complete. A failure is an error.
    pub async fn savepoint(&self, job: &str, trigger: &str) -> Result<Option<String>> {
        let answer: Value = self.0.json(&format!("/jobs/{job}/savepoints/{trigger}")).await?;
        if answer["status"]["id"] != "COMPLETED" {
            return Ok(None);
        }
        match answer["operation"]["location"].as_str() {
            Some(location) => Ok(Some(location.to_owned())),
            None => bail!("the savepoint has failed: {answer}"),
        }
    }

    /// Asks for the job to be cancelled.
    pub async fn cancel(&self, job: &str) -> Result<()> {
        self.0.patch(&format!("/jobs/{job}?mode=cancel")).await
    }
}
