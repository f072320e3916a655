//! Prepares a grant: an epoch in the store, and a durable answer to what is restored under it.
//!
//! Within a generation that has its plan this is one claim. For a new generation the plan is tried out *before* the claim, so
//! that a refusal deposes nobody and writes nothing; then the epoch is claimed, which fences whoever wrote before; and
//! then the plan is made again of what is certain now, and written. Only after that is anybody granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_store::{
    Change, Claim, Clock, DeploymentState, Entropy, Epoch, IdempotencyKey, RestorePlan, SessionId, Store,
    StoreError,
};
use snapshot::{Stores, Verdict, VerifyError, VerifyOptions};

use crate::planner::{self, Circumstances, Found, Step, Wish};

/// Who asks, for which generation, and what is to be restored in it.
#[derive(Debug, Clone)]
pub(super) struct Preparing {
    pub(super) store: Store,
    pub(super) snapshots: Arc<Stores>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) identity: String,
    pub(super) generation: String,
    pub(super) wish: Wish,
}

/// A grant that can be made.
#[derive(Debug, Clone)]
pub(super) struct Prepared {
    pub(super) epoch: Epoch,
    /// The plan, if it was made for this grant and not for an earlier one of the generation.
    pub(super) new_plan: Option<RestorePlan>,
}

/// Why nobody is granted.
#[derive(Debug)]
pub(super) enum NotPrepared {
    /// The store did not say.
    Store(StoreError),
    /// Nothing is restored, for this reason.
    Refused(String),
}

/// What a plan names and a person may follow; more would make a record of a sentence.
const MISSING_SHOWN_MAX: usize = 3;

/// Tries to write a plan whose outcome is unknown. Each waits for the store's own deadline.
const PLAN_ATTEMPTS_MAX: u32 = 3;

// === impl Preparing ===

impl Preparing {
    pub(super) async fn prepare(&self, session: SessionId) -> Result<Prepared, NotPrepared> {
        let mut found = BTreeMap::new();
        if !self.is_planned(&self.store.view().state) {
            let view = self.store.refresh().await?;
            if !self.is_planned(&view.state) {
                self.plan(&view.state, view.state.epoch(), &mut found).await?;
            }
        }
        let claim = Claim {
            session,
            holder: self.identity.clone(),
            generation: self.generation.clone(),
            epoch_hint: 0,
        };
        let claimed = self.store.claim(claim).await?;
        let new_plan = match &claimed.view.state.plan {
            Some(_) => None,
            None => {
                let plan = self.plan(&claimed.view.state, claimed.epoch, &mut found).await?;
                self.write(plan.clone()).await?;
                Some(plan)
            }
        };
        Ok(Prepared { epoch: claimed.epoch, new_plan })
    }

    fn is_planned(&self, state: &DeploymentState) -> bool {
        state.generation.as_ref() == Some(&self.generation) && state.plan.is_some()
    }

    /// Asks the planner until it has what it needs. Each snapshot is verified once.
    async fn plan(
        &self,
        state: &DeploymentState,
        epoch: Epoch,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<RestorePlan, NotPrepared> {
        loop {
            let now_ms = self.clock.wall_ms();
            let circumstances = Circumstances { generation: &self.generation, epoch, now_ms };
            match planner::plan(state, &self.wish, &circumstances, found) {
                Step::Plan(plan) => return Ok(*plan),
                Step::Refuse(reason) => return Err(NotPrepared::Refused(reason)),
                Step::Verify(pointer) => {
                    tracing::info!(event = "verifying", "verifying {pointer} before it is restored");
                    let answer = verify(&self.snapshots, &pointer).await;
                    found.insert(pointer, answer);
                }
            }
        }
    }

    async fn write(&self, plan: RestorePlan) -> Result<(), NotPrepared> {
        let key = IdempotencyKey::random(&*self.entropy);
        let epoch = plan.epoch;
        let mut attempts = 0;
        loop {
            attempts += 1;
            let change = Change::SetPlan { plan: plan.clone() };
            match self.store.commit(epoch, key.clone(), change).await {
                Ok(_) => return Ok(()),
                Err(StoreError::Unknown { .. }) if attempts < PLAN_ATTEMPTS_MAX => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// What the snapshot there is good for.
pub(crate) async fn verify(snapshots: &Stores, pointer: &str) -> Found {
    let found = match snapshot::verify(snapshots, pointer, &VerifyOptions::default()).await {
        Ok(found) => found,
        Err(error @ VerifyError::Place(snapshot::PlaceError::NoClient { .. })) => {
            return Found::Unverifiable { why: error.to_string() };
        }
        Err(error) => return Found::Unknown { why: error.to_string() },
    };
    let missing = found.missing.iter().map(|path| format!("{path} is not there"));
    let short = found.too_short.iter().map(|path| format!("{path} is shorter than recorded"));
    let unanswered = found.unknown.iter().map(|file| format!("{}: {}", file.path, file.error));
    let unreadable = found.unreadable.iter().map(|unreadable| unreadable.message.clone());
    match (found.verdict, found.checkpoint_id) {
        (Verdict::Ok, Some(id)) => Found::Restorable { id, files: found.references.len() },
        (Verdict::Broken, _) => {
            Found::Broken { what: shown(missing.chain(short).chain(unreadable).collect()) }
        }
        (Verdict::Ok, None) | (Verdict::Unknown, _) => {
            Found::Unknown { why: shown(unanswered.chain(unreadable).collect()) }
        }
    }
}

fn shown(list: Vec<String>) -> String {
    let first = list.iter().take(MISSING_SHOWN_MAX).cloned().collect::<Vec<_>>().join("; ");
    match list.len().saturating_sub(MISSING_SHOWN_MAX) {
        0 => first,
        more => format!("{first}; and {more} more"),
    }
}

// === impl NotPrepared ===

impl From<StoreError> for NotPrepared {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
