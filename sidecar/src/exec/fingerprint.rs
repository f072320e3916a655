//! What a learned command depends on: if any of it is otherwise, the scripts have to be asked again.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

/// Things by name, each with its state: a file's length and time, a hash of what must not be shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

/// Something that a command depends on cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {why}")]
pub struct FingerprintError {
    path: String,
    why: String,
}

/// A configuration directory has a handful of files; whatever is more is not read by Flink's scripts.
const CONFIGURATION_FILES_MAX: usize = 256;
/// Of all of them together. Contents and not times, because an entry point may write the same again at each start.
const CONFIGURATION_BYTES_MAX: u64 = 16 * 1024 * 1024;
const DIFFERENCES_MAX: usize = 5;

// === impl Fingerprint ===

impl Fingerprint {
    /// Looks at everything that the scripts of `given` make a command line of: the command and the environment, the scripts'
    /// directory, the JVM, the configuration, each entry of the class path and the directories they lie in.
    ///
    /// # Errors
    /// One of the configuration's files cannot be read, or it is far too large for one.
    pub fn take(
        given: &[String],
        environment: &BTreeMap<String, String>,
        java: &Path,
        configuration: Option<&Path>,
        class_path: &[PathBuf],
    ) -> Result<Self, FingerprintError> {
        let mut things = BTreeMap::new();
        things.insert("the command".to_owned(), hash(given.join("\0").as_bytes()));
        for (name, value) in environment {
            things.insert(format!("${name}"), hash(value.as_bytes()));
        }
        let script = given.first().map(Path::new).and_then(Path::parent);
        let scripts =
            script.filter(|directory| !directory.as_os_str().is_empty()).map(files_in).unwrap_or_default();
        let directories = class_path.iter().filter_map(|entry| entry.parent());
        let seen = [java].into_iter().chain(directories).chain(class_path.iter().map(PathBuf::as_path));
        for path in seen.map(Path::to_owned).chain(scripts) {
            things.insert(path.display().to_string(), state(&path));
        }
        if let Some(directory) = configuration {
            add_configuration(&mut things, directory)?;
        }
        Ok(Self(things))
    }

    /// The names of what is otherwise in `now`, the first few of them.
    pub fn differences(&self, now: &Self) -> Vec<String> {
        let names = self.0.keys().chain(now.0.keys().filter(|name| !self.0.contains_key(*name)));
        let different = names.filter(|name| self.0.get(*name) != now.0.get(*name));
        different.take(DIFFERENCES_MAX).cloned().collect()
    }
}

fn add_configuration(
    things: &mut BTreeMap<String, String>,
    directory: &Path,
) -> Result<(), FingerprintError> {
    let mut bytes_left = CONFIGURATION_BYTES_MAX;
    let files = files_in(directory);
    if files.len() > CONFIGURATION_FILES_MAX {
        let why = format!("it has {} files, more than {CONFIGURATION_FILES_MAX}", files.len());
        return Err(FingerprintError::new(directory, &why));
    }
    for file in files {
        let failed = |error: io::Error| FingerprintError::new(&file, &error);
        let bytes = fs::metadata(&file).map_err(failed)?.len();
        bytes_left = bytes_left.checked_sub(bytes).ok_or_else(|| {
            let limit = CONFIGURATION_BYTES_MAX;
            FingerprintError::new(directory, &format!("its files have more than {limit} bytes together"))
        })?;
        things.insert(file.display().to_string(), hash(&fs::read(&file).map_err(failed)?));
    }
    Ok(())
}

/// Files only, in order; none where there is no such directory. Links are followed, as Kubernetes mounts a ConfigMap with them.
fn files_in(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn state(path: &Path) -> String {
    let of = |metadata: Metadata| {
        let changed = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        format!("{} bytes, {} ns", metadata.len(), changed.unwrap_or_default().as_nanos())
    };
    fs::metadata(path).map_or_else(|error| error.kind().to_string(), of)
}

fn hash(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

// === impl FingerprintError ===

impl FingerprintError {
    fn new(path: &Path, why: &impl ToString) -> Self {
        Self { path: path.display().to_string(), why: why.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct World {
        _root: tempfile::TempDir,
        configuration: PathBuf,
        library: PathBuf,
        script: PathBuf,
    }

    impl World {
        fn new() -> Self {
            let root = tempfile::tempdir().unwrap();
            let [configuration, library, bin] = ["conf", "lib", "bin"].map(|name| root.path().join(name));
            for directory in [&configuration, &library, &bin] {
                fs::create_dir(directory).unwrap();
            }
            fs::write(configuration.join("config.yaml"), "a: 1").unwrap();
            fs::write(library.join("dist.jar"), "classes").unwrap();
            fs::write(bin.join("standalone-job.sh"), "exec java").unwrap();
            Self { _root: root, configuration, library, script: bin.join("standalone-job.sh") }
        }

        fn take(&self, variables: &[(&str, &str)]) -> Fingerprint {
            let pairs = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let given = [self.script.display().to_string(), "start-foreground".to_owned()];
            let class_path = [self.library.join("dist.jar")];
            let java = Path::new("/proc/self/exe");
            Fingerprint::take(&given, &pairs.collect(), java, Some(&self.configuration), &class_path).unwrap()
        }
    }

    #[test]
    fn nothing_changed_is_no_difference_even_if_the_configuration_is_written_again() {
        let world = World::new();
        let before = world.take(&[("A", "1")]);
        fs::write(world.configuration.join("config.yaml"), "a: 1").unwrap();
        assert_eq!(before.differences(&world.take(&[("A", "1")])), Vec::<String>::new());
    }

    #[test]
    fn whatever_the_scripts_look_at_is_named_when_it_changes() {
        let world = World::new();
        let before = world.take(&[("A", "1")]);
        assert_eq!(before.differences(&world.take(&[("A", "2")])), ["$A"]);
        assert_eq!(before.differences(&world.take(&[])), ["$A"]);
        let changed = |what: &dyn Fn()| {
            what();
            before.differences(&world.take(&[("A", "1")])).join(" ")
        };
        assert!(
            changed(&|| fs::write(&world.script, "exec other java").unwrap()).contains("standalone-job.sh")
        );
        assert!(changed(&|| fs::write(world.library.join("new.jar"), "").unwrap()).contains("lib"));
        assert!(
            changed(&|| fs::write(world.configuration.join("config.yaml"), "a: 2").unwrap())
                .contains("config.yaml")
        );
        assert!(changed(&|| fs::remove_file(world.library.join("dist.jar")).unwrap()).contains("dist.jar"));
    }

    #[test]
    fn values_of_variables_are_not_in_it() {
        let world = World::new();
        let written = serde_json::to_string(&world.take(&[("PASSWORD", "hunter2")])).unwrap();
        assert!(written.contains("$PASSWORD") && !written.contains("hunter2"), "{written}");
    }
}
