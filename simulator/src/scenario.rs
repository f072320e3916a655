//! Scenario files: one story each, in YAML that a person can read, and the plans that a seed makes of it.
//!
//! ```yaml
//! # The answer of a create is lost, and the JobManager dies in the same moment.
//! incident: FLINK-22494
//! reaches: [unknown resolved as recorded]
//! faulty: 60s
//! healed: 60s
//! faults:
//!   - store-loses-answers: {}
//!     at: { before-create: 5..30 }
//!     for: 2s..8s
//!   - kill: { process: job-manager }
//!     at: { before-create-answer: 5..30 }
//!     chance: 50%
//! ```
//!
//! `docs/simulator.md` has the whole format. Everything here is pure: a plan depends on the file's text and the seed alone.
//! Every value that a seed draws has a [`Stream`] of its own, so that a change of one leaves the
//! others as they were.

mod broken;
mod builtin;
mod draw;
mod fault;
mod kind;
mod swarm;
mod world;

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_saphyr::Spanned;

pub use self::broken::Broken;
pub use self::builtin::{find, shipped};
pub use self::draw::time_ms as time;
use self::draw::{Count, OneOf, Share, Span};
use self::fault::{At, FaultSpec};
use self::swarm::SwarmSpec;
use self::world::{JobSpec, WorldSpec};
use crate::plan::{Fault, Plan, When};
use crate::seed::Stream;
use crate::trace::reached;

/// A scenario: a story, and how a seed becomes a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// The file's name without its ending.
    pub name: String,
    /// What happens, in one sentence: the file's first line.
    pub story: String,
    /// The public incidents that it re-tells.
    pub incidents: Vec<String>,
    /// The interesting things that it is for: a set of runs that meets none of them has tried nothing.
    pub reaches: Vec<&'static str>,
    /// Where it was read, if it is not one of those that are shipped.
    pub path: Option<String>,
    /// A hash of the file's text, 8 hex digits: a replay wants the same text.
    pub hash: String,
    file: File,
}

/// What the file says.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct File {
    /// Told instead of the first line, where one sentence is not enough.
    #[serde(default)]
    story: Option<String>,
    #[serde(default)]
    incident: Option<OneOf<String>>,
    #[serde(default)]
    reaches: Vec<Reached>,
    #[serde(default)]
    world: WorldSpec,
    #[serde(default)]
    job: JobSpec,
    #[serde(default)]
    faults: Vec<Spanned<FaultSpec>>,
    #[serde(default)]
    swarm: Option<Spanned<SwarmSpec>>,
    faulty: Spanned<Span>,
    healed: Spanned<Span>,
}

/// The name of an interesting thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reached(&'static str);

/// More faults than any story needs, and few enough to print.
const FAULTS_MAX: usize = 200;

// === impl Scenario ===

impl Scenario {
    /// Reads a scenario. `origin` is where the text is from, for the messages.
    pub fn parse(name: &str, origin: &str, text: &str) -> Result<Self, Broken> {
        let story =
            text.lines().next().and_then(|line| line.strip_prefix('#')).map(str::trim).unwrap_or_default();
        if story.is_empty() {
            let problem = "the first line must tell the story, as `# The JobManager dies while it records a checkpoint.`";
            return Err(Broken::new(origin, Some((1, 1)), problem));
        }
        let file: File = serde_saphyr::from_str(text).map_err(|error| Broken::from_yaml(origin, &error))?;
        file.check().map_err(|(at, problem)| Broken::new(origin, Some(at), problem))?;
        Ok(Self {
            name: name.to_owned(),
            story: file.story.clone().unwrap_or_else(|| story.to_owned()),
            incidents: file.incident.as_ref().map(|incidents| incidents.all().to_vec()).unwrap_or_default(),
            reaches: file.reaches.iter().map(|reached| reached.0).collect(),
            path: None,
            hash: blake3::hash(text.as_bytes()).to_hex()[..8].to_owned(),
            file,
        })
    }

    /// The plan that this seed makes of it.
    pub fn plan(&self, seed: u64) -> Plan {
        let time = |name: &str, span: Span| span.draw_ms(&Stream::new(seed, &format!("plan/{name}")));
        let faulty_ms = time("faulty", self.file.faulty.value);
        let mut faults = self.file.draw_faults(seed, faulty_ms);
        if let Some(swarm) = &self.file.swarm {
            faults.extend(swarm.value.draw(seed, faulty_ms));
        }
        // Those that wait for a point come last; it is only for whoever reads the list.
        faults.sort_by_key(|fault| match fault.when {
            When::AtMs(at_ms) => (0, at_ms),
            When::On { nth, .. } => (1, u64::from(nth)),
        });
        Plan {
            scenario: self.name.clone(),
            seed,
            world: self.file.world.draw(seed),
            job: self.file.job.draw(seed),
            faults,
            faulty_ms,
            healed_ms: time("healed", self.file.healed.value),
        }
    }
}

// === impl File ===

impl File {
    /// The faults that are listed one by one. The nth of a kind has the same stream whatever stands around it.
    fn draw_faults(&self, seed: u64, faulty_ms: u64) -> Vec<Fault> {
        let mut same_name: BTreeMap<&str, u32> = BTreeMap::new();
        let mut faults = Vec::new();
        for Spanned { value: spec, .. } in &self.faults {
            let nth = same_name.entry(&spec.name).or_default();
            let name = format!("plan/fault/{}/{nth}", spec.name);
            *nth += 1;
            let times = spec.draw_times(&Stream::new(seed, &name), Share::ALL, Count::fixed(1));
            let one = |index| spec.draw(&Stream::new(seed, &format!("{name}/{index}")), faulty_ms);
            faults.extend((0..times).map(one));
        }
        faults
    }

    /// What the shape alone does not say: `Err` has the line and the column.
    fn check(&self) -> Result<(), ((u64, u64), String)> {
        let at = |location: &serde_saphyr::Location| (location.line(), location.column());
        for (name, phase) in [("faulty", &self.faulty), ("healed", &self.healed)] {
            if phase.value.low_ms == 0 {
                return Err((at(&phase.referenced), format!("`{name}` must be longer than 0")));
            }
        }
        let of_swarm = self.swarm.iter().flat_map(|swarm| &swarm.value.of);
        let mut specs = 0;
        for spec in self.faults.iter().chain(of_swarm) {
            specs += 1;
            let times_max = spec.value.times.map_or(1, |times| times.high);
            if specs > FAULTS_MAX || times_max > FAULTS_MAX as u64 {
                return Err((at(&spec.referenced), format!("more than {FAULTS_MAX} faults")));
            }
            if let Some(At::Time(span)) = spec.value.at
                && span.high_ms > self.faulty.value.low_ms
            {
                let problem = format!(
                    "`{}` may begin after {} ms, but faults may happen for `faulty`, {} ms, only",
                    spec.value.name, span.high_ms, self.faulty.value.low_ms
                );
                return Err((at(&spec.referenced), problem));
            }
        }
        match &self.swarm {
            Some(swarm) if swarm.value.of.is_empty() => {
                Err((at(&swarm.referenced), "`of` is empty: name the kinds of the swarm".to_owned()))
            }
            Some(swarm) if swarm.value.faults.high > FAULTS_MAX as u64 => {
                Err((at(&swarm.referenced), format!("more than {FAULTS_MAX} faults")))
            }
            Some(swarm) if swarm.value.nth.low == 0 => {
                Err((at(&swarm.referenced), "`nth` counts visits from 1".to_owned()))
            }
            _ => Ok(()),
        }
    }
}

// === impl Reached ===

impl<'de> Deserialize<'de> for Reached {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = reached::ALL.into_iter().find(|known| *known == name);
        known.map(Self).ok_or_else(|| {
            let allowed: Vec<_> = reached::ALL.iter().map(|name| format!("`{name}`")).collect();
            de::Error::custom(format!("nothing is called `{name}`; there are {}", allowed.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests;
