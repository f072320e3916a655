//! Planted defects, each of which must be caught.
//!
//! An oracle that never speaks up proves nothing. So here are the mistakes that others made, one at a time, with the public
//! incident that taught them; each is planted *around* the product, which is the very same code as ever, or in the model of
//! the adapter. Each must be caught within its budget of seeds, by the property that it breaks; and the product without it
//! must pass the same seeds.
//!
//! | defect | incident | what it does |
//! | --- | --- | --- |
//! | `unknown-is-failed` | FLINK-22494 | an unknown outcome is reported as a failure |
//! | `conflict-is-loss` | FLINK-28265 | the own earlier attempt is taken for another's |
//! | `fenced-is-done` | FLINK-10333 | a refused write returns as if it had been done |
//! | `files-before-pointer` | FLINK-26286 | files are deleted before what names them |
//! | `unreadable-is-empty` | FLINK-8943 | what cannot be read is taken for absent |
//! | `restores-oldest` | FLINK-14145 | a restore takes the wrong checkpoint |
//! | `starts-ended-jobs` | FLINK-39704 | a job that ended is started again |
//! | `broken-session-is-revoked` | FLINK-10052 | a restart of the sidecar restarts the job |
//! | `commits-before-recorded` | StarRocks connector #115 | sinks commit too early |
//! | `counts-in-memory` | FLINK-19154 | each JobManager counts checkpoints for itself |
//! | `end-is-not-said` | FLINK-35857 | the state of an ended job is forgotten |
//! | `stale-path-wins` | FLINK-35292 | a path in the job's settings wins over the plan |
//! | `starts-empty` | FLINK-35857 | the next rollout starts with nothing |
//! | `skips-what-cannot-be-read` | FLINK-22502 | an older checkpoint is restored in its place |
//! | `old-graph-is-kept` | FLINK-30527 | a graph of other code is run |
//! | `restore-is-not-said` | FLINK-20441 | a savepoint that the job rolled back behind is chosen |
//! | `claims-anyway` | StreamPark #2870 | the job deletes the files that its user keeps |
//! | `ownership-is-forgotten` | FLINK-26985 | after a failover the job deletes its user's savepoint |
//! | `newest-in-the-folder` | FLINK-9043 | a script chooses the snapshot, whatever the user wished |
//! | `slow-is-failed` | FLINK-27675 | a savepoint that takes its time is said to have failed |
//! | `commits-again` | Iceberg #16008 | a restored transaction is committed a second time |
//! | `prepared-is-dropped` | Iceberg #14090 | a restored transaction is not committed |
//! | `overwrites` | mountx #19 | the store drops the condition of a create |
//! | `no-epoch-check` | kubernetes #44887 | nobody asks whose epoch is the newest |
//! | `acknowledged-and-lost` | cvmfs #2965 | the store answers 200 and drops the object |
//! | `written-behind` | s2 #669 | the store acknowledges what is in a cache |
//! | `collection-without-boundary` | slatedb #352 | old records are deleted behind the writers' backs |
//! | `deleted-files-linger` | VaultS3 #34 | the store says that a deleted file is there |
//! | `blind-lease-writes` | kube-leader-election 0.44.0 | the Lease is written without its version |
//! | `swallowed-lease-errors` | fabric8 #4246 | a failed Lease write is taken for done |
//! | `expiry-by-wall-clock` | client-go #448 | expiry is read from clocks that do not agree |
//! | `evidence-from-a-stale-cache` | kubernetes #59848 | a running pod is taken for gone |

mod api;
mod defects;
mod store;
mod stories;

use std::ops::RangeInclusive;
use std::sync::Arc;

use snapshot::Stores;

use crate::batch;
use crate::flink::{Adapter, BUCKET};
use crate::outcome::Violation;
use crate::plan::{Job, Plan, World};
use crate::product::{Product, Wrap};
use crate::run;
use crate::seed::Stream;

/// A mistake, and what shows it.
#[derive(Debug, Clone)]
pub struct Defect {
    /// Its name: stable.
    pub name: &'static str,
    /// The public incident that taught it.
    pub incident: &'static str,
    /// What it does, in one sentence.
    pub what: &'static str,
    /// How many seeds may pass before it is caught.
    pub budget_seeds: u64,
    /// The properties of which it must break one: names of [`crate::oracle::property`].
    pub properties: &'static [&'static str],
    planted: Planted,
    story: fn(&mut Plan, &Stream),
}

/// Where the product is wrapped.
#[derive(Debug, Clone, Copy, Default)]
struct Planted {
    adapter: Adapter,
    store: Option<store::How>,
    /// The bucket of Flink's snapshots, as the product reads it.
    bucket: Option<store::How>,
    api: Option<api::How>,
}

/// A defect that was caught.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caught {
    /// Under which seed.
    pub seed: u64,
    /// By what.
    pub violation: Violation,
}

/// A defect that went unnoticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it went unnoticed in {seeds} seeds")]
pub struct Escaped {
    /// How many seeds were run.
    pub seeds: u64,
}

/// What came of trying a defect.
#[derive(Debug, Clone)]
pub struct Tried {
    /// The defect.
    pub defect: Defect,
    /// Whether its budget was enough.
    pub caught: Result<Caught, Escaped>,
    /// The product without the defect, under the seeds up to the one that showed it. It must not be caught at anything.
    pub untouched: Result<Caught, Escaped>,
}

/// All defects.
pub fn gallery() -> Vec<Defect> {
    defects::all()
}

/// Tries every defect within its budget, and the product without it; `jobs` at once. Each result is given to `each` in the
/// order of the gallery.
pub fn try_all(jobs: usize, each: &mut dyn FnMut(Tried)) {
    let gallery = gallery();
    let work = |index: usize| try_one(&gallery[index]);
    batch::in_order(&work, gallery.len(), jobs, &|| false, &mut |_, tried| each(tried));
}

fn try_one(defect: &Defect) -> Tried {
    let caught = catch(defect, 1..=defect.budget_seeds);
    let last = caught.as_ref().map_or(defect.budget_seeds, |caught| caught.seed);
    Tried { untouched: untouched(defect, 1..=last), caught, defect: defect.clone() }
}

/// Runs the defect's story under these seeds until a property speaks up.
///
/// # Errors
/// [`Escaped`] when none did.
pub fn catch(defect: &Defect, seeds: RangeInclusive<u64>) -> Result<Caught, Escaped> {
    first_violation(defect, &defect.product(), seeds)
}

/// Runs the same story under the same seeds with the product as it is.
///
/// # Errors
/// [`Escaped`] when every property held, which is what one wants.
pub fn untouched(defect: &Defect, seeds: RangeInclusive<u64>) -> Result<Caught, Escaped> {
    first_violation(defect, &Product::default(), seeds)
}

fn first_violation(
    defect: &Defect,
    product: &Product,
    seeds: RangeInclusive<u64>,
) -> Result<Caught, Escaped> {
    let mut ran = 0;
    for seed in seeds {
        ran += 1;
        let runner = |plan: &Plan| {
            let run = run::run(plan, product);
            (run.outcome, run.trace)
        };
        let outcome = batch::alone(&runner, &defect.plan(seed)).outcome;
        if let Some(violation) = outcome.violation {
            return Ok(Caught { seed, violation });
        }
    }
    Err(Escaped { seeds: ran })
}

// === impl Defect ===

impl Defect {
    /// The story that it shows in, under this seed.
    pub fn plan(&self, seed: u64) -> Plan {
        let mut plan = Plan {
            scenario: format!("gallery/{}", self.name),
            seed,
            world: World::default(),
            job: Job::default(),
            faults: Vec::new(),
            faulty_ms: 20_000,
            healed_ms: 30_000,
        };
        (self.story)(&mut plan, &Stream::new(seed, "gallery"));
        plan
    }

    /// The product with the defect planted around it.
    pub fn product(&self) -> Product {
        let Planted { adapter, store, bucket, api } = self.planted;
        let sidecar: Wrap = Arc::new(move |mut world| {
            if let Some(how) = bucket {
                // One store of this world holds everything.
                let client = Arc::new(store::Tampered::new(world.backend.clone(), how));
                let snapshots = Stores::default();
                snapshots.register(BUCKET, client).expect("a bucket");
                world.snapshots = Arc::new(snapshots);
            }
            if let Some(how) = store {
                world.backend = Arc::new(store::Tampered::new(world.backend, how));
            }
            if let Some(how) = api {
                let clock = world.clock.clone();
                world.kubernetes = world.kubernetes.map(|client| api::tampered(client, clock, how));
            }
            world
        });
        Product { adapter, sidecar: Some(sidecar) }
    }
}

// === impl Tried ===

impl Tried {
    /// It was caught by a property that it breaks, and nothing was said against the product without it.
    pub fn is_good(&self) -> bool {
        let meant = |caught: &Caught| self.defect.properties.contains(&caught.violation.property);
        self.caught.as_ref().is_ok_and(meant) && self.untouched.is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oracle::property;

    #[test]
    fn every_defect_has_a_name_of_its_own_an_incident_and_a_property_that_there_is() {
        let gallery = gallery();
        let names: std::collections::BTreeSet<_> = gallery.iter().map(|defect| defect.name).collect();
        assert_eq!(names.len(), gallery.len());
        for defect in gallery {
            assert!(!defect.incident.is_empty() && !defect.what.is_empty(), "{}", defect.name);
            assert!(defect.budget_seeds > 0 && !defect.properties.is_empty(), "{}", defect.name);
            for property in defect.properties {
                assert!(property::ALL.contains(property), "{}: {property}", defect.name);
            }
        }
    }

    /// They speak up in the oracles' own tests only. Whoever plants a defect for one of them takes it out here.
    const NEVER_PLANTED: [&str; 2] = [property::EPOCH_UNIQUE, property::RUNS_AGAIN];

    #[test]
    fn every_property_has_a_defect_that_breaks_it_but_for_those_that_are_named() {
        let gallery = gallery();
        let planted = |name: &&str| gallery.iter().any(|defect| defect.properties.contains(name));
        let never: Vec<_> = property::ALL.into_iter().filter(|name| !planted(name)).collect();
        assert_eq!(never, NEVER_PLANTED);
    }

    #[test]
    fn a_story_depends_on_its_seed_and_on_nothing_else() {
        for defect in gallery() {
            assert_eq!(defect.plan(3), defect.plan(3), "{}", defect.name);
        }
    }

    #[test]
    fn every_defect_is_caught_and_the_product_without_it_passes() {
        let mut bad = Vec::new();
        try_all(2, &mut |tried| bad.extend((!tried.is_good()).then_some(tried)));
        assert!(bad.is_empty(), "{bad:#?}");
    }
}
