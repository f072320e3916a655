//! What probes, Prometheus and people ask.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use ha_store::{Epoch, Sequence};
use http::{StatusCode, header};
use serde::Serialize;

use super::Api;
use crate::election::ElectionView;
use crate::leaders::LeadersView;
use crate::leadership::Entry;
use crate::observation::ObservationView;
use crate::views::{self, StateSummary};

/// What an operator sees first.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    version: &'static str,
    deployment: String,
    generation: String,
    /// `leading`, `waiting` (for a JobManager, or to be elected) or `fenced`.
    role: &'static str,
    reason: Option<String>,
    epoch: Option<Epoch>,
    newest_epoch: Option<Epoch>,
    session: Option<String>,
    sessions: usize,
    /// Absent with `--election none`.
    election: Option<ElectionView>,
    store: StoreStatus,
    /// What is learnt of savepoints from the JobManager itself.
    observer: ObservationView,
    leaders: Option<LeadersView>,
    #[serde(flatten)]
    recorded: StateSummary,
    journal: Vec<Entry>,
}

#[derive(Debug, Serialize)]
struct StoreStatus {
    answers: bool,
    trouble: Option<String>,
    newest_record: Option<Sequence>,
}

pub(super) async fn live() -> &'static str {
    "alive\n"
}

pub(super) async fn ready(State(api): State<Api>) -> Response {
    let view = api.leadership.view();
    match view.obstacle.filter(|_| view.leader.is_none()) {
        None => "ready\n".into_response(),
        Some(obstacle) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {obstacle}\n")).into_response()
        }
    }
}

pub(super) async fn metrics(State(api): State<Api>) -> Response {
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], api.metrics.encode()).into_response()
}

pub(super) async fn status(State(api): State<Api>) -> Json<Status> {
    let view = api.leadership.view();
    let stored = api.store.view();
    let leaders = api.leadership.leaders().borrow().clone();
    let fenced = view.owned.is_some() && view.owned < view.newest;
    let role = match (&view.leader, fenced) {
        (Some(_), _) => "leading",
        (None, true) => "fenced",
        (None, false) => "waiting",
    };
    Json(Status {
        version: env!("CARGO_PKG_VERSION"),
        deployment: api.deployment.clone(),
        generation: api.generation.clone(),
        role,
        reason: view.obstacle.filter(|_| view.leader.is_none()),
        epoch: view.owned,
        newest_epoch: view.newest,
        session: view.leader.map(|leader| leader.session.to_string()),
        sessions: view.sessions.len(),
        election: api.election.as_ref().map(|election| election.borrow().clone()),
        store: StoreStatus {
            answers: view.store_trouble.is_none(),
            trouble: view.store_trouble,
            newest_record: stored.header.as_ref().map(|header| header.sequence),
        },
        observer: api.observation.view(),
        leaders,
        recorded: views::summary(&stored.state, api.clock.wall_ms()),
        journal: view.journal.to_vec(),
    })
}
