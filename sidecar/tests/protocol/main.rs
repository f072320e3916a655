//! The `/v1` protocol as `docs/protocol.md` states it, over real sockets.

#![allow(clippy::unwrap_used)] // in a test, an unwrap is an assertion

mod bad_input;
#[path = "../fake/flink.rs"]
mod flink;
mod leaders;
mod people;
mod plans;
mod savepoints;
mod sessions;
mod support;
mod writes;
