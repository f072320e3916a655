//! Random swarms: which kinds of faults a run may have at all is drawn first, then the faults out of those.
//!
//! Leaving kinds *out* finds more than mixing all of them every time: a fault that ends every run early hides whatever
//! would come after it (swarm testing: Groce et al., ISSTA 2012).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::draw::{Count, Share};
use super::fault::{At, FaultSpec};
use crate::plan::{Fault, Point};
use crate::seed::Stream;

/// A swarm as a scenario writes it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SwarmSpec {
    /// How many faults a run has.
    pub(super) faults: Count,
    /// How likely each kind is to be in a run's swarm at all, unless it has a `chance` of its own.
    #[serde(rename = "in", default = "half")]
    pub(super) each_in: Share,
    /// The share of the faults that begin at a point of the run, not at a time.
    #[serde(default = "none")]
    pub(super) tied: Share,
    /// At which visit of such a point.
    #[serde(default = "early")]
    pub(super) nth: Count,
    /// The kinds.
    pub(super) of: Vec<Spanned<FaultSpec>>,
}

// === impl SwarmSpec ===

impl SwarmSpec {
    /// The faults under this seed. Each has a stream of its own, by its number.
    pub(super) fn draw(&self, seed: u64, faulty_ms: u64) -> Vec<Fault> {
        let mut left = self.kinds_in(seed);
        let number = self.faults.draw(&Stream::new(seed, "plan/swarm/faults"));
        let tied = self.tied.draw_permille(&Stream::new(seed, "plan/swarm/tied"));
        let mut faults = Vec::new();
        for index in 0..number {
            let stream = Stream::new(seed, &format!("plan/swarm/{index}"));
            left.retain(|(_, times)| *times > 0);
            if left.is_empty() {
                break;
            }
            let among = stream.between(0, left.len() as u64 - 1);
            let (kind, times) = &mut left[usize::try_from(among).expect("an index of a vector")];
            *times -= 1;
            let mut fault = kind.draw(&stream, faulty_ms);
            if kind.at.is_none() && stream.chance(tied) {
                fault.when = At::Point(*stream.pick(&Point::ALL), self.nth).draw(&stream);
            }
            faults.push(fault);
        }
        faults
    }

    /// The kinds that this seed has, and how often each may happen.
    fn kinds_in(&self, seed: u64) -> Vec<(&FaultSpec, u64)> {
        let mut same_name: BTreeMap<&str, u32> = BTreeMap::new();
        let mut kinds = Vec::new();
        for Spanned { value: kind, .. } in &self.of {
            let nth = same_name.entry(&kind.name).or_default();
            let stream = Stream::new(seed, &format!("plan/swarm/in/{}/{nth}", kind.name));
            *nth += 1;
            kinds.push((kind, kind.draw_times(&stream, self.each_in, Count::fixed(u64::from(u32::MAX)))));
        }
        kinds
    }
}

fn half() -> Share {
    Share { low_permille: 500, high_permille: 500 }
}

fn none() -> Share {
    Share { low_permille: 0, high_permille: 0 }
}

fn early() -> Count {
    Count { low: 1, high: 30 }
}
