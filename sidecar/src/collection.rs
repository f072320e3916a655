//! When old records and blobs are collected: now and then, while a JobManager is granted here. What is collected is ha-store's
//! to decide ([`Store::collect`]).

use std::sync::Arc;
use std::time::Duration;

use ha_store::{Epoch, Store};

use crate::leadership::Leadership;
use crate::metrics::Metrics;

/// A job with many checkpoints makes more records between two collections than one round may delete: a round follows the other
/// until nothing is left. So many at the most, for the rest of what the store can do is the checkpoints'.
const ROUNDS_MAX: u32 = 100;

/// Collects every `interval`, the first time after one. A failure is tried again at the next one: nothing waits for it.
pub(crate) async fn for_ever(
    store: Store,
    leadership: Leadership,
    interval: Duration,
    metrics: Arc<Metrics>,
) {
    let mut pace = tokio::time::interval(interval);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    pace.tick().await; // the first one is at once
    loop {
        pace.tick().await;
        rounds(&store, || leadership.view().leader.map(|leader| leader.epoch), &metrics).await;
    }
}

async fn rounds(store: &Store, epoch: impl Fn() -> Option<Epoch>, metrics: &Metrics) {
    for _ in 0..ROUNDS_MAX {
        let Some(epoch) = epoch() else { return };
        match store.collect(epoch).await {
            Ok(collected) => {
                tracing::debug!(event = "collected", ?collected, "collected");
                metrics.collected(collected.records, collected.blobs);
                if !collected.more {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(event = "collect-failed", "{error}; trying again in the next round");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use ha_store::{
        BackendOptions, Change, Claim, DeploymentName, IdempotencyKey, JobId, SessionId, StoreOptions,
        StoreUrl, SystemClock, SystemEntropy,
    };

    use super::*;

    #[tokio::test]
    async fn one_round_follows_the_other_until_nothing_is_left() {
        let options = StoreOptions {
            collect_keep_records: 2,
            collect_min_age_ms: 0,
            collect_deletes_max: 2,
            ..StoreOptions::default()
        };
        let url: StoreUrl = "memory:///".parse().unwrap();
        let backend = url.connect(&BackendOptions::default()).unwrap();
        let deployment = DeploymentName::try_from("orders").unwrap();
        let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
        let store =
            Store::open(backend, url.prefix(), deployment.clone(), options, clock, entropy).await.unwrap();
        let claim = Claim {
            session: SessionId::random(&SystemEntropy),
            holder: "pod-a".to_owned(),
            generation: "rollout-1".to_owned(),
            leads: true,
            epoch_hint: 0,
        };
        let epoch = store.claim(claim).await.unwrap().epoch;
        let job = JobId::try_from("0123456789abcdef0123456789abcdef").unwrap();
        for _ in 0..20 {
            let next = Change::NextCheckpointId { job: job.clone() };
            store.commit(epoch, IdempotencyKey::random(&SystemEntropy), next).await.unwrap();
        }
        assert!(store.collectable().await.unwrap().more, "one round does not do");
        let metrics = Metrics::new(&deployment);
        rounds(&store, || None, &metrics).await;
        assert!(store.collectable().await.unwrap().more, "whoever does not lead deletes nothing");
        rounds(&store, || Some(epoch), &metrics).await;
        assert!(!store.collectable().await.unwrap().more, "what the last round wrote is for the next time");
    }
}
