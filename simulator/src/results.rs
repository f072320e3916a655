//! What the shards of a campaign leave in an object store, and all of it read together.
//!
//! | object | is |
//! | --- | --- |
//! | `shard-00003-of-00020.begun` | put when the shard begins: who misses its result sees that it was tried |
//! | `shard-00003-of-00020.json` | what `--format json` prints, with the field `shard`, an [`Origin`] |
//! | `shard-00003-of-00020.html` | the page about it, when a promise was broken; put before the `.json` |
//!
//! A shard that is run again overwrites its own objects and touches no others. Everything here is pure; [`place`] reads and writes.

pub mod place;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::campaign::Campaign;
use crate::scenario::Scenario;
use crate::shard::Shard;
use crate::token;

/// The ending of the object that says that a shard was begun.
pub const BEGUN: &str = "begun";
/// The ending of a shard's result.
pub const JSON: &str = "json";
/// The ending of the page about a shard that broke a promise.
pub const HTML: &str = "html";

/// Where a result is from: shards of one campaign differ in nothing but `index`, `first_seed`, `last_seed` and `planned`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Which shard, from 0.
    pub index: u32,
    /// How many there are.
    pub of: u32,
    /// Seeds of the whole campaign: 1 to this one.
    pub seeds: u64,
    /// The first of this shard.
    pub first_seed: u64,
    /// The last of this shard.
    pub last_seed: u64,
    /// Runs that this shard was asked for. It made fewer when the time was up.
    pub planned: u64,
    /// Each scenario's name and the hash of its text.
    pub scenarios: Vec<String>,
    /// The build that ran it.
    pub build: String,
}

/// One shard's result, as far as it is read again.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct OfShard {
    shard: Origin,
    seeds: u64,
    violations: Vec<Value>,
    simulated_seconds: f64,
    cpu_seconds: f64,
    worst_recovery_seconds: Option<f64>,
    reached: BTreeMap<String, u64>,
    hash: String,
}

/// The objects at a place, by name: the bytes of results, and of the others only that they are there.
pub type Objects = BTreeMap<String, Vec<u8>>;

/// A whole campaign.
#[derive(Debug, Clone, PartialEq)]
pub struct Collected {
    /// How many shards there should be.
    pub of: u32,
    /// Those without a result.
    pub missing: Vec<Missing>,
    /// Runs that were made.
    pub runs: u64,
    /// Runs that were asked for, of the shards that are here.
    pub planned: u64,
    /// What broke, as `--format json` says it, with the `shard`.
    pub violations: Vec<Value>,
    /// Pages about shards that broke a promise: names of objects.
    pub pages: Vec<String>,
    /// Time in the world.
    pub simulated_s: f64,
    /// CPU time.
    pub cpu_s: f64,
    /// The slowest recovery.
    pub worst_recovery_s: Option<f64>,
    /// Interesting thing → how often it was met.
    pub reached: BTreeMap<String, u64>,
    /// The hash over the hashes of all shards, 16 hex digits; none while one is missing.
    pub hash: Option<String>,
    /// Each scenario's name and the hash of its text.
    pub scenarios: Vec<String>,
    /// The build that ran it.
    pub build: String,
}

/// A shard without a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Which one.
    pub shard: Shard,
    /// Its first and last seed; none when it has no seeds.
    pub seeds: Option<(u64, u64)>,
    /// Whether it was begun: then it still runs, or was ended before it could tell.
    pub begun: bool,
}

/// What is at a place cannot be read together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Uncollectable {
    /// No shard was there.
    #[error("holds nothing of any shard; `holdfast-sim run … --shard I/N --results URL` puts it there")]
    Nothing,
    /// An object is damaged, or somebody else's.
    #[error("{name} is not a shard's result: {problem}; delete it and run that shard again")]
    Damaged {
        /// The object.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// Results that have nothing to do with each other.
    #[error(
        "{one} and {other} are of two campaigns: {differs}; give every campaign a URL of its own, or delete what is old"
    )]
    TwoCampaigns {
        /// An object.
        one: String,
        /// Another.
        other: String,
        /// In what they differ.
        differs: String,
    },
}

// === impl Origin ===

impl Origin {
    /// The shard of a campaign whose seeds are 1 to `seeds`.
    pub fn new(shard: Shard, seeds: u64, campaign: &Campaign) -> Self {
        let scenario = |scenario: &Scenario| format!("{}.{}", scenario.name, scenario.hash);
        Self {
            index: shard.index(),
            of: shard.of(),
            seeds,
            first_seed: *campaign.seeds.start(),
            last_seed: *campaign.seeds.end(),
            planned: campaign.planned(),
            scenarios: campaign.scenarios.iter().map(scenario).collect(),
            build: token::build().to_owned(),
        }
    }

    /// The content of the object that says that it was begun.
    pub fn begun(&self) -> Value {
        serde_json::json!({ "shard": self })
    }

    /// The content of its result: the summary for programs, and where it is from.
    pub fn result(&self, summary: Value) -> Value {
        let mut result = summary;
        result["shard"] = serde_json::json!(self);
        result
    }

    /// In what it is of another campaign, if it is.
    fn differs(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("shards", self.of.to_string(), other.of.to_string()),
            ("build", self.build.clone(), other.build.clone()),
            ("seeds", self.seeds.to_string(), other.seeds.to_string()),
            ("scenarios", self.scenarios.join(", "), other.scenarios.join(", ")),
        ];
        let differs = pairs.into_iter().find(|(_, one, other)| one != other);
        differs.map(|(what, one, other)| format!("{what} {one} there, {other} here"))
    }
}

// === impl Collected ===

impl Collected {
    /// Reads together what is at a place. Objects with names that are no shard's are not looked at.
    ///
    /// # Errors
    /// When no shard was there at all, a result cannot be read, or they are of different campaigns.
    pub fn of(objects: &Objects) -> Result<Self, Uncollectable> {
        let mut results: BTreeMap<Shard, OfShard> = BTreeMap::new();
        let mut begun: BTreeMap<Shard, Origin> = BTreeMap::new();
        for (name, bytes) in objects {
            match parsed(name) {
                Some((shard, JSON)) => {
                    drop(results.insert(shard, read(name, bytes, shard, |read: &OfShard| &read.shard)?))
                }
                Some((shard, BEGUN)) => {
                    drop(begun.insert(shard, read(name, bytes, shard, |read: &Begun| &read.shard)?.shard))
                }
                _ => {}
            }
        }
        let origins: BTreeMap<Shard, &Origin> = begun
            .iter()
            // What a shard that left a result began with is in the result; the mark may be an older one.
            .filter(|(shard, _)| !results.contains_key(shard))
            .map(|(shard, origin)| (*shard, origin))
            .chain(results.iter().map(|(shard, result)| (*shard, &result.shard)))
            .collect();
        let first = one_campaign(&origins)?;
        let missing =
            Shard::all(first.of).filter(|shard| !results.contains_key(shard)).map(|shard| Missing {
                shard,
                seeds: shard.seeds(first.seeds).map(|seeds| (*seeds.start(), *seeds.end())),
                begun: begun.contains_key(&shard),
            });
        let missing: Vec<_> = missing.collect();
        let page = |shard: &Shard| format!("{}.{HTML}", shard.file_stem());
        let broken = results.iter().filter(|(_, result)| !result.violations.is_empty());
        let pages = broken.map(|(shard, _)| page(shard)).filter(|name| objects.contains_key(name)).collect();
        let mut collected = Self::nothing(first);
        let mut hasher = blake3::Hasher::new();
        for (_, result) in results {
            hasher.update(result.hash.as_bytes());
            collected.add(result);
        }
        let hash = missing.is_empty().then(|| hasher.finalize().to_hex()[..16].to_owned());
        Ok(Self { missing, pages, hash, ..collected })
    }

    fn nothing(origin: &Origin) -> Self {
        Self {
            of: origin.of,
            missing: Vec::new(),
            runs: 0,
            planned: 0,
            violations: Vec::new(),
            pages: Vec::new(),
            simulated_s: 0.0,
            cpu_s: 0.0,
            worst_recovery_s: None,
            reached: BTreeMap::new(),
            hash: None,
            scenarios: origin.scenarios.clone(),
            build: origin.build.clone(),
        }
    }

    fn add(&mut self, result: OfShard) {
        self.runs += result.seeds;
        self.planned += result.shard.planned;
        self.simulated_s += result.simulated_seconds;
        self.cpu_s += result.cpu_seconds;
        self.worst_recovery_s =
            [self.worst_recovery_s, result.worst_recovery_seconds].into_iter().flatten().reduce(f64::max);
        for (what, times) in result.reached {
            *self.reached.entry(what).or_default() += times;
        }
        for mut violation in result.violations {
            violation["shard"] = Value::from(result.shard.index);
            self.violations.push(violation);
        }
    }
}

#[derive(Deserialize)]
struct Begun {
    shard: Origin,
}

/// The shard of an object, and what the object is.
fn parsed(name: &str) -> Option<(Shard, &str)> {
    let (stem, ending) = name.split_once('.')?;
    Some((Shard::from_file_stem(stem)?, ending))
}

fn read<T: serde::de::DeserializeOwned>(
    name: &str,
    bytes: &[u8],
    shard: Shard,
    origin: impl Fn(&T) -> &Origin,
) -> Result<T, Uncollectable> {
    let damaged = |problem: String| Uncollectable::Damaged { name: name.to_owned(), problem };
    let read: T = serde_json::from_slice(bytes).map_err(|error| damaged(error.to_string()))?;
    let Origin { index, of, .. } = origin(&read);
    if (*index, *of) != (shard.index(), shard.of()) {
        return Err(damaged(format!("it is of shard {index}/{of}")));
    }
    Ok(read)
}

/// What all of them have in common.
fn one_campaign<'a>(origins: &BTreeMap<Shard, &'a Origin>) -> Result<&'a Origin, Uncollectable> {
    let (first, origin) = origins.first_key_value().ok_or(Uncollectable::Nothing)?;
    for (shard, other) in origins {
        if let Some(differs) = origin.differs(other) {
            let (one, other) = (first.file_stem(), shard.file_stem());
            return Err(Uncollectable::TwoCampaigns { one, other, differs });
        }
    }
    Ok(origin)
}

#[cfg(test)]
mod tests;
