//! The class-data archive of `holdfast exec`, made by `holdfast prepare` as an image's build would.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use harness::process::{self, Process};
use harness::site::Site;

use super::say;

/// It starts three JobManagers, one after the other.
const LIMIT: Duration = Duration::from_secs(900);

/// Makes one that fits every JobManager that is started with this site's image.
pub(super) async fn make(image: &Site) -> Result<PathBuf> {
    say("setting up: the class-data archive (holdfast prepare)");
    let home = image.make_flink_home()?;
    let archive = image.path("archive.jsa");
    let mut command = process::command(&image.artifacts().sidecar);
    command.arg("prepare").arg("--archive").arg(&archive).arg("--flink-home").arg(home);
    let log = image.next_log("prepare");
    let mut process = Process::spawn("holdfast prepare", command, &log)?;
    let status = process.wait_for_exit(LIMIT).await?;
    ensure!(status.success(), "holdfast prepare failed ({status}): {}", process::tail(&log, 25));
    Ok(archive)
}
