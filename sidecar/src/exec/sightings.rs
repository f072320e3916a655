//! What the sidecar says of the processes: which of them leads, and whether each still answers.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::supervisor::Session;

const PERIOD: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_secs(2);
const ANSWER_BYTES_MAX: usize = 1 << 20;

#[derive(Debug, Deserialize)]
struct Sessions {
    sessions: Vec<Session>,
}

/// What the sidecar said, or that it did not answer.
pub(super) type Sighting = Option<Vec<Session>>;

/// Looks at the sidecar twice a second until nobody listens any more.
pub(super) async fn watch(sidecar: Uri, told: mpsc::Sender<Sighting>) {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(TIMEOUT));
    let client = Client::builder(TokioExecutor::new()).build(connector);
    let mut period = interval(PERIOD);
    period.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut away = false;
    loop {
        period.tick().await;
        let asked = timeout(TIMEOUT, ask(&client, &sidecar)).await;
        let asked =
            asked.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs())));
        let sighting = match asked {
            Ok(sessions) => {
                away = false;
                Some(sessions)
            }
            Err(error) if !away => {
                away = true;
                tracing::info!(
                    event = "sidecar-away",
                    "{sidecar} does not answer: {error:#}. The JobManager goes on; a hanging one is not noticed meanwhile"
                );
                None
            }
            Err(error) => {
                tracing::debug!(event = "sidecar-away", "{sidecar} still does not answer: {error:#}");
                None
            }
        };
        if told.send(sighting).await.is_err() {
            return;
        }
    }
}

async fn ask(client: &Client<HttpConnector, Empty<Bytes>>, sidecar: &Uri) -> anyhow::Result<Vec<Session>> {
    let request = Request::get(sidecar.clone()).body(Empty::new())?;
    let answer = client.request(request).await?;
    anyhow::ensure!(answer.status() == StatusCode::OK, "it answers {}", answer.status());
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("its answer was not read: {error}"))?.to_bytes();
    Ok(serde_json::from_slice::<Sessions>(&body)?.sessions)
}
