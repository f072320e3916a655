//! Which links between hosts carry what, out of everything that is wrong at the moment.

use std::collections::{BTreeMap, BTreeSet};

use turmoil::Sim;

/// What is wrong with a link. The later wins when several things are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Wrong {
    /// What is sent is lost; new connections are refused at once, old ones never hear of each other again.
    Cut,
    /// What is sent waits, and arrives when the link is mended: late, but in order.
    Held,
}

/// The state of all links.
#[derive(Debug, Default)]
pub(super) struct Links {
    now: BTreeMap<(String, String), Wrong>,
}

/// What is wrong between two sets of hosts, in both directions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    /// The one side.
    pub(super) of: BTreeSet<String>,
    /// The other side; hosts that are on both are no link.
    pub(super) with: BTreeSet<String>,
    /// What is wrong.
    pub(super) wrong: Wrong,
}

// === impl Links ===

impl Links {
    /// Makes the links what these troubles say; everything else is healthy. All hosts must be registered.
    pub(super) fn set(&mut self, sim: &Sim<'_>, troubles: &[Trouble]) {
        let wanted = wanted(troubles);
        for (pair, was) in &self.now {
            let (a, b) = (pair.0.as_str(), pair.1.as_str());
            match (was, wanted.get(pair)) {
                (Wrong::Held, None) => sim.release(a, b),
                (Wrong::Cut, None) => sim.repair(a, b),
                _ => {}
            }
        }
        for (pair, wrong) in &wanted {
            let (a, b) = (pair.0.as_str(), pair.1.as_str());
            match (self.now.get(pair), wrong) {
                (was, wrong) if was == Some(wrong) => {}
                (_, Wrong::Held) => sim.hold(a, b),
                (_, Wrong::Cut) => sim.partition(a, b),
            }
        }
        self.now = wanted;
    }
}

fn wanted(troubles: &[Trouble]) -> BTreeMap<(String, String), Wrong> {
    let mut wanted = BTreeMap::new();
    for trouble in troubles {
        for of in &trouble.of {
            for with in trouble.with.iter().filter(|with| *with != of) {
                let pair = if of < with { (of.clone(), with.clone()) } else { (with.clone(), of.clone()) };
                let wrong = wanted.entry(pair).or_insert(trouble.wrong);
                *wrong = trouble.wrong.max(*wrong);
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(of: &str, with: &[&str], wrong: Wrong) -> Trouble {
        let with = with.iter().map(|&name| name.to_owned()).collect();
        Trouble { of: [of.to_owned()].into(), with, wrong }
    }

    #[test]
    fn a_link_that_two_troubles_want_differently_is_held() {
        let wanted = wanted(&[trouble("b", &["a", "b"], Wrong::Held), trouble("a", &["b", "c"], Wrong::Cut)]);
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(wanted, [(pair("a", "b"), Wrong::Held), (pair("a", "c"), Wrong::Cut)].into());
    }
}
