//! The object store: a far side that owns its requests, and the client that the product is given.
//!
//! A request that has arrived is carried out whatever becomes of its sender: *timed out, but applied*, *crashed, but
//! applied* and *applied much later* happen here as they do in the world. What is recorded is recorded here, at the
//! moment when it is durable.
//!
//! | file | is |
//! | --- | --- |
//! | `client` | the near side |
//! | `wire` | what both say to each other |
//! | `objects`, `state` | what is stored: the product's objects, and Flink's snapshots |
//! | `far` | the far side: latency, faults, points |

mod client;
mod far;
mod objects;
mod state;
#[cfg(test)]
mod tests;
mod wire;

pub use self::client::Client;
pub use self::far::FarSide;
pub use self::objects::Objects;
