//! Savepoints that are taken through Holdfast: asked for once, followed to the end, and in the ledger before anybody is told
//! that they are done.
//!
//! | file | does |
//! | --- | --- |
//! | `book` | what was asked for, and what became of it: a bounded list |
//! | `follow` | one savepoint, from the request to its end |

mod book;
mod follow;

use std::sync::{Arc, Mutex, PoisonError};

use ha_store::{Epoch, JobId, Nonce};
use serde::Deserialize;

pub use self::book::{BookFull, Status, Taken};

use self::book::Book;
use crate::job_manager::{JobOverview, SavepointFormat};
use crate::observation::{Observation, Trouble};

/// What is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Request {
    /// The job; `None` for the only one that runs.
    pub job: Option<JobId>,
    /// Where to; `None` for Flink's configured directory.
    pub target_directory: Option<String>,
    /// Whether the job ends with it.
    pub stop: bool,
    /// With `stop`: sources end as if there were no more data.
    pub drain: bool,
    /// The format of its files.
    pub format: SavepointFormat,
}

/// Why a savepoint was not asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// No JobManager is granted here.
    #[error("no JobManager is granted here; ask the sidecar of the pod that leads")]
    NotLeading,
    /// The JobManager cannot be asked.
    #[error(transparent)]
    Trouble(#[from] Trouble),
    /// The request makes no sense.
    #[error("{0}")]
    Malformed(String),
    /// It is not clear which job is meant.
    #[error("{running} jobs run ({jobs}), so one must be named (job)")]
    Ambiguous {
        /// How many.
        running: usize,
        /// The first ten of them.
        jobs: String,
    },
    /// Nothing runs.
    #[error("no job runs; those that the JobManager knows: {jobs}")]
    NothingRuns {
        /// The first ten of them with their states.
        jobs: String,
    },
    /// There is no such job.
    #[error("the JobManager does not know job {job}; it knows: {jobs}")]
    UnknownJob {
        /// The job.
        job: JobId,
        /// The first ten that there are.
        jobs: String,
    },
    /// Too many at once.
    #[error(transparent)]
    Full(#[from] BookFull),
}

/// The handle.
#[derive(Debug, Clone)]
pub struct Savepoints {
    observation: Observation,
    book: Arc<Mutex<Book>>,
}

const DIRECTORY_BYTES_MAX: usize = 4_096;

// === impl Savepoints ===

impl Savepoints {
    /// None yet.
    pub fn new(observation: Observation) -> Self {
        Self { observation, book: Arc::default() }
    }

    /// Asks the JobManager for a savepoint. It is followed in the background; the answer is its id.
    ///
    /// # Errors
    /// When it was certainly not asked for.
    pub async fn take(&self, request: Request) -> Result<String, RequestError> {
        check(&request)?;
        let around = self.observation.around();
        let leader = around.leadership.view().leader.ok_or(RequestError::NotLeading)?;
        let job_manager = self.observation.job_manager(leader.epoch)?;
        let overview = job_manager.jobs().await.map_err(Trouble::from)?;
        let job = choose(request.job.as_ref(), &overview.jobs)?;
        // Its form is that of Flink's trigger ids: 128 random bits in hexadecimal.
        let id = Nonce::random(&*around.entropy).to_string();
        let taken = Taken::new(id.clone(), job, &request, around.clock.wall_ms());
        self.book().add(taken.clone())?;
        tracing::info!(
            event = "savepoint-requested", id, job = %taken.job, stop = taken.stop,
            "savepoint {id} of job {} is asked for", taken.job
        );
        tokio::spawn(follow::follow(self.clone(), taken, leader.epoch));
        Ok(id)
    }

    /// What became of it. `None`: it is not known (any more).
    pub fn get(&self, id: &str) -> Option<Taken> {
        self.book().get(id).cloned()
    }

    fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the JobManager that was asked is still the leader here.
    fn is_granted(&self, epoch: Epoch) -> bool {
        self.observation.around().leadership.view().leader.is_some_and(|leader| leader.epoch == epoch)
    }
}

fn check(request: &Request) -> Result<(), RequestError> {
    if request.drain && !request.stop {
        let reason = "drain goes with stop: a job that runs on cannot drain its sources";
        return Err(RequestError::Malformed(reason.to_owned()));
    }
    let directory = request.target_directory.as_deref();
    if directory.is_some_and(|directory| directory.is_empty() || directory.len() > DIRECTORY_BYTES_MAX) {
        let reason = format!("target_directory must have 1 to {DIRECTORY_BYTES_MAX} bytes, or be null");
        return Err(RequestError::Malformed(reason));
    }
    Ok(())
}

/// The job that is meant.
fn choose(wanted: Option<&JobId>, jobs: &[JobOverview]) -> Result<JobId, RequestError> {
    let ended =
        |job: &&JobOverview| matches!(job.state.as_str(), "FINISHED" | "FAILED" | "CANCELED" | "SUSPENDED");
    let listed = || {
        const SHOWN: usize = 10;
        let shown: Vec<String> =
            jobs.iter().take(SHOWN).map(|job| format!("{} {:?} {}", job.jid, job.name, job.state)).collect();
        if shown.is_empty() { "none".to_owned() } else { shown.join(", ") }
    };
    if let Some(job) = wanted {
        let known = jobs.iter().any(|known| known.jid == job.as_str());
        return if known {
            Ok(job.clone())
        } else {
            Err(RequestError::UnknownJob { job: job.clone(), jobs: listed() })
        };
    }
    let running: Vec<JobId> =
        jobs.iter().filter(|job| !ended(job)).filter_map(|job| job.jid.parse().ok()).collect();
    match running.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(RequestError::NothingRuns { jobs: listed() }),
        several => Err(RequestError::Ambiguous { running: several.len(), jobs: listed() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(digit: char, state: &str) -> JobOverview {
        JobOverview { jid: digit.to_string().repeat(32), name: "orders".into(), state: state.into() }
    }

    #[test]
    fn the_only_running_job_need_not_be_named() {
        let jobs = [job('a', "FINISHED"), job('b', "RUNNING")];
        assert_eq!(choose(None, &jobs).expect("one").as_str(), "b".repeat(32));
    }

    #[test]
    fn among_several_jobs_one_must_be_named_and_they_are_listed() {
        let jobs = [job('a', "RUNNING"), job('b', "RESTARTING")];
        let error = choose(None, &jobs).expect_err("ambiguous").to_string();
        assert!(error.contains(&jobs[0].jid) && error.contains(&jobs[1].jid), "{error}");
        let named = jobs[1].jid.parse().expect("an id");
        assert_eq!(choose(Some(&named), &jobs).expect("named"), named);
    }

    #[test]
    fn no_job_and_an_unknown_job_are_told_apart() {
        let ended = [job('a', "FAILED")];
        assert!(matches!(choose(None, &ended), Err(RequestError::NothingRuns { .. })));
        let unknown = "c".repeat(32).parse().expect("an id");
        assert!(matches!(choose(Some(&unknown), &ended), Err(RequestError::UnknownJob { .. })));
    }

    #[test]
    fn a_job_that_runs_on_cannot_be_drained() {
        let request = Request { drain: true, ..Request::default() };
        assert!(matches!(check(&request), Err(RequestError::Malformed(_))));
        assert_eq!(check(&Request { stop: true, ..request }), Ok(()));
    }
}
