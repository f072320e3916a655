//! What handlers take out of a request. Whatever is missing or does not parse becomes a
//! [`Problem`] that names the place, before anything is touched.

use std::fmt::Display;
use std::str::FromStr;

use axum::body::Body;
use axum::extract::{FromRequestParts, RawPathParams};
use bytes::Bytes;
use ha_store::{Epoch, IdempotencyKey};
use http::request::Parts;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::EPOCH_HEADER;
use super::problem::Problem;

const KEY_HEADER: &str = "idempotency-key";

/// The epoch under which the caller was granted leadership.
pub(super) struct UnderEpoch(pub(super) Epoch);

/// The epoch and the idempotency key of a write.
pub(super) struct Write {
    pub(super) epoch: Epoch,
    pub(super) key: IdempotencyKey,
}

/// The parameters of the path, in its order.
pub(super) struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for UnderEpoch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let epoch: u64 = header(parts, EPOCH_HEADER.as_str())?;
        Ok(Self(Epoch::new(epoch)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Write {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let UnderEpoch(epoch) = UnderEpoch::from_request_parts(parts, state).await?;
        Ok(Self { epoch, key: header(parts, KEY_HEADER)? })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let raw = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|error| Problem::malformed(format!("the path does not parse: {error}")))?;
        Ok(Self(raw.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()))
    }
}

impl Params {
    /// The parameter of that name, parsed.
    pub(super) fn get<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, Problem> {
        let found = self.0.iter().find(|(param, _)| param == name);
        let (_, value) = found.expect("the route names its parameters");
        value.parse().map_err(|error| Problem::malformed(format!("{name} {value:?} in the path: {error}")))
    }
}

/// A header's value, parsed.
pub(super) fn header<T: FromStr<Err: Display>>(parts: &Parts, name: &str) -> Result<T, Problem> {
    let value = parts.headers.get(name).ok_or_else(|| Problem::missing_header(name))?;
    let text = value.to_str().map_err(|_| Problem::malformed(format!("the header {name} is not ASCII")))?;
    text.parse().map_err(|error| Problem::malformed(format!("the header {name}: {text:?}: {error}")))
}

/// The same for a header that may be absent.
pub(super) fn optional_header<T: FromStr<Err: Display>>(
    parts: &Parts,
    name: &str,
) -> Result<Option<T>, Problem> {
    if parts.headers.contains_key(name) { header(parts, name).map(Some) } else { Ok(None) }
}

/// The whole body, up to a limit. `option` names what sets it.
pub(super) async fn bytes(body: Body, what: &str, max_bytes: u64, option: &str) -> Result<Bytes, Problem> {
    let limit = usize::try_from(max_bytes).unwrap_or(usize::MAX);
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::too_large(what, max_bytes, option)),
        Err(error) => Err(Problem::malformed(format!("{what} did not arrive whole: {error}"))),
    }
}

/// The body as JSON, up to a limit.
pub(super) async fn json<T: DeserializeOwned>(body: Body, what: &str, max_bytes: u64) -> Result<T, Problem> {
    let bytes = bytes(body, what, max_bytes, "fixed").await?;
    serde_json::from_slice(&bytes).map_err(|error| Problem::malformed(format!("{what}: {error}")))
}

/// JSON bodies that are not payloads.
pub(super) const SMALL_JSON_BYTES_MAX: u64 = 64 * 1024;
