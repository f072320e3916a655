//! What the next generation would be told if it began now. The planner decides, as it does for a grant; nothing is written.

use std::collections::BTreeMap;
use std::time::Duration;

use ha_store::DeploymentState;
use snapshot::Stores;

use crate::planner::{Circumstances, Wish};
use crate::planning;
use crate::views::{NextView, PlanDetails};

/// How the next generation is called as long as nobody has named it.
const NEXT: &str = "(next)";

/// People wait for this answer, and a probe of theirs may not: shorter than any answer of the API may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The planner's word on this state.
pub async fn next(state: &DeploymentState, wish: &Wish, snapshots: &Stores, now_ms: i64) -> NextView {
    let circumstances = Circumstances { generation: NEXT, epoch: state.epoch(), now_ms };
    let mut found = BTreeMap::new();
    let planned = async {
        match planning::decide(state, wish, &circumstances, snapshots, &mut found).await {
            Ok(plan) => NextView::Plan { plan: Box::new(PlanDetails::from(&plan)) },
            Err(why) => NextView::Refused { why },
        }
    };
    let limit_s = LIMIT.as_secs();
    tokio::time::timeout(LIMIT, planned).await.unwrap_or_else(|_| NextView::Unknown {
        why: format!(
            "the snapshot was not verified within {limit_s} s; `holdfast snapshots verify` takes its time"
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planner::Strategy;
    use crate::views::examples::lineage;

    async fn preview(strategy: Strategy) -> NextView {
        let wish = Wish { strategy, ..Wish::default() };
        next(&lineage(), &wish, &Stores::default(), 10_000).await
    }

    #[tokio::test]
    async fn a_snapshot_whose_files_are_gone_is_found_out_beforehand() {
        // The newest that counts is 8, at a place that no machine has.
        let next = preview(Strategy::LatestState).await;
        assert!(
            matches!(&next, NextView::Refused { why } if why.contains("chk-8/_metadata is not there")),
            "{next:?}"
        );
    }

    #[tokio::test]
    async fn what_needs_no_snapshot_is_planned_at_once() {
        let next = preview(Strategy::None).await;
        assert!(matches!(&next, NextView::Plan { plan } if plan.snapshot.is_none()), "{next:?}");
    }
}
