//! The kinds of faults as a scenario writes them: [`What`], with values that may be left to the seed.

use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::draw::{OneOf, Share, Shift, Span};
use crate::plan::{Chosen, Harm, PodChoice, Process, Restore, What, Which};
use crate::seed::Stream;

/// A kind of fault. The names and what they do are those of [`What`].
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs)] // documented at `What`
pub(super) enum Kind {
    Kill {
        #[serde(default)]
        pod: OneOf<PodChoice>,
        process: OneOf<Process>,
    },
    KillPod {
        #[serde(default)]
        pod: OneOf<PodChoice>,
    },
    DeletePod {
        #[serde(default)]
        pod: OneOf<PodChoice>,
        #[serde(default)]
        force: OneOf<bool>,
    },
    PartitionNode {
        #[serde(default)]
        pod: OneOf<PodChoice>,
        #[serde(default)]
        reaches_store: OneOf<bool>,
    },
    Pause {
        #[serde(default)]
        pod: OneOf<PodChoice>,
        #[serde(default)]
        process: OneOf<Paused>,
    },
    ClockJump {
        #[serde(default)]
        pod: OneOf<PodChoice>,
        by: Shift,
    },
    StoreSlow {
        by: Span,
    },
    StoreRefuses {
        status: OneOf<Status>,
        #[serde(default = "all")]
        share: Share,
    },
    StoreLosesAnswers {
        #[serde(default = "all")]
        share: Share,
    },
    StoreLosesRequests {
        #[serde(default = "all")]
        share: Share,
    },
    StoreDelaysWrites {
        by: Span,
        #[serde(default = "all")]
        share: Share,
    },
    StoreAppliesAndFails {
        #[serde(default = "all")]
        share: Share,
    },
    ApiSilent {},
    ApiDown {},
    ApiRefuses {
        status: OneOf<Status>,
        #[serde(default = "all")]
        share: Share,
        #[serde(default = "never")]
        retry_after: Span,
    },
    ApiLosesAnswers {
        #[serde(default = "all")]
        share: Share,
    },
    ApiAppliesAndFails {
        #[serde(default = "all")]
        share: Share,
    },
    ApiGarbage {
        #[serde(default = "all")]
        share: Share,
    },
    ApiStale {
        by: Span,
    },
    ApiSlow {
        by: Span,
    },
    DeleteLease {},
    FailTask {},
    StallCheckpoints {},
    FailCheckpointFiles {},
    SlowCheckpointFiles {
        by: Span,
    },
    Cancel {},
    Savepoint {},
    StopWithSavepoint {},
    Upgrade {
        #[serde(default)]
        restore: OneOf<Restore>,
        #[serde(default)]
        claims: OneOf<bool>,
        #[serde(default)]
        previous: OneOf<bool>,
        #[serde(default)]
        mends: OneOf<bool>,
    },
    Reset {
        #[serde(default)]
        to: OneOf<Chosen>,
    },
    Pin {
        #[serde(default)]
        which: OneOf<Chosen>,
    },
    Unpin {
        #[serde(default)]
        which: OneOf<Chosen>,
    },
    HoldfastSavepoint {
        #[serde(default)]
        stop: OneOf<bool>,
    },
    HarmSnapshot {
        #[serde(default)]
        which: OneOf<Which>,
        how: OneOf<Harm>,
    },
    FailMain {},
    SlowMain {
        by: Span,
    },
    ChangeCode {},
    Suspend {},
    DeleteJob {},
}

/// Which processes of a pod stand still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub(super) enum Paused {
    #[default]
    All,
    Sidecar,
    JobManager,
    TaskManagers,
}

/// An HTTP status that refuses: 400 to 599.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Status(u16);

// === impl Kind ===

impl Kind {
    /// Whether it goes on for a while; the others happen at once.
    pub(super) fn lasts(&self) -> bool {
        // Whatever a seed draws for it, it is of the same kind.
        self.draw(&Stream::new(0, "kind")).lasts()
    }

    /// What it is under this seed. The order of the draws is that of the fields.
    pub(super) fn draw(&self, stream: &Stream) -> What {
        let permille = |share: &Share| share.draw_permille(stream);
        match self {
            Self::Kill { pod, process } => {
                What::Kill { pod: pod.draw(stream), process: process.draw(stream) }
            }
            Self::KillPod { pod } => What::KillPod { pod: pod.draw(stream) },
            Self::DeletePod { pod, force } => {
                What::DeletePod { pod: pod.draw(stream), force: force.draw(stream) }
            }
            Self::PartitionNode { pod, reaches_store } => {
                What::PartitionNode { pod: pod.draw(stream), reaches_store: reaches_store.draw(stream) }
            }
            Self::Pause { pod, process } => {
                What::Pause { pod: pod.draw(stream), process: process.draw(stream).process() }
            }
            Self::ClockJump { pod, by } => {
                What::ClockJump { pod: pod.draw(stream), by_ms: by.draw_ms(stream) }
            }
            Self::StoreSlow { by } => What::StoreSlow { by_ms: by.draw_ms(stream) },
            Self::StoreRefuses { status, share } => {
                What::StoreRefuses { status: status.draw(stream).0, permille: permille(share) }
            }
            Self::StoreLosesAnswers { share } => What::StoreLosesAnswers { permille: permille(share) },
            Self::StoreLosesRequests { share } => What::StoreLosesRequests { permille: permille(share) },
            Self::StoreDelaysWrites { by, share } => {
                What::StoreDelaysWrites { by_ms: by.draw_ms(stream), permille: permille(share) }
            }
            Self::StoreAppliesAndFails { share } => What::StoreAppliesAndFails { permille: permille(share) },
            Self::ApiSilent {} => What::ApiSilent,
            Self::ApiDown {} => What::ApiDown,
            Self::ApiRefuses { status, share, retry_after } => What::ApiRefuses {
                status: status.draw(stream).0,
                permille: permille(share),
                retry_after_s: retry_after.draw_ms(stream) / 1_000,
            },
            Self::ApiLosesAnswers { share } => What::ApiLosesAnswers { permille: permille(share) },
            Self::ApiAppliesAndFails { share } => What::ApiAppliesAndFails { permille: permille(share) },
            Self::ApiGarbage { share } => What::ApiGarbage { permille: permille(share) },
            Self::ApiStale { by } => What::ApiStale { by_ms: by.draw_ms(stream) },
            Self::ApiSlow { by } => What::ApiSlow { by_ms: by.draw_ms(stream) },
            Self::DeleteLease {} => What::DeleteLease,
            Self::FailTask {} => What::FailTask,
            Self::StallCheckpoints {} => What::StallCheckpoints,
            Self::FailCheckpointFiles {} => What::FailCheckpointFiles,
            Self::SlowCheckpointFiles { by } => What::SlowCheckpointFiles { by_ms: by.draw_ms(stream) },
            Self::Cancel {} => What::Cancel,
            Self::Savepoint {} => What::Savepoint,
            Self::StopWithSavepoint {} => What::StopWithSavepoint,
            Self::Upgrade { restore, claims, previous, mends } => What::Upgrade {
                restore: restore.draw(stream),
                claims: claims.draw(stream),
                previous: previous.draw(stream),
                mends: mends.draw(stream),
            },
            Self::Reset { to } => What::Reset { to: to.draw(stream) },
            Self::Pin { which } => What::Pin { which: which.draw(stream) },
            Self::Unpin { which } => What::Unpin { which: which.draw(stream) },
            Self::HoldfastSavepoint { stop } => What::HoldfastSavepoint { stop: stop.draw(stream) },
            Self::HarmSnapshot { which, how } => {
                What::HarmSnapshot { which: which.draw(stream), how: how.draw(stream) }
            }
            Self::FailMain {} => What::FailMain,
            Self::SlowMain { by } => What::SlowMain { by_ms: by.draw_ms(stream) },
            Self::ChangeCode {} => What::ChangeCode,
            Self::Suspend {} => What::Suspend,
            Self::DeleteJob {} => What::DeleteJob,
        }
    }
}

// === impl Paused ===

impl Paused {
    fn process(self) -> Option<Process> {
        match self {
            Self::All => None,
            Self::Sidecar => Some(Process::Sidecar),
            Self::JobManager => Some(Process::JobManager),
            Self::TaskManagers => Some(Process::TaskManagers),
        }
    }
}

// === impl Status ===

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u16::deserialize(deserializer)? {
            status @ 400..=599 => Ok(Self(status)),
            other => {
                Err(de::Error::custom(format!("`{other}` does not refuse: write a status from 400 to 599")))
            }
        }
    }
}

fn all() -> Share {
    Share::ALL
}

fn never() -> Span {
    Span::fixed(0)
}
