//! The class-data archive of `holdfast exec`, made by `holdfast prepare` as an image's build would.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::process::{self, Process};
use harness::site::Site;

use super::say;

/// It starts three JobManagers, one after the other.
const LIMIT: Duration = Duration::from_secs(900);

/// Makes one that fits every JobManager that is started with this site's image.
pub(super) async fn make(image: &Site) -> Result<PathBuf> {
    say("setting up: the class-data archive (holdfast prepare)");
    complete(image)?;
    let archive = image.path("archive.jsa");
    let mut command = process::command(&image.artifacts().sidecar);
    command.arg("prepare").arg("--archive").arg(&archive).arg("--flink-home").arg(image.image());
    let log = image.next_log("prepare");
    let mut process = Process::spawn("holdfast prepare", command, &log)?;
    let status = process.wait_for_exit(LIMIT).await?;
    ensure!(status.success(), "holdfast prepare failed ({status}): {}", process::tail(&log, 25));
    Ok(archive)
}

/// The harness's image has `lib/` alone, because Flink's scripts are run where they are. Here it is a whole Flink home, with copies of
/// the scripts: they would follow links to themselves back to where they come from.
fn complete(image: &Site) -> Result<()> {
    let home = &image.artifacts().flink_home;
    for name in ["bin", "conf"] {
        copy(&home.join(name), &image.image().join(name))?;
    }
    for name in ["plugins", "opt"] {
        let (from, to) = (home.join(name), image.image().join(name));
        symlink(&from, &to).with_context(|| format!("linking {}", to.display()))?;
    }
    Ok(())
}

/// Files of one directory, with their permissions.
fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let path = entry?.path();
        if path.is_file() {
            let name = path.file_name().expect("an entry of a directory has a name");
            fs::copy(&path, to.join(name)).with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}
