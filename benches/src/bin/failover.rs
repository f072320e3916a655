//! The failover benchmark.
#![forbid(unsafe_code)]

fn main() {}
