//! The reader against real Flink, damage and chance; verification against directories and buckets.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod damage;
mod real_flink;
mod round_trip;
mod support;
#[cfg(feature = "verify")]
mod verify;
