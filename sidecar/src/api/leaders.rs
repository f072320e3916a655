//! The published addresses of the leader's components.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use futures::stream;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, interval_at};

use super::problem::Problem;
use super::request::{self, UnderEpoch};
use super::{Api, streams};
use crate::leaders::{Address, LeadersView};
use crate::leadership::PublishError;

const COMPONENTS_MAX: usize = 128;
const COMPONENT_BYTES_MAX: usize = 1_024;
const MAP_BYTES_MAX: u64 = 256 * 1024;

/// How long a reader stays with a sidecar that knows that another one leads. A Service keeps open connections where they
/// are, so a reader that is not sent away would never hear of the new leader.
const ELSEWHERE_PERIOD: Duration = Duration::from_secs(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishRequest {
    leaders: BTreeMap<String, Address>,
}

#[derive(Debug, Serialize)]
pub(super) struct Map {
    event: &'static str,
    #[serde(flatten)]
    view: LeadersView,
}

impl From<LeadersView> for Map {
    fn from(view: LeadersView) -> Self {
        Self { event: "leaders", view }
    }
}

pub(super) async fn publish(
    State(api): State<Api>,
    UnderEpoch(epoch): UnderEpoch,
    body: Body,
) -> Result<StatusCode, Problem> {
    let asked: PublishRequest = request::json(body, "the leader map", MAP_BYTES_MAX).await?;
    check_sizes(&asked.leaders)?;
    match api.leadership.publish(epoch, asked.leaders).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(PublishError::NotGranted { .. }) => match api.leadership.view().newest {
            Some(newest) if newest > epoch => Err(Problem::fenced(epoch, newest)),
            _ => Err(Problem::not_ready(format!("no session is granted here under epoch {epoch}"))),
        },
        Err(error @ PublishError::Stopping) => Err(Problem::not_ready(error.to_string())),
    }
}

pub(super) async fn read(State(api): State<Api>) -> Result<Json<Map>, Problem> {
    let known = api.leadership.leaders().borrow().clone();
    let view = known
        .ok_or_else(|| Problem::not_ready("this sidecar has just started and knows of no leader yet"))?;
    Ok(Json(view.into()))
}

pub(super) async fn stream(State(api): State<Api>) -> Result<Response, Problem> {
    let permit = api.leader_streams.clone().try_acquire_owned().map_err(|_| {
        let max = api.leader_streams_max;
        Problem::too_many_streams(format!(
            "{max} leader streams are open, which is the limit (--max-leader-streams)"
        ))
    })?;
    let mut leaders = api.leadership.leaders();
    leaders.mark_changed();
    let leadership = api.leadership.clone();
    let checks = interval_at(Instant::now() + ELSEWHERE_PERIOD, ELSEWHERE_PERIOD);
    let reader = (leaders, leadership, checks, permit);
    let maps = stream::unfold(reader, |(mut leaders, leadership, mut checks, permit)| async move {
        loop {
            tokio::select! {
                biased;
                changed = leaders.changed() => changed.ok()?,
                _ = checks.tick() => {
                    if leadership.view().leads_elsewhere {
                        return None;
                    }
                    continue;
                }
            }
            let known = leaders.borrow_and_update().clone();
            if let Some(view) = known {
                return Some((streams::line(&Map::from(view)), (leaders, leadership, checks, permit)));
            }
        }
    });
    Ok(streams::held(maps, || {}))
}

fn check_sizes(leaders: &BTreeMap<String, Address>) -> Result<(), Problem> {
    if leaders.len() > COMPONENTS_MAX {
        let detail = format!("{} components; {COMPONENTS_MAX} are allowed", leaders.len());
        return Err(Problem::limit_reached(detail));
    }
    let too_long = |(name, at): &(&String, &Address)| {
        name.len() + at.session.len() + at.address.len() > COMPONENT_BYTES_MAX
    };
    match leaders.iter().find(too_long) {
        None => Ok(()),
        Some((name, _)) => {
            let detail = format!("component {name:.64} is longer than {COMPONENT_BYTES_MAX} bytes");
            Err(Problem::malformed(detail))
        }
    }
}
