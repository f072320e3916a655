//! What the benches are made of.
#![forbid(unsafe_code)]
