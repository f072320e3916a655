//! Processes by their id, whoever started them: what `/proc` says of them, and signals to one without its group.
//!
//! A process may end at any moment: what is asked of one that is gone has no answer, and is no error.

use std::fs;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

/// `kill -9`.
pub fn kill(pid: u32) -> Result<()> {
    signal(pid, Signal::KILL)
}

/// SIGSTOP: it stands still, with its connections open.
pub fn pause(pid: u32) -> Result<()> {
    signal(pid, Signal::STOP)
}

/// Whether it is there, and does not only wait to be collected.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state != 'Z')
}

/// Its name: that of its program without the directory, and no more than 15 bytes of it.
pub fn name(pid: u32) -> Option<String> {
    fs::read_to_string(format!("/proc/{pid}/comm")).ok().map(|name| name.trim().to_owned())
}

/// The words of its command line, the program first.
pub fn command_line(pid: u32) -> Option<Vec<String>> {
    texts(pid, "cmdline")
}

/// The value of a variable in the environment that it was started with.
pub fn variable(pid: u32, name: &str) -> Option<String> {
    let value = |pair: &String| pair.strip_prefix(name)?.strip_prefix('=').map(str::to_owned);
    texts(pid, "environ")?.iter().find_map(value)
}

/// The processes whose parent this one is.
pub fn children(of: u32) -> Result<Vec<u32>> {
    Ok(children_in(&parents()?, of).collect())
}

/// Every process below this one, parents first.
pub fn descendants(of: u32) -> Result<Vec<u32>> {
    let parents = parents()?;
    let mut found = vec![of];
    let mut next = 0;
    while let Some(parent) = found.get(next).copied() {
        found.extend(children_in(&parents, parent));
        next += 1;
    }
    Ok(found.split_off(1))
}

fn signal(pid: u32, signal: Signal) -> Result<()> {
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let target = target.with_context(|| format!("{pid} is no process id"))?;
    kill_process(target, signal).with_context(|| format!("sending {signal:?} to process {pid}"))
}

/// Every process, with its parent.
fn parents() -> Result<Vec<(u32, u32)>> {
    let processes = fs::read_dir("/proc").context("reading /proc")?;
    let ids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    Ok(ids.filter_map(|pid| Some((pid, stat(pid)?.1))).collect())
}

fn children_in(parents: &[(u32, u32)], of: u32) -> impl Iterator<Item = u32> {
    parents.iter().filter(move |(_, parent)| *parent == of).map(|(pid, _)| *pid)
}

/// State and parent. The name before them may hold anything, parentheses, too.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat[stat.rfind(')')? + 1..].split_whitespace();
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// A file of texts that end in NUL.
fn texts(pid: u32, file: &str) -> Option<Vec<String>> {
    let bytes = fs::read(format!("/proc/{pid}/{file}")).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.split_terminator('\0').map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::{self, Process};
    use crate::wait;

    #[tokio::test]
    async fn a_process_knows_its_descendants() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = process::command("sh");
        shell.args(["-c", "(sleep 600; :) & wait"]).env("MARK", "here");
        let process = Process::spawn("shell", shell, &dir.path().join("shell.log")).unwrap();
        let pid = process.pid();
        let sleeper = wait::until("a grandchild", Duration::from_secs(5), async || {
            Ok(descendants(pid)?.into_iter().find(|below| name(*below).as_deref() == Some("sleep")))
        });
        let sleeper = sleeper.await.unwrap();
        assert!(is_alive(sleeper));
        assert_eq!(command_line(sleeper).unwrap(), ["sleep", "600"]);
        assert_eq!(variable(sleeper, "MARK").as_deref(), Some("here"));
        assert_eq!(variable(pid, "MAR"), None);

        let child = children(pid).unwrap();
        assert_eq!(descendants(pid).unwrap(), [child[0], sleeper]);
        assert_eq!(children(child[0]).unwrap(), [sleeper]);
    }

    #[tokio::test]
    async fn a_signal_reaches_one_process_and_not_its_group() {
        let dir = tempfile::tempdir().unwrap();
        let mut shell = process::command("sh");
        shell.args(["-c", "sleep 600 & wait; exec sleep 600"]);
        let process = Process::spawn("shell", shell, &dir.path().join("shell.log")).unwrap();
        let child = wait::until("a child", Duration::from_secs(5), async || {
            Ok(children(process.pid())?.first().copied())
        });
        let child = child.await.unwrap();
        kill(child).unwrap();
        let gone = async || Ok((!is_alive(child)).then_some(()));
        wait::until("the child to be gone", Duration::from_secs(5), gone).await.unwrap();
        assert!(is_alive(process.pid()));
        assert!(kill(0).unwrap_err().to_string().contains("0 is no process id"));
    }
}
