//! New rollouts: a person makes a Kubernetes Job anew.

use std::collections::BTreeMap;

use super::{USER, World};
use crate::plan::Restore;
use crate::trace::Event;

/// Settings of the sidecars of one rollout, by their names on the command line.
pub(super) type Rollout = BTreeMap<String, String>;

impl World<'_> {
    /// Rolls out with these settings: the generation.
    pub(super) fn roll_out(&mut self, restore: Restore, claims: bool, previous: bool) -> String {
        let oldest = || self.scene.cluster.oldest_snapshot().filter(|_| restore == Restore::Oldest);
        let (named, path) = oldest().map(|(id, path)| (id, format!("snapshot:{path}"))).unzip();
        let strategy = restore.setting().map(str::to_owned).or(path);
        let claims = claims.then(|| ("claim-mode", "claim".to_owned()));
        let previous = previous.then(|| ("on-broken-snapshot", "previous".to_owned()));
        let settings =
            strategy.map(|strategy| ("restore", strategy)).into_iter().chain(claims).chain(previous);
        self.next_generation(settings.map(|(name, value)| (name.to_owned(), value)).collect(), named)
    }

    pub(super) fn next_generation(&mut self, settings: Rollout, named: Option<u64>) -> String {
        self.generations += 1;
        let generation = super::generation(self.scene.plan.seed, self.generations);
        let event = Event::RolledOut { generation: generation.clone(), settings: settings.clone(), named };
        self.scene.trace.record(USER, event);
        self.rollouts.insert(generation.clone(), settings);
        self.scene.cluster.change_code();
        generation
    }
}
