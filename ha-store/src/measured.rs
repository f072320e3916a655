//! What benches call by itself and nobody else may: writing and reading one record, without a log around it.
//!
//! Feature `measured`. Whoever wants to know what a log holds opens it ([`Store::open`](crate::Store::open)).

use crate::record;
use crate::{DeploymentName, DeploymentState, RecordHeader, Sequence};
use bytes::Bytes;

/// The bytes of a record.
///
/// # Panics
/// When the header is of another format than [`FORMAT`](crate::FORMAT), or of another epoch than the state.
pub fn encode(header: &RecordHeader, state: &DeploymentState) -> Bytes {
    record::encode(header, state)
}

/// Reads the record at `sequence` of `deployment`'s log.
///
/// # Errors
/// Why these bytes are not that record.
pub fn decode(
    bytes: &[u8],
    deployment: &DeploymentName,
    sequence: Sequence,
) -> Result<(RecordHeader, DeploymentState), String> {
    record::decode(bytes, deployment, sequence).map(|record| (record.header, record.state))
}
