//! The model against the product's own sidecar.

mod defects;
mod end;
mod failover;
mod recording;
mod rest;
mod rig;
mod savepoints;
mod swarm;
mod zombie;
