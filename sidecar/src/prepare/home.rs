//! The Flink that is trained.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};

/// A Flink distribution with the adapter in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FlinkHome {
    /// Where it is, without symbolic links.
    pub(super) path: PathBuf,
    /// As in its file names.
    pub(super) version: String,
}

const ADAPTER: &str = "holdfast-flink-adapter.jar";
/// Flink's scripts look for jars in `lib/` and everything below it; nobody nests them deeper.
const DEPTH_MAX: u8 = 4;

// === impl FlinkHome ===

impl FlinkHome {
    /// Looks at a directory.
    ///
    /// # Errors
    /// It is not a Flink distribution with the adapter; the way out is named.
    pub(super) fn of(path: &Path) -> Result<Self> {
        let home = std::fs::canonicalize(path)
            .with_context(|| format!("flink-home = {} (--flink-home) is not there", path.display()))?;
        let script = home.join("bin/standalone-job.sh");
        ensure!(
            script.is_file(),
            "flink-home = {} (--flink-home) is not a Flink distribution: it has no bin/standalone-job.sh",
            home.display()
        );
        let jars = jars(&home.join("lib"), 0)?;
        let name = |jar: &PathBuf| jar.file_name().map(|name| name.to_string_lossy().into_owned());
        let version = jars
            .iter()
            .filter_map(name)
            .find_map(|name| Some(name.strip_prefix("flink-dist-")?.strip_suffix(".jar")?.to_owned()));
        let version = version.ok_or_else(|| {
            anyhow!("flink-home = {} (--flink-home) has no lib/flink-dist-VERSION.jar", home.display())
        })?;
        if !jars.iter().filter_map(name).any(|name| name == ADAPTER) {
            bail!(
                "there is no {ADAPTER} in {}/lib, where the JobManager will have it; put it there first: holdfast \
                 install-adapter --to {}/lib",
                home.display(),
                home.display()
            );
        }
        Ok(Self { path: home, version })
    }

    /// Where the archive is looked for by default.
    pub(super) fn archive(&self) -> PathBuf {
        self.path.join(crate::exec::archive::IN_FLINK_HOME)
    }

    /// One of its scripts.
    pub(super) fn script(&self, name: &str) -> PathBuf {
        self.path.join("bin").join(name)
    }
}

fn jars(directory: &Path, depth: u8) -> Result<Vec<PathBuf>> {
    let entries =
        std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", directory.display()))?.path();
        if path.is_dir() && depth < DEPTH_MAX {
            found.extend(jars(&path, depth + 1)?);
        } else if path.extension().is_some_and(|extension| extension == "jar") {
            found.push(path);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for file in files {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn the_adapter_is_found_where_the_chart_mounts_it() {
        let dir = home(&[
            "bin/standalone-job.sh",
            "lib/flink-dist-2.2.1.jar",
            "lib/holdfast/holdfast-flink-adapter.jar",
        ]);
        assert_eq!(FlinkHome::of(dir.path()).unwrap().version, "2.2.1");
    }

    #[test]
    fn what_is_missing_is_named_with_the_way_out() {
        let without = home(&["bin/standalone-job.sh", "lib/flink-dist-2.2.1.jar"]);
        let error = FlinkHome::of(without.path()).unwrap_err().to_string();
        assert!(error.contains("install-adapter"), "{error}");
        let nothing = home(&["lib/a.jar"]);
        let error = FlinkHome::of(nothing.path()).unwrap_err().to_string();
        assert!(error.contains("--flink-home"), "{error}");
    }
}
