//! The published addresses of the leader's components: a pure state machine.
//!
//! TaskManagers follow these. Two rules make them calm:
//!
//! * **An old address is better than none.** While the next JobManager starts, the tasks of the last one go
//!   on working; withdrawing its address would fail them at once
//!   (`JobLeaderListenerImpl#jobManagerLostLeadership`). So the last leader's addresses stay until the next
//!   leader's replace them, one by one, but not longer than the grace: orphaned tasks must end some time.
//! * **Not knowing is not knowing that there is none.** A sidecar that has just started says nothing until a
//!   JobManager has published or the grace has passed.

use std::collections::BTreeMap;

use ha_store::Epoch;
use serde::{Deserialize, Serialize};

/// Where one component of the leader can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// Flink's leader session id: the fencing token of its RPC.
    pub session: String,
    /// The RPC address, or the REST URL.
    pub address: String,
}

/// A component's address and the epoch that published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Published {
    /// Where it is.
    #[serde(flatten)]
    pub at: Address,
    /// Under which epoch it was published.
    pub epoch: Epoch,
}

/// What a reader is told: the whole map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LeadersView {
    /// The newest epoch that published anything.
    pub epoch: Option<Epoch>,
    /// Component id to address.
    pub leaders: BTreeMap<String, Published>,
}

/// The state machine. `now_ms` is monotonic.
#[derive(Debug)]
pub struct Leaders {
    grace_ms: u64,
    view: LeadersView,
    knowledge: Knowledge,
}

#[derive(Debug, PartialEq, Eq)]
enum Knowledge {
    /// Just started: until this time the silence may mean anything.
    NotYet { until_ms: u64 },
    /// Everything published is current.
    Current,
    /// The leader is gone; what it published is withdrawn at this time.
    LeaderLost { withdraw_at_ms: u64 },
}

impl Leaders {
    /// A sidecar that has just started. `grace_ms`: see `--leader-loss-grace`.
    pub fn new(now_ms: u64, grace_ms: u64) -> Self {
        let knowledge = Knowledge::NotYet { until_ms: now_ms + grace_ms };
        Self { grace_ms, view: LeadersView::default(), knowledge }
    }

    /// What is published, or `None` while that is not known.
    pub fn view(&self) -> Option<&LeadersView> {
        (!matches!(self.knowledge, Knowledge::NotYet { .. })).then_some(&self.view)
    }

    /// The leader of `epoch` says where all its components are. A component of the same epoch that is missing is
    /// withdrawn; those of an older epoch stay until they are replaced or their grace is over.
    pub fn publish(&mut self, epoch: Epoch, components: BTreeMap<String, Address>) {
        self.view.leaders.retain(|_, published| published.epoch < epoch);
        for (component, at) in components {
            self.view.leaders.insert(component, Published { at, epoch });
        }
        self.view.epoch = self.view.epoch.max(Some(epoch));
        let has_older = self.view.leaders.values().any(|published| published.epoch < epoch);
        if !has_older || matches!(self.knowledge, Knowledge::NotYet { .. }) {
            self.knowledge = Knowledge::Current;
        }
    }

    /// The leader's session is over.
    pub fn leader_lost(&mut self, now_ms: u64) {
        if self.knowledge == Knowledge::Current {
            self.knowledge = Knowledge::LeaderLost { withdraw_at_ms: now_ms + self.grace_ms };
            self.tick(now_ms, None);
        }
    }

    /// The leader of `epoch` is back on a new connection: what it published is current again.
    pub fn leader_resumed(&mut self, epoch: Epoch) {
        let all_its_own = self.view.leaders.values().all(|published| published.epoch == epoch);
        if all_its_own && matches!(self.knowledge, Knowledge::LeaderLost { .. }) {
            self.knowledge = Knowledge::Current;
        }
    }

    /// Time passed. Withdraws what has outlived its grace: everything but the present leader's own.
    pub fn tick(&mut self, now_ms: u64, leader: Option<Epoch>) {
        match self.knowledge {
            Knowledge::NotYet { until_ms } if now_ms >= until_ms => self.knowledge = Knowledge::Current,
            Knowledge::LeaderLost { withdraw_at_ms } if now_ms >= withdraw_at_ms => {
                self.view.leaders.retain(|_, published| Some(published.epoch) == leader);
                self.knowledge = Knowledge::Current;
            }
            _ => {}
        }
    }

    /// When to call [`Leaders::tick`] at the latest.
    pub fn next_tick_ms(&self) -> Option<u64> {
        match self.knowledge {
            Knowledge::NotYet { until_ms } => Some(until_ms),
            Knowledge::LeaderLost { withdraw_at_ms } => Some(withdraw_at_ms),
            Knowledge::Current => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(components: &[&str]) -> BTreeMap<String, Address> {
        let at = Address { session: "s".into(), address: "pekko://a".into() };
        components.iter().map(|c| ((*c).to_owned(), at.clone())).collect()
    }

    fn names(leaders: &Leaders) -> Vec<&str> {
        leaders.view().expect("known").leaders.keys().map(String::as_str).collect()
    }

    #[test]
    fn a_sidecar_that_just_started_says_nothing_until_the_grace_is_over() {
        let mut leaders = Leaders::new(1_000, 30_000);
        assert_eq!(leaders.view(), None);
        leaders.tick(30_999, None);
        assert_eq!(leaders.view(), None);
        leaders.tick(31_000, None);
        assert_eq!(leaders.view(), Some(&LeadersView::default()));
    }

    #[test]
    fn the_first_publication_ends_the_silence() {
        let mut leaders = Leaders::new(0, 30_000);
        leaders.publish(Epoch::new(1), map(&["dispatcher"]));
        assert_eq!(names(&leaders), ["dispatcher"]);
        assert_eq!(leaders.next_tick_ms(), None);
    }

    #[test]
    fn an_old_address_stays_until_the_next_leader_replaces_it() {
        let mut leaders = Leaders::new(0, 30_000);
        leaders.publish(Epoch::new(1), map(&["dispatcher", "job-a"]));
        leaders.leader_lost(5_000);
        assert_eq!(names(&leaders), ["dispatcher", "job-a"]);
        leaders.publish(Epoch::new(2), map(&["dispatcher"]));
        let view = leaders.view().expect("known");
        assert_eq!(view.leaders["dispatcher"].epoch, Epoch::new(2));
        assert_eq!(view.leaders["job-a"].epoch, Epoch::new(1));
        leaders.publish(Epoch::new(2), map(&["dispatcher", "job-a"]));
        assert_eq!(leaders.next_tick_ms(), None, "nothing old is left to be withdrawn");
    }

    #[test]
    fn an_old_address_does_not_outlive_the_grace() {
        let mut leaders = Leaders::new(0, 30_000);
        leaders.publish(Epoch::new(1), map(&["dispatcher", "job-a"]));
        leaders.leader_lost(5_000);
        leaders.publish(Epoch::new(2), map(&["dispatcher"]));
        leaders.tick(34_999, Some(Epoch::new(2)));
        assert_eq!(names(&leaders), ["dispatcher", "job-a"]);
        leaders.tick(35_000, Some(Epoch::new(2)));
        assert_eq!(names(&leaders), ["dispatcher"]);
    }

    #[test]
    fn a_grace_of_zero_withdraws_at_once() {
        let mut leaders = Leaders::new(0, 0);
        leaders.publish(Epoch::new(1), map(&["dispatcher"]));
        leaders.leader_lost(5_000);
        assert!(names(&leaders).is_empty());
    }

    #[test]
    fn a_component_that_its_own_leader_leaves_out_is_withdrawn_at_once() {
        let mut leaders = Leaders::new(0, 30_000);
        leaders.publish(Epoch::new(1), map(&["dispatcher", "job-a"]));
        leaders.publish(Epoch::new(1), map(&["dispatcher"]));
        assert_eq!(names(&leaders), ["dispatcher"]);
    }

    #[test]
    fn a_leader_that_comes_back_keeps_its_addresses() {
        let mut leaders = Leaders::new(0, 30_000);
        leaders.publish(Epoch::new(1), map(&["dispatcher"]));
        leaders.leader_lost(5_000);
        leaders.leader_resumed(Epoch::new(1));
        leaders.tick(90_000, Some(Epoch::new(1)));
        assert_eq!(names(&leaders), ["dispatcher"]);
    }
}
