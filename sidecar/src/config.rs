//! Settings that are known to be good.

mod election;
mod job_manager;
mod restore;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ha_store::{DeploymentName, InvalidId, InvalidStoreUrl, Limits, StoreOptions, StoreUrl};
use jiff::SignedDuration;

pub use self::election::Election;
pub(crate) use self::restore::from_settings as restore_wish;
use crate::job_manager::{RestAddress, TlsFiles};
use crate::planner::Wish;
use crate::settings::Settings;

/// A checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The deployment's name.
    pub deployment: DeploymentName,
    /// Where its log is.
    pub store: StoreUrl,
    /// Time-outs and limits of the store.
    pub store_options: StoreOptions,
    /// The rollout.
    pub generation: String,
    /// What a new generation restores.
    pub restore: Wish,
    /// Where the root of local snapshot files is.
    pub local_root: PathBuf,
    /// Who decides which sidecar may lead.
    pub election: Election,
    /// Who this is, for people.
    pub identity: String,
    /// The JobManager's listener.
    pub listen: SocketAddr,
    /// The read-only listener.
    pub public_listen: SocketAddr,
    /// How long a lost leader's addresses stay published.
    pub leader_loss_grace_ms: u64,
    /// How often the fence is checked.
    pub retry_period_ms: u64,
    /// How often old records are collected.
    pub collect_interval_ms: u64,
    /// How long a stop waits for the JobManager to end.
    pub stop_wait_ms: u64,
    /// How often the JobManager is asked for savepoints and restores.
    pub observe_interval_ms: u64,
    /// Where its REST API is; `None`: where it publishes.
    pub job_manager_rest: Option<RestAddress>,
    /// Whom to trust there, where it asks for TLS.
    pub job_manager_tls: Option<TlsFiles>,
    /// JobManager streams.
    pub sessions_max: usize,
    /// Leader streams.
    pub leader_streams_max: usize,
    /// How to log.
    pub log: LogConfig,
}

/// How to log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogConfig {
    /// One JSON object a line, or words.
    pub json: bool,
    /// What `tracing_subscriber::EnvFilter` takes.
    pub filter: String,
}

/// A setting that is missing or wrong. Its message names the key, its value and what is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    key: &'static str,
    value: Option<String>,
    allowed: String,
}

// === impl Config ===

impl TryFrom<Settings> for Config {
    type Error = ConfigError;

    fn try_from(settings: Settings) -> Result<Self, ConfigError> {
        let deployment = deployment(required("deployment", settings.deployment.clone())?)?;
        let store_options = store_options(&settings)?;
        let identity = name("identity", settings.identity.clone().unwrap_or_else(host_name))?;
        let retry_period_ms = duration_ms("retry-period", settings.retry_period.clone(), 2_000, 100, 60_000)?;
        let election = Election::from_settings(&settings, &identity, deployment.as_str(), retry_period_ms)?;
        let restore = restore_wish(&settings)?;
        let job_manager_rest = job_manager::address(&settings)?;
        let job_manager_tls = job_manager::tls(&settings)?;
        let config = Self {
            restore,
            local_root: settings.local_root.unwrap_or_else(|| PathBuf::from("/")),
            deployment,
            store: store(required("store", settings.store)?)?,
            store_options,
            generation: name("generation", settings.generation.unwrap_or_else(|| "1".into()))?,
            election,
            identity,
            listen: parsed("listen", settings.listen.unwrap_or_else(|| "127.0.0.1:8480".into()))?,
            public_listen: parsed(
                "public-listen",
                settings.public_listen.unwrap_or_else(|| "127.0.0.1:8481".into()),
            )?,
            leader_loss_grace_ms: duration_ms(
                "leader-loss-grace",
                settings.leader_loss_grace,
                30_000,
                0,
                HOUR_MS,
            )?,
            retry_period_ms,
            collect_interval_ms: duration_ms(
                "collect-interval",
                settings.collect_interval,
                300_000,
                1_000,
                DAY_MS,
            )?,
            stop_wait_ms: duration_ms("stop-wait", settings.stop_wait, 5_000, 0, HOUR_MS)?,
            observe_interval_ms: duration_ms(
                "observe-interval",
                settings.observe_interval,
                2_000,
                100,
                HOUR_MS,
            )?,
            job_manager_rest,
            job_manager_tls,
            sessions_max: count("max-sessions", settings.max_sessions, 16, 2)?,
            leader_streams_max: count("max-leader-streams", settings.max_leader_streams, 4_096, 2)?,
            log: LogConfig::new(settings.log_format, settings.log)?,
        };
        if config.listen == config.public_listen && config.listen.port() != 0 {
            let allowed = "an address other than listen's".to_owned();
            return Err(ConfigError::new("public-listen", config.public_listen.to_string(), allowed));
        }
        Ok(config)
    }
}

impl From<&Config> for Settings {
    /// Everything that is in force, defaults included: a file that says the same.
    fn from(config: &Config) -> Self {
        let ms = |ms: u64| Some(format!("{ms}ms"));
        let log_format = if config.log.json { "json" } else { "plain" };
        let mut settings = Self {
            deployment: Some(config.deployment.to_string()),
            store: Some(config.store.to_string()),
            generation: Some(config.generation.clone()),
            identity: Some(config.identity.clone()),
            listen: Some(config.listen.to_string()),
            public_listen: Some(config.public_listen.to_string()),
            leader_loss_grace: ms(config.leader_loss_grace_ms),
            retry_period: ms(config.retry_period_ms),
            store_timeout: ms(config.store_options.call_timeout_ms),
            commit_deadline: ms(config.store_options.commit_deadline_ms),
            collect_interval: ms(config.collect_interval_ms),
            stop_wait: ms(config.stop_wait_ms),
            observe_interval: ms(config.observe_interval_ms),
            max_graph_bytes: Some(config.store_options.limits.blob_bytes_max),
            max_jobs: Some(config.store_options.limits.jobs_max),
            max_sessions: Some(config.sessions_max),
            max_leader_streams: Some(config.leader_streams_max),
            log_format: Some(log_format.into()),
            log: Some(config.log.filter.clone()),
            ..Self::default()
        };
        config.election.show(&mut settings);
        job_manager::show(config, &mut settings);
        restore::show(config, &mut settings);
        settings
    }
}

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

fn deployment(value: String) -> Result<DeploymentName, ConfigError> {
    value.parse().map_err(|error: InvalidId| ConfigError::new("deployment", value, error.allowed.into()))
}

fn store(value: String) -> Result<StoreUrl, ConfigError> {
    // What is shown has no credentials, whatever the user wrote.
    value.parse().map_err(|error: InvalidStoreUrl| ConfigError::new("store", error.shown, error.reason))
}

/// How long one request to a store may take: the setting `store-timeout`, of every command that asks one.
pub(crate) fn store_timeout_ms(value: Option<String>) -> Result<u64, ConfigError> {
    duration_ms("store-timeout", value, StoreOptions::default().call_timeout_ms, 100, 60_000)
}

fn store_options(settings: &Settings) -> Result<StoreOptions, ConfigError> {
    let defaults = StoreOptions::default();
    let call_timeout_ms = store_timeout_ms(settings.store_timeout.clone())?;
    let commit_deadline_ms = duration_ms(
        "commit-deadline",
        settings.commit_deadline.clone(),
        defaults.commit_deadline_ms,
        1_000,
        10 * 60_000,
    )?;
    if commit_deadline_ms < call_timeout_ms {
        let allowed = format!("at least store-timeout, which is {call_timeout_ms}ms");
        return Err(ConfigError::new("commit-deadline", format!("{commit_deadline_ms}ms"), allowed));
    }
    let limits = Limits {
        blob_bytes_max: count(
            "max-graph-bytes",
            settings.max_graph_bytes,
            defaults.limits.blob_bytes_max,
            1,
        )?,
        jobs_max: count("max-jobs", settings.max_jobs, defaults.limits.jobs_max, 1)?,
        ..defaults.limits
    };
    Ok(StoreOptions { call_timeout_ms, commit_deadline_ms, limits, ..defaults })
}

fn required(key: &'static str, value: Option<String>) -> Result<String, ConfigError> {
    let allowed =
        format!("set --{key}, HOLDFAST_{} or `{key}:` in the file", key.to_uppercase().replace('-', "_"));
    value.ok_or(ConfigError { key, value: None, allowed })
}

fn parsed<T: FromStr<Err: fmt::Display>>(key: &'static str, value: String) -> Result<T, ConfigError> {
    value.parse().map_err(|error: T::Err| ConfigError::new(key, value, error.to_string()))
}

fn name(key: &'static str, value: String) -> Result<String, ConfigError> {
    let good = (1..=128).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_graphic());
    if good {
        Ok(value)
    } else {
        Err(ConfigError::new(key, value, "1 to 128 visible ASCII characters".into()))
    }
}

fn duration_ms(
    key: &'static str,
    value: Option<String>,
    default_ms: u64,
    min_ms: u64,
    max_ms: u64,
) -> Result<u64, ConfigError> {
    let Some(text) = value else { return Ok(default_ms) };
    let parsed =
        if text.trim() == "0" { Some(0) } else { text.parse::<SignedDuration>().ok().map(|d| d.as_millis()) };
    let in_range = parsed.and_then(|ms| u64::try_from(ms).ok()).filter(|ms| (min_ms..=max_ms).contains(ms));
    let allowed = || format!("a duration from {min_ms}ms to {max_ms}ms, like 500ms, 15s or 5m");
    in_range.ok_or_else(|| ConfigError::new(key, text, allowed()))
}

fn count<N: PartialOrd + fmt::Display>(
    key: &'static str,
    value: Option<N>,
    default: N,
    min: N,
) -> Result<N, ConfigError> {
    match value {
        None => Ok(default),
        Some(value) if value >= min => Ok(value),
        Some(value) => Err(ConfigError::new(key, value.to_string(), format!("{min} or more"))),
    }
}

/// The name that a pod or a machine goes by.
fn host_name() -> String {
    let from_env = std::env::var("HOSTNAME").ok();
    let from_kernel = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let found = from_env.or_else(from_kernel).map(|name| name.trim().to_owned());
    found.filter(|name| !name.is_empty()).unwrap_or_else(|| "unnamed-host".into())
}

// === impl LogConfig ===

impl LogConfig {
    /// A format, `plain` or `json`, and a filter; without them `plain` and `info`.
    ///
    /// # Errors
    /// One of them is not allowed.
    pub fn new(format: Option<String>, filter: Option<String>) -> Result<Self, ConfigError> {
        let json = match format.as_deref() {
            None | Some("plain") => false,
            Some("json") => true,
            Some(other) => return Err(ConfigError::new("log-format", other.into(), "plain or json".into())),
        };
        let filter = filter.unwrap_or_else(|| "info".into());
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&filter) {
            let allowed =
                format!("a level (error, warn, info, debug, trace) or a list of target=level: {error}");
            return Err(ConfigError::new("log", filter, allowed));
        }
        Ok(Self { json, filter })
    }
}

// === impl ConfigError ===

impl ConfigError {
    fn new(key: &'static str, value: String, allowed: String) -> Self {
        Self { key, value: Some(value), allowed }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{} = {value:?} is not allowed: {}", self.key, self.allowed),
            None => write!(f, "{} is required: {}", self.key, self.allowed),
        }
    }
}

impl std::error::Error for ConfigError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> Settings {
        Settings {
            deployment: Some("orders".into()),
            store: Some("memory:///".into()),
            election: Some("none".into()),
            ..Settings::default()
        }
    }

    fn refusal(settings: Settings) -> String {
        Config::try_from(settings).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_is_required_is_named_with_the_three_ways_to_set_it() {
        let message = refusal(Settings { deployment: None, ..good() });
        assert!(message.contains("--deployment") && message.contains("HOLDFAST_DEPLOYMENT"), "{message}");
    }

    #[test]
    fn a_wrong_value_is_named_with_its_key_and_what_is_allowed() {
        let message = refusal(Settings { retry_period: Some("soon".into()), ..good() });
        assert!(message.starts_with("retry-period = \"soon\"") && message.contains("500ms"), "{message}");
        let message = refusal(Settings { listen: Some("localhost".into()), ..good() });
        assert!(message.starts_with("listen = \"localhost\""), "{message}");
        let message = refusal(Settings { deployment: Some("Orders!".into()), ..good() });
        assert!(message.starts_with("deployment = \"Orders!\""), "{message}");
    }

    #[test]
    fn a_grace_of_zero_is_allowed_with_and_without_a_unit() {
        for zero in ["0", "0s"] {
            let config = Config::try_from(Settings { leader_loss_grace: Some(zero.into()), ..good() });
            assert_eq!(config.expect("allowed").leader_loss_grace_ms, 0);
        }
    }

    #[test]
    fn a_commit_may_not_give_up_before_one_request_could() {
        let message = refusal(Settings {
            commit_deadline: Some("2s".into()),
            store_timeout: Some("5s".into()),
            ..good()
        });
        assert!(message.contains("commit-deadline") && message.contains("store-timeout"), "{message}");
    }

    #[test]
    fn what_is_shown_as_in_force_is_itself_a_good_configuration() {
        let settings = Settings::from(&Config::try_from(good()).unwrap());
        assert_eq!(Settings::from(&Config::try_from(settings.clone()).unwrap()), settings);
    }

    #[test]
    fn both_listeners_cannot_share_an_address() {
        let message = refusal(Settings { public_listen: Some("127.0.0.1:8480".into()), ..good() });
        assert!(message.starts_with("public-listen"), "{message}");
    }
}
