//! Held answers: one JSON object a line, and a ping when nothing else was said for a while.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderValue, header};
use serde::Serialize;
use tokio::time::{MissedTickBehavior, interval_at};

/// How often a ping is sent, so that either side notices a dead connection.
const PING_PERIOD: Duration = Duration::from_secs(2);

const PING: &[u8] = b"{\"event\":\"ping\"}\n";

/// One line.
pub(super) fn line(event: &impl Serialize) -> Bytes {
    let mut line = serde_json::to_vec(event).expect("events are plain data");
    line.push(b'\n');
    Bytes::from(line)
}

/// An answer that goes on until `lines` ends or the reader leaves. `on_ping` is told before each ping.
pub(super) fn held(
    lines: impl Stream<Item = Bytes> + Send + 'static,
    on_ping: impl Fn() + Send + 'static,
) -> Response {
    let mut pings = interval_at(tokio::time::Instant::now() + PING_PERIOD, PING_PERIOD);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let body =
        stream::unfold((Box::pin(lines), pings, on_ping), |(mut lines, mut pings, on_ping)| async move {
            let next = tokio::select! {
                biased;
                line = lines.next() => line?,
                _ = pings.tick() => {
                    on_ping();
                    Bytes::from_static(PING)
                }
            };
            Some((Ok::<_, Infallible>(next), (lines, pings, on_ping)))
        });
    let mut response = Body::from_stream(body).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    response
}
