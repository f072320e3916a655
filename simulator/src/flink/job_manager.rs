//! One JobManager process from its start to its exit code.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;
use turmoil::net::{TcpListener, TcpStream};

use super::checkpoints::{Checkpoints, NotRecovered};
use super::end::{Ended, clean_up, end_application, end_job};
use super::job::{self, FromWorker, JobEnd};
use super::master::WorkerId;
use super::process::{Exit, Leadership, Leading, Process, exit};
use super::rest::{self, REST_PORT};
use super::session::Session;
use super::start::{Started, start};
use super::wire::{self, SILENCE_MS, ToMaster, ToWorker};
use crate::trace::JobStatus;

const REGISTRATION: Duration = Duration::from_secs(5);

/// Who receives TaskManagers at the moment: the leader session that they must name, and where they are announced.
type Reception = Rc<RefCell<Option<(String, mpsc::UnboundedSender<FromWorker>)>>>;

/// How one leadership ended.
enum Led {
    /// It was lost: the process waits for the next one.
    Lost,
    /// The application is over.
    Over(i32),
}

/// Runs the process. Its exit code.
pub(super) async fn run(process: Process) -> i32 {
    let port = process.env.listen.rsplit(':').next().and_then(|port| port.parse::<u16>().ok());
    let port = port.expect("Env::listen is host:port");
    let Ok(listener) = TcpListener::bind(("0.0.0.0", port)).await else { return exit::FATAL };
    let Ok(rest) = TcpListener::bind(("0.0.0.0", REST_PORT)).await else { return exit::FATAL };
    let reception = Reception::default();
    process.scope.spawn(rest::serve(process.clone(), rest));
    process.scope.spawn(accept(process.clone(), listener, reception.clone()));
    process.scope.spawn(process.publisher.clone().run(process.client.clone(), process.env.stream.clone()));
    let (session, mut leadership) = Session::start(&process);
    loop {
        let Some(leading) = leadership.borrow_and_update().clone() else {
            // The sender lives as long as the session does.
            drop(leadership.changed().await);
            continue;
        };
        match lead(&process, &leading, &mut leadership, &reception).await {
            Ok(Led::Lost) => process.statistics.forget(),
            Ok(Led::Over(code)) => {
                end_application(&process, session, &leading).await;
                return code;
            }
            Err(Exit(code)) => return code,
        }
    }
}

async fn lead(
    process: &Process,
    leading: &Leading,
    leadership: &mut Leadership,
    reception: &Reception,
) -> Result<Led, Exit> {
    // Suspended while it starts: whatever it asks then has no consequence here.
    let started = tokio::select! {
        biased;
        () = over(leading, leadership.clone()) => return Ok(Led::Lost),
        started = start(process, leading) => started?,
    };
    let (status, checkpoints) = match started {
        Started::EndedBefore => return Ok(Led::Over(exit::ORDER)),
        Started::EndedDirty(status) => return clean_up_after(process, leading, leadership, status).await,
        Started::FailedToStart => (JobStatus::Failed, None),
        Started::Running(checkpoints) => {
            let (events, mut workers) = mpsc::unbounded_channel();
            reception.replace(Some((leading.session.clone(), events)));
            let end = job::run(process, leading, leadership, *checkpoints, &mut workers).await;
            reception.replace(None);
            match end? {
                JobEnd::Suspended => return Ok(Led::Lost),
                JobEnd::Terminal(status, checkpoints) => (status, Some(*checkpoints)),
            }
        }
    };
    Ok(match end_job(process, leading, leadership, checkpoints, status).await? {
        Ended::LeadershipLost => Led::Lost,
        Ended::Wholly if status == JobStatus::Failed => Led::Over(exit::FAILED),
        Ended::Wholly => Led::Over(exit::ORDER),
    })
}

/// Flink's `CheckpointResourcesCleanupRunner`: the result is recorded, the rest is to be done again.
async fn clean_up_after(
    process: &Process,
    leading: &Leading,
    leadership: &Leadership,
    status: JobStatus,
) -> Result<Led, Exit> {
    let checkpoints = match Checkpoints::recover(process, leading.epoch).await {
        Ok(checkpoints) => Some(checkpoints),
        Err(NotRecovered::Failed(_)) => None,
        Err(NotRecovered::Exit(exit)) => return Err(exit),
    };
    Ok(match clean_up(process, leading, leadership, checkpoints, status).await? {
        Ended::LeadershipLost => Led::Lost,
        Ended::Wholly => Led::Over(exit::ORDER),
    })
}

async fn over(leading: &Leading, mut leadership: Leadership) {
    // The sender lives as long as the session does, which is longer than any leadership.
    drop(leadership.wait_for(|now| now.as_ref() != Some(leading)).await);
}

async fn accept(process: Process, listener: TcpListener, reception: Reception) {
    let mut next: WorkerId = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        next += 1;
        process.scope.spawn(serve(stream, reception.clone(), next));
    }
}

/// One connection of a TaskManager.
async fn serve(stream: TcpStream, reception: Reception, worker: WorkerId) {
    let (mut receiver, mut sender) = wire::split(stream);
    let Ok(Some(ToMaster::Register { worker: name, session })) = timeout(REGISTRATION, receiver.next()).await
    else {
        return;
    };
    let events = match &*reception.borrow() {
        Some((leader, events)) if *leader == session => events.clone(),
        _ => return, // it knows another leader than this one
    };
    let (out, outgoing) = mpsc::unbounded_channel();
    // Whether anybody is left to be told shows in `closed`.
    let tell = |event| drop(events.send(event));
    if sender.send(&ToWorker::Registered).await.is_err() {
        return;
    }
    tell(FromWorker::Joined { worker, name, sender: out });
    let hearing = async {
        let silence = Duration::from_millis(SILENCE_MS);
        while let Ok(Some(message)) = timeout(silence, receiver.next()).await {
            tell(FromWorker::Said { worker, message });
        }
    };
    tokio::select! {
        biased;
        () = events.closed() => {}
        () = hearing => tell(FromWorker::Lost { worker }),
        () = wire::say(outgoing, sender, Some(ToWorker::Heartbeat)) => tell(FromWorker::Lost { worker }),
    }
}
