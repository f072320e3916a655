//! One TaskManager process: follows the leader, and runs the tasks that it is given.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use turmoil::net::TcpStream;

use super::Env;
use super::backoff::Backoff;
use super::calls::REQUEST_TIMEOUT_MS;
use super::cluster::{Cluster, committed};
use super::http::{Call, Client};
use super::scope::{Guard, Scope};
use super::session;
use super::wire::{self, SILENCE_MS, ToMaster, ToWorker};
use super::worker::{Barrier, Effect, Storage, Worker};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The leader of the job, as published.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Leader {
    session: String,
    address: String,
}

/// What the connection to a leader reports, with the connection's number.
#[derive(Debug)]
enum FromLeader {
    /// The registration was accepted.
    Up {
        sender: mpsc::UnboundedSender<ToMaster>,
    },
    Said(ToWorker),
    Down,
}

struct TaskManager {
    env: Env,
    cluster: Cluster,
    scope: Scope,
    started: Instant,
    worker: Worker,
    leader: Option<Leader>,
    link: Option<Guard>,
    /// Counts the leaders; what an earlier link reports is of no account.
    links: u64,
    reports: mpsc::UnboundedSender<(u64, FromLeader)>,
    sender: Option<mpsc::UnboundedSender<ToMaster>>,
    heard_ms: u64,
}

/// Runs the process. It ends only when it is killed.
pub(super) async fn run(env: Env, cluster: Cluster, scope: Scope) -> i32 {
    let (known, mut leaders) = watch::channel(None);
    let client = Client::new(env.sidecar.clone(), scope.clone());
    scope.spawn(follow(client, env.clone(), known));
    let (reports, mut reported) = mpsc::unbounded_channel();
    let mut switches = cluster.changes();
    switches.mark_changed();
    let mut this = TaskManager {
        worker: Worker::new(env.job.clone()),
        started: Instant::now(),
        leader: None,
        link: None,
        links: 0,
        reports,
        sender: None,
        heard_ms: 0,
        env,
        cluster,
        scope,
    };
    loop {
        let due = this.worker.poll(this.now_ms());
        this.carry_out(due);
        this.fail_if_wanted();
        let wake = this.started + Duration::from_millis(this.wake_ms());
        tokio::select! {
            biased;
            _ = leaders.changed() => {
                let leader = leaders.borrow_and_update().clone();
                this.follow_leader(leader);
            }
            Some((link, report)) = reported.recv() => {
                if link == this.links {
                    this.heard(report);
                }
            }
            _ = switches.changed() => {}
            () = sleep_until(wake) => this.check_silence(),
        }
    }
}

// === impl TaskManager ===

impl TaskManager {
    fn now_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    fn wake_ms(&self) -> u64 {
        let silent_ms = self.silent_at_ms();
        self.worker.wake_ms().map_or(silent_ms, |wake_ms| wake_ms.min(silent_ms))
    }

    fn silent_at_ms(&self) -> u64 {
        self.heard_ms + SILENCE_MS
    }

    /// `heartbeat.timeout`: the tasks of a JobManager that is not heard of end, whatever is published.
    fn check_silence(&mut self) {
        let now_ms = self.now_ms();
        if now_ms >= self.silent_at_ms() {
            self.worker.dismiss();
            self.heard_ms = now_ms;
        }
    }

    /// The published leader changed: tasks of another one fail at once.
    fn follow_leader(&mut self, leader: Option<Leader>) {
        if leader == self.leader {
            return;
        }
        self.worker.dismiss();
        self.sender = None;
        self.links += 1;
        self.heard_ms = self.now_ms();
        self.link = leader.clone().map(|leader| {
            let link = link(self.links, leader, self.env.clone(), self.reports.clone());
            self.scope.spawn_guarded(link)
        });
        self.leader = leader;
    }

    fn heard(&mut self, report: FromLeader) {
        self.heard_ms = self.now_ms();
        match report {
            FromLeader::Up { sender } => {
                // A registration begins anew: the JobManager has given up what ran here before.
                self.worker.dismiss();
                self.sender = Some(sender);
            }
            // Its tasks go on: the JobManager may be back, or another leader be published.
            FromLeader::Down => self.sender = None,
            FromLeader::Said(message) => self.obey(message),
        }
    }

    fn obey(&mut self, message: ToWorker) {
        let now_ms = self.now_ms();
        let effects = match message {
            ToWorker::Deploy { by, checkpoint, tasks, mended } => {
                self.worker.set_mended(mended);
                let start_ms = self.env.stream.between(30, 200);
                self.worker.deploy(now_ms, start_ms, by, checkpoint, tasks)
            }
            ToWorker::Cancel { by } => vec![self.worker.cancel(by)],
            ToWorker::Barrier { by, id, stops } => {
                let storage = Storage {
                    stalls: self.cluster.checkpoints_stall(),
                    fails: self.cluster.checkpoint_files_fail(),
                    takes_ms: self.env.stream.between(10, 80) + self.cluster.checkpoint_files_take_ms(),
                };
                let due = self.worker.poll(now_ms);
                self.carry_out(due);
                self.worker.barrier(now_ms, Barrier { by, id, stops }, storage)
            }
            ToWorker::Complete { by, id } => self.worker.complete(now_ms, by, id),
            ToWorker::Dismissed => {
                self.worker.dismiss();
                Vec::new()
            }
            ToWorker::Heartbeat => vec![Effect::Say(ToMaster::Heartbeat)],
            ToWorker::Aborted { by, id } => self.worker.aborted(by, id),
            ToWorker::Registered => Vec::new(),
        };
        self.carry_out(effects);
    }

    fn fail_if_wanted(&mut self) {
        if self.worker.is_running() && self.cluster.take_task_failure() {
            let failure = self.worker.fail_one();
            self.carry_out(failure.into_iter().collect());
        }
    }

    fn carry_out(&self, effects: Vec<Effect>) {
        let (trace, actor, job) = (&self.env.trace, &self.env.actor, &self.env.job_id);
        for effect in effects {
            match effect {
                Effect::Say(message) => {
                    if let Some(sender) = &self.sender {
                        // A link that is down says so itself.
                        drop(sender.send(message));
                    }
                }
                Effect::Prepare(transaction) => self.cluster.prepare(&transaction),
                Effect::Commit { transaction, checkpoint } => {
                    if self.cluster.commit_held(&transaction) {
                        committed(trace, actor, job, &transaction, checkpoint);
                    }
                }
                Effect::CommitRestored { .. } if self.cluster.adapter().forgets_prepared => {}
                Effect::CommitRestored { transaction, checkpoint } => {
                    if self.cluster.commit_restored(&transaction) || self.cluster.adapter().commits_again {
                        committed(trace, actor, job, &transaction, checkpoint);
                    }
                }
                Effect::AbortUnknown { partition, by } => self.cluster.abort_unknown(partition, by),
            }
        }
    }
}

/// Keeps a connection to one leader, until it is dropped.
async fn link(number: u64, leader: Leader, env: Env, reports: mpsc::UnboundedSender<(u64, FromLeader)>) {
    // The receiver lives as long as the process.
    let report = |event| drop(reports.send((number, event)));
    let mut backoff = Backoff::new(100, 2_000, &env.stream);
    loop {
        let connecting = timeout(CONNECT_TIMEOUT, TcpStream::connect(leader.address.as_str())).await;
        if let Ok(Ok(stream)) = connecting
            && exchange(stream, &leader, &env, &report).await
        {
            backoff.reset();
            report(FromLeader::Down);
        }
        sleep(Duration::from_millis(backoff.next_ms())).await;
    }
}

/// Until the connection ends. True: the registration was accepted.
async fn exchange(stream: TcpStream, leader: &Leader, env: &Env, report: &impl Fn(FromLeader)) -> bool {
    let (mut receiver, mut sender) = wire::split(stream);
    let register = ToMaster::Register { worker: env.actor.clone(), session: leader.session.clone() };
    if sender.send(&register).await.is_err() {
        return false;
    }
    let (out, outgoing) = mpsc::unbounded_channel();
    let mut out = Some(out);
    let mut registered = false;
    let hearing = async {
        let silence = Duration::from_millis(SILENCE_MS);
        while let Ok(Some(message)) = timeout(silence, receiver.next()).await {
            match out.take_if(|_| message == ToWorker::Registered) {
                Some(sender) => {
                    registered = true;
                    report(FromLeader::Up { sender });
                }
                None => report(FromLeader::Said(message)),
            }
        }
    };
    tokio::select! {
        biased;
        () = hearing => {}
        () = wire::say(outgoing, sender, None) => {}
    }
    registered
}

/// What the leader stream says.
#[derive(Debug, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Said {
    Leaders {
        epoch: Option<u64>,
        leaders: std::collections::BTreeMap<String, Leader>,
    },
    #[serde(other)]
    Other,
}

/// Follows the published leader of the job, over the adapter's `LeaderDirectory`: what is known stays known until it is
/// contradicted, and a map of an older epoch contradicts nothing.
async fn follow(client: Client, env: Env, known: watch::Sender<Option<Leader>>) {
    let component = format!("job-{}", env.job_id);
    let mut backoff = Backoff::new(100, 2_000, &env.stream);
    let mut newest = 0;
    loop {
        let call = Call::plain(Method::GET, "/v1/leaders/stream");
        if let Ok(mut held) = client.open(&call, REQUEST_TIMEOUT_MS).await {
            while let Ok(Some(line)) = held.next(session::SILENCE_MS).await {
                backoff.reset();
                let said = serde_json::from_slice(&line).expect("events are those of docs/protocol.md");
                let Said::Leaders { epoch, leaders } = said else { continue };
                let epoch = epoch.unwrap_or(0);
                if epoch >= newest {
                    newest = epoch;
                    known.send_replace(leaders.get(&component).cloned());
                }
            }
        }
        sleep(Duration::from_millis(backoff.next_ms())).await;
    }
}
