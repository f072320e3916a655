//! As whom a process runs, by `/proc/PID/status`, which everybody may read.

use std::fmt;
use std::io;
use std::path::Path;

use super::NotLearned;

/// The lines that say it: real, effective, saved and file system ids, and the groups.
#[derive(Debug, Clone, PartialEq, Eq)]
struct User([String; 3]);

const LINES: [&str; 3] = ["Uid:", "Gid:", "Groups:"];

/// Whether a process runs as we do.
///
/// # Errors
/// [`NotLearned::OtherUser`]; or it has ended.
pub(super) fn is_ours(proc: &Path) -> Result<(), NotLearned> {
    let read = |proc: &Path| {
        std::fs::read_to_string(proc.join("status")).map_err(|error| match is_gone(&error) {
            true => NotLearned::Ended,
            false => NotLearned::Unreadable {
                file: proc.join("status").display().to_string(),
                reason: error.to_string(),
            },
        })
    };
    let (theirs, ours) = (User::of(&read(proc)?), User::of(&read(Path::new("/proc/self"))?));
    if theirs == ours {
        return Ok(());
    }
    Err(NotLearned::OtherUser { theirs: theirs.to_string(), ours: ours.to_string() })
}

/// What the system says of a process that is not there, or not any more.
pub(super) fn is_gone(error: &io::Error) -> bool {
    const NO_SUCH_PROCESS: i32 = 3;
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(NO_SUCH_PROCESS)
}

// === impl User ===

impl User {
    fn of(status: &str) -> Self {
        let line = |start: &str| status.lines().find_map(|line| line.strip_prefix(start));
        Self(LINES.map(|start| line(start).unwrap_or_default().trim().to_owned()))
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [user, group, groups] = &self.0;
        let effective = |ids: &str| ids.split_whitespace().nth(1).unwrap_or("unknown").to_owned();
        write!(f, "user {} with group {} and groups [{groups}]", effective(user), effective(group))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "Name:\tjava\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t64\nGroups:\t0 \n";

    #[test]
    fn another_user_another_group_and_other_groups_are_somebody_else() {
        let root = User::of(ROOT);
        assert_eq!(root, User::of(&ROOT.replace("java", "sh")));
        for (from, to) in
            [("Uid:\t0\t0", "Uid:\t0\t9999"), ("Gid:\t0", "Gid:\t9999"), ("Groups:\t0 ", "Groups:\t")]
        {
            assert_ne!(root, User::of(&ROOT.replace(from, to)), "{to}");
        }
        assert_eq!(root.to_string(), "user 0 with group 0 and groups [0]");
    }

    #[test]
    fn a_process_that_is_gone_has_ended_and_we_are_ourselves() {
        assert_eq!(is_ours(Path::new("/proc/nobody")), Err(NotLearned::Ended));
        assert_eq!(is_ours(Path::new("/proc/self")), Ok(()));
    }
}
