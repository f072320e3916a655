//! What people are shown of a deployment's state: pure, and the same whether a sidecar is asked or its store.
//!
//! Each view is plain data that the API answers with, commands print as JSON, and tables are made of. Fields are added,
//! never renamed: scripts read them (`docs/command-line.md`). Nothing here decides what is restored; that is
//! [`crate::planner`]'s. Times are Unix milliseconds by the clock of whoever wrote them, and `now_ms` is that of whoever
//! made the view, so that a reader with another clock gets ages right.

mod collection;
mod history;
mod plan;
mod snapshots;
mod status;

pub use self::collection::{BlobView, CollectionView, collection};
pub use self::history::{GenerationView, GrantView, HistoryView, ResultView, history};
pub use self::plan::{NextView, PlanDetails, PlanView, PlannedView, ResetView, Restore, plan};
pub use self::snapshots::{SnapshotView, SnapshotsView, Standing, find, snapshots};
pub use self::status::{JobSummary, StateSummary, summary};

#[cfg(test)]
pub(crate) mod examples;
