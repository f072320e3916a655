//! `holdfast exec`: the entry point of the JobManager's container; see [`crate::exec`].

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, anyhow, ensure};
use clap::builder::NonEmptyStringValueParser;
use ha_store::SystemEntropy;
use http::Uri;
use jiff::SignedDuration;
use tokio::runtime::Builder;

use super::{output, refuse};
use crate::config::LogConfig;
use crate::exec::budget::BudgetLimits;
use crate::exec::supervisor::Policy;
use crate::exec::{ExecError, JOB_MANAGER_PORTS, Options, run};
use crate::logging;

/// Run a JobManager, and start it again at once when it dies
///
/// The entry point of the JobManager's container. Signals, exit statuses and output pass through. A JobManager that dies is
/// started again here instead of waiting for the kubelet's back-off, and directly: the command line that Flink's scripts end in is
/// learned at the first start, and used again while nothing it depends on has changed.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Exec {
    /// Keep a second JobManager process waiting for leadership. It needs as much memory as the first one
    #[arg(long, env = "HOLDFAST_WARM_SPARE", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value = "false", value_name = "BOOL")]
    warm_spare: bool,

    /// How long a JobManager leads before a spare is started beside it
    #[arg(long, env = "HOLDFAST_SPARE_DELAY", value_name = "DURATION", default_value = "10s")]
    spare_delay: SignedDuration,

    /// Whether a spare runs a small job inside itself while it waits. It makes the spare's failover shorter, and costs it some seconds
    /// of processor time and 60 MB of memory
    #[arg(long, env = "HOLDFAST_REHEARSE", num_args = 0..=1, default_missing_value = "true", require_equals = true,
          default_value = "true", value_name = "BOOL", action = clap::ArgAction::Set)]
    rehearse: bool,

    /// Flink properties of spares, which win over the configuration's: their ports must not be those of the first process.
    /// Once for each; those that are always set can be set otherwise here
    #[arg(long, value_name = "KEY=VALUE", value_parser = property)]
    spare_property: Vec<(String, String)>,

    /// A JobManager that has not answered the sidecar's pings for so long is killed and replaced, and so is one that has had no session
    /// for a minute longer although the sidecar answers; 0s: never
    #[arg(long, env = "HOLDFAST_HANG_LIMIT", value_name = "DURATION", default_value = "10s")]
    hang_limit: SignedDuration,

    /// So many crashes within --crash-window, and it ends with the last one's status: the rest is left to Kubernetes
    #[arg(long, env = "HOLDFAST_CRASHES_MAX", value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u16).range(1..=1000))]
    crashes_max: u16,

    /// See --crashes-max
    #[arg(long, env = "HOLDFAST_CRASH_WINDOW", value_name = "DURATION", default_value = "10m")]
    crash_window: SignedDuration,

    /// A class-data archive that `holdfast prepare` made; with it a JVM starts faster. One that does not fit is ignored with a warning
    /// [default: holdfast/jobmanager.jsa in the Flink home, if it is there]
    #[arg(long, env = "HOLDFAST_ARCHIVE", value_name = "FILE")]
    archive: Option<PathBuf>,

    /// Where the learned command is kept for the next container of this pod: an emptyDir volume. It can hold secrets, if the
    /// JobManager's command line does [default: it is not kept]
    #[arg(long, env = "HOLDFAST_STATE_DIR", value_name = "DIR")]
    state_dir: Option<PathBuf>,

    /// The sidecar's private listener
    #[arg(long, env = "HOLDFAST_SIDECAR", value_name = "URL", default_value = "http://127.0.0.1:8480")]
    sidecar: String,

    /// `plain` or `json`, on standard error
    #[arg(long, env = "HOLDFAST_LOG_FORMAT", value_name = "FORMAT", default_value = "plain")]
    log_format: String,

    /// What is logged: a level, or a list of target=level
    #[arg(long, env = "HOLDFAST_LOG", value_name = "FILTER", default_value = "info")]
    log: String,

    /// The JobManager's command, like `/opt/flink/bin/standalone-job.sh start-foreground --job-classname org.example.Orders`
    #[arg(last = true, required = true, value_name = "COMMAND", value_parser = NonEmptyStringValueParser::new())]
    command: Vec<String>,
}

const AFTER_HELP: &str = "\
Exit status: the JobManager's, and 128 + N when signal N ended it. 127 and 126: the command is not there, or cannot be run.
2: wrong usage";

/// How often the sidecar pings; see `docs/protocol.md`.
const PING_PERIOD_MS: u64 = 2_000;

// === impl Exec ===

impl Exec {
    pub(super) fn run(self) -> ExitCode {
        let log = match LogConfig::new(Some(self.log_format.clone()), Some(self.log.clone())) {
            Ok(log) => log,
            Err(error) => return refuse(&error.into()),
        };
        let options = match self.options() {
            Ok(options) => options,
            Err(error) => return refuse(&error),
        };
        logging::init(&log);
        let tokio = Builder::new_current_thread().enable_all().build();
        let ended = tokio.context("the threads cannot be started").and_then(|tokio| {
            let ended = tokio.block_on(run(options, &SystemEntropy));
            tokio.shutdown_background();
            Ok(ended?)
        });
        match ended {
            Ok(status) => ExitCode::from(status),
            Err(error) => {
                output::complain(&error);
                ExitCode::from(error.downcast_ref().map_or(1, ExecError::status))
            }
        }
    }

    fn options(self) -> anyhow::Result<Options> {
        let crash_window_ms = milliseconds("crash-window", self.crash_window)?;
        ensure!(
            crash_window_ms > 0,
            "crash-window = 0s (--crash-window) is not allowed: give a time like 10m"
        );
        let hang_limit_ms = milliseconds("hang-limit", self.hang_limit)?;
        let hang_pings = u32::try_from(hang_limit_ms.div_ceil(PING_PERIOD_MS)).unwrap_or(u32::MAX);
        let policy = Policy {
            warm_spare: self.warm_spare,
            spare_delay_ms: milliseconds("spare-delay", self.spare_delay)?,
            hang_pings: (hang_pings > 0).then_some(hang_pings),
            crashes: BudgetLimits { crashes_max: self.crashes_max.into(), window_ms: crash_window_ms },
        };
        let base = self.sidecar.trim_end_matches('/');
        let sidecar = format!("{base}/v1/sessions").parse::<Uri>().ok();
        let sidecar = sidecar.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
        let sidecar = sidecar.ok_or_else(|| {
            let given = &self.sidecar;
            anyhow!("sidecar = {given:?} (--sidecar) is not allowed: give it like http://127.0.0.1:8480")
        })?;
        Ok(Options {
            command: self.command,
            policy,
            sidecar,
            spare_properties: spare_properties(self.spare_property),
            rehearse: self.warm_spare && self.rehearse,
            archive: self.archive,
            state_directory: self.state_dir,
        })
    }
}

fn spare_properties(given: Vec<(String, String)>) -> Vec<String> {
    let set = |key: &str| given.iter().any(|(given, _)| given == key);
    let ports = JOB_MANAGER_PORTS.into_iter().filter(|key| !set(key)).map(|key| format!("{key}=0"));
    ports.chain(given.iter().map(|(key, value)| format!("{key}={value}"))).collect()
}

fn property(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = pair.ok_or("a property is KEY=VALUE, like rest.bind-port=8082")?;
    Ok((key.to_owned(), value.to_owned()))
}

fn milliseconds(key: &str, duration: SignedDuration) -> anyhow::Result<u64> {
    let given = u64::try_from(duration.as_millis());
    given
        .map_err(|_| anyhow!("{key} = {duration:#} (--{key}) is not allowed: it cannot be less than nothing"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_given_wins_over_the_one_that_is_always_set() {
        let properties =
            spare_properties(vec![("rest.bind-port".into(), "8082".into()), ("k".into(), "v=1".into())]);
        assert_eq!(
            properties,
            [
                "jobmanager.rpc.port=0",
                "high-availability.jobmanager.port=0",
                "blob.server.port=0",
                "rest.bind-port=8082",
                "k=v=1"
            ]
        );
    }
}
