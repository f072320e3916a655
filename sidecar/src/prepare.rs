//! `holdfast prepare`: makes a class-data archive, with which a JobManager's JVM starts faster.
//!
//! Most of the time that a JobManager takes to start goes into finding, parsing and verifying some ten thousand classes. A JVM can keep
//! them as they are in memory and map them at its next start. To do so it must be shown what a recovery needs, so this module runs one:
//! with a JobManager of *this* Flink, this JVM and this class path, a sidecar and a store of its own, and a small job.
//! Needs neither a network nor the user's job, so that an image can be built with it.
//!
//! | what | where |
//! | --- | --- |
//! | which Flink | `home.rs` |
//! | the run: start, kill, recover and record, recover with the archive | `training.rs` |
//! | its processes | `child.rs` |
//! | what the archive was good for, and what is loaded ahead | [`classes`] |
//! | whether it fits a command line, later | [`crate::exec::archive`] |
//!
//! # What it must never do
//!
//! * Leave a process behind, or listen to anything but loopback.
//! * Leave half an archive where a whole one is looked for.

pub mod classes;

mod child;
mod home;
mod training;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Serialize;
use tempfile::TempDir;

use self::classes::Classes;
use self::home::FlinkHome;
use self::training::Trained;
use crate::exec::archive::{self, Manifest};

/// What is to be made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the archive is put; `None`: in the Flink home.
    pub archive: Option<PathBuf>,
    /// The Flink distribution.
    pub flink_home: PathBuf,
    /// Where the files of the training are left; `None`: they are removed.
    pub keep: Option<PathBuf>,
}

/// What was made.
#[derive(Debug, Clone, Serialize)]
pub struct Prepared {
    /// The archive.
    pub archive: PathBuf,
    /// Its length.
    pub archive_bytes: u64,
    /// The length of the RPC system's jar, which was unpacked beside it.
    pub rpc_jar_bytes: u64,
    /// The Flink.
    pub flink: String,
    /// The JVM.
    pub java_version: String,
    /// The classes of a recovery with the archive.
    pub classes: Classes,
    /// From the JVM's start to all tasks running, in a recovery without the archive.
    pub recovery_without_ms: u64,
    /// The same with it.
    pub recovery_with_ms: u64,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// What was given cannot be used; nothing was started.
    #[error("{0:#}")]
    Usage(anyhow::Error),
    /// The training did not come to its end.
    #[error("{0:#}")]
    Failed(anyhow::Error),
}

/// A file that is not in its place yet; removed when dropped. After it was renamed there is nothing to be removed.
struct Aside(PathBuf);

/// Where the training's files are, and whether they stay.
enum Work {
    Kept(PathBuf),
    Removed(TempDir),
}

/// Makes an archive and its manifest. `tell` is given a line for each step.
///
/// # Errors
/// [`PrepareError`]; an archive that was there before is still there then, and as good, unless the new one could be put in its place in
/// part: then neither is used.
pub async fn run(options: Options, tell: &(dyn Fn(&str) + Sync)) -> Result<Prepared, PrepareError> {
    let home = FlinkHome::of(&options.flink_home).map_err(PrepareError::Usage)?;
    let archive = options.archive.unwrap_or_else(|| home.archive());
    let place = directory_of(&archive).map_err(PrepareError::Usage)?;
    let work = Work::new(options.keep.as_deref()).map_err(PrepareError::Usage)?;
    let trained = training::run(&home, work.path(), tell).await;
    let trained = trained.map_err(|error| PrepareError::Failed(work.explain(error)))?;
    let manifest = put(&trained, &home, &archive, &place).map_err(PrepareError::Failed)?;
    tell(&format!("{} is made", archive.display()));
    Ok(Prepared {
        archive,
        archive_bytes: manifest.archive_bytes,
        rpc_jar_bytes: manifest.rpc_jar_bytes.unwrap_or_default(),
        flink: manifest.flink,
        java_version: manifest.java_version,
        classes: trained.classes,
        recovery_without_ms: trained.without_ms,
        recovery_with_ms: trained.with_ms,
    })
}

/// Makes the archive's directory.
fn directory_of(archive: &Path) -> Result<PathBuf> {
    let parent = archive.parent().filter(|parent| !parent.as_os_str().is_empty());
    let place = parent.unwrap_or(Path::new(".")).to_owned();
    std::fs::create_dir_all(&place).with_context(|| {
        format!("archive = {} (--archive): its directory cannot be made", archive.display())
    })?;
    Ok(place)
}

/// Puts archive, what belongs to it, and manifest in place, each aside first and renamed. What is still aside is removed on an error. The
/// manifest comes last: until it is there the old one stands beside new files, whose lengths it does not have, so that nothing is used.
fn put(trained: &Trained, home: &FlinkHome, archive: &Path, place: &Path) -> Result<Manifest> {
    let aside = |what: &str| Aside(place.join(format!(".holdfast-{}.{what}", std::process::id())));
    let (new, new_jar, new_classes, new_manifest) =
        (aside("jsa"), aside("rpc.jar"), aside("classes"), aside("json"));
    let copy = |from: &Path, to: &Aside| {
        std::fs::copy(from, &to.0).with_context(|| format!("cannot write {}", to.0.display()))
    };
    let manifest = Manifest {
        holdfast: env!("CARGO_PKG_VERSION").to_owned(),
        flink: home.version.clone(),
        made_by: "holdfast prepare: dynamic archive of one recovery of the training job".to_owned(),
        archive_bytes: copy(&trained.archive, &new)?,
        rpc_jar_bytes: Some(copy(&trained.rpc_jar, &new_jar)?),
        classes_bytes: Some(copy(&trained.ahead, &new_classes)?),
        java_version: trained.java_version.clone(),
        made_for: trained.made_for.clone(),
    };
    let text = serde_json::to_vec_pretty(&manifest).context("the manifest cannot be written as JSON")?;
    std::fs::write(&new_manifest.0, text)
        .with_context(|| format!("cannot write {}", new_manifest.0.display()))?;
    rename_all([
        (&new_jar, &archive::rpc_jar_of(archive)),
        (&new_classes, &archive::classes_of(archive)),
        (&new, archive),
        (&new_manifest, &archive::manifest_of(archive)),
    ])
    .with_context(|| format!("cannot put the archive at {}", archive.display()))?;
    Ok(manifest)
}

fn rename_all(renames: [(&Aside, &Path); 4]) -> Result<()> {
    for (place, (aside, to)) in renames.into_iter().enumerate() {
        std::fs::rename(&aside.0, to).with_context(|| match place {
            0 => format!("{} cannot be replaced", to.display()),
            _ => format!(
                "{} cannot be replaced. What is there now does not fit together and is not used: run `holdfast prepare` again",
                to.display()
            ),
        })?;
    }
    Ok(())
}

// === impl Aside ===

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

// === impl Work ===

impl Work {
    fn new(keep: Option<&Path>) -> Result<Self> {
        let Some(keep) = keep else {
            let made = tempfile::Builder::new().prefix("holdfast-prepare-").tempdir();
            return Ok(Self::Removed(made.context("cannot make a directory for the training; set TMPDIR")?));
        };
        std::fs::create_dir_all(keep)
            .with_context(|| format!("keep = {} (--keep) cannot be made", keep.display()))?;
        let mut entries =
            std::fs::read_dir(keep).with_context(|| format!("cannot read {} (--keep)", keep.display()))?;
        anyhow::ensure!(
            entries.next().is_none(),
            "keep = {} (--keep) is not empty; name a new directory",
            keep.display()
        );
        Ok(Self::Kept(std::fs::canonicalize(keep)?))
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Removed(dir) => dir.path(),
        }
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        match self {
            Self::Kept(path) => {
                error.context(format!("no archive was made; all logs are in {}", path.display()))
            }
            Self::Removed(_) => error.context("no archive was made (with --keep DIR the logs stay)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::archive::{FileStamp, Surroundings, manifest_of, rpc_jar_of};

    /// What a training leaves, and a place for it where an older archive is.
    fn trained(work: &Path, place: &Path) -> (Trained, FlinkHome, PathBuf) {
        std::fs::write(work.join("new.jsa"), "new archive").unwrap();
        std::fs::write(work.join("new.jar"), "new jar").unwrap();
        std::fs::write(work.join("classes"), "new list").unwrap();
        let archive = place.join("jobmanager.jsa");
        std::fs::write(&archive, "old archive").unwrap();
        let stamp = FileStamp { path: "/jdk/lib/modules".into(), bytes: 1, modified_s: 1 };
        let trained = Trained {
            archive: work.join("new.jsa"),
            rpc_jar: work.join("new.jar"),
            ahead: work.join("classes"),
            java_version: "17".to_owned(),
            made_for: Surroundings { java: "/jdk/bin/java".into(), modules: stamp, class_path: Vec::new() },
            classes: Classes::default(),
            without_ms: 2,
            with_ms: 1,
        };
        (trained, FlinkHome { path: "/opt/flink".into(), version: "2.2.1".to_owned() }, archive)
    }

    fn names(place: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(place).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    const ALL: [&str; 4] =
        ["jobmanager.jsa", "jobmanager.jsa.classes", "jobmanager.jsa.json", "jobmanager.jsa.rpc.jar"];

    #[test]
    fn a_new_archive_takes_the_place_of_an_old_one_with_all_that_belongs_to_it() {
        let (work, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (trained, home, archive) = trained(work.path(), place.path());
        let manifest = put(&trained, &home, &archive, place.path()).unwrap();
        assert_eq!(
            (manifest.archive_bytes, manifest.rpc_jar_bytes, manifest.classes_bytes),
            (11, Some(7), Some(8))
        );
        assert_eq!(names(place.path()), ALL);
        assert_eq!(std::fs::read_to_string(&archive).unwrap(), "new archive");
        assert_eq!(Manifest::read(&manifest_of(&archive)).unwrap(), manifest);
    }

    #[test]
    fn what_cannot_be_put_in_its_place_leaves_the_old_archive_and_nothing_beside_it() {
        let (work, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (trained, home, archive) = trained(work.path(), place.path());
        std::fs::create_dir(rpc_jar_of(&archive)).unwrap();
        let error = put(&trained, &home, &archive, place.path()).unwrap_err();
        assert_eq!(std::fs::read_to_string(&archive).unwrap(), "old archive", "{error:#}");
        assert_eq!(names(place.path()), ["jobmanager.jsa", "jobmanager.jsa.rpc.jar"]);
        std::fs::remove_file(&trained.rpc_jar).unwrap();
        put(&trained, &home, &archive, place.path()).unwrap_err();
        assert_eq!(names(place.path()), ["jobmanager.jsa", "jobmanager.jsa.rpc.jar"]);
    }

    #[test]
    fn half_a_new_archive_is_said_to_be_of_no_use() {
        let (work, place) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (trained, home, archive) = trained(work.path(), place.path());
        std::fs::create_dir(manifest_of(&archive)).unwrap();
        let error = put(&trained, &home, &archive, place.path()).unwrap_err();
        assert!(format!("{error:#}").contains("run `holdfast prepare` again"), "{error:#}");
        assert_eq!(names(place.path()), ALL);
    }
}
