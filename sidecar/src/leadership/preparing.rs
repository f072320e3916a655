//! Prepares a grant: an epoch in the store, and a durable answer to what is restored under it.
//!
//! Within a generation that has its plan this is one claim. A generation that another one has followed is refused: its JobManager
//! came back, and would run old code on the state of the new one. For a new generation the plan is tried out *before* the claim, so
//! that a refusal deposes nobody and writes nothing; then the epoch is claimed, which fences whoever wrote before; and
//! then the plan is made again of what is certain now, and written. Only after that is anybody granted.

use std::collections::BTreeMap;
use std::sync::Arc;

use ha_store::{
    Change, Claim, Clock, DeploymentState, Entropy, Epoch, IdempotencyKey, Refusal, RestorePlan, SessionId,
    Store, StoreError,
};
use snapshot::Stores;

use crate::planner::{Circumstances, Found, Wish};
use crate::planning;

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

/// Why nobody is granted.
#[derive(Debug)]
pub(super) enum NotPrepared {
    /// The store did not say.
    Store(StoreError),
    /// Nothing is restored, for this reason.
    Refused(String),
    /// Nothing is ever restored for this generation again, for this reason: another one has followed it.
    Over(String),
}

/// Tries to write a plan whose outcome is unknown. Each waits for the store's own deadline.
const PLAN_ATTEMPTS_MAX: u32 = 3;

// === impl Preparing ===

impl Preparing {
    pub(super) async fn prepare(&self, session: SessionId) -> Result<Epoch, NotPrepared> {
        let mut found = BTreeMap::new();
        if !self.is_planned(&self.store.view().state) {
            let view = self.store.refresh().await?;
            if !self.is_planned(&view.state) {
                let over = view.state.check_generation(&self.generation);
                over.map_err(|over| NotPrepared::Over(over.to_string()))?;
                self.plan(&view.state, view.state.epoch(), &mut found).await?;
            }
        }
        let claim = Claim {
            session,
            holder: self.identity.clone(),
            generation: self.generation.clone(),
            leads: true,
            epoch_hint: 0,
        };
        let claimed = self.store.claim(claim).await?;
        if claimed.view.state.plan.is_none() {
            let plan = self.plan(&claimed.view.state, claimed.epoch, &mut found).await?;
            self.write(plan).await?;
        }
        Ok(claimed.epoch)
    }

    fn is_planned(&self, state: &DeploymentState) -> bool {
        state.generation.as_ref() == Some(&self.generation) && state.plan.is_some()
    }

    async fn plan(
        &self,
        state: &DeploymentState,
        epoch: Epoch,
        found: &mut BTreeMap<String, Found>,
    ) -> Result<RestorePlan, NotPrepared> {
        let now_ms = self.clock.wall_ms();
        let circumstances = Circumstances { generation: &self.generation, epoch, now_ms };
        let decided = planning::decide(state, &self.wish, &circumstances, &self.snapshots, found).await;
        decided.map_err(NotPrepared::Refused)
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

// === impl NotPrepared ===

impl From<StoreError> for NotPrepared {
    fn from(error: StoreError) -> Self {
        match error {
            // What was known here was old: another generation has begun since.
            StoreError::Refused(over @ Refusal::GenerationOver { .. }) => Self::Over(over.to_string()),
            error => Self::Store(error),
        }
    }
}
