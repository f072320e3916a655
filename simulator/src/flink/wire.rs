//! What JobManager and TaskManagers say to each other: JSON lines over TCP.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval_at};
use turmoil::net::TcpStream;
use turmoil::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::state::{Attempt, PartitionState};

/// Both sides say something this often, and take the other for dead when they hear nothing for [`SILENCE_MS`]:
/// Flink's `heartbeat.interval` and `heartbeat.timeout`.
pub(super) const HEARTBEAT_MS: u64 = 10_000;

/// See [`HEARTBEAT_MS`].
pub(super) const SILENCE_MS: u64 = 50_000;

/// From the JobManager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToWorker {
    /// The registration is good.
    Registered,
    /// Run these tasks, from these states. `checkpoint` is where the states come from; `mended`: their code gets past the
    /// poison record.
    Deploy { by: Attempt, checkpoint: Option<u64>, tasks: BTreeMap<u32, PartitionState>, mended: bool },
    /// End all tasks of this attempt.
    Cancel { by: Attempt },
    /// A barrier enters the sources. `stops`: it is that of the savepoint with which the job ends.
    Barrier { by: Attempt, id: u64, stops: bool },
    /// The checkpoint was recorded, or the savepoint with which the job ends is there: sinks commit.
    Complete { by: Attempt, id: u64 },
    /// The checkpoint was given up.
    Aborted { by: Attempt, id: u64 },
    /// The job is not run from here any more: all tasks end.
    Dismissed,
    /// Still there.
    Heartbeat,
}

/// From a TaskManager.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToMaster {
    /// It offers slots to the leader of this session.
    Register { worker: String, session: String },
    /// The task runs.
    Running { by: Attempt, partition: u32 },
    /// The task's part of a checkpoint is durable.
    Acknowledge { by: Attempt, id: u64, partition: u32, state: PartitionState },
    /// The task's part of a checkpoint could not be made.
    Decline { by: Attempt, id: u64, cause: String },
    /// The task has failed.
    Failed { by: Attempt, partition: u32, cause: String },
    /// The task came to its end.
    Finished { by: Attempt, partition: u32 },
    /// No task of this attempt runs here any more.
    Canceled { by: Attempt },
    /// Still there.
    Heartbeat,
}

/// Takes messages from one side of a connection.
#[derive(Debug)]
pub(super) struct Receiver(Lines<BufReader<OwnedReadHalf>>);

/// Gives messages to one side of a connection.
#[derive(Debug)]
pub(super) struct Sender(OwnedWriteHalf);

/// Sends what comes, and a heartbeat now and then, until the connection or the queue ends.
pub(super) async fn say<M: Serialize>(
    mut outgoing: mpsc::UnboundedReceiver<M>,
    mut sender: Sender,
    heartbeat: Option<M>,
) {
    let period = Duration::from_millis(HEARTBEAT_MS);
    let mut beats = interval_at(Instant::now() + period, period);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let sent = tokio::select! {
            biased;
            Some(message) = outgoing.recv() => sender.send(&message).await,
            _ = beats.tick() => match &heartbeat {
                Some(heartbeat) => sender.send(heartbeat).await,
                None => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// The two directions of a connection.
pub(super) fn split(stream: TcpStream) -> (Receiver, Sender) {
    let (read, write) = stream.into_split();
    (Receiver(BufReader::new(read).lines()), Sender(write))
}

// === impl Receiver ===

impl Receiver {
    /// The next message; `None`: the connection is over.
    pub(super) async fn next<M: DeserializeOwned>(&mut self) -> Option<M> {
        let line = self.0.next_line().await.ok()??;
        Some(serde_json::from_str(&line).expect("both sides are this program"))
    }
}

// === impl Sender ===

impl Sender {
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        let mut line = serde_json::to_vec(message).expect("messages are plain data");
        line.push(b'\n');
        self.0.write_all(&line).await
    }
}
