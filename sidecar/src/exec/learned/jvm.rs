//! Waiting until a script has become a JVM, and what the system shows of it then.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{NotLearned, user};

/// How long scripts may take until they become a JVM.
pub(super) const LEARN_LIMIT: Duration = Duration::from_secs(60);
const LEARN_PERIOD: Duration = Duration::from_millis(50);

/// What the system shows of a JVM.
pub(super) struct Jvm {
    pub(super) java: PathBuf,
    /// One word at least.
    pub(super) command_line: Vec<u8>,
    pub(super) environment: Vec<u8>,
}

/// While a process becomes another program, it shows that program for a moment before it shows its command line, and then its
/// environment: all of them are there as soon as the environment is.
pub(super) async fn wait_for(proc: &Path) -> Result<Jvm, NotLearned> {
    let give_up = Instant::now() + LEARN_LIMIT;
    loop {
        let java = std::fs::read_link(proc.join("exe")).map_err(|error| unread(proc, "exe", &error))?;
        let is_java = java.file_name().is_some_and(|name| name == "java");
        if is_java {
            user::is_ours(proc)?;
            let read =
                |name: &str| std::fs::read(proc.join(name)).map_err(|error| unread(proc, name, &error));
            let (environment, command_line) = (read("environ")?, read("cmdline")?);
            if !environment.is_empty() && !command_line.is_empty() {
                return Ok(Jvm { java, command_line, environment });
            }
        }
        if Instant::now() >= give_up {
            return Err(if is_java { NotLearned::NoEnvironment } else { NotLearned::NoJvm });
        }
        sleep(LEARN_PERIOD).await;
    }
}

/// Only one that is gone has ended. What is another user's is not shown to us either, unless we are almighty.
pub(super) fn unread(proc: &Path, name: &str, error: &io::Error) -> NotLearned {
    if user::is_gone(error) {
        return NotLearned::Ended;
    }
    let unreadable =
        || NotLearned::Unreadable { file: proc.join(name).display().to_string(), reason: error.to_string() };
    user::is_ours(proc).err().unwrap_or_else(unreadable)
}

#[cfg(test)]
mod tests {
    use std::fs::{copy, write};
    use std::os::unix::fs::symlink;

    use super::*;

    /// What the system shows of a process of ours that has just become a JVM.
    fn becoming_a_jvm() -> tempfile::TempDir {
        let proc = tempfile::tempdir().unwrap();
        copy("/proc/self/status", proc.path().join("status")).unwrap();
        symlink("/usr/bin/java", proc.path().join("exe")).unwrap();
        write(proc.path().join("cmdline"), "").unwrap();
        write(proc.path().join("environ"), "").unwrap();
        proc
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_shows_no_command_line_yet_has_not_ended() {
        let proc = becoming_a_jvm();
        let appears = async {
            sleep(LEARN_PERIOD * 3).await;
            write(proc.path().join("cmdline"), "java\0Main\0").unwrap();
            sleep(LEARN_PERIOD * 3).await;
            write(proc.path().join("environ"), "A=b\0").unwrap();
        };
        let (jvm, ()) = tokio::join!(wait_for(proc.path()), appears);
        let jvm = jvm.unwrap();
        assert_eq!(
            (jvm.command_line.as_slice(), jvm.environment.as_slice()),
            (&b"java\0Main\0"[..], &b"A=b\0"[..])
        );
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_environment_was_cleared_is_told_from_one_that_is_no_jvm() {
        let proc = becoming_a_jvm();
        write(proc.path().join("cmdline"), "java\0").unwrap();
        assert_eq!(wait_for(proc.path()).await.err(), Some(NotLearned::NoEnvironment));
        std::fs::remove_file(proc.path().join("exe")).unwrap();
        symlink("/bin/sh", proc.path().join("exe")).unwrap();
        assert_eq!(wait_for(proc.path()).await.err(), Some(NotLearned::NoJvm));
    }
}
