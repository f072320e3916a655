//! What is tried: the product, or the product with a defect planted from the outside.

use std::sync::Arc;

use sidecar::runtime::World;

use crate::flink::Adapter;

/// Wraps what a sidecar is given, from the outside: the gallery's way to plant defects.
pub type Wrap = Arc<dyn Fn(World) -> World + Send + Sync>;

/// What is tried. By default the product itself.
#[derive(Clone, Default)]
pub struct Product {
    /// Wraps what each sidecar process is given: its object store, its Kubernetes client, its clock, its entropy.
    pub sidecar: Option<Wrap>,
    /// Defects of the adapter's model.
    pub adapter: Adapter,
}
