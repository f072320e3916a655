//! Single requests go wrong, at each call site and in each way, while the API server itself is well. A proxy stands between it and
//! one of two candidates; the other one is answered as it should be, and would take the Lease if it were not renewed in time.

mod sites;
mod table;
mod token;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures::future::{LocalBoxFuture, try_join_all};
use harness::fault_proxy::{FaultProxy, Injected, Pattern};
use harness::kubernetes::candidate::{Candidate, Options, Timings};
use harness::kubernetes::manifests::{ACCOUNT, rules};
use harness::session::Session;
use harness::wait;
use http::Method;
use serde_json::json;
use tokio::sync::Barrier;
use tokio::time::Instant;

use self::table::{A_DAY, Fault};
use super::world::{Deployment, LEASE, LIMIT, World};

/// Short, and with room in the Lease for three renewals that fail.
const TIMINGS: Timings = Timings {
    lease: Duration::from_secs(6),
    deadline: Duration::from_secs(4),
    retry: Duration::from_millis(500),
};

/// Clocks are read in whole milliseconds on either side.
const ROUNDING: Duration = Duration::from_millis(2);

/// Call sites with a leader and a rival, each in two parts.
const LONG_SITES: usize = 10;

/// What a whole page in an error message would exceed.
const TROUBLE_MAX: usize = 600;

/// All call sites at once, in deployments of their own: each of them waits most of the time. The long ones are divided in two.
pub(crate) async fn everywhere(world: &World) -> Result<()> {
    let all = table::faults();
    let (first, second) = all.split_at(all.len() / 2);
    let renewals = [second, &[table::of_somebody_else(LEASE)]].concat();
    let looks = [second, &[table::of_no_pod("pod-1")]].concat();
    // No fault before everything runs: two dozen processes that start would be one that the test did not mean.
    let ready = &Barrier::new(LONG_SITES);
    // In boxes: together they would not fit the stack of a test.
    let sites: [LocalBoxFuture<'_, Result<()>>; 12] = [
        named("PUT lease: renew", Box::pin(sites::renew(world, ready, first))),
        named("PUT lease: renew", Box::pin(sites::renew(world, ready, &renewals))),
        named("GET lease", Box::pin(sites::read(world, ready, first))),
        named("GET lease", Box::pin(sites::read(world, ready, second))),
        named("POST lease", Box::pin(sites::create(world, ready, first))),
        named("POST lease", Box::pin(sites::create(world, ready, second))),
        named("GET the holder's pod", Box::pin(sites::holder_pod(world, ready, first))),
        named("GET the holder's pod", Box::pin(sites::holder_pod(world, ready, &looks))),
        named("GET the own pod", Box::pin(sites::own_pod(world, ready, first))),
        named("GET the own pod", Box::pin(sites::own_pod(world, ready, second))),
        named("POST event", Box::pin(sites::event(world, &all))),
        // One after the other: a process has little time to stop, so it is better done when not everything starts.
        Box::pin(async {
            named("a token is rotated", Box::pin(token::rotated(world))).await?;
            named("PUT lease: release", Box::pin(sites::release(world, &all))).await
        }),
    ];
    try_join_all(sites).await?;
    Ok(())
}

fn named<'a>(site: &'static str, body: LocalBoxFuture<'a, Result<()>>) -> LocalBoxFuture<'a, Result<()>> {
    Box::pin(async move { body.await.context(site) })
}

/// A deployment with a leader and a rival, one of which stands behind the proxy.
struct Scene {
    deployment: Deployment,
    proxy: FaultProxy,
    /// Whoever is behind a proxy says with it who it is.
    token_file: PathBuf,
}

/// A candidate and its JobManager.
struct Pod {
    candidate: Candidate,
    session: Session,
}

impl Scene {
    async fn new(world: &World) -> Result<Self> {
        let deployment = world.deployment().await?;
        deployment.namespace.service_account(ACCOUNT, &rules()?).await?;
        let token = deployment.namespace.revocable_token(ACCOUNT, "first").await?;
        let token_file = deployment.root().join("token");
        std::fs::write(&token_file, token)?;
        let proxy = world.server.fault_proxy().await?;
        Ok(Self { deployment, proxy, token_file })
    }

    fn kubeconfig_at(&self, name: &str, proxy: &FaultProxy) -> Result<PathBuf> {
        let user = json!({ "tokenFile": self.token_file });
        self.deployment.namespace.kubeconfig(name, &proxy.url(), &user)
    }

    /// The leader is behind the proxy; a rival waits that is not.
    async fn with_leader_behind(world: &World) -> Result<(Self, Pod, Pod)> {
        let scene = Self::new(world).await?;
        let leader = scene.leader(true).await?;
        let rival = scene.rival(false).await?;
        Ok((scene, leader, rival))
    }

    /// The rival is behind the proxy.
    async fn with_rival_behind(world: &World) -> Result<(Self, Pod, Pod)> {
        let scene = Self::new(world).await?;
        let leader = scene.leader(false).await?;
        let rival = scene.rival(true).await?;
        Ok((scene, leader, rival))
    }

    async fn options(&self, pod: &str, behind: bool) -> Result<Options> {
        let mut options = self.deployment.pod(pod).await?;
        options.timings = TIMINGS;
        if behind {
            options.kubeconfig = self.kubeconfig_at("proxied", &self.proxy)?;
        }
        Ok(options)
    }

    async fn leader(&self, behind: bool) -> Result<Pod> {
        let pod = Pod::start(&self.options("pod-1", behind).await?).await?;
        pod.session.granted(LIMIT).await?;
        Ok(pod)
    }

    async fn rival(&self, behind: bool) -> Result<Pod> {
        let mut pod = Pod::start(&self.options("pod-2", behind).await?).await?;
        pod.candidate.wait_until_standing("others", LIMIT).await?;
        Ok(pod)
    }

    /// Waits until the leader has renewed its Lease from now on, by the API server's word.
    async fn renewed(&self, leader: &Pod) -> Result<()> {
        let version = async || {
            let lease = self.deployment.namespace.lease(LEASE).await?;
            Ok::<_, anyhow::Error>(lease.and_then(|lease| {
                Some((lease.metadata.resource_version?, lease.spec?.holder_identity.unwrap_or_default()))
            }))
        };
        let before = version().await?;
        let (_, holder) = wait::until("the Lease to be renewed", LIMIT, async || {
            let now = version().await?;
            Ok(now.filter(|now| Some(now) != before.as_ref()))
        })
        .await?;
        ensure!(holder == leader.candidate.options.pod.uid, "the Lease is held by {holder:?}");
        Ok(())
    }

    /// Fails unless whoever is behind the proxy left the server alone for as long as it was asked to. When that is absurd: unless
    /// it asked again before its Lease was over.
    fn require_patience(&self, fault: &Fault, met: Instant) -> Result<()> {
        let Some(asked_for) = fault.retry_after else { return Ok(()) };
        let patterns = [
            table::lease(Method::GET),
            table::lease(Method::PUT),
            table::lease(Method::POST),
            table::pod("*"),
        ];
        let exchanges = patterns.iter().flat_map(|pattern| self.proxy.exchanges(pattern));
        let next = exchanges.map(|exchange| exchange.at).filter(|at| *at > met).min();
        let waited = next.context("it never asked again")? - met;
        if asked_for == A_DAY {
            let limit = TIMINGS.lease;
            ensure!(waited > TIMINGS.retry && waited < limit, "it waited for {waited:?} of a day");
        } else {
            ensure!(waited + ROUNDING >= asked_for, "it asked again after {waited:?}, not {asked_for:?}");
        }
        Ok(())
    }
}

impl Pod {
    async fn start(options: &Options) -> Result<Self> {
        let candidate = Candidate::start(options).await?;
        let session = Session::open(&candidate.url("")).await?;
        Ok(Self { candidate, session })
    }

    /// Waits until /status names a request that is in trouble, in a few words.
    async fn says(&self, request: &str) -> Result<()> {
        let trouble = wait::until(&format!("/status to name {request:?}"), LIMIT, async || {
            Ok(Some(self.candidate.trouble().await?).filter(|trouble| trouble.contains(request)))
        })
        .await?;
        ensure!(trouble.len() < TROUBLE_MAX, "that is a whole page: {trouble}");
        Ok(())
    }

    /// Waits until there is nothing to say.
    async fn is_well(&mut self, standing: &str) -> Result<()> {
        self.candidate.wait_until_standing(standing, LIMIT).await?;
        wait::until("/status to name no trouble", LIMIT, async || {
            Ok(self.candidate.trouble().await?.is_empty().then_some(()))
        })
        .await
    }
}

/// Waits until the fault was met as often as is wanted; when it was the last time.
async fn met(injected: &Injected, fault: &Fault) -> Result<Instant> {
    wait::until(&format!("{} requests to meet the fault", fault.times), LIMIT, async || {
        Ok(injected.met().get(fault.times - 1).copied())
    })
    .await
}

fn arm(scene: &Scene, pattern: &Pattern, fault: &Fault) -> Injected {
    scene.proxy.disturb(pattern.clone(), fault.disturbance.clone())
}
