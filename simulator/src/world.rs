//! The world around the product: a network of hosts, and everything in a cluster that the product depends on.
//!
//! One tick of the world is 10 ms: faults begin and end, the Job controller and the kubelets act, links are set, and then
//! every host runs for 10 ms of its own time. Whatever is not a host of the network (kubelets, controllers, the user) is
//! plain logic between two ticks.
//!
//! | host | is | what outlives it |
//! | --- | --- | --- |
//! | `store` | the far side of the object store | the objects |
//! | `api-server` | the API server | the objects |
//! | `sidecar-N`, `job-manager-N` | the two containers of a pod; pods that come later run on the same hosts | |
//! | `task-manager-N` | a TaskManager, and the Service as its node makes it | |
//! | `user` | where people sit who speak to the sidecar; only there once somebody does | |
//!
//! | file | is |
//! | --- | --- |
//! | `net`, `closing` | the network, as hyper and axum want it; the end of a killed process's connections |
//! | `clock` | wall clocks that are wrong |
//! | `gate` | processes that stand still |
//! | `host` | one process on its host |
//! | `links` | which links carry what |
//! | `store` | the object store |
//! | `api` | the API server |
//! | `service` | the Service in front of the sidecars' public listeners |
//! | `probe` | the kubelet's probes |
//! | `pods`, `restarts`, `jobs` | what Kubernetes decides: pure |
//! | `kubelet`, `task_managers`, `sidecar` | what Kubernetes does: processes start and end |
//! | `rollouts`, `people` | what people do: roll out, and speak to the sidecar over its API |
//! | `active`, `faults`, `nemesis` | what goes wrong |
//! | `watch` | what the driver learns from the trace |

pub mod active;
pub mod api;
pub mod clock;
pub mod closing;
mod faults;
pub mod gate;
mod host;
mod jobs;
mod kubelet;
mod links;
mod nemesis;
pub mod net;
mod people;
mod pods;
mod probe;
mod restarts;
mod rollouts;
mod service;
pub mod sidecar;
pub mod store;
mod task_managers;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use turmoil::{Builder, Sim};

use self::active::Active;
use self::api::ApiServer;
use self::faults::Faults;
use self::host::Host;
use self::jobs::Jobs;
use self::kubelet::{Kubelet, Slot};
use self::links::Links;
use self::nemesis::{Lasting, Outage};
use self::people::People;
use self::rollouts::Rollout;
use self::service::Service;
use self::store::FarSide;
use self::task_managers::TaskManager;
use self::watch::Watch;
use crate::flink::Cluster;
use crate::plan::Plan;
use crate::points::Points;
use crate::product::Product;
use crate::seed::Stream;
use crate::trace::Trace;

/// How long one tick is.
pub const TICK_MS: u64 = 10;

/// The deployment that all of this is about.
pub const DEPLOYMENT: &str = "orders";
/// Its Flink job.
pub const JOB_ID: &str = "00000000002efde30000000000000000";

const API_SERVER: &str = "api-server";
const API_PORT: u16 = 6443;
const STORE: &str = "store";
const STORE_PORT: u16 = 9000;
const PRIVATE_PORT: u16 = 8480;
const PUBLIC_PORT: u16 = 8481;
const RPC_PORT: u16 = 6123;

/// Who people are, and where they sit.
const USER: &str = "user";

/// How many TaskManagers the Deployment has.
const TASK_MANAGERS: usize = 2;

/// Messages take up to this long; most take much less.
const MESSAGE_LATENCY_MAX: Duration = Duration::from_millis(20);
/// Segments in flight on one connection, and connections that wait to be accepted.
const TCP_CAPACITY: usize = 1_024;

/// What a world is made of, and what outlives its processes.
struct Scene {
    plan: Arc<Plan>,
    product: Product,
    trace: Trace,
    points: Points,
    active: Active,
    store: FarSide,
    api: ApiServer,
    service: Service,
    cluster: Cluster,
}

/// The world of one run.
pub struct World<'a> {
    scene: Scene,
    sim: Sim<'a>,
    now_ms: u64,
    jobs: Jobs,
    generations: u64,
    /// What each generation's sidecars are told besides what all are.
    rollouts: BTreeMap<String, Rollout>,
    pods_made: u64,
    /// In the order in which their pods were made.
    kubelets: Vec<Kubelet>,
    slots: Vec<Slot>,
    task_managers: Vec<TaskManager>,
    faults: Faults,
    lasting: Vec<Lasting>,
    outages: Vec<Outage>,
    links: Links,
    links_changed: bool,
    people: People,
    watch: Watch,
}

// === impl Scene ===

impl Scene {
    fn new(plan: &Plan, product: &Product, trace: Trace) -> Self {
        let (points, active) = (Points::of(plan), Active::default());
        let latency = (plan.world.store_latency_ms, plan.world.api_latency_ms);
        let (service, cluster) = (Service::default(), Cluster::new(product.adapter));
        let store = FarSide::new(trace.clone(), points.clone(), active.clone(), plan.seed, latency.0)
            .aging(plan.world.store_ages_times)
            .with_state(cluster.files().clone());
        let api = ApiServer::new(trace.clone(), points.clone(), active.clone(), plan.seed, latency.1);
        let (plan, product) = (Arc::new(plan.clone()), product.clone());
        Self { plan, product, trace, points, active, store, api, service, cluster }
    }

    /// How long a container takes to start.
    fn start_ms(&self, stream: &Stream) -> u64 {
        let (least, most) = self.plan.world.start_ms;
        stream.between(least, most)
    }
}

// === impl World ===

impl World<'_> {
    /// The world of this plan before anything has happened.
    pub fn new(plan: &Plan, product: &Product, trace: &Trace) -> Self {
        let scene = Scene::new(plan, product, trace.clone());
        let watch = Watch::default();
        trace.observed_by(Box::new(watch.clone()));
        let epoch = UNIX_EPOCH + Duration::from_millis(clock::EPOCH_MS.unsigned_abs());
        let mut sim = Builder::new()
            .tick_duration(Duration::from_millis(TICK_MS))
            .simulation_duration(Duration::from_secs(u64::from(u32::MAX)))
            .epoch(epoch)
            .rng_seed(Stream::new(plan.seed, "network").any())
            .min_message_latency(Duration::ZERO)
            .max_message_latency(MESSAGE_LATENCY_MAX)
            .tcp_capacity(TCP_CAPACITY)
            .build();
        let (store, api) = (scene.store.clone(), scene.api.clone());
        sim.host(STORE, move || {
            let store = store.clone();
            async move { Ok(store.serve(STORE_PORT).await?) }
        });
        sim.host(API_SERVER, move || {
            let api = api.clone();
            async move { Ok(api.serve(API_PORT).await?) }
        });
        let pods = plan.world.pods.max(1) as usize;
        let task_managers = Stream::new(plan.seed, "task managers");
        let start = |number| TaskManager::new(plan.seed, number, scene.start_ms(&task_managers));
        Self {
            jobs: Jobs::new(pods, generation(plan.seed, 0)),
            slots: (0..(plan.world.pods_max as usize).max(pods)).map(Slot::new).collect(),
            task_managers: (0..TASK_MANAGERS).map(start).collect(),
            faults: Faults::of(plan, scene.points.clone()),
            kubelets: Vec::new(),
            lasting: Vec::new(),
            outages: Vec::new(),
            links: Links::default(),
            links_changed: false,
            generations: 0,
            rollouts: BTreeMap::new(),
            pods_made: 0,
            people: People::new(),
            now_ms: 0,
            scene,
            sim,
            watch,
        }
    }

    /// Simulated milliseconds since the start.
    pub fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The worst recovery so far.
    pub fn worst_recovery_ms(&self) -> Option<u64> {
        self.watch.worst_recovery_ms()
    }

    /// One tick.
    ///
    /// # Errors
    /// When a part of the world that must run for ever has ended: a bug of the simulator.
    ///
    /// # Panics
    /// When something in the world panics.
    pub fn tick(&mut self) -> turmoil::Result<()> {
        self.scene.trace.set_now_ms(self.now_ms);
        self.run_nemesis();
        self.control_jobs();
        self.run_kubelets();
        self.show_people_the_way();
        if self.links_changed {
            self.set_links();
        }
        self.sim.step()?;
        for what in self.watch.take_reached() {
            self.scene.trace.reached("world", what);
        }
        self.now_ms += TICK_MS;
        Ok(())
    }

    /// No more faults from here on, and everything that was broken is mended.
    pub fn heal(&mut self) {
        self.scene.trace.set_now_ms(self.now_ms);
        self.mend();
    }

    /// All hosts of processes.
    fn hosts(&self) -> impl Iterator<Item = &Host> {
        let slots = self.slots.iter().flat_map(|slot| [&slot.sidecar, &slot.job_manager]);
        slots.chain(self.task_managers.iter().map(|one| &one.host)).chain([&self.people.host])
    }

    /// All hosts that the network knows.
    fn host_names(&self) -> BTreeSet<String> {
        let known = self.hosts().filter(|host| host.is_registered()).map(|host| host.name().to_owned());
        known.chain([STORE.to_owned(), API_SERVER.to_owned()]).collect()
    }
}

/// The UID of the nth Job.
fn generation(seed: u64, number: u64) -> String {
    let stream = Stream::new(seed, &format!("job {number}"));
    format!("{:016x}", stream.any())
}
