//! The API server of Kubernetes, as far as the sidecar speaks with it: Leases, pods and Events, over real HTTP.
//!
//! | file | is |
//! | --- | --- |
//! | `objects` | what it holds, and what it answers: compare-and-swap as the real one does it |
//! | `server` | HTTP, latency and faults |

mod objects;
mod server;
#[cfg(test)]
mod tests;

pub use self::objects::{NAMESPACE, Objects};
pub use self::server::ApiServer;
