//! Who decides which sidecar of a deployment may lead, checked.

use super::{ConfigError, duration_ms, name, required};
use crate::election::LeaseElection;
use crate::elector::Timings;
use crate::settings::Settings;

/// Who decides which sidecar of a deployment may lead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Election {
    /// Nobody: this is the only one. The epoch still fences.
    None,
    /// A Kubernetes Lease.
    Kubernetes(LeaseElection),
}

/// Mounted into every pod that has a service account.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

// === impl Election ===

impl Election {
    pub(super) fn from_settings(
        settings: &Settings,
        identity: &str,
        deployment: &str,
        retry_period_ms: u64,
    ) -> Result<Self, ConfigError> {
        match required("election", settings.election.clone())?.as_str() {
            "none" => Ok(Self::None),
            "kubernetes" => lease(settings, identity, deployment, retry_period_ms).map(Self::Kubernetes),
            other => Err(ConfigError::new("election", other.into(), "none or kubernetes".into())),
        }
    }

    /// The settings that say the same.
    pub(super) fn show(&self, settings: &mut Settings) {
        let Self::Kubernetes(lease) = self else {
            settings.election = Some("none".into());
            return;
        };
        settings.election = Some("kubernetes".into());
        settings.pod_name = Some(lease.pod_name.clone());
        settings.namespace = Some(lease.namespace.clone());
        settings.lease_name = Some(lease.lease_name.clone());
        settings.lease_duration = Some(format!("{}ms", lease.timings.lease_duration_ms()));
        settings.renew_deadline = Some(format!("{}ms", lease.timings.renew_deadline_ms()));
    }
}

fn lease(
    settings: &Settings,
    identity: &str,
    deployment: &str,
    retry_period_ms: u64,
) -> Result<LeaseElection, ConfigError> {
    const MINUTES_10_MS: u64 = 600_000;
    let lease_duration_ms =
        duration_ms("lease-duration", settings.lease_duration.clone(), 15_000, 1_000, MINUTES_10_MS)?;
    if !lease_duration_ms.is_multiple_of(1_000) {
        let allowed = "whole seconds: a Lease says its duration in them".to_owned();
        return Err(ConfigError::new("lease-duration", format!("{lease_duration_ms}ms"), allowed));
    }
    let renew_deadline_ms =
        duration_ms("renew-deadline", settings.renew_deadline.clone(), 10_000, 500, MINUTES_10_MS)?;
    let timings = Timings::new(lease_duration_ms, renew_deadline_ms, retry_period_ms).map_err(|error| {
        ConfigError::new("lease-duration", format!("{lease_duration_ms}ms"), error.to_string())
    })?;
    let namespace = match settings.namespace.clone() {
        Some(namespace) => namespace,
        None => required("namespace", std::fs::read_to_string(NAMESPACE_FILE).ok())?.trim().to_owned(),
    };
    Ok(LeaseElection {
        namespace: name("namespace", namespace)?,
        lease_name: name("lease-name", settings.lease_name.clone().unwrap_or_else(|| deployment.into()))?,
        identity: identity.into(),
        pod_name: name("pod-name", required("pod-name", settings.pod_name.clone())?)?,
        timings,
        // Half the deadline: one request that hangs leaves time for another one.
        call_timeout_ms: renew_deadline_ms / 2,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn in_a_pod() -> Settings {
        Settings {
            deployment: Some("orders".into()),
            store: Some("memory:///".into()),
            election: Some("kubernetes".into()),
            identity: Some("8f0a".into()),
            pod_name: Some("orders-abcde".into()),
            namespace: Some("flink".into()),
            ..Settings::default()
        }
    }

    fn refusal(settings: Settings) -> String {
        Config::try_from(settings).expect_err("must be refused").to_string()
    }

    #[test]
    fn the_defaults_are_client_go_s_and_the_lease_is_named_after_the_deployment() {
        let Election::Kubernetes(lease) = Config::try_from(in_a_pod()).expect("good").election else {
            panic!("not an election through a Lease");
        };
        assert_eq!(lease.lease_name, "orders");
        assert_eq!(lease.timings, Timings::new(15_000, 10_000, 2_000).expect("good"));
    }

    #[test]
    fn times_that_cannot_work_together_are_refused_by_name() {
        let message = refusal(Settings { lease_duration: Some("10s".into()), ..in_a_pod() });
        assert!(
            message.starts_with("lease-duration = \"10000ms\"") && message.contains("renew-deadline"),
            "{message}"
        );
        let message = refusal(Settings { retry_period: Some("9s".into()), ..in_a_pod() });
        assert!(message.contains("1.2 × retry-period"), "{message}");
        let message = refusal(Settings { lease_duration: Some("15500ms".into()), ..in_a_pod() });
        assert!(message.contains("whole seconds"), "{message}");
    }

    #[test]
    fn a_candidate_must_say_which_pod_it_is() {
        let message = refusal(Settings { pod_name: None, ..in_a_pod() });
        assert!(message.contains("HOLDFAST_POD_NAME"), "{message}");
    }

    #[test]
    fn what_is_shown_as_in_force_is_itself_a_good_configuration() {
        let settings = Settings::from(&Config::try_from(in_a_pod()).expect("good"));
        assert_eq!(Settings::from(&Config::try_from(settings.clone()).expect("good")), settings);
    }
}
