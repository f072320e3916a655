//! The world around the product.
//!
//! | file | is |
//! | --- | --- |
//! | `net` | the network, as hyper and axum want it |
//! | `clock` | wall clocks that are wrong |
//! | `gate` | processes that stand still |
//! | `active` | the faults that are going on |
//! | `store` | the object store |
//! | `api` | the API server |

pub mod active;
pub mod api;
pub mod clock;
pub mod gate;
pub mod net;
pub mod store;
