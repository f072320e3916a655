//! `world` and `job` as a scenario writes them: [`World`] and [`Job`], with values that may be left to the seed.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{self, Deserializer};
use sidecar::config::Config;
use sidecar::settings::Settings;

use super::draw::{Count, OneOf, Share, Span};
use crate::plan::{Job, RestartStrategy, World};
use crate::seed::Stream;

/// The world around the product. What is absent is as in [`World::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[allow(missing_docs)] // documented at `World`
pub(super) struct WorldSpec {
    pub(super) pods: Option<Count>,
    pub(super) pods_max: Option<Count>,
    /// From and to: every request of a run draws its own.
    pub(super) store_latency: Option<Span>,
    pub(super) store_ages_times: Option<Count>,
    pub(super) api_latency: Option<Span>,
    pub(super) start: Option<Span>,
    pub(super) clock_offset: Option<Span>,
    pub(super) clock_drift: Option<Share>,
    pub(super) settings: SidecarSettings,
}

/// The job. What is absent is as in [`Job::default`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[allow(missing_docs)] // documented at `Job`
pub(super) struct JobSpec {
    pub(super) parallelism: Option<Count>,
    pub(super) records_per_second: Option<Count>,
    pub(super) checkpoint_interval: Option<Span>,
    pub(super) checkpoint_timeout: Option<Span>,
    pub(super) tolerable_failed_checkpoints: Option<Count>,
    pub(super) checkpoints_retained: Option<Count>,
    pub(super) poison_offset: Option<Count>,
    pub(super) records: Option<Count>,
    pub(super) restart: Option<OneOf<RestartSpec>>,
    pub(super) launcher: Option<OneOf<bool>>,
    pub(super) stale_path: Option<OneOf<bool>>,
}

/// Flink's restart strategies.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", rename_all_fields = "kebab-case")]
#[allow(missing_docs)] // documented at `RestartStrategy`
pub(super) enum RestartSpec {
    None,
    FixedDelay { attempts: Count, delay: Span },
    FailureRate { failures_max: Count, interval: Span, delay: Span },
    ExponentialDelay { initial: Span, max: Span, multiplier_percent: Count, reset: Span },
}

/// The sidecar's settings that differ from its defaults. They are read by the product's own types and checked by its
/// own rules.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct SidecarSettings(BTreeMap<String, String>);

/// Settings that the world makes for each sidecar itself.
const OF_THE_WORLD: [&str; 12] = [
    "deployment",
    "election",
    "generation",
    "identity",
    "lease-name",
    "listen",
    "log",
    "log-format",
    "namespace",
    "pod-name",
    "public-listen",
    "store",
];

// === impl WorldSpec ===

impl WorldSpec {
    /// What it is under this seed.
    pub(super) fn draw(&self, seed: u64) -> World {
        let default = World::default();
        let stream = |field: &str| Stream::new(seed, &format!("plan/world/{field}"));
        let count = |field, count: Option<Count>, default| {
            count.map_or(default, |count| count.draw_u32(&stream(field)))
        };
        let pair = |span: Option<Span>, default| span.map_or(default, |span| (span.low_ms, span.high_ms));
        let pods = count("pods", self.pods, default.pods);
        World {
            pods,
            pods_max: count("pods-max", self.pods_max, default.pods_max).max(pods),
            store_latency_ms: pair(self.store_latency, default.store_latency_ms),
            store_ages_times: self
                .store_ages_times
                .map_or(default.store_ages_times, |times| times.draw(&stream("store-ages-times"))),
            api_latency_ms: pair(self.api_latency, default.api_latency_ms),
            start_ms: pair(self.start, default.start_ms),
            clock_offset_max_ms: self
                .clock_offset
                .map_or(default.clock_offset_max_ms, |span| span.draw_ms(&stream("clock-offset"))),
            clock_drift_max_permille: self.clock_drift.map_or(default.clock_drift_max_permille, |share| {
                share.draw_permille(&stream("clock-drift"))
            }),
            settings: self.settings.0.clone(),
        }
    }
}

// === impl JobSpec ===

impl JobSpec {
    /// What it is under this seed.
    pub(super) fn draw(&self, seed: u64) -> Job {
        let default = Job::default();
        let stream = |field: &str| Stream::new(seed, &format!("plan/job/{field}"));
        let time =
            |field, span: Option<Span>, default| span.map_or(default, |span| span.draw_ms(&stream(field)));
        let count = |field, count: Option<Count>, default| {
            count.map_or(default, |count| count.draw_u32(&stream(field)))
        };
        let switch = |field, on: &Option<OneOf<bool>>| on.as_ref().is_some_and(|on| on.draw(&stream(field)));
        let number = |field, count: Option<Count>| count.map(|count| count.draw(&stream(field)));
        Job {
            parallelism: count("parallelism", self.parallelism, default.parallelism),
            records_per_s: number("records-per-second", self.records_per_second)
                .unwrap_or(default.records_per_s),
            checkpoint_interval_ms: time(
                "checkpoint-interval",
                self.checkpoint_interval,
                default.checkpoint_interval_ms,
            ),
            checkpoint_timeout_ms: time(
                "checkpoint-timeout",
                self.checkpoint_timeout,
                default.checkpoint_timeout_ms,
            ),
            checkpoint_failures_tolerable: count(
                "tolerable-failed-checkpoints",
                self.tolerable_failed_checkpoints,
                default.checkpoint_failures_tolerable,
            ),
            checkpoints_retained: count(
                "checkpoints-retained",
                self.checkpoints_retained,
                default.checkpoints_retained,
            ),
            poison_offset: number("poison-offset", self.poison_offset),
            records: number("records", self.records),
            restart: self.restart.as_ref().map_or(default.restart, |restart| {
                restart.draw(&stream("restart")).draw(&stream("restart/values"))
            }),
            launcher: switch("launcher", &self.launcher),
            stale_path: switch("stale-path", &self.stale_path),
        }
    }
}

// === impl RestartSpec ===

impl RestartSpec {
    fn draw(&self, stream: &Stream) -> RestartStrategy {
        match self {
            Self::None => RestartStrategy::None,
            Self::FixedDelay { attempts, delay } => RestartStrategy::FixedDelay {
                attempts: attempts.draw_u32(stream),
                delay_ms: delay.draw_ms(stream),
            },
            Self::FailureRate { failures_max, interval, delay } => RestartStrategy::FailureRate {
                failures_max: failures_max.draw_u32(stream),
                interval_ms: interval.draw_ms(stream),
                delay_ms: delay.draw_ms(stream),
            },
            Self::ExponentialDelay { initial, max, multiplier_percent, reset } => {
                RestartStrategy::ExponentialDelay {
                    initial_ms: initial.draw_ms(stream),
                    max_ms: max.draw_ms(stream),
                    multiplier_percent: multiplier_percent.draw(stream),
                    reset_ms: reset.draw_ms(stream),
                }
            }
        }
    }
}

// === impl SidecarSettings ===

impl<'de> Deserialize<'de> for SidecarSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let settings = Settings::deserialize(deserializer)?;
        let named = names(&settings).map_err(de::Error::custom)?;
        if let Some(key) = named.keys().find(|key| OF_THE_WORLD.contains(&key.as_str())) {
            let problem = format!("`{key}` is made by the world for each sidecar: leave it out");
            return Err(de::Error::custom(problem));
        }
        // The product judges the values. What the world makes is filled in, so that only these can be wrong.
        let whole = Settings {
            deployment: Some("scenario".into()),
            store: Some("memory:///".into()),
            identity: Some("scenario".into()),
            election: Some("kubernetes".into()),
            pod_name: Some("scenario".into()),
            namespace: Some("scenario".into()),
            ..settings
        };
        Config::try_from(whole).map_err(de::Error::custom)?;
        Ok(Self(named))
    }
}

/// Every setting that is set, by the name that it has on the command line.
fn names(settings: &Settings) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let named: BTreeMap<String, serde_json::Value> = serde_json::from_value(serde_json::to_value(settings)?)?;
    let text = |value: serde_json::Value| match value {
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(named.into_iter().map(|(name, value)| (name, text(value))).collect())
}
