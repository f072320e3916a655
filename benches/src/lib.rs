//! What the benches are made of. `src/bin` has the programs.
#![forbid(unsafe_code)]

pub mod failover;
