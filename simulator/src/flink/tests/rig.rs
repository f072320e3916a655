//! A sidecar without election, a JobManager and two TaskManagers in one simulated network.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ha_store::Clock;
use object_store::memory::InMemory;
use sidecar::config::Config;
use sidecar::runtime::{World, serve};
use sidecar::settings::Settings;
use tokio::sync::watch;
use turmoil::net::{TcpListener, TcpStream};
use turmoil::{Builder, Sim};

use crate::flink::{Adapter, Cluster, Env, job_manager, task_manager};
use crate::plan::{Fault, Job, Plan, What, When};
use crate::points::{Due, Points};
use crate::seed::Stream;
use crate::trace::{Event, Trace};

pub(super) const JOB: &str = "00000000000000000000000000000001";
pub(super) const SIDECAR: &str = "sidecar";
pub(super) const JOB_MANAGER: &str = "job-manager";
pub(super) const RIVAL_SIDECAR: &str = "rival-sidecar";
pub(super) const RIVAL: &str = "rival";

/// Steps are this long.
const TICK: Duration = Duration::from_millis(10);

pub(super) struct Rig {
    pub(super) sim: Sim<'static>,
    pub(super) trace: Trace,
    pub(super) cluster: Cluster,
    pub(super) points: Points,
    pub(super) exits: Arc<Mutex<Vec<i32>>>,
}

struct Listener(TcpListener);

#[derive(Debug)]
struct SimulatedClock(Trace);

/// What differs between rigs.
#[derive(Default)]
pub(super) struct Options {
    pub(super) job: Job,
    pub(super) adapter: Adapter,
    pub(super) when: Vec<When>,
    pub(super) generation: Arc<Mutex<Option<String>>>,
    /// What randomness comes from.
    pub(super) seed: u64,
    /// There is a second sidecar on the same store, with a JobManager of its own but no TaskManagers.
    pub(super) rival: bool,
}

// === impl Listener ===

impl axum::serve::Listener for Listener {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            if let Ok(accepted) = self.0.accept().await {
                return accepted;
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

// === impl SimulatedClock ===

impl Clock for SimulatedClock {
    fn wall_ms(&self) -> i64 {
        1_763_668_000_000 + self.0.now_ms() as i64
    }
}

// === impl Rig ===

impl Rig {
    pub(super) fn new(options: Options) -> Self {
        let Options { job, adapter, when, generation, seed, rival } = options;
        let trace = Trace::default();
        let cluster = Cluster::new(adapter);
        let points = Points::of(&plan(when));
        let exits = Arc::<Mutex<Vec<i32>>>::default();
        let mut sim = Builder::new()
            .tick_duration(TICK)
            .rng_seed(seed)
            .epoch(std::time::UNIX_EPOCH)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(Duration::from_millis(10))
            .simulation_duration(Duration::from_secs(3_600))
            .build();
        let backend = Arc::new(InMemory::new());
        let env = Env {
            actor: String::new(),
            sidecar: String::new(),
            listen: String::new(),
            job_id: JOB.into(),
            generation: "1".into(),
            job,
            trace: trace.clone(),
            points: points.clone(),
            stream: Stream::new(seed, JOB_MANAGER),
        };
        let pods = [(SIDECAR, JOB_MANAGER), (RIVAL_SIDECAR, RIVAL)];
        for (sidecar, job_manager) in pods.into_iter().take(1 + usize::from(rival)) {
            let entropy = Stream::new(seed, sidecar);
            add_sidecar(&mut sim, sidecar, entropy, backend.clone(), trace.clone(), generation.clone());
            let env = Env { stream: Stream::new(seed, job_manager), ..env.clone() };
            add_job_manager(&mut sim, sidecar, job_manager, &env, &cluster, &exits);
        }
        for number in 0..2 {
            let (base, shared) = (env.clone(), cluster.clone());
            let name = format!("task-manager-{number}");
            sim.host(name.clone(), move || {
                let stream = Stream::new(seed, &name);
                let sidecar = "sidecar:8481".into();
                let env = Env { actor: name.clone(), sidecar, stream, ..base.clone() };
                let cluster = shared.clone();
                async move {
                    task_manager(env, cluster).await;
                    Ok(())
                }
            });
        }
        Self { sim, trace, cluster, points, exits }
    }

    pub(super) fn step(&mut self) {
        self.trace.set_now_ms(self.sim.elapsed().as_millis() as u64);
        self.sim.step().expect("no host fails");
    }

    pub(super) fn run_for(&mut self, ms: u64) {
        let end_ms = self.trace.now_ms() + ms;
        while self.trace.now_ms() < end_ms {
            self.step();
        }
    }

    /// Until so many of these events have happened since the start; how many events there are then.
    pub(super) fn run_until(&mut self, limit_ms: u64, count: usize, wanted: impl Fn(&Event) -> bool) {
        let end_ms = self.trace.now_ms() + limit_ms;
        while self.count(&wanted) < count {
            assert!(
                self.trace.now_ms() < end_ms,
                "it did not happen within {limit_ms} ms:\n{}",
                self.story()
            );
            self.step();
        }
    }

    /// Until one of the points is reached; whoever came there waits as long as what is returned is kept.
    pub(super) fn run_until_due(&mut self, limit_ms: u64) -> Vec<Due> {
        let end_ms = self.trace.now_ms() + limit_ms;
        loop {
            let due = self.points.take_due();
            if !due.is_empty() {
                return due;
            }
            assert!(self.trace.now_ms() < end_ms, "the point was not reached:\n{}", self.story());
            self.step();
        }
    }

    pub(super) fn count(&self, wanted: impl Fn(&Event) -> bool) -> usize {
        self.trace.entries().iter().filter(|entry| wanted(&entry.event)).count()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.trace.entries().into_iter().map(|entry| entry.event).collect()
    }

    pub(super) fn exit_codes(&self) -> Vec<i32> {
        self.exits.lock().expect("not poisoned").clone()
    }

    pub(super) fn story(&self) -> String {
        let line = |entry: &crate::trace::Entry| {
            format!("{:>7} {:<15} {:?}\n", entry.at_ms, entry.actor, entry.event)
        };
        self.trace.entries().iter().map(line).collect()
    }

    /// What the sink committed is each record once, without a gap; the end of each partition.
    pub(super) fn exactly_once(&self) -> Result<Vec<u64>, String> {
        let mut ends = vec![0; 2];
        for event in self.events() {
            if let Event::SinkCommitted { partition, from, to, .. } = event {
                let end = std::mem::replace(&mut ends[partition as usize], to);
                if end != from {
                    let story = self.story();
                    return Err(format!(
                        "partition {partition} commits {from} to {to} after {end}:\n{story}"
                    ));
                }
            }
        }
        Ok(ends)
    }

    /// The same, demanded.
    pub(super) fn require_exactly_once(&self) -> Vec<u64> {
        self.exactly_once().unwrap_or_else(|why| panic!("{why}"))
    }

    /// The newest checkpoint that the sidecar acknowledged.
    pub(super) fn newest_completed(&self) -> Option<u64> {
        self.events().into_iter().rev().find_map(|event| match event {
            Event::CheckpointCompleted { id, .. } => Some(id),
            _ => None,
        })
    }
}

fn add_sidecar(
    sim: &mut Sim<'static>,
    name: &'static str,
    entropy: Stream,
    backend: Arc<InMemory>,
    trace: Trace,
    generation: Arc<Mutex<Option<String>>>,
) {
    sim.host(name, move || {
        let world = World {
            clock: Arc::new(SimulatedClock(trace.clone())),
            entropy: Arc::new(entropy.clone()),
            backend: backend.clone(),
            kubernetes: None,
            snapshots: Arc::default(),
            connect: Arc::new(sidecar::job_manager::TcpConnect),
        };
        let config = config(name, generation.lock().expect("not poisoned").clone());
        async move {
            let (_stop, stopped) = watch::channel(false);
            let private = Listener(TcpListener::bind("0.0.0.0:8480").await?);
            let public = Listener(TcpListener::bind("0.0.0.0:8481").await?);
            Ok(serve(config, world, private, public, stopped).await?)
        }
    });
}

fn add_job_manager(
    sim: &mut Sim<'static>,
    sidecar: &str,
    name: &'static str,
    env: &Env,
    cluster: &Cluster,
    exits: &Arc<Mutex<Vec<i32>>>,
) {
    let (sidecar, listen) = (format!("{sidecar}:8480"), format!("{name}:6123"));
    let env = Env { actor: name.into(), sidecar, listen, ..env.clone() };
    let (cluster, codes) = (cluster.clone(), exits.clone());
    sim.host(name, move || {
        let (env, cluster, codes) = (env.clone(), cluster.clone(), codes.clone());
        async move {
            let code = job_manager(env, cluster).await;
            codes.lock().expect("not poisoned").push(code);
            Ok(())
        }
    });
}

fn config(identity: &str, generation: Option<String>) -> Config {
    let settings = Settings {
        deployment: Some("orders".into()),
        store: Some("memory:///".into()),
        election: Some("none".into()),
        identity: Some(identity.into()),
        generation,
        ..Settings::default()
    };
    Config::try_from(settings).expect("a good configuration")
}

/// A plan of which only the points count.
fn plan(when: Vec<When>) -> Plan {
    let fault = |when| Fault { when, what: What::FailTask, for_ms: 0 };
    Plan {
        scenario: "rig".into(),
        seed: 1,
        world: crate::plan::World::default(),
        job: Job::default(),
        faults: when.into_iter().map(fault).collect(),
        faulty_ms: 0,
        healed_ms: 0,
    }
}
