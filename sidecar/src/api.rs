//! The `/v1` protocol of `docs/protocol.md`, and what people and probes ask.
//!
//! Handlers translate and nothing else: what may be written is decided by the store, who leads by
//! [`crate::sessions`]. Every error leaves as a [`Problem`], which says what became of the write.

mod checkpoints;
mod cleanup;
mod counter;
mod graphs;
mod health;
mod leaders;
mod people;
mod plan;
pub mod problem;
mod request;
mod results;
mod savepoints;
mod sessions;
mod streams;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{MethodRouter, delete, get, post, put};
use bytes::Bytes;
use ha_store::{
    Answer, BlobRef, Change, Clock, Entropy, Epoch, IdempotencyKey, Limits, Store, StoreError, View,
};
use http::{HeaderName, HeaderValue};
use snapshot::Stores;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use self::problem::Problem;
use crate::config::Config;
use crate::election::ElectionView;
use crate::leadership::Leadership;
use crate::metrics::Metrics;
use crate::observation::Observation;
use crate::planner::Wish;
use crate::savepoints::Savepoints;
use crate::world::World;

/// The newest epoch, on every answer.
pub const EPOCH_HEADER: HeaderName = HeaderName::from_static("holdfast-epoch");

/// What handlers share.
#[derive(Debug, Clone)]
pub struct Api {
    store: Store,
    leadership: Leadership,
    /// Where an election through a Lease stands.
    election: Option<watch::Receiver<ElectionView>>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    /// Where snapshots are verified that a person names.
    snapshot_stores: Arc<Stores>,
    /// What a new generation restores, for its preview.
    restore: Wish,
    /// Only one preview at a time: each may verify a large snapshot.
    previews: Arc<Semaphore>,
    observation: Observation,
    savepoints: Savepoints,
    limits: Limits,
    deployment: String,
    generation: String,
    /// Requests that are being answered; more of them wait.
    requests: Arc<Semaphore>,
    leader_streams: Arc<Semaphore>,
    leader_streams_max: usize,
    /// How long any answer but a stream may take: longer than a write may be tried.
    answer_timeout: Duration,
}

/// Everything, for the JobManager beside us.
pub fn private(api: Api) -> Router {
    let v1 = Router::new()
        .route("/sessions", post(sessions::open).merge(answered(&api, get(sessions::list))))
        .route("/sessions/{session}/pong", answered(&api, post(sessions::pong)))
        .route("/sessions/{session}", answered(&api, delete(sessions::close)))
        .route("/leaders", answered(&api, get(leaders::read).put(leaders::publish)))
        .route("/leaders/stream", get(leaders::stream))
        .route("/jobs/{job}/checkpoints", answered(&api, get(checkpoints::list).delete(checkpoints::clear)))
        .route(
            "/jobs/{job}/checkpoints/{id}",
            answered(&api, put(checkpoints::add).delete(checkpoints::remove)),
        )
        .route("/jobs/{job}/end", answered(&api, post(checkpoints::end)))
        .route("/jobs/{job}/restored", answered(&api, post(checkpoints::restored)))
        .route("/jobs/{job}/cleanup", answered(&api, post(cleanup::job)))
        .route("/jobs/{job}/counter", answered(&api, get(counter::read).put(counter::set)))
        .route("/jobs/{job}/counter/next", answered(&api, post(counter::next)))
        .route(
            "/jobs/{job}/graph",
            answered(&api, get(graphs::read).put(graphs::write).delete(graphs::remove)),
        )
        .route("/jobs/{job}/plan", answered(&api, get(plan::of_job)))
        .route("/graphs", answered(&api, get(graphs::list)))
        .route("/results/{kind}", answered(&api, get(results::list)))
        .route("/results/{kind}/{id}", answered(&api, get(results::read).put(results::create)))
        .route("/results/{kind}/{id}/clean", answered(&api, post(results::clean)))
        .route("/cleanup", answered(&api, post(cleanup::deployment)))
        .route("/snapshots/{id}/pin", answered(&api, post(people::pin)))
        .route("/snapshots/{id}/unpin", answered(&api, post(people::unpin)))
        .route("/reset", answered(&api, post(people::reset).delete(people::cancel_reset)))
        .route("/savepoints", answered(&api, post(savepoints::take)))
        .route("/savepoints/{id}", answered(&api, get(savepoints::read)))
        .route("/collection", answered(&api, get(people::collection)));
    finish(Router::new().nest("/v1", v1).merge(for_people(&api)), api)
}

/// The read-only part, for other machines.
pub fn public(api: Api) -> Router {
    let v1 = Router::new()
        .route("/leaders", answered(&api, get(leaders::read)))
        .route("/leaders/stream", get(leaders::stream));
    finish(Router::new().nest("/v1", v1).merge(for_people(&api)), api)
}

fn for_people(api: &Api) -> Router<Api> {
    Router::new()
        .route("/live", answered(api, get(health::live)))
        .route("/ready", answered(api, get(health::ready)))
        .route("/status", answered(api, get(health::status)))
        .route("/metrics", answered(api, get(health::metrics)))
        .route("/v1/snapshots", answered(api, get(people::snapshots)))
        .route("/v1/snapshots/{id}", answered(api, get(people::snapshot)))
        .route("/v1/history", answered(api, get(people::history)))
        .route("/v1/plan", answered(api, get(people::plan)))
}

fn finish(router: Router<Api>, api: Api) -> Router {
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(middleware::from_fn_with_state(api.clone(), name_the_epoch))
        .with_state(api)
}

/// A route whose answer has an end, and so a limit. The others are streams, which have limits of their own.
fn answered(api: &Api, route: MethodRouter<Api>) -> MethodRouter<Api> {
    route.layer(middleware::from_fn_with_state(api.clone(), within_limits))
}

async fn within_limits(State(api): State<Api>, request: Request, next: Next) -> Result<Response, Problem> {
    let answer = async {
        let _place = api.requests.acquire().await.expect("the semaphore is never closed");
        next.run(request).await
    };
    let answered = tokio::time::timeout(api.answer_timeout, answer).await;
    answered.map_err(|_| Problem::unanswered(api.answer_timeout))
}

async fn name_the_epoch(State(api): State<Api>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    if let Some(epoch) = api.leadership.view().newest {
        response.headers_mut().insert(EPOCH_HEADER, HeaderValue::from(epoch.get()));
    }
    response
}

// === impl Api ===

impl Api {
    /// What handlers share.
    pub fn new(
        config: &Config,
        store: Store,
        leadership: Leadership,
        election: Option<watch::Receiver<ElectionView>>,
        metrics: Arc<Metrics>,
        world: &World,
        observation: Observation,
    ) -> Self {
        const REQUESTS_MAX: usize = 256;
        const SLACK_MS: u64 = 5_000;
        Self {
            store,
            leadership,
            election,
            metrics,
            clock: world.clock.clone(),
            entropy: world.entropy.clone(),
            snapshot_stores: world.snapshots.clone(),
            restore: config.restore.clone(),
            previews: Arc::new(Semaphore::new(1)),
            savepoints: Savepoints::new(observation.clone()),
            observation,
            limits: config.store_options.limits.clone(),
            deployment: config.deployment.to_string(),
            generation: config.generation.clone(),
            requests: Arc::new(Semaphore::new(REQUESTS_MAX)),
            leader_streams: Arc::new(Semaphore::new(config.leader_streams_max)),
            leader_streams_max: config.leader_streams_max,
            answer_timeout: Duration::from_millis(config.store_options.commit_deadline_ms + SLACK_MS),
        }
    }

    /// Writes one change under the caller's epoch.
    async fn commit(&self, epoch: Epoch, key: IdempotencyKey, change: Change) -> Result<Answer, Problem> {
        let started = Instant::now();
        let result = self.store.commit(epoch, key, change).await;
        self.metrics.wrote(started.elapsed().as_secs_f64(), &result);
        self.heed(result).await
    }

    /// The state, after the store has confirmed that the caller's epoch is the newest.
    async fn confirmed(&self, epoch: Epoch) -> Result<Arc<View>, Problem> {
        let result = self.store.confirm(epoch).await;
        self.heed(result).await
    }

    /// Puts a payload where the record that is to name it can find it.
    async fn put_payload(&self, epoch: Epoch, payload: Bytes) -> Result<BlobRef, Problem> {
        self.check_owned(epoch)?;
        let result = self.store.put_blob(payload).await;
        self.heed(result).await
    }

    async fn payload(&self, blob: &BlobRef) -> Result<Bytes, Problem> {
        let result = self.store.get_blob(blob).await;
        self.heed(result).await
    }

    /// Only the owner of an epoch may put a payload, or its successor's collector takes it away.
    fn check_owned(&self, epoch: Epoch) -> Result<(), Problem> {
        let view = self.leadership.view();
        if view.owned == Some(epoch) {
            return Ok(());
        }
        match view.newest {
            Some(newest) if newest > epoch => Err(Problem::fenced(epoch, newest)),
            // An earlier attempt may have gone to a process that is dead by now, and its write may still arrive.
            _ => Err(Problem::not_resumed(epoch)),
        }
    }

    /// Passes a result on, and tells the election what a fence means.
    async fn heed<T>(&self, result: Result<T, StoreError>) -> Result<T, Problem> {
        if let Err(error @ StoreError::Fenced { ours, .. }) = &result {
            self.leadership.deposed(*ours, error.to_string()).await;
        }
        result.map_err(Problem::from)
    }
}
