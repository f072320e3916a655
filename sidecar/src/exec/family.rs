//! What an entry point started that is not the JobManager itself but has it as a child: every process that was given the same name.
//!
//! The name is in the environment, which children inherit, and no two processes that `holdfast exec` starts have the same. A process
//! group would be simpler, but who ends `holdfast exec` by its group (a terminal, a test) is to reach the JobManagers, too.

use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};

use super::PROCESS_VARIABLE;

/// One that starts others faster than we look is looked for again, but not for ever.
const LOOKS_MAX: u8 = 3;

/// Kills all that have the name, as far as they are ours to see. One that has removed it from its environment is not found.
pub(super) fn kill(name: &str) {
    for _ in 0..LOOKS_MAX {
        let found: Vec<Pid> = processes().filter(|pid| has_name(*pid, name)).collect();
        for pid in &found {
            if kill_process(*pid, Signal::KILL).is_ok() {
                tracing::info!(
                    event = "killing",
                    pid = pid.as_raw_nonzero().get(),
                    "killing what {name} started"
                );
            }
        }
        if found.is_empty() {
            return;
        }
    }
}

fn processes() -> impl Iterator<Item = Pid> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))
}

/// One that has ended has no environment any more, even if nobody has waited for it.
fn has_name(pid: Pid, name: &str) -> bool {
    let file = Path::new("/proc").join(pid.as_raw_nonzero().to_string()).join("environ");
    let variable = format!("{PROCESS_VARIABLE}={name}");
    std::fs::read(file)
        .is_ok_and(|variables| variables.split(|byte| *byte == 0).any(|one| one == variable.as_bytes()))
}
