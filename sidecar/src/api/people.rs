//! What people ask and want: no header is needed, and what is written is written under the sidecar's own epoch.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use ha_store::{Answer, Change, Epoch, IdempotencyKey, View};
use serde::Deserialize;

use super::Api;
use super::problem::Problem;
use super::request::{self, Params, SMALL_JSON_BYTES_MAX};
use crate::preview;
use crate::views::{self, CollectionView, HistoryView, PlanView, SnapshotsView};
use crate::wishes::{self, PinAnswer, ResetAnswer};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ResetRequest {
    to: String,
}

pub(super) async fn snapshots(State(api): State<Api>) -> Result<Json<SnapshotsView>, Problem> {
    Ok(Json(api.snapshots().await?))
}

pub(super) async fn snapshot(State(api): State<Api>, params: Params) -> Result<Json<SnapshotsView>, Problem> {
    let name: String = params.get("id")?;
    let mut view = api.snapshots().await?;
    let found: Vec<_> = views::find(&view, &name).into_iter().cloned().collect();
    if found.is_empty() {
        return Err(Problem::unknown_snapshot(&name));
    }
    view.snapshots = found;
    Ok(Json(view))
}

pub(super) async fn history(State(api): State<Api>) -> Result<Json<HistoryView>, Problem> {
    let view = api.newest().await?;
    Ok(Json(views::history(&api.deployment, &view.state, api.clock.wall_ms())))
}

/// Verifies what the next generation would restore, so one at a time.
pub(super) async fn plan(State(api): State<Api>) -> Result<Json<PlanView>, Problem> {
    let state = &api.newest().await?.state;
    let _place = api.previews.acquire().await.expect("the semaphore is never closed");
    let now_ms = api.clock.wall_ms();
    let next = preview::next(state, &api.restore, &api.snapshot_stores, now_ms).await;
    Ok(Json(views::plan(&api.deployment, state, now_ms, next)))
}

/// Lists the store, so it is for the private listener only.
pub(super) async fn collection(State(api): State<Api>) -> Result<Json<CollectionView>, Problem> {
    let result = api.store.collectable().await;
    let collectable = api.heed(result).await?;
    let state = &api.store.view().state;
    Ok(Json(views::collection(&api.deployment, state, api.clock.wall_ms(), &collectable)))
}

pub(super) async fn pin(State(api): State<Api>, params: Params) -> Result<Json<PinAnswer>, Problem> {
    set_pin(&api, &params, true).await
}

pub(super) async fn unpin(State(api): State<Api>, params: Params) -> Result<Json<PinAnswer>, Problem> {
    set_pin(&api, &params, false).await
}

async fn set_pin(api: &Api, params: &Params, pinned: bool) -> Result<Json<PinAnswer>, Problem> {
    let name: String = params.get("id")?;
    let epoch = api.own_epoch()?;
    let meant = wishes::to_pin(&api.snapshots().await?, &name, pinned)?;
    let changed = api.wish(epoch, wishes::pin(&meant, pinned)).await? == Answer::Changed;
    if changed {
        let pointer = &meant.external_pointer;
        tracing::info!(event = "pin", pinned, pointer, "a person asked for this");
    }
    // As it is now: nobody but us writes under this epoch.
    let after = views::snapshots(&api.deployment, &api.store.view().state, api.clock.wall_ms());
    let found = views::find(&after, &meant.external_pointer).into_iter().next().cloned();
    let snapshot = found.ok_or_else(|| Problem::unknown_snapshot(&name))?;
    Ok(Json(PinAnswer { changed, snapshot }))
}

pub(super) async fn reset(State(api): State<Api>, body: Body) -> Result<Json<ResetAnswer>, Problem> {
    let ResetRequest { to } = request::json(body, "the reset", SMALL_JSON_BYTES_MAX).await?;
    let epoch = api.own_epoch()?;
    let mut answer = wishes::to_reset(&api.snapshots().await?, &to, &api.snapshot_stores).await?;
    let change = wishes::reset(&answer, api.clock.wall_ms());
    answer.changed = api.wish(epoch, change).await? == Answer::Changed;
    tracing::info!(event = "reset", to, "the next generation starts from this snapshot: {}", answer.why);
    Ok(Json(answer))
}

pub(super) async fn cancel_reset(State(api): State<Api>) -> Result<Json<ResetAnswer>, Problem> {
    let epoch = api.own_epoch()?;
    let changed = api.wish(epoch, Change::SetReset { reset: None }).await? == Answer::Changed;
    if changed {
        tracing::info!(event = "reset", "taken back: the next generation starts as its strategy says");
    }
    Ok(Json(ResetAnswer::cancelled(changed)))
}

impl Api {
    /// What is newest in the store, whoever wrote it.
    async fn newest(&self) -> Result<Arc<View>, Problem> {
        let result = self.store.refresh().await;
        self.heed(result).await
    }

    async fn snapshots(&self) -> Result<SnapshotsView, Problem> {
        let view = self.newest().await?;
        Ok(views::snapshots(&self.deployment, &view.state, self.clock.wall_ms()))
    }

    /// The newest epoch, if it is this sidecar's: also while no JobManager is granted, so that a person can mend what
    /// keeps one from being.
    fn own_epoch(&self) -> Result<Epoch, Problem> {
        let view = self.leadership.view();
        let owned = view.owned.filter(|owned| view.newest.is_none_or(|newest| newest <= *owned));
        owned.ok_or_else(|| {
            let why = view.obstacle.unwrap_or_else(|| "no JobManager was granted leadership here".into());
            Problem::not_ready(format!(
                "this sidecar does not hold the newest epoch, so it writes nothing: {why}; ask the one that leads, or \
                 give the command --store URL --deployment NAME"
            ))
        })
    }

    /// Each wish is a write of its own: whoever repeats it finds it done.
    async fn wish(&self, epoch: Epoch, change: Change) -> Result<Answer, Problem> {
        self.commit(epoch, IdempotencyKey::random(&*self.entropy), change).await
    }
}
