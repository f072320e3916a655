//! The model against the product's own sidecar.

mod end;
mod failover;
mod recording;
mod rig;
mod zombie;
