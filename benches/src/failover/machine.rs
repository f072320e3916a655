//! Where and with what a run was measured: figures without it mean nothing.

use std::fs;

use anyhow::{Context, Result};
use ha_store::{Clock, SystemClock};
use harness::artifacts::Artifacts;
use harness::process;
use jiff::Timestamp;
use serde::Serialize;
use tokio::task::spawn_blocking;

/// The machine, and the versions of what ran on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Machine {
    /// When the run began, UTC.
    pub began: String,
    /// Cores that this program may use.
    pub cores: usize,
    /// The processor's own name.
    pub processor: String,
    /// Memory.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// Flink's version.
    pub flink: String,
    /// The first line of `java -version`.
    pub java: String,
    /// `holdfast --version`.
    pub holdfast: String,
    /// Whether the `holdfast` binary was built with optimizations for release. A debug build's figures are no figures.
    pub release: bool,
}

impl Machine {
    /// This machine.
    pub async fn look(artifacts: &Artifacts) -> Result<Self> {
        let began = Timestamp::from_millisecond(SystemClock.wall_ms()).context("the time of day")?;
        Ok(Self {
            began: began.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            processor: field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".into()),
            memory_bytes: field("/proc/meminfo", "MemTotal").and_then(|text| kibibytes(&text)).unwrap_or(0),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
            flink: artifacts.flink_version.clone(),
            java: first_line("java", "-version").await?,
            holdfast: first_line(&artifacts.sidecar.display().to_string(), "--version").await?,
            release: artifacts.sidecar.parent().is_some_and(|dir| dir.ends_with("release")),
        })
    }

    /// In one line.
    pub fn in_words(&self) -> String {
        let gibibytes = self.memory_bytes as f64 / f64::from(1 << 30);
        let debug = if self.release { "" } else { " (no release build: its figures are no figures)" };
        format!(
            "{} cores ({}), {gibibytes:.1} GiB, Linux {}, Flink {}, {}, {}{debug}, {}",
            self.cores, self.processor, self.kernel, self.flink, self.java, self.holdfast, self.began
        )
    }
}

fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(key, value)| (key.trim(), value.trim()))
        .find(|(key, _)| *key == name)
        .map(|(_, value)| value.to_owned())
}

fn kibibytes(text: &str) -> Option<u64> {
    Some(text.strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1024)
}

/// Of either output: Java answers on standard error.
async fn first_line(program: &str, argument: &str) -> Result<String> {
    let mut command = process::command(program);
    command.arg(argument);
    let output = spawn_blocking(move || command.output()).await?;
    let output = output.with_context(|| format!("running {program} {argument}"))?;
    let text = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_in_bytes() {
        assert_eq!(kibibytes("24662252 kB"), Some(24_662_252 * 1024));
        assert_eq!(kibibytes("24662252"), None);
    }
}
