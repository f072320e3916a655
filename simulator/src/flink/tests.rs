//! The model against the product's own sidecar.

mod failover;
mod rig;
