//! What a user may set, and where: flags, then `HOLDFAST_*` environment variables, then a YAML file.
//!
//! One struct serves all three, so that they cannot drift apart. Nothing is checked here but the shape;
//! [`crate::config`] turns it into a [`Config`](crate::config::Config) that is known to be good.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Every setting, all optional. Durations are a number with a unit: `500ms`, `15s`, `5m`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The long-lived name of what runs here; it outlives jobs, pods and upgrades
    #[arg(long, env = "HOLDFAST_DEPLOYMENT", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,

    /// Where the log is kept: file:///dir, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or
    /// memory:/// (lost at exit). Credentials come from the provider's usual environment variables
    #[arg(long, env = "HOLDFAST_STORE", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,

    /// One rollout of the deployment. The same generation means failover; a new one means upgrade: stored graphs
    /// are dropped, ended jobs may run again, and what they restore is planned anew [default: 1]
    #[arg(long, env = "HOLDFAST_GENERATION", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,

    /// What a new generation restores: `latest-state` (the newest of checkpoints and savepoints), `latest-savepoint`, `none`
    /// (starts without state), or `snapshot:` with a checkpoint id or the path of a snapshot. Within a generation it
    /// changes nothing [default: latest-state]
    #[arg(long, env = "HOLDFAST_RESTORE", value_name = "STRATEGY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restore: Option<String>,

    /// Restores nothing that was completed longer ago than this [default: no limit]
    #[arg(long, env = "HOLDFAST_MAX_SNAPSHOT_AGE", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_snapshot_age: Option<String>,

    /// Whether a new generation may leave behind state that belongs to none of its operators [default: false]
    #[arg(long, env = "HOLDFAST_ALLOW_NON_RESTORED_STATE", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_non_restored_state: Option<bool>,

    /// Who owns the files of what a new generation restores: `claim` (the job, which deletes them when it needs them no
    /// more), `no-claim`, or `auto`: claim the newest checkpoint unless one is pinned, and nothing else [default: auto]
    #[arg(long, env = "HOLDFAST_CLAIM_MODE", value_name = "MODE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_mode: Option<String>,

    /// What to do when the newest snapshot cannot be restored: `refuse`, or restore the `previous` one, which processes
    /// again what came after it [default: refuse]
    #[arg(long, env = "HOLDFAST_ON_BROKEN_SNAPSHOT", value_name = "POLICY")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_broken_snapshot: Option<String>,

    /// Where the root of local snapshot files is for this process: for a volume that Flink has at /checkpoints and this
    /// process at /mnt/flink/checkpoints it is /mnt/flink [default: /]
    #[arg(long, env = "HOLDFAST_LOCAL_ROOT", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub local_root: Option<PathBuf>,

    /// Who decides which sidecar may lead: `none` (this is the only one) or `kubernetes`
    #[arg(long, env = "HOLDFAST_ELECTION", value_name = "KIND")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub election: Option<String>,

    /// Who this is: a pod's UID. It is the holder of the Lease, and stands in records and logs [default: $HOSTNAME]
    #[arg(long, env = "HOLDFAST_IDENTITY", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,

    /// The pod's name, for other candidates to look whether it still runs; required with --election kubernetes
    #[arg(long, env = "HOLDFAST_POD_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod_name: Option<String>,

    /// The namespace of the Lease and of the pods [default: the service account's]
    #[arg(long, env = "HOLDFAST_NAMESPACE", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,

    /// The name of the Lease [default: the deployment's]
    #[arg(long, env = "HOLDFAST_LEASE_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_name: Option<String>,

    /// How long a Lease that is not renewed stands, in whole seconds; longer than the renew deadline [default: 15s]
    #[arg(long, env = "HOLDFAST_LEASE_DURATION", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_duration: Option<String>,

    /// After this long without a renewal nothing new is granted; longer than 1.2 retry periods [default: 10s]
    #[arg(long, env = "HOLDFAST_RENEW_DEADLINE", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_deadline: Option<String>,

    /// Where the JobManager reaches the API. It is not authenticated: keep it on loopback [default: 127.0.0.1:8480]
    #[arg(long, env = "HOLDFAST_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,

    /// Where TaskManagers, clients, probes and Prometheus reach the read-only part [default: 127.0.0.1:8481]
    #[arg(long, env = "HOLDFAST_PUBLIC_LISTEN", value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub public_listen: Option<String>,

    /// How long a lost leader's addresses stay published, so that its tasks work on until the next leader is there;
    /// 0 withdraws them at once [default: 30s]
    #[arg(long, env = "HOLDFAST_LEADER_LOSS_GRACE", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leader_loss_grace: Option<String>,

    /// How often the Lease is renewed or tried for, and the store asked whether this epoch is still the newest
    /// [default: 2s]
    #[arg(long, env = "HOLDFAST_RETRY_PERIOD", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_period: Option<String>,

    /// How long one request to the store may take [default: 5s]
    #[arg(long, env = "HOLDFAST_STORE_TIMEOUT", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_timeout: Option<String>,

    /// How long a write is tried before its outcome is reported as unknown [default: 20s]
    #[arg(long, env = "HOLDFAST_COMMIT_DEADLINE", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit_deadline: Option<String>,

    /// How often old records are collected [default: 5m]
    #[arg(long, env = "HOLDFAST_COLLECT_INTERVAL", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collect_interval: Option<String>,

    /// How long a stop waits for the JobManager to end first [default: 5s]
    #[arg(long, env = "HOLDFAST_STOP_WAIT", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_wait: Option<String>,

    /// How often the JobManager's REST API is asked for savepoints and restores, which Flink does not tell otherwise
    /// [default: 2s]
    #[arg(long, env = "HOLDFAST_OBSERVE_INTERVAL", value_name = "DURATION")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observe_interval: Option<String>,

    /// Where the JobManager's REST API is, like http://127.0.0.1:8081 [default: where the JobManager says]
    #[arg(long, env = "HOLDFAST_JOB_MANAGER_REST", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_manager_rest: Option<String>,

    /// Who signed the certificate of the JobManager's REST API, in PEM: needed where that is https://
    /// (`security.ssl.rest.enabled`)
    #[arg(long, env = "HOLDFAST_JOB_MANAGER_CA", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_manager_ca: Option<PathBuf>,

    /// The certificate to show the JobManager's REST API, in PEM (`security.ssl.rest.authentication-enabled`)
    #[arg(long, env = "HOLDFAST_JOB_MANAGER_CLIENT_CERT", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_manager_client_cert: Option<PathBuf>,

    /// Its key, in PEM and not encrypted
    #[arg(long, env = "HOLDFAST_JOB_MANAGER_CLIENT_KEY", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_manager_client_key: Option<PathBuf>,

    /// The largest stored graph, in bytes [default: 67108864]
    #[arg(long, env = "HOLDFAST_MAX_GRAPH_BYTES", value_name = "BYTES")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_graph_bytes: Option<u64>,

    /// How many jobs one deployment may hold [default: 100]
    #[arg(long, env = "HOLDFAST_MAX_JOBS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_jobs: Option<usize>,

    /// How many JobManager streams may be open at once [default: 16]
    #[arg(long, env = "HOLDFAST_MAX_SESSIONS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<usize>,

    /// How many leader streams may be open at once: one for each TaskManager and client [default: 4096]
    #[arg(long, env = "HOLDFAST_MAX_LEADER_STREAMS", value_name = "COUNT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_leader_streams: Option<usize>,

    /// `plain` or `json` [default: plain]
    #[arg(long, env = "HOLDFAST_LOG_FORMAT", value_name = "FORMAT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<String>,

    /// A level, or a list of target=level [default: info]
    #[arg(long, env = "HOLDFAST_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

/// Why the YAML file was not taken.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {path}: {source}; correct --config, or leave it out", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not what it should be.
    #[error("the configuration file {path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line and what is wrong there.
        reason: String,
    },
}

// === impl Settings ===

impl Settings {
    /// Reads the YAML file. An empty one sets nothing.
    pub fn read(path: &Path) -> Result<Self, FileError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| FileError::Unreadable { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|reason| FileError::Invalid { path: path.to_owned(), reason })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let is_blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#');
        if text.lines().all(is_blank) {
            return Ok(Self::default());
        }
        serde_saphyr::from_str(text).map_err(|error| error.to_string())
    }

    /// These settings, with what they leave open taken from `weaker`.
    #[must_use]
    pub fn or(self, weaker: Self) -> Self {
        Self {
            deployment: self.deployment.or(weaker.deployment),
            store: self.store.or(weaker.store),
            generation: self.generation.or(weaker.generation),
            restore: self.restore.or(weaker.restore),
            max_snapshot_age: self.max_snapshot_age.or(weaker.max_snapshot_age),
            allow_non_restored_state: self.allow_non_restored_state.or(weaker.allow_non_restored_state),
            claim_mode: self.claim_mode.or(weaker.claim_mode),
            on_broken_snapshot: self.on_broken_snapshot.or(weaker.on_broken_snapshot),
            local_root: self.local_root.or(weaker.local_root),
            election: self.election.or(weaker.election),
            identity: self.identity.or(weaker.identity),
            pod_name: self.pod_name.or(weaker.pod_name),
            namespace: self.namespace.or(weaker.namespace),
            lease_name: self.lease_name.or(weaker.lease_name),
            lease_duration: self.lease_duration.or(weaker.lease_duration),
            renew_deadline: self.renew_deadline.or(weaker.renew_deadline),
            listen: self.listen.or(weaker.listen),
            public_listen: self.public_listen.or(weaker.public_listen),
            leader_loss_grace: self.leader_loss_grace.or(weaker.leader_loss_grace),
            retry_period: self.retry_period.or(weaker.retry_period),
            store_timeout: self.store_timeout.or(weaker.store_timeout),
            commit_deadline: self.commit_deadline.or(weaker.commit_deadline),
            collect_interval: self.collect_interval.or(weaker.collect_interval),
            stop_wait: self.stop_wait.or(weaker.stop_wait),
            observe_interval: self.observe_interval.or(weaker.observe_interval),
            job_manager_rest: self.job_manager_rest.or(weaker.job_manager_rest),
            job_manager_ca: self.job_manager_ca.or(weaker.job_manager_ca),
            job_manager_client_cert: self.job_manager_client_cert.or(weaker.job_manager_client_cert),
            job_manager_client_key: self.job_manager_client_key.or(weaker.job_manager_client_key),
            max_graph_bytes: self.max_graph_bytes.or(weaker.max_graph_bytes),
            max_jobs: self.max_jobs.or(weaker.max_jobs),
            max_sessions: self.max_sessions.or(weaker.max_sessions),
            max_leader_streams: self.max_leader_streams.or(weaker.max_leader_streams),
            log_format: self.log_format.or(weaker.log_format),
            log: self.log.or(weaker.log),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stronger_source_wins_and_the_weaker_fills_the_gaps() {
        let strong = Settings { deployment: Some("a".into()), ..Settings::default() };
        let weak = Settings {
            deployment: Some("b".into()),
            store: Some("memory:///".into()),
            ..Settings::default()
        };
        let merged = strong.or(weak);
        assert_eq!(merged.deployment.as_deref(), Some("a"));
        assert_eq!(merged.store.as_deref(), Some("memory:///"));
    }

    #[test]
    fn an_unknown_key_of_the_file_is_named_with_its_line() {
        let error = Settings::parse("deployment: orders\nstoer: memory:///\n").unwrap_err();
        assert!(error.contains("stoer") && error.contains('2'), "{error}");
    }

    #[test]
    fn an_empty_or_commented_file_sets_nothing() {
        assert_eq!(Settings::parse("\n# nothing yet\n").unwrap(), Settings::default());
    }

    #[test]
    fn every_key_of_the_file_is_the_flag_without_its_dashes() {
        let settings = Settings::parse("leader-loss-grace: 0s\nmax-sessions: 4\n").unwrap();
        assert_eq!(settings.leader_loss_grace.as_deref(), Some("0s"));
        assert_eq!(settings.max_sessions, Some(4));
    }
}
