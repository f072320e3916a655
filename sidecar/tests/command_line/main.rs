//! The commands for people and scripts, against a sidecar that runs, and against its store when none does.

#![allow(clippy::unwrap_used)] // in a test, an unwrap is an assertion

mod deployment;
#[path = "../fake/flink.rs"]
mod flink;
mod reading;
mod savepoint;
mod writing;
