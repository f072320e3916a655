//! A real S3 server, ministack, as `scripts/setup-s3.sh` installs it, with one bucket. A missing server is a failure, not a
//! skip: tests that test nothing must not be green.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::artifacts;
use crate::net::free_address;
use crate::process::{self, Process};
use crate::wait;

/// The bucket.
pub const BUCKET: &str = "holdfast";

/// A Python program on a busy machine.
const READY_LIMIT: Duration = Duration::from_secs(60);

/// A running server. It keeps everything in memory and ends with this.
#[derive(Debug)]
pub struct S3Server {
    /// The process.
    pub process: Process,
    address: SocketAddr,
}

impl S3Server {
    /// Starts a server whose home is `home`, and makes the bucket. `log` must not exist yet.
    pub async fn start(home: &Path, log: &Path) -> Result<Self> {
        let address = free_address()?;
        let mut command = process::command(executable()?);
        command.env("HOME", home).current_dir(home);
        command.env("BIND_HOST", "127.0.0.1").env("GATEWAY_PORT", address.port().to_string());
        command.env("SERVICES", "s3").env("S3_PERSIST", "0");
        let mut server = Self { process: Process::spawn("s3", command, log)?, address };
        server.create_bucket().await?;
        Ok(server)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    async fn create_bucket(&mut self) -> Result<()> {
        let url = format!("http://{}/{BUCKET}", self.address);
        let client = reqwest::Client::new();
        wait::until("the S3 server to make a bucket", READY_LIMIT, async || {
            self.process.require_alive()?;
            let made = client.put(&url).timeout(READY_LIMIT).send().await;
            Ok(made.is_ok_and(|answer| answer.status().is_success()).then_some(()))
        })
        .await
    }
}

/// The variables by which an S3 client finds the server, or a proxy before it, at `url`, and may use it.
pub fn variables(url: String) -> [(&'static str, String); 5] {
    [
        ("AWS_ENDPOINT", url),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "testtest".to_owned()),
    ]
}

fn executable() -> Result<PathBuf> {
    let executable = artifacts::cache()?.join("s3-venv/bin/ministack");
    ensure!(
        executable.exists(),
        "the S3 server is not installed: {} is missing; run scripts/setup-s3.sh",
        executable.display()
    );
    Ok(executable)
}
