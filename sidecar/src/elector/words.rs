//! What an elector hears, and what it says.

use std::fmt;

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `metadata.resourceVersion`: what the next write must name.
    pub version: String,
    /// `spec.holderIdentity`; empty when it was released.
    pub holder: String,
    /// `spec.leaseDurationSeconds`: the holder's word, not ours.
    pub duration_ms: u64,
}

/// What is known of the pod that holds a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderPod {
    /// There is no such pod any more, or another one goes by its name.
    Gone,
    /// It is there, and all its containers have terminated.
    Terminated,
    /// It may be running.
    MayRun,
    /// This candidate cannot tell, and will not be able to soon: it does not know the pod, or does not see its own.
    Unknown,
}

/// What happened. `sent_ms` is when the request that it answers was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Observation {
    /// The Lease was read; `None`: there is none.
    Read { sent_ms: u64, lease: Option<Lease> },
    /// A create or update of ours was accepted, and made this.
    Written { sent_ms: u64, lease: Lease },
    /// A create or update of ours was refused because somebody wrote in between. It may have been we: an answer
    /// that was lost, a 504 that was retried.
    Conflict { reason: String },
    /// No answer that says anything: time-out, reset, 401, 403, 429, 5xx, garbage. The server may have asked to be left
    /// alone for a while (0: it has not).
    Unclear { reason: String, retry_after_ms: u64 },
    /// The holder's pod was looked at.
    Pod { holder: String, pod: HolderPod },
    /// The process stops; its JobManager has ended.
    Release,
    /// Time passed.
    Tick,
}

/// What to ask the API server. One request is open at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Action {
    /// Read the Lease.
    Read,
    /// Create it, held by us.
    Create { why: Taking },
    /// Hold it: renew, or take over. The write names `version`.
    Hold { version: String, why: Taking },
    /// Give it up. The write names `version`.
    Release { version: String },
    /// Look at the pod of the holder.
    LookAtPod { holder: String },
}

/// Why a Lease is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taking {
    /// It is ours already.
    Renewal,
    /// Nobody holds it.
    Free,
    /// Its holder has not renewed it for its duration.
    Expired {
        /// Whose it was.
        holder: String,
    },
    /// Its holder cannot be running.
    Evidence {
        /// Whose it was.
        holder: String,
        /// What was seen.
        pod: HolderPod,
    },
}

/// Where we stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not decided yet.
    NotYet,
    /// The Lease is ours, confirmed within the renew deadline.
    Ours,
    /// It was ours when it was last confirmed, which is longer ago than the renew deadline.
    Unconfirmed {
        /// What stands in the way.
        reason: String,
    },
    /// It is another's.
    Others {
        /// Who holds it.
        holder: String,
    },
}

// === impl Taking ===

impl fmt::Display for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewal => f.write_str("it is ours"),
            Self::Free => f.write_str("nobody held it"),
            Self::Expired { holder } => write!(f, "{holder} has not renewed it for its duration"),
            Self::Evidence { holder, pod: HolderPod::Gone } => write!(f, "the pod of {holder} is gone"),
            Self::Evidence { holder, .. } => {
                write!(f, "all containers of the pod of {holder} have terminated")
            }
        }
    }
}
