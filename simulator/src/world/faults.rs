//! The plan's faults in time: when each begins, whom it hits, and when it ends.

use crate::plan::{Fault, Plan, When};
use crate::points::{Due, Points};

/// The faults of a run.
#[derive(Debug)]
pub(super) struct Faults {
    points: Points,
    /// By their time, the earliest last.
    waiting: Vec<(u64, usize)>,
    /// Those that go on, and until when.
    going: Vec<(u64, usize)>,
    over: bool,
}

/// A fault that begins now.
#[derive(Debug)]
pub(super) struct Begins {
    /// Its index in the plan.
    pub(super) index: usize,
    /// Who came to the point that it is tied to.
    pub(super) actor: Option<String>,
    /// Whoever waits there goes on when this is dropped.
    _due: Option<Due>,
}

// === impl Faults ===

impl Faults {
    /// All of this plan's.
    pub(super) fn of(plan: &Plan, points: Points) -> Self {
        let at = |(index, fault): (usize, &Fault)| match fault.when {
            When::AtMs(at_ms) => Some((at_ms, index)),
            When::On { .. } => None,
        };
        let mut waiting: Vec<_> = plan.faults.iter().enumerate().filter_map(at).collect();
        waiting.sort_unstable_by(|one, other| other.cmp(one));
        Self { points, waiting, going: Vec::new(), over: false }
    }

    /// Those that begin now. Once everything is mended there are none, and nobody waits for one.
    pub(super) fn begin(&mut self, now_ms: u64) -> Vec<Begins> {
        let tied = self.points.take_due();
        if self.over {
            return Vec::new();
        }
        let mut begin = Vec::new();
        while let Some((_, index)) = self.waiting.pop_if(|(at_ms, _)| *at_ms <= now_ms) {
            begin.push(Begins { index, actor: None, _due: None });
        }
        let tied = tied.into_iter().map(|due| Begins {
            index: due.fault,
            actor: Some(due.actor.clone()),
            _due: Some(due),
        });
        begin.extend(tied);
        begin
    }

    /// This one lasts until then.
    pub(super) fn lasts(&mut self, index: usize, until_ms: u64) {
        self.going.push((until_ms, index));
    }

    /// Those that end now.
    pub(super) fn end(&mut self, now_ms: u64) -> Vec<usize> {
        let (ended, going) = self.going.drain(..).partition(|(until_ms, _)| *until_ms <= now_ms);
        self.going = going;
        let mut ended: Vec<(u64, usize)> = ended;
        ended.sort_unstable();
        ended.into_iter().map(|(_, index)| index).collect()
    }

    /// Everything is mended, and nothing goes wrong any more. Those that end by it.
    pub(super) fn heal(&mut self) -> Vec<usize> {
        self.over = true;
        self.end(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Job, What, World};

    fn faults(times_ms: &[u64]) -> Faults {
        let fault = |&at_ms| Fault { when: When::AtMs(at_ms), what: What::FailTask, for_ms: 0 };
        let plan = Plan {
            scenario: "test".into(),
            seed: 1,
            world: World::default(),
            job: Job::default(),
            faults: times_ms.iter().map(fault).collect(),
            faulty_ms: 10_000,
            healed_ms: 0,
        };
        Faults::of(&plan, Points::of(&plan))
    }

    fn begun(faults: &mut Faults, now_ms: u64) -> Vec<usize> {
        faults.begin(now_ms).iter().map(|begins| begins.index).collect()
    }

    #[test]
    fn faults_begin_in_the_order_of_their_times() {
        let mut faults = faults(&[300, 100, 200]);
        assert!(begun(&mut faults, 99).is_empty());
        assert_eq!(begun(&mut faults, 250), [1, 2]);
        assert_eq!(begun(&mut faults, 300), [0]);
    }

    #[test]
    fn what_lasts_ends_in_its_time_and_everything_ends_when_it_is_mended() {
        let mut faults = faults(&[100, 20_000]);
        faults.lasts(0, 500);
        faults.lasts(7, 900);
        assert!(faults.end(499).is_empty());
        assert_eq!(faults.end(500), [0]);
        assert_eq!(faults.heal(), [7]);
        assert!(begun(&mut faults, 30_000).is_empty(), "nothing goes wrong any more");
    }
}
