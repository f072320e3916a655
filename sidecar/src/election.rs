//! Election through a Kubernetes Lease: drives the [`elector`](crate::elector).
//!
//! The driver asks the API server what the elector wants to know, one request at a time and each under its own
//! time-out, and tells [`Leadership`](crate::leadership::Leadership) where we stand. It decides nothing.
//!
//! | file | does |
//! | --- | --- |
//! | `client` | the client stack; nothing in it retries by itself |
//! | `lease` | the elector's requests, and what their answers mean |
//! | `refusal` | what it means when there is none, or a bad one |
//! | `driver` | the loop |
//! | `announcer` | Kubernetes Events, at a limited rate |

mod announcer;
mod client;
mod driver;
mod lease;
mod refusal;

use serde::Serialize;

pub use self::announcer::{Announcement, Announcer, Reason};
pub use self::client::{api_client, infer_client};
pub use self::driver::{Driver, start};

use crate::elector::Timings;

/// What an election through a Lease needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseElection {
    /// Where the Lease is.
    pub namespace: String,
    /// Its name.
    pub lease_name: String,
    /// The holder's name: the pod's UID. The same after a restart in the pod, another one in every other pod.
    pub identity: String,
    /// The pod's name, so that another candidate can look whether it still runs.
    pub pod_name: String,
    /// Client-go's three times.
    pub timings: Timings,
    /// How long one request may take.
    pub call_timeout_ms: u64,
}

/// Where the election stands, for `/status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ElectionView {
    /// `not-yet`, `ours`, `unconfirmed` or `others`.
    pub standing: &'static str,
    /// Who holds the Lease, if another one does.
    pub holder: Option<String>,
    /// What the last request met, if it was not answered as it should be.
    pub trouble: Option<String>,
    /// How long the Lease is ours if it is not renewed.
    pub expires_in_ms: Option<u64>,
}
