//! JobManagers that `holdfast exec` started.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{proc, process};

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

/// `command`, as what `holdfast exec` of this binary is to run beside the sidecar at `sidecar`: with the same variables, in the
/// same directory.
pub fn wrap(holdfast: &Path, sidecar: SocketAddr, flags: &[String], command: &Command) -> Command {
    let mut wrapped = process::command(holdfast);
    wrapped.arg("exec").args(flags).args(["--sidecar", &format!("http://{sidecar}"), "--"]);
    wrapped.arg(command.get_program()).args(command.get_args());
    wrapped.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    if let Some(dir) = command.get_current_dir() {
        wrapped.current_dir(dir);
    }
    wrapped
}

/// The children of the entry point that have become JobManagers, and what the sidecar's sessions say of them.
pub fn look(entry_point: u32, sessions: &[Value]) -> Result<Vec<Seen>> {
    let children = proc::children(entry_point)?.into_iter();
    Ok(children.filter_map(|pid| seen(pid, sessions)).collect())
}

impl Seen {
    /// `kill -9`.
    pub fn kill(&self) -> Result<()> {
        proc::kill(self.pid).with_context(|| self.name.clone())
    }

    /// SIGSTOP: it stands still, with its connections open.
    pub fn pause(&self) -> Result<()> {
        proc::pause(self.pid).with_context(|| self.name.clone())
    }
}

/// One that ends meanwhile is not seen.
fn seen(pid: u32, sessions: &[Value]) -> Option<Seen> {
    let name = proc::variable(pid, "HOLDFAST_PROCESS")?;
    let mut words = proc::command_line(pid)?.into_iter();
    let arguments = words.next().filter(|program| program.ends_with("java")).map(|_| words.collect())?;
    let session = sessions.iter().find(|session| session["process"] == name.as_str());
    let granted = session.is_some_and(|session| session["granted"] == true);
    Some(Seen { pid, name, connected: session.is_some(), granted, arguments })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapper_keeps_the_command_its_variables_and_its_directory() {
        let mut inner = process::command("bin/standalone-job.sh");
        inner.arg("start-foreground").env("FLINK_CONF_DIR", "/conf").current_dir("/image");
        let sidecar = "127.0.0.1:17423".parse().unwrap();
        let outer = wrap(Path::new("holdfast"), sidecar, &["--warm-spare".into()], &inner);
        let arguments: Vec<_> = outer.get_args().map(|word| word.to_str().unwrap()).collect();
        assert_eq!(outer.get_program(), "holdfast");
        assert_eq!(
            arguments.join(" "),
            "exec --warm-spare --sidecar http://127.0.0.1:17423 -- bin/standalone-job.sh start-foreground"
        );
        let set =
            outer.get_envs().any(|(name, value)| name == "FLINK_CONF_DIR" && value == Some("/conf".as_ref()));
        assert!(set);
        assert_eq!(outer.get_current_dir(), Some("/image".as_ref()));
    }
}
