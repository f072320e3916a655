//! Keys and certificates for one run, made with the openssl program, and as Java's key stores with keytool.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::process;

/// No machine's own configuration of openssl takes part.
const CONFIGURATION: &str = "\
[req]
distinguished_name = name
prompt = no
[name]
CN = unnamed
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign
subjectKeyIdentifier = hash
[server]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = serverAuth
subjectAltName = IP:127.0.0.1, DNS:localhost
[client]
basicConstraints = critical, CA:FALSE
extendedKeyUsage = clientAuth
";

/// The password of every key store: Java wants one, and it protects nothing here.
pub const STORE_PASSWORD: &str = "changeit";

/// What makes openssl sign with the authority.
const SIGNED: [&str; 4] = ["-CA", "ca.crt", "-CAkey", "ca.key"];

/// A certificate authority in a directory, where everything that it signs goes, too: `NAME.crt` and `NAME.key`.
#[derive(Debug)]
pub struct Authority {
    home: PathBuf,
}

/// The kind of a key. Flink's default ciphers need RSA at the server.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// On the curve P-256.
    P256,
    /// Of 2,048 bits.
    Rsa,
}

impl Authority {
    /// Makes one in `home`: `ca.crt`, `ca.key`.
    pub fn new(home: &Path) -> Result<Self> {
        fs::create_dir_all(home).with_context(|| format!("making {}", home.display()))?;
        fs::write(home.join("openssl.cnf"), CONFIGURATION).context("writing openssl.cnf")?;
        let authority = Self { home: home.to_owned() };
        authority.certificate("ca", "authority", "/CN=holdfast-tests", Key::P256, &[])?;
        Ok(authority)
    }

    /// The certificate and the key of a server on this machine's loopback.
    pub fn server(&self, name: &str, subject: &str, key: Key) -> Result<()> {
        self.certificate(name, "server", subject, key, &SIGNED)
    }

    /// The certificate and the key of a client.
    pub fn client(&self, name: &str, subject: &str, key: Key) -> Result<()> {
        self.certificate(name, "client", subject, key, &SIGNED)
    }

    /// A file of it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    /// `NAME.p12`, what Java shows others, made of `NAME.crt` and `NAME.key`.
    pub fn key_store(&self, name: &str) -> Result<PathBuf> {
        let (key, certificate, store) = (format!("{name}.key"), format!("{name}.crt"), format!("{name}.p12"));
        let mut arguments =
            vec!["pkcs12", "-export", "-inkey", &key, "-in", &certificate, "-certfile", "ca.crt"];
        let password = format!("pass:{STORE_PASSWORD}");
        arguments.extend(["-out", &store, "-passout", &password]);
        self.openssl(&arguments)?;
        Ok(self.file(&store))
    }

    /// `trust.p12`, whom Java trusts: this authority. Only keytool marks an entry as trusted.
    pub fn trust_store(&self) -> Result<PathBuf> {
        let mut arguments = vec!["-importcert", "-noprompt", "-alias", "ca", "-file", "ca.crt"];
        arguments.extend(["-keystore", "trust.p12", "-storetype", "PKCS12", "-storepass", STORE_PASSWORD]);
        self.run("keytool", &arguments)?;
        Ok(self.file("trust.p12"))
    }

    /// Runs openssl in the directory.
    pub fn openssl(&self, arguments: &[&str]) -> Result<()> {
        self.run("openssl", arguments)
    }

    fn certificate(&self, name: &str, section: &str, subject: &str, key: Key, signer: &[&str]) -> Result<()> {
        let (key_file, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        let mut arguments = vec!["req", "-x509", "-config", "openssl.cnf", "-extensions", section];
        arguments.extend(match key {
            Key::P256 => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"][..],
            Key::Rsa => &["-newkey", "rsa:2048"],
        });
        arguments.extend(["-nodes", "-days", "30", "-subj", subject]);
        arguments.extend(["-keyout", &key_file, "-out", &certificate]);
        arguments.extend(signer);
        self.openssl(&arguments)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Result<()> {
        let mut command = process::command(program);
        command.args(arguments).current_dir(&self.home);
        let shown = format!("{program} {}", arguments.join(" "));
        let output = command.output().with_context(|| format!("running {shown}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        let ended = process::describe(output.status);
        ensure!(output.status.success(), "{shown} failed ({ended}): {complaint}");
        Ok(())
    }
}
