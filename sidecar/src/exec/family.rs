//! What an entry point started that is not the JobManager itself but has it as a child: every process that was given the same name.
//!
//! The name is in the environment, which children inherit, and no two processes that `holdfast exec` starts have the same. A process
//! group would be simpler, but who ends `holdfast exec` by its group (a terminal, a test) is to reach the JobManagers, too.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::PROCESS_VARIABLE;

/// One that starts others faster than we look is looked for again, but not for ever.
const LOOKS_MAX: u8 = 20;

/// Whether a process has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Yes,
    No,
    /// It is becoming another program just now (or it was started without any environment).
    NotSeen,
}

/// Kills all that have the name, as far as they are ours to see. One that has removed it from its environment is not found.
pub(super) fn kill(name: &str) {
    for _ in 0..LOOKS_MAX {
        let mut look_again = false;
        for pid in processes() {
            let named = has_name(&proc_of(pid), name);
            look_again |= named != Named::No;
            if named == Named::Yes && kill_process(pid, Signal::KILL).is_ok() {
                let pid = pid.as_raw_nonzero().get();
                tracing::info!(event = "killing", pid, "killing what {name} started");
            }
        }
        if !look_again {
            return;
        }
        std::thread::yield_now();
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

fn proc_of(pid: Pid) -> PathBuf {
    Path::new("/proc").join(pid.as_raw_nonzero().to_string())
}

/// One that has ended has no environment any more, and no program, even if nobody has waited for it.
fn has_name(proc: &Path, name: &str) -> Named {
    let variable = format!("{PROCESS_VARIABLE}={name}");
    match std::fs::read(proc.join("environ")) {
        Ok(environment) if environment.is_empty() && proc.join("exe").read_link().is_ok() => Named::NotSeen,
        Ok(environment) if environment.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()) => {
            Named::Yes
        }
        // Another user's is not shown, and not ours to kill.
        Ok(_) | Err(_) => Named::No,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_becoming_another_program_may_have_the_name_and_one_that_has_ended_has_none() {
        let proc = tempfile::tempdir().unwrap();
        let environ = proc.path().join("environ");
        assert_eq!(has_name(proc.path(), "exec-1"), Named::No);
        std::fs::write(&environ, "").unwrap();
        assert_eq!(has_name(proc.path(), "exec-1"), Named::No, "a zombie or a thread of the kernel");
        std::os::unix::fs::symlink("/bin/sh", proc.path().join("exe")).unwrap();
        assert_eq!(has_name(proc.path(), "exec-1"), Named::NotSeen);
        std::fs::write(&environ, "A=b\0HOLDFAST_PROCESS=exec-1\0").unwrap();
        assert_eq!(has_name(proc.path(), "exec-1"), Named::Yes);
        assert_eq!(has_name(proc.path(), "exec"), Named::No, "only the whole name is the name");
    }
}
