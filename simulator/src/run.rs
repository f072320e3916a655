//! One plan, from start to verdict.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::subscriber::NoSubscriber;

use crate::batch::NO_PANIC;
use crate::oracle;
use crate::outcome::{Outcome, Violation};
use crate::plan::Plan;
use crate::product::Product;
use crate::trace::Trace;
use crate::world::{TICK_MS, World};

/// A run that is over.
#[derive(Debug)]
pub struct Run {
    /// How it ended.
    pub outcome: Outcome,
    /// Everything that happened.
    pub trace: Trace,
}

/// Runs a plan until it is over, or until a promise is broken.
///
/// The same plan gives the same hash, whatever ran before in this process.
pub fn run(plan: &Plan, product: &Product) -> Run {
    // Formatting what nobody reads would cost more than the run, and a global subscriber would show it in the wrong order.
    tracing::subscriber::with_default(NoSubscriber::default(), || {
        let trace = Trace::default();
        let judge = oracle::judge(plan);
        trace.observed_by(Box::new(judge.clone()));
        let mut world = World::new(plan, product, &trace);
        let end_ms = plan.faulty_ms + plan.healed_ms;
        let broken = phase(&mut world, &judge, plan.faulty_ms)
            .or_else(|| {
                world.heal();
                phase(&mut world, &judge, end_ms)
            })
            .or_else(|| judge.finish());
        let outcome = Outcome {
            violation: broken,
            hash: trace.hash(),
            simulated_ms: world.now_ms(),
            worst_recovery_ms: world.worst_recovery_ms(),
            reached: trace.reached_counts(),
            checks: judge.checks(),
        };
        Run { outcome, trace }
    })
}

/// Runs the world until then, or until a promise is broken.
fn phase(world: &mut World<'_>, judge: &oracle::Judge, until_ms: u64) -> Option<Violation> {
    while world.now_ms() + TICK_MS <= until_ms {
        let ticked = catch_unwind(AssertUnwindSafe(|| world.tick()));
        let what = match ticked {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("the world came to a halt: {error}")),
            Err(payload) => Some(panic_text(&*payload)),
        };
        // A promise that was broken before the panic explains it.
        let broken = judge.violation();
        if broken.is_some() {
            return broken;
        }
        if let Some(what) = what {
            let entry = usize::try_from(judge.checks().saturating_sub(1)).unwrap_or(usize::MAX);
            return Some(Violation { property: NO_PANIC, at_ms: world.now_ms(), entry, what });
        }
    }
    None
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
}

#[cfg(test)]
mod tests;
