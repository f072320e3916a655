//! P6: what does not concern a healthy job does not restart it.

use super::patience::must_stay_calm;
use super::property::CALM;
use super::{Oracle, Seen, Verdict, must};
use crate::plan::Plan;
use crate::trace::Event;

/// Watches runs whose plan holds nothing that a healthy job may notice.
#[derive(Debug)]
pub(super) struct Calm {
    watches: bool,
    /// The job has run: from now on it is a healthy one.
    runs: bool,
    ended: bool,
}

impl Calm {
    pub(super) fn of(plan: &Plan) -> Self {
        Self { watches: must_stay_calm(plan), runs: false, ended: false }
    }
}

impl Oracle for Calm {
    fn observe(&mut self, seen: &Seen<'_>) -> Verdict {
        let what = match &seen.entry.event {
            Event::JobRunning { .. } => {
                self.runs = true;
                return Ok(());
            }
            Event::JobEnded { .. } => {
                self.ended = true;
                return Ok(());
            }
            Event::JobRestarting { cause, .. } => format!("the job was restarted ({cause})"),
            Event::JobRestored { failover: true, .. } => "a JobManager restored the job anew".to_owned(),
            Event::Revoked { epoch, reason } => format!("epoch {epoch} was revoked ({reason})"),
            Event::ProcessEnded { kind: "job-manager", code } if *code != 0 => {
                format!("the JobManager ended itself with {code}")
            }
            _ => return Ok(()),
        };
        must(!self.watches || !self.runs || self.ended, CALM, || {
            format!("{what}, although nothing happened that concerns a healthy job")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{History, JOB, plan_with, properties};
    use super::*;
    use crate::plan::What;
    use crate::trace::JobStatus;

    fn restarting() -> Event {
        Event::JobRestarting { job: JOB.to_owned(), cause: "lost".to_owned() }
    }

    fn running() -> Event {
        Event::JobRunning { job: JOB.to_owned() }
    }

    fn verdict(fault: What, events: &[Event]) -> Option<&'static str> {
        let events: Vec<_> = events.iter().map(|event| ("jm-0", event.clone())).collect();
        properties(&mut History::default(), &mut Calm::of(&plan_with(&[fault])), &events)
    }

    #[test]
    fn a_healthy_job_outlives_an_outage_of_the_api_server() {
        assert_eq!(verdict(What::ApiDown, &[running()]), None);
        assert_eq!(verdict(What::ApiDown, &[running(), restarting()]), Some(CALM));
        let revoked = Event::Revoked { epoch: 1, reason: "lease-lost".to_owned() };
        assert_eq!(verdict(What::ApiDown, &[running(), revoked]), Some(CALM));
        let ended = Event::ProcessEnded { kind: "job-manager", code: 2 };
        assert_eq!(verdict(What::ApiDown, &[running(), ended]), Some(CALM));
    }

    #[test]
    fn before_it_runs_and_after_it_ended_a_job_is_not_a_healthy_one() {
        assert_eq!(verdict(What::ApiDown, &[restarting(), running()]), None);
        let ended = Event::JobEnded { job: JOB.to_owned(), status: JobStatus::Finished };
        let exit = Event::ProcessEnded { kind: "job-manager", code: 163 };
        assert_eq!(verdict(What::ApiDown, &[running(), ended, exit]), None);
    }

    #[test]
    fn other_faults_may_restart_it() {
        assert_eq!(verdict(What::FailTask, &[running(), restarting()]), None);
    }
}
