//! JobManagers that `holdfast exec` started.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::flink::config::Ports;
use crate::site::Site;

/// A JobManager process that is a child of `holdfast exec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its process id.
    pub pid: u32,
    /// What `holdfast exec` calls it.
    pub name: String,
    /// The sidecar knows it.
    pub connected: bool,
    /// It leads.
    pub granted: bool,
    /// Its command line, without the program.
    pub arguments: Vec<String>,
}

/// `command`, as what `holdfast exec` is to run.
pub fn wrap(site: &Site, ports: &Ports, flags: &[String], command: &Command) -> Command {
    let mut wrapped = crate::process::command(&site.artifacts().sidecar);
    let sidecar = format!("http://{}", ports.sidecar);
    wrapped.arg("exec").args(flags).args(["--sidecar", &sidecar, "--"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    wrapped
}

/// The children of the entry point that have become JobManagers, and what the sidecar's list of sessions says of them.
pub fn look(entry_point: u32, sessions: &Value) -> Result<Vec<Seen>> {
    let sessions = sessions["sessions"].as_array().with_context(|| format!("no list: {sessions}"))?;
    let children = children_of(entry_point)?.into_iter();
    Ok(children.filter_map(|pid| seen(pid, sessions)).collect())
}

impl Seen {
    /// `kill -9`.
    pub fn kill(&self) -> Result<()> {
        self.signal(Signal::KILL)
    }

    /// SIGSTOP: it stands still, with its connections open.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?} to {}", self.name))
    }
}

/// One that ends meanwhile is not seen.
fn seen(pid: u32, sessions: &[Value]) -> Option<Seen> {
    let texts = |file: &str| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
        let texts = String::from_utf8_lossy(&bytes).into_owned();
        Some(texts.split_terminator('\0').map(str::to_owned).collect::<Vec<_>>())
    };
    let environment = texts("environ")?;
    let name = environment.iter().find_map(|pair| pair.strip_prefix("HOLDFAST_PROCESS="))?.to_owned();
    let mut words = texts("cmdline")?.into_iter();
    let arguments = words.next().filter(|program| program.ends_with("java")).map(|_| words.collect())?;
    let session = sessions.iter().find(|session| session["process"] == name.as_str());
    let granted = session.is_some_and(|session| session["granted"] == true);
    Some(Seen { pid, name, connected: session.is_some(), granted, arguments })
}

fn children_of(parent: u32) -> Result<Vec<u32>> {
    let processes = fs::read_dir("/proc").context("reading /proc")?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let is_child = |pid: &u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let its_parent =
            status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok());
        its_parent == Some(parent)
    };
    Ok(ids.filter(is_child).collect())
}
