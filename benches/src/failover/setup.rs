//! Gets and builds what a run needs, with the project's own scripts. Each says what it downloads or builds.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::artifacts::{self, Artifacts};
use harness::process::{self, Process};

use super::arguments::Arguments;
use super::case::Case;
use super::peer::Service;
use super::say;

/// A kube-apiserver is built in ten minutes on two cores; a first release build takes as long.
const LIMIT: Duration = Duration::from_secs(3600);

/// Makes what these arguments need, and finds it.
pub async fn artifacts(arguments: &Arguments) -> Result<Artifacts> {
    if !arguments.no_setup {
        let scratch = env::temp_dir().join(format!("failover-setup-{}", std::process::id()));
        fs::create_dir_all(&scratch).with_context(|| format!("making {}", scratch.display()))?;
        let made = make(arguments, &Steps { logs: scratch.clone() }).await;
        made.with_context(|| format!("what it printed is in {}", scratch.display()))?;
        fs::remove_dir_all(&scratch).with_context(|| format!("removing {}", scratch.display()))?;
    }
    let sidecar = match &arguments.holdfast {
        Some(file) => fs::canonicalize(file).with_context(|| format!("--holdfast {}", file.display()))?,
        None => artifacts::sidecar()?,
    };
    Artifacts::with_sidecar(&artifacts::home_in_cache(&arguments.flink)?, sidecar)
}

struct Steps {
    logs: PathBuf,
}

impl Steps {
    async fn run(&self, what: &str, program: &str, words: &[&str]) -> Result<()> {
        say(format!("setting up: {what}"));
        let mut command = Command::new(artifacts::checkout().join(program));
        if program == "cargo" {
            command = Command::new(env::var_os("CARGO").unwrap_or_else(|| program.into()));
        }
        command.args(words).current_dir(artifacts::checkout());
        let log = self.logs.join(format!("{}.log", what.replace([' ', '/'], "-")));
        let mut process = Process::spawn(what, command, &log)?;
        let status = process.wait_for_exit(LIMIT).await?;
        ensure!(status.success(), "{what} failed ({status}): {}", process::tail(&log, 25));
        Ok(())
    }
}

async fn make(arguments: &Arguments, steps: &Steps) -> Result<()> {
    steps.run(&format!("Flink {}", arguments.flink), "scripts/setup-flink.sh", &[&arguments.flink]).await?;
    let peers = &arguments.peers.0;
    let with_holdfast = peers.iter().any(|peer| peer.service == Service::Holdfast);
    let with_api = peers.iter().any(|peer| peer.service == Service::Kubernetes);
    if with_api || (with_holdfast && arguments.cases.0.contains(&Case::Api)) {
        steps.run("kube-apiserver and etcd", "scripts/setup-k8s.sh", &[]).await?;
    }
    // Cargo knows whether there is anything to do. Whoever runs a debug build has built the rest, too.
    let profile = env::current_exe().context("finding this program's own path")?;
    if arguments.holdfast.is_none() && profile.parent().is_some_and(|dir| dir.ends_with("release")) {
        let words = ["build", "--release", "--locked", "--bin", "holdfast"];
        steps.run("the holdfast binary", "cargo", &words).await?;
    }
    let homes = homes()?;
    let homes: Vec<&str> = homes.iter().map(String::as_str).collect();
    steps.run("the adapter", "flink-adapter/build.sh", &homes).await?;
    let home = artifacts::home_in_cache(&arguments.flink)?;
    let jar = artifacts::checkout().join(format!("target/demo-job/demo-job-{}.jar", arguments.flink));
    let words = [path(&home)?, path(&jar)?];
    steps.run("the job", "flink-adapter/demo-job/build.sh", &[&words[0], &words[1]]).await
}

/// Every Flink in the cache, so that the adapter's jar still serves the tests.
fn homes() -> Result<Vec<String>> {
    let cache = artifacts::cache()?;
    let mut homes = Vec::new();
    for entry in fs::read_dir(&cache).with_context(|| format!("reading {}", cache.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("flink-") && entry.path().join("lib").is_dir() {
            homes.push(path(&entry.path())?);
        }
    }
    homes.sort();
    Ok(homes)
}

fn path(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))?;
    Ok(text.to_owned())
}
