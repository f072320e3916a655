//! Whether a class-data archive of `holdfast prepare` fits a JobManager's command line.
//!
//! An archive holds classes as one JVM has laid them out in memory, and is good for that JVM and that class path only. The JVM checks
//! this itself and goes on without an archive that does not fit; this module finds out before, so that there is *one* warning that
//! says what is different and what to do. What an archive was made for stands in its manifest, `FILE.json` beside `FILE`.

pub(super) mod using;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// What an archive was made with and for. Fields are added, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The Holdfast that made it.
    pub holdfast: String,
    /// The Flink whose JobManager was trained.
    pub flink: String,
    /// How it was made, for people.
    pub made_by: String,
    /// The length of the archive: another file of the same name has another manifest.
    pub archive_bytes: u64,
    /// The length of the RPC system's jar beside it ([`rpc_jar_of`]); `None`: there is none.
    #[serde(default)]
    pub rpc_jar_bytes: Option<u64>,
    /// The length of the list of classes beside it ([`classes_of`]); `None`: there is none.
    #[serde(default)]
    pub classes_bytes: Option<u64>,
    /// What the JVM says it is (`java -version`), for people.
    pub java_version: String,
    /// What it fits.
    pub made_for: Surroundings,
}

/// The JVM and the class path of a command line, as far as an archive depends on them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Surroundings {
    /// The JVM's program, without symbolic links.
    pub java: PathBuf,
    /// The JDK's own classes: by these the JVM knows its build again.
    pub modules: FileStamp,
    /// The class path, in order.
    pub class_path: Vec<FileStamp>,
}

/// A file as the JVM looks at it: contents are not compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileStamp {
    /// As it stands on the command line.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// When it was changed, in whole seconds of Unix time, as image layers keep it.
    pub modified_s: u64,
}

/// A JobManager's command line, as far as archives matter.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The JVM's program.
    pub java: &'a Path,
    /// The options of the JVM. What follows them is not looked at wrongly: no program has such arguments.
    pub arguments: &'a [String],
    /// Where its classes come from, in order, without empty entries.
    pub class_path: &'a [PathBuf],
}

/// Why a JobManager is started without the archive, and the way out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotUsed {
    /// It or its manifest cannot be read.
    #[error("{path} cannot be read: {reason}; `holdfast prepare` makes archive and manifest", path = path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The JVM or something of the class path cannot be read.
    #[error(
        "{path}, of the JVM or its class path, cannot be read: {reason}; put it there, or take it out of the class path",
        path = path.display()
    )]
    UnreadableSurroundings {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The manifest is none.
    #[error("{path} is not the manifest of an archive: {reason}; `holdfast prepare` makes both anew", path = path.display())]
    Malformed {
        /// The manifest.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// The archive, or a file beside it, is another one than the manifest's.
    #[error("{path} has {found} bytes, and the manifest says {recorded}; `holdfast prepare` makes all of it anew",
            path = path.display())]
    OtherFile {
        /// Which file.
        path: PathBuf,
        /// Its length.
        found: u64,
        /// The manifest's word for it.
        recorded: u64,
    },
    /// It was made for another JVM.
    #[error("it was made for another JVM: {0}")]
    OtherJvm(Difference),
    /// It was made for another class path.
    #[error("it was made for another class path: {0}")]
    OtherClassPath(Difference),
    /// The command line decides about archives itself.
    #[error(
        "the command line has {0}, which wins; take that out (env.java.opts.all or .jobmanager, JVM_ARGS)"
    )]
    OwnOption(String),
}

/// What it was, and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// When the archive was made.
    pub then: String,
    /// As it is.
    pub now: String,
}

/// Where an archive is in a Flink home, unless somebody says otherwise.
pub(crate) const IN_FLINK_HOME: &str = "holdfast/jobmanager.jsa";

/// Ten times the JVM's own thresholds. Its optimizing compiler would spend a third of the processor time of a start on code that is
/// not needed any more soon after; what runs for long is compiled by it all the same, after 50,000 calls instead of 5,000.
const LATER_C2: [&str; 4] = [
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
];

/// JVM options that are about archives.
const OWN_OPTIONS: [&str; 5] = [
    "-Xshare",
    "-XX:SharedArchiveFile",
    "-XX:ArchiveClassesAtExit",
    "-XX:SharedClassListFile",
    "-XX:DumpLoadedClassList",
];

/// The JVM options that use the archive, if it fits; they go first, so that the command line's own win. A JVM that finds something
/// else to object to goes on without it, and says nothing: `-Xlog:cds*=off`.
///
/// # Errors
/// [`NotUsed`]: the JobManager is to be started without it, after one warning.
pub fn fits(archive: &Path, launch: Launch<'_>) -> Result<Vec<String>, NotUsed> {
    if let Some(own) = own_option(launch.arguments) {
        return Err(NotUsed::OwnOption(own.to_owned()));
    }
    let manifest = Manifest::read(&manifest_of(archive))?;
    still_there(archive, manifest.archive_bytes)?;
    let present = Surroundings::of(launch.java, launch.class_path)?;
    manifest.made_for.still_hold(&present)?;
    let mut options = options(archive);
    if let Some(bytes) = manifest.rpc_jar_bytes {
        let rpc_jar = rpc_jar_of(archive);
        still_there(&rpc_jar, bytes)?;
        options.push(rpc_jar_option(&rpc_jar));
    }
    if let Some(bytes) = manifest.classes_bytes {
        let classes = classes_of(archive);
        still_there(&classes, bytes)?;
        options.push(classes_option(&classes));
    }
    Ok(options)
}

fn still_there(path: &Path, recorded: u64) -> Result<(), NotUsed> {
    let found = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?.len();
    if found == recorded {
        Ok(())
    } else {
        Err(NotUsed::OtherFile { path: path.to_owned(), found, recorded })
    }
}

/// Where the manifest of an archive is.
pub fn manifest_of(archive: &Path) -> PathBuf {
    beside(archive, ".json")
}

/// Where the jar of Flink's RPC system is that was unpacked for an archive; see [`Manifest::rpc_jar_bytes`].
pub fn rpc_jar_of(archive: &Path) -> PathBuf {
    beside(archive, ".rpc.jar")
}

/// Where the list of classes is that a recovery loads, in its order; see [`Manifest::classes_bytes`].
pub fn classes_of(archive: &Path) -> PathBuf {
    beside(archive, ".classes")
}

fn beside(archive: &Path, suffix: &str) -> PathBuf {
    let mut name = archive.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The JVM options that use an archive, and what else makes the start of such a JVM shorter.
pub(crate) fn options(archive: &Path) -> Vec<String> {
    let file = format!("-XX:SharedArchiveFile={}", archive.display());
    let own = [file.as_str(), "-Xshare:auto", "-Xlog:cds*=off"];
    own.into_iter().chain(LATER_C2).map(str::to_owned).collect()
}

/// By this option the adapter's `PreparedRpcSystemLoader` finds the jar. Without it Flink unpacks it at each start.
pub(crate) fn rpc_jar_option(rpc_jar: &Path) -> String {
    format!("-Dholdfast.rpc-jar={}", rpc_jar.display())
}

/// What an option that names a list of classes begins with. The adapter's `ClassesAhead`, which has to be the main class, loads them
/// on a second thread while Flink starts. Without a value it does nothing.
pub(crate) const CLASSES_OPTION: &str = "-Dholdfast.classes=";

pub(crate) fn classes_option(classes: &Path) -> String {
    format!("{CLASSES_OPTION}{}", classes.display())
}

/// The first option that is about archives.
pub(crate) fn own_option(arguments: &[String]) -> Option<&str> {
    let own = |argument: &&String| OWN_OPTIONS.iter().any(|option| argument.starts_with(option));
    arguments.iter().find(own).map(String::as_str)
}

// === impl Manifest ===

impl Manifest {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`NotUsed::Unreadable`] and [`NotUsed::Malformed`].
    pub fn read(path: &Path) -> Result<Self, NotUsed> {
        let bytes = std::fs::read(path).map_err(|error| unreadable(path, &error))?;
        serde_json::from_slice(&bytes)
            .map_err(|error| NotUsed::Malformed { path: path.to_owned(), reason: error.to_string() })
    }
}

// === impl Surroundings ===

impl Surroundings {
    /// Looks at a JVM and a class path.
    ///
    /// # Errors
    /// [`NotUsed::UnreadableSurroundings`].
    pub fn of(java: &Path, class_path: &[PathBuf]) -> Result<Self, NotUsed> {
        let java = std::fs::canonicalize(java).map_err(|error| unreadable_surroundings(java, &error))?;
        // JDK/bin/java has its classes in JDK/lib/modules.
        let modules = java.ancestors().nth(2).unwrap_or(Path::new("/")).join("lib/modules");
        let class_path = class_path.iter().map(|entry| FileStamp::of(entry)).collect::<Result<_, _>>()?;
        Ok(Self { modules: FileStamp::of(&modules)?, java, class_path })
    }

    /// Whether an archive made for these fits `present`. More at the end of a class path harms nothing: the JVM takes that as well.
    fn still_hold(&self, present: &Self) -> Result<(), NotUsed> {
        if self.java != present.java || self.modules != present.modules {
            let named = |it: &Self| format!("{} with {}", it.java.display(), it.modules);
            return Err(NotUsed::OtherJvm(Difference { then: named(self), now: named(present) }));
        }
        let mut now = present.class_path.iter();
        for then in &self.class_path {
            let now = now.next();
            if now != Some(then) {
                let now = now.map_or_else(|| "nothing there".to_owned(), ToString::to_string);
                return Err(NotUsed::OtherClassPath(Difference { then: then.to_string(), now }));
            }
        }
        Ok(())
    }
}

// === impl FileStamp ===

impl FileStamp {
    /// Looks at a file; symbolic links are followed.
    ///
    /// # Errors
    /// [`NotUsed::UnreadableSurroundings`].
    pub fn of(path: &Path) -> Result<Self, NotUsed> {
        let found = std::fs::metadata(path).and_then(|found| Ok((found.len(), found.modified()?)));
        let (bytes, modified) = found.map_err(|error| unreadable_surroundings(path, &error))?;
        let modified_s = modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Ok(Self { path: path.to_owned(), bytes, modified_s })
    }
}

impl fmt::Display for FileStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes, changed at {})", self.path.display(), self.bytes, self.modified_s)
    }
}

// === impl Difference ===

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "then {}, now {}; `holdfast prepare` makes one that fits", self.then, self.now)
    }
}

fn unreadable_surroundings(path: &Path, error: &io::Error) -> NotUsed {
    NotUsed::UnreadableSurroundings { path: path.to_owned(), reason: error.to_string() }
}

fn unreadable(path: &Path, error: &io::Error) -> NotUsed {
    NotUsed::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A JDK, a class path and an archive, all made of empty files.
    struct Place {
        dir: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Self {
            let place = Self { dir: tempfile::tempdir().unwrap() };
            for directory in ["jdk/bin", "jdk/lib", "lib"] {
                fs::create_dir_all(place.path(directory)).unwrap();
            }
            for file in ["jdk/bin/java", "jdk/lib/modules", "lib/a.jar", "lib/b.jar"] {
                fs::write(place.path(file), file).unwrap();
            }
            fs::write(place.archive(), "classes").unwrap();
            fs::write(rpc_jar_of(&place.archive()), "rpcs").unwrap();
            fs::write(classes_of(&place.archive()), "names").unwrap();
            let made_for = Surroundings::of(&place.path("jdk/bin/java"), &place.class_path()).unwrap();
            let text = |text: &str| text.to_owned();
            let manifest = Manifest {
                holdfast: text("0.1.0"),
                flink: text("2.2.1"),
                made_by: text("a test"),
                archive_bytes: 7,
                rpc_jar_bytes: Some(4),
                classes_bytes: Some(5),
                java_version: text("17"),
                made_for,
            };
            fs::write(manifest_of(&place.archive()), serde_json::to_vec(&manifest).unwrap()).unwrap();
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join(name)
        }

        fn archive(&self) -> PathBuf {
            self.path("jobmanager.jsa")
        }

        fn class_path(&self) -> Vec<PathBuf> {
            ["lib/a.jar", "lib/b.jar"].map(|jar| self.path(jar)).to_vec()
        }

        fn fits(&self, class_path: &[PathBuf]) -> Result<Vec<String>, NotUsed> {
            let java = self.path("jdk/bin/java");
            fits(&self.archive(), Launch { java: &java, arguments: &[], class_path })
        }
    }

    #[test]
    fn what_it_was_made_for_is_started_with_it_and_silently() {
        let place = Place::new();
        let options = place.fits(&place.class_path()).unwrap();
        let file = format!("-XX:SharedArchiveFile={}", place.archive().display());
        let rpc_jar = format!("-Dholdfast.rpc-jar={}.rpc.jar", place.archive().display());
        let classes = format!("-Dholdfast.classes={}.classes", place.archive().display());
        let own = [file.as_str(), "-Xshare:auto", "-Xlog:cds*=off"];
        assert_eq!(options, [&own[..], &LATER_C2, &[&rpc_jar, &classes]].concat());
    }

    #[test]
    fn more_at_the_end_of_the_class_path_is_no_difference() {
        let place = Place::new();
        fs::write(place.path("lib/c.jar"), "c").unwrap();
        let mut longer = place.class_path();
        longer.push(place.path("lib/c.jar"));
        assert!(place.fits(&longer).is_ok());
    }

    #[test]
    fn another_order_or_an_entry_less_is_another_class_path() {
        let place = Place::new();
        let mut turned = place.class_path();
        turned.reverse();
        assert!(matches!(place.fits(&turned), Err(NotUsed::OtherClassPath(_))));
        let error = place.fits(&turned[1..]).unwrap_err().to_string();
        assert!(error.contains("b.jar") && error.contains("nothing there"), "{error}");
    }

    #[test]
    fn a_jar_that_changed_is_named() {
        let place = Place::new();
        fs::write(place.path("lib/b.jar"), "another content").unwrap();
        let error = place.fits(&place.class_path()).unwrap_err().to_string();
        assert!(error.contains("b.jar") && error.contains("holdfast prepare"), "{error}");
    }

    #[test]
    fn a_jar_of_another_time_is_another_one() {
        let place = Place::new();
        let jar = fs::File::options().write(true).open(place.path("lib/a.jar")).unwrap();
        jar.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(1)).unwrap();
        assert!(matches!(place.fits(&place.class_path()), Err(NotUsed::OtherClassPath(_))));
    }

    #[test]
    fn another_build_of_the_jvm_at_the_same_place_is_another_jvm() {
        let place = Place::new();
        fs::write(place.path("jdk/lib/modules"), "newer").unwrap();
        assert!(matches!(place.fits(&place.class_path()), Err(NotUsed::OtherJvm(_))));
    }

    #[test]
    fn an_archive_that_its_manifest_does_not_describe_is_not_used() {
        let place = Place::new();
        fs::write(place.archive(), "half").unwrap();
        let other = NotUsed::OtherFile { path: place.archive(), found: 4, recorded: 7 };
        assert_eq!(place.fits(&place.class_path()), Err(other));
        fs::remove_file(manifest_of(&place.archive())).unwrap();
        assert!(matches!(place.fits(&place.class_path()), Err(NotUsed::Unreadable { .. })));
    }

    #[test]
    fn an_archive_without_what_was_made_with_it_is_not_used() {
        for (beside, recorded) in [(rpc_jar_of as fn(&Path) -> PathBuf, 4), (classes_of, 5)] {
            let place = Place::new();
            let beside = beside(&place.archive());
            fs::write(&beside, "half of it").unwrap();
            let other = NotUsed::OtherFile { path: beside.clone(), found: 10, recorded };
            assert_eq!(place.fits(&place.class_path()), Err(other));
            fs::remove_file(&beside).unwrap();
            let fits = place.fits(&place.class_path());
            assert!(matches!(fits, Err(NotUsed::Unreadable { path, .. }) if path == beside));
        }
    }

    #[test]
    fn a_command_line_with_an_archive_of_its_own_keeps_it() {
        let place = Place::new();
        let java = place.path("jdk/bin/java");
        let arguments = ["-Xmx1g", "-Xshare:off"].map(str::to_owned);
        let class_path = place.class_path();
        let launch = Launch { java: &java, arguments: &arguments, class_path: &class_path };
        assert_eq!(fits(&place.archive(), launch), Err(NotUsed::OwnOption("-Xshare:off".into())));
    }
}
