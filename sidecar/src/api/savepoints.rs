//! Savepoints, for people and scripts.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::StatusCode;
use serde::Serialize;

use super::Api;
use super::problem::Problem;
use super::request::{self, Params, SMALL_JSON_BYTES_MAX};
use crate::savepoints::{Request, RequestError, Taken};

#[derive(Debug, Serialize)]
pub(super) struct Accepted {
    id: String,
}

pub(super) async fn take(
    State(api): State<Api>,
    body: Body,
) -> Result<(StatusCode, Json<Accepted>), Problem> {
    let asked: Request = request::json(body, "the savepoint", SMALL_JSON_BYTES_MAX).await?;
    let id = api.savepoints.take(asked).await?;
    Ok((StatusCode::ACCEPTED, Json(Accepted { id })))
}

pub(super) async fn read(State(api): State<Api>, params: Params) -> Result<Json<Taken>, Problem> {
    let id: String = params.get("id")?;
    api.savepoints.get(&id).map(Json).ok_or_else(|| Problem::unknown_savepoint(&id))
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let detail = error.to_string();
        match error {
            RequestError::NotLeading => Self::not_ready(detail),
            RequestError::Trouble(_) => Self::job_manager_unavailable(detail),
            RequestError::Malformed(_) => Self::malformed(detail),
            RequestError::Ambiguous { .. } | RequestError::NothingRuns { .. } => Self::conflict(detail),
            RequestError::UnknownJob { .. } => Self::unknown_job_of_flink(detail),
            RequestError::Full(_) => Self::limit_reached(detail),
        }
    }
}
