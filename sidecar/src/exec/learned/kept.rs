//! A learned command in a file, for the container that follows this one in the same pod.
//!
//! It holds what stands on the JobManager's command line and what its scripts exported, so nobody else may read it. A file that is
//! lost or cannot be read costs one slow start, and is never a reason not to start. Only our own user's is run: whoever else can write
//! there must not choose what we start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::process::geteuid;

use super::LearnedCommand;

const FILE: &str = "learned-command.json";
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What is kept there; `None` if there is nothing, or nothing that can be used.
pub(in crate::exec) fn read(directory: &Path) -> Option<LearnedCommand> {
    let file = directory.join(FILE);
    let bytes = match fs::metadata(&file)
        .and_then(|metadata| check_owner(metadata.uid()).and_then(|()| check_size(metadata.len())))
        .and_then(|()| fs::read(&file))
    {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(event = "not-read", "{}: {error}; the command is learned anew", file.display());
            return None;
        }
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed
        .inspect_err(|error| {
            tracing::warn!(event = "not-read", "{}: {error}; the command is learned anew", file.display());
        })
        .ok()
}

/// Keeps it there, or says why not.
pub(in crate::exec) fn write(directory: &Path, learned: &LearnedCommand) {
    if let Err(error) = try_write(directory, learned) {
        let place = directory.display();
        tracing::warn!(
            event = "not-kept",
            "{place} (--state-dir): {error}; the next container starts through its scripts"
        );
    }
}

fn try_write(directory: &Path, learned: &LearnedCommand) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let aside = directory.join(format!(".{FILE}.{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
    file.write_all(&serde_json::to_vec(learned)?)?;
    fs::rename(&aside, directory.join(FILE))
}

fn check_owner(user: u32) -> io::Result<()> {
    let ours = geteuid().as_raw();
    let not_ours = || io::Error::other(format!("it is of user {user}, and this is user {ours}"));
    (user == ours).then_some(()).ok_or_else(not_ours)
}

fn check_size(bytes: u64) -> io::Result<()> {
    let too_large = || io::Error::other(format!("it has {bytes} bytes, more than {FILE_BYTES_MAX}"));
    (bytes <= FILE_BYTES_MAX).then_some(()).ok_or_else(too_large)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::tests::learned;
    use super::*;

    #[test]
    fn what_is_kept_is_read_again_and_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(read(directory.path()), None);
        write(directory.path(), &learned());
        assert_eq!(read(directory.path()), Some(learned()));
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
    }

    #[test]
    fn what_another_user_keeps_there_is_not_started() {
        assert!(check_owner(geteuid().as_raw()).is_ok());
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), &learned());
        if std::os::unix::fs::chown(directory.path().join(FILE), Some(65534), None).is_ok() {
            assert_eq!(read(directory.path()), None, "we are root, which reads it all the same");
        }
    }

    #[test]
    fn a_file_that_is_not_a_command_is_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "{").unwrap();
        assert_eq!(read(directory.path()), None);
    }
}
