//! How the JobManager's REST API is reached.

use std::path::Path;

use super::{Config, ConfigError, parsed};
use crate::job_manager::{ClientFiles, RestAddress, TlsFiles};
use crate::settings::Settings;

/// Where it is, if that is set.
pub(super) fn address(settings: &Settings) -> Result<Option<RestAddress>, ConfigError> {
    let url = settings.job_manager_rest.clone();
    let address = url.map(|url| parsed::<RestAddress>("job-manager-rest", url)).transpose()?;
    match address {
        Some(address) if address.is_tls() && settings.job_manager_ca.is_none() => {
            let allowed = "https:// needs job-manager-ca, the PEM file of who signed its certificate";
            Err(ConfigError::new("job-manager-rest", address.to_string(), allowed.into()))
        }
        address => Ok(address),
    }
}

/// Whom to trust there, if that is set.
pub(super) fn tls(settings: &Settings) -> Result<Option<TlsFiles>, ConfigError> {
    let alone = |key, path: &Path, other: &str| {
        let allowed = format!("it needs {other}, too");
        Err(ConfigError::new(key, path.display().to_string(), allowed))
    };
    let client = match (&settings.job_manager_client_cert, &settings.job_manager_client_key) {
        (None, None) => None,
        (Some(certificate), None) => {
            return alone("job-manager-client-cert", certificate, "job-manager-client-key");
        }
        (None, Some(key)) => return alone("job-manager-client-key", key, "job-manager-client-cert"),
        (Some(certificate), Some(key)) => {
            Some(ClientFiles { certificate: certificate.clone(), key: key.clone() })
        }
    };
    match (&settings.job_manager_ca, client) {
        (Some(authorities), client) => Ok(Some(TlsFiles { authorities: authorities.clone(), client })),
        (None, None) => Ok(None),
        (None, Some(client)) => alone("job-manager-client-cert", &client.certificate, "job-manager-ca"),
    }
}

/// Puts what is in force where it came from.
pub(super) fn show(config: &Config, settings: &mut Settings) {
    settings.job_manager_rest = config.job_manager_rest.as_ref().map(RestAddress::to_string);
    let tls = config.job_manager_tls.as_ref();
    settings.job_manager_ca = tls.map(|files| files.authorities.clone());
    let client = tls.and_then(|files| files.client.as_ref());
    settings.job_manager_client_cert = client.map(|files| files.certificate.clone());
    settings.job_manager_client_key = client.map(|files| files.key.clone());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(rest: Option<&str>, ca: Option<&str>, cert: Option<&str>, key: Option<&str>) -> Settings {
        Settings {
            deployment: Some("orders".into()),
            store: Some("memory:///".into()),
            election: Some("none".into()),
            job_manager_rest: rest.map(Into::into),
            job_manager_ca: ca.map(Into::into),
            job_manager_client_cert: cert.map(Into::into),
            job_manager_client_key: key.map(Into::into),
            ..Settings::default()
        }
    }

    #[test]
    fn what_belongs_together_is_asked_for_together() {
        let tls = Some("https://127.0.0.1:8081");
        for (settings, key, other) in [
            (settings(tls, None, None, None), "job-manager-rest", "job-manager-ca"),
            (
                settings(tls, Some("/ca"), Some("/crt"), None),
                "job-manager-client-cert",
                "job-manager-client-key",
            ),
            (
                settings(tls, Some("/ca"), None, Some("/key")),
                "job-manager-client-key",
                "job-manager-client-cert",
            ),
            (settings(None, None, Some("/crt"), Some("/key")), "job-manager-client-cert", "job-manager-ca"),
        ] {
            let refusal = Config::try_from(settings).expect_err("half of it").to_string();
            assert!(refusal.starts_with(key) && refusal.contains(other), "{refusal}");
        }
    }

    #[test]
    fn what_is_set_is_in_force_and_shown() {
        let whole = settings(Some("https://127.0.0.1:8081"), Some("/ca"), Some("/crt"), Some("/key"));
        let config = Config::try_from(whole.clone()).expect("allowed");
        let shown = Settings::from(&config);
        assert_eq!(shown.job_manager_rest, whole.job_manager_rest);
        assert_eq!(shown.job_manager_ca, whole.job_manager_ca);
        assert_eq!(shown.job_manager_client_cert, whole.job_manager_client_cert);
        assert_eq!(shown.job_manager_client_key, whole.job_manager_client_key);
    }
}
