//! TLS to a JobManager whose REST API asks for it (`security.ssl.rest.enabled`): whom to trust, and who this is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// The PEM files that a connection needs. They are read for every connection: one that was renewed needs no restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Whoever signed the JobManager's certificate. Nobody else is trusted, and the name or address that is asked must be in the
    /// certificate.
    pub authorities: PathBuf,
    /// Who this is, for `security.ssl.rest.authentication-enabled`.
    pub client: Option<ClientFiles>,
}

/// A certificate with its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientFiles {
    /// The certificate, followed by those between it and what the JobManager trusts.
    pub certificate: PathBuf,
    /// Its key: PKCS #8, PKCS #1 or SEC1, not encrypted.
    pub key: PathBuf,
}

/// Why no connection can be made with these files.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} has no {wanted}: {reason}", path = path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What it should have.
        wanted: &'static str,
        /// What is wrong.
        reason: String,
    },
}

// === impl TlsFiles ===

impl TlsFiles {
    /// What makes a connection a TLS one.
    ///
    /// # Errors
    /// When a file cannot be read, or does not have what it should have.
    pub fn connector(&self) -> Result<TlsConnector, TlsError> {
        let mut authorities = RootCertStore::empty();
        for certificate in certificates(&self.authorities)? {
            let unusable = |error: rustls::Error| unusable(&self.authorities, CERTIFICATE, &error);
            authorities.add(certificate).map_err(unusable)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has the versions that it was built with")
            .with_root_certificates(authorities);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(certificates(&client.certificate)?, key(&client.key)?)
                .map_err(|error| unusable(&client.key, "key of the client's certificate", &error))?,
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

const CERTIFICATE: &str = "certificate in PEM";

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err(unusable(path, CERTIFICATE, &"it has no section BEGIN CERTIFICATE"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unusable(path, CERTIFICATE, &error)),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(&read(path)?)
        .map_err(|error| unusable(path, "private key in PEM that is not encrypted", &error))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
}

fn unusable(path: &Path, wanted: &'static str, reason: &dyn ToString) -> TlsError {
    TlsError::Unusable { path: path.to_owned(), wanted, reason: reason.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(content: Option<&str>) -> String {
        let directory = tempfile::tempdir().expect("a directory");
        let authorities = directory.path().join("ca.crt");
        if let Some(content) = content {
            fs::write(&authorities, content).expect("written");
        }
        let files = TlsFiles { authorities, client: None };
        files.connector().err().expect("these files are refused").to_string()
    }

    #[test]
    fn a_file_that_is_not_there_or_has_no_certificate_is_named() {
        for (content, why) in [
            (None, "cannot read"),
            (Some(""), "no section BEGIN CERTIFICATE"),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n"), "no certificate in PEM"),
            (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "no certificate in PEM"),
        ] {
            let refusal = refusal(content);
            assert!(refusal.contains("ca.crt") && refusal.contains(why), "{refusal}");
        }
    }
}
