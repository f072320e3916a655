//! Starts everything, and stops it in order.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures::{StreamExt, stream};
use ha_store::{BackendOptions, BlobRef, Store, StoreError, SystemClock, SystemEntropy};
use snapshot::Stores;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, Api};
use crate::collection;
use crate::config::{Config, Election};
use crate::election::{self, Announcer, Reason, infer_client};
use crate::job_manager::NetConnect;
use crate::leadership::{Candidacy, Leadership, Options};
use crate::metrics::Metrics;
use crate::observation::{self, Observation};
pub use crate::world::World;

/// `holdfast run`: until SIGTERM or SIGINT. A second one ends the process at once.
pub async fn run(config: Config) -> anyhow::Result<()> {
    let backend_options =
        BackendOptions { call_timeout_ms: config.store_options.call_timeout_ms, ..BackendOptions::default() };
    let backend = config.store.connect(&backend_options).context("cannot use --store")?;
    let kubernetes = match &config.election {
        Election::None => None,
        Election::Kubernetes(_) => Some(infer_client().await.context(NO_API_SERVER)?),
    };
    if let Some(files) = &config.job_manager_tls {
        files
            .connector()
            .context("cannot speak TLS to the JobManager (--job-manager-ca and what belongs to it)")?;
    }
    let snapshots = Arc::new(Stores::new(backend_options).with_local_root(&config.local_root));
    let world = World {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        backend,
        kubernetes,
        snapshots,
        connect: Arc::new(NetConnect { tls: config.job_manager_tls.clone() }),
    };
    let private = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("cannot listen on {} (--listen)", config.listen))?;
    let public = TcpListener::bind(config.public_listen)
        .await
        .with_context(|| format!("cannot listen on {} (--public-listen)", config.public_listen))?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let (stop_out, stop) = watch::channel(false);
    let mut serving = pin!(serve(config, world, private, public, stop));
    loop {
        tokio::select! {
            result = &mut serving => return result,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        if stop_out.send_replace(true) {
            anyhow::bail!("told to stop twice: gone without finishing");
        }
        tracing::info!(event = "stop-requested", "stopping in order; a second signal forces it");
    }
}

const NO_API_SERVER: &str = "--election kubernetes needs a pod with a service account, or KUBECONFIG";

/// The whole sidecar on the given world and listeners, until `stop` turns true.
pub async fn serve<L>(
    config: Config,
    world: World,
    private: L,
    public: L,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<()>
where
    L: axum::serve::Listener<Addr: std::fmt::Debug>,
{
    let store = match open_store(&config, &world).await {
        Ok(store) => store,
        Err(error) => {
            tell_refusal(&config, &world, &error).await;
            return Err(error);
        }
    };
    let metrics = Arc::new(Metrics::new(&config.deployment));
    let announcer = announcer(&config, &world)?;
    let (leadership, mut leading) = Leadership::start(
        store.clone(),
        Options {
            identity: config.identity.clone(),
            generation: config.generation.clone(),
            leader_loss_grace_ms: config.leader_loss_grace_ms,
            retry_period_ms: config.retry_period_ms,
            sessions_max: config.sessions_max,
            wish: config.restore.clone(),
            snapshots: world.snapshots.clone(),
            announcer: announcer.clone(),
        },
        world.clock.clone(),
        world.entropy.clone(),
        metrics.clone(),
    );
    tracing::info!(
        event = "serving",
        deployment = %config.deployment,
        generation = config.generation,
        store = %config.store,
        listen = ?private.local_addr()?,
        public_listen = ?public.local_addr()?,
        "holdfast {} is up",
        env!("CARGO_PKG_VERSION")
    );
    let election = elect(&config, &world, &leadership, announcer, &metrics).await?;
    let view = election.as_ref().map(election::Driver::view);
    let (observation, observing) = observe(&config, &world, &store, &leadership, &metrics);
    let api =
        Api::new(&config, store.clone(), leadership.clone(), view, metrics.clone(), &world, observation);

    let (down_out, down) = watch::channel(false);
    let went_down = |mut down: watch::Receiver<bool>| async move {
        // An error means that the sender is gone, which means the same.
        drop(down.wait_for(|down| *down).await);
    };
    let private =
        axum::serve(private, api::private(api.clone())).with_graceful_shutdown(went_down(down.clone()));
    let public = axum::serve(public, api::public(api)).with_graceful_shutdown(went_down(down));
    let servers = tokio::spawn(async { tokio::try_join!(private, public) });
    let interval = Duration::from_millis(config.collect_interval_ms);
    let collecting = tokio::spawn(collection::for_ever(store.clone(), leadership.clone(), interval, metrics));

    // The sender lives in `run`, which ends with us.
    drop(stop.wait_for(|stop| *stop).await);
    collecting.abort();
    observing.abort();
    leadership.stop().await;
    bounded("the JobManager did not end", config.stop_wait_ms, &mut leading).await;
    leading.abort();
    if let Some(election) = election {
        let job_manager_ended = leadership.view().sessions.is_empty();
        election.stop(job_manager_ended, Duration::from_millis(LAST_REQUESTS_MS)).await;
    }
    down_out.send_replace(true);
    bounded("a request did not end", LAST_REQUESTS_MS, servers).await;
    store.close(Duration::from_millis(config.store_options.call_timeout_ms)).await;
    tracing::info!(event = "stopped", "stopped in order");
    Ok(())
}

/// How long the last answers may take when everything stops.
const LAST_REQUESTS_MS: u64 = 2_000;

async fn open_store(config: &Config, world: &World) -> anyhow::Result<Store> {
    let prefix = config.store.prefix();
    let explain = |error: StoreError| {
        let way_out = match error {
            StoreError::Unavailable { .. } | StoreError::Unknown { .. } => {
                "; check its URL, the network and the credentials in the environment, then start again"
            }
            _ => "",
        };
        let refusal = format!("the store {} cannot be used, so nothing was started{way_out}", config.store);
        anyhow::Error::new(error).context(refusal)
    };
    let call_timeout = Duration::from_millis(config.store_options.call_timeout_ms);
    let shown_as = config.store.to_string();
    Store::preflight(&world.backend, &prefix, &config.deployment, &*world.entropy, &shown_as, call_timeout)
        .await
        .map_err(explain)?;
    let store = Store::open(
        world.backend.clone(),
        prefix,
        config.deployment.clone(),
        config.store_options.clone(),
        world.clock.clone(),
        world.entropy.clone(),
    )
    .await
    .map_err(explain)?;
    check_blobs(store.clone()).await.map_err(explain)?;
    Ok(store)
}

/// A damaged record or blob is somebody's to mend, so it is told where people look. Whatever else keeps the store from being
/// opened may be over at the next start.
async fn tell_refusal(config: &Config, world: &World, error: &anyhow::Error) {
    let (Election::Kubernetes(election), Some(client)) = (&config.election, &world.kubernetes) else {
        return;
    };
    if let Some(StoreError::Corrupt { .. }) = error.downcast_ref::<StoreError>() {
        let now_ms = world.clock.wall_ms();
        let message = format!("nothing is restored and nobody leads: {error:#}");
        Announcer::last_word(client.clone(), election, now_ms, Reason::RestoreRefused, message).await;
    }
}

/// Reads what a JobManager is going to ask for first: better refused now than in the middle of its recovery.
async fn check_blobs(store: Store) -> Result<(), StoreError> {
    const AT_ONCE: usize = 8;
    let state = store.view().state.clone();
    let blobs: Vec<BlobRef> = state.blobs().into_iter().cloned().collect();
    let mut reads = stream::iter(blobs)
        .map(|blob| {
            let store = store.clone();
            async move { store.get_blob(&blob).await.map(drop) }
        })
        .buffer_unordered(AT_ONCE);
    while let Some(read) = reads.next().await {
        read?;
    }
    Ok(())
}

fn announcer(config: &Config, world: &World) -> anyhow::Result<Announcer> {
    match &config.election {
        Election::None => Ok(Announcer::default()),
        Election::Kubernetes(election) => {
            let client = world.kubernetes.clone().context(NO_API_SERVER)?;
            Ok(Announcer::start(client, election, world.clock.clone()))
        }
    }
}

async fn elect(
    config: &Config,
    world: &World,
    leadership: &Leadership,
    announcer: Announcer,
    metrics: &Arc<Metrics>,
) -> anyhow::Result<Option<election::Driver>> {
    match &config.election {
        Election::None => {
            leadership.elected(Candidacy::MayLead).await;
            Ok(None)
        }
        Election::Kubernetes(election) => {
            let client = world.kubernetes.clone().context(NO_API_SERVER)?;
            let (leadership, metrics, clock) = (leadership.clone(), metrics.clone(), world.clock.clone());
            Ok(Some(election::start(election.clone(), client, leadership, announcer, metrics, clock)))
        }
    }
}

fn observe(
    config: &Config,
    world: &World,
    store: &Store,
    leadership: &Leadership,
    metrics: &Arc<Metrics>,
) -> (Observation, JoinHandle<()>) {
    let options = observation::Options {
        interval_ms: config.observe_interval_ms,
        address: config.job_manager_rest.clone(),
    };
    let surroundings = observation::Surroundings {
        store: store.clone(),
        leadership: leadership.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        connect: world.connect.clone(),
        snapshots: world.snapshots.clone(),
        metrics: metrics.clone(),
    };
    Observation::start(options, surroundings)
}

async fn bounded(what: &str, limit_ms: u64, task: impl Future) {
    if tokio::time::timeout(Duration::from_millis(limit_ms), task).await.is_err() {
        tracing::warn!(event = "stop-not-awaited", "{what} within {limit_ms} ms; going on without it");
    }
}
