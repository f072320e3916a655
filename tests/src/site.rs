//! One cluster's directories: what an image, a volume and an object store are elsewhere. Every pod of the cluster uses the
//! same ones, which is what makes a second pod able to take over.
//!
//! ```text
//! image/lib/      links to the distribution's jars, and the adapter   (never the distribution itself: it is shared)
//! image/usrlib/   the job
//! image/bin/ …    the rest of a Flink home, where `Site::make_flink_home` was asked for it
//! ha/             high-availability.storageDir
//! checkpoints/    execution.checkpointing.dir
//! savepoints/     execution.checkpointing.savepoint-dir
//! store/          the sidecars' store
//! out/            what the job's sink commits
//! logs/           one file per start of a process
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::artifacts::Artifacts;
use crate::process;

/// How many lines of each log an error shows.
const TAIL_LINES: usize = 25;

/// The directories of one cluster. They are removed with it, unless [`Site::keep`] was called or a panic is under way.
#[derive(Debug)]
pub struct Site {
    artifacts: Artifacts,
    dir: Option<TempDir>,
    root: PathBuf,
    image: PathBuf,
    java_tool_options: &'static str,
}

impl Site {
    /// Makes an empty site for these artifacts.
    pub fn new(artifacts: Artifacts) -> Result<Self> {
        let mut site = Self::without_image(artifacts)?;
        site.image = site.root.join("image");
        site.link_image()?;
        Ok(site)
    }

    /// New volumes with this site's image: what was made for its class path fits. This site must outlive it.
    pub fn with_new_volumes(&self) -> Result<Self> {
        let mut site = Self::without_image(self.artifacts.clone())?;
        site.image.clone_from(&self.image);
        site.java_tool_options = self.java_tool_options;
        Ok(site)
    }

    fn without_image(artifacts: Artifacts) -> Result<Self> {
        let dir =
            tempfile::Builder::new().prefix("holdfast-").tempdir().context("making a work directory")?;
        let root = dir.path().to_owned();
        let site = Self { artifacts, image: PathBuf::new(), root, dir: Some(dir), java_tool_options: "" };
        for name in ["ha", "checkpoints", "store", "savepoints", "out", "logs", "tmp"] {
            fs::create_dir_all(site.path(name)).with_context(|| format!("making {name}"))?;
        }
        Ok(site)
    }

    /// The same volumes with another image: an upgrade of Flink. This site must outlive it.
    pub fn with_image_of(&self, artifacts: Artifacts) -> Result<Self> {
        let image = self.root.join(format!("image-{}", artifacts.flink_version));
        let (root, java_tool_options) = (self.root.clone(), self.java_tool_options);
        let site = Self { artifacts, image, root, dir: None, java_tool_options };
        site.link_image()?;
        Ok(site)
    }

    /// Options for all of Flink's JVMs, those that its scripts start to compute something included: for whoever does not look
    /// at how long a JVM takes.
    pub fn set_java_tool_options(&mut self, options: &'static str) {
        self.java_tool_options = options;
    }

    /// The options of [`Site::set_java_tool_options`]; empty by default.
    pub fn java_tool_options(&self) -> &'static str {
        self.java_tool_options
    }

    /// The image's directory, which is the processes' working directory.
    pub fn image(&self) -> &Path {
        &self.image
    }

    /// Makes the image a whole Flink home, which it is not by itself because Flink's scripts are run where they are: for what has
    /// to find everything in one place, as `holdfast prepare` does. Once for each image; returns its directory.
    pub fn make_flink_home(&self) -> Result<&Path> {
        let distribution = &self.artifacts.flink_home;
        // Copies of the scripts: they would follow links to themselves back to where they come from.
        for name in ["bin", "conf"] {
            copy_files(&distribution.join(name), &self.image.join(name))?;
        }
        for name in ["opt", "plugins"] {
            let (from, to) = (distribution.join(name), self.image.join(name));
            symlink(&from, &to).with_context(|| format!("linking {}", to.display()))?;
        }
        Ok(&self.image)
    }

    /// What this site runs.
    pub fn artifacts(&self) -> &Artifacts {
        &self.artifacts
    }

    /// A path of the site.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The site's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The same as a `file:` URL, as Flink and the sidecar want it.
    pub fn url(&self, name: &str) -> String {
        format!("file://{}", self.path(name).display())
    }

    /// A log file for the next start of `name`: `logs/name-1.log`, `logs/name-2.log`, …
    pub fn next_log(&self, name: &str) -> PathBuf {
        let numbered = |n: u32| self.path(&format!("logs/{name}-{n}.log"));
        (1..).map(numbered).find(|path| !path.exists()).expect("u32 is more than the restarts of any run")
    }

    /// Leaves the directories where they are, and says where that is.
    pub fn keep(&mut self) -> &Path {
        if let Some(dir) = self.dir.take() {
            let _ = dir.keep();
        }
        &self.root
    }

    /// The last lines of every log, for the message of an error.
    pub fn log_tails(&self) -> String {
        let mut logs: Vec<PathBuf> = match fs::read_dir(self.path("logs")) {
            Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.path())).collect(),
            Err(error) => return format!("(no logs: {error})"),
        };
        logs.sort();
        let shown = |log: &PathBuf| format!("\n--- {}\n{}\n", log.display(), process::tail(log, TAIL_LINES));
        logs.iter().map(shown).collect()
    }

    fn link_image(&self) -> Result<()> {
        // Directories and not links to them: the scripts' `find` does not follow those.
        for dir in ["lib", "usrlib"] {
            let dir = self.image.join(dir);
            fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        }
        let home_lib = self.artifacts.flink_home.join("lib");
        for entry in fs::read_dir(&home_lib).with_context(|| format!("reading {}", home_lib.display()))? {
            let jar = entry?;
            symlink(jar.path(), self.image.join("lib").join(jar.file_name()))?;
        }
        symlink(&self.artifacts.adapter_jar, self.image.join("lib/holdfast-flink-adapter.jar"))?;
        symlink(&self.artifacts.job_jar, self.image.join("usrlib/demo-job.jar"))?;
        Ok(())
    }
}

/// The files of one directory, with their permissions.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        let path = entry.path();
        if path.is_file() {
            fs::copy(&path, to.join(entry.file_name()))
                .with_context(|| format!("copying {}", path.display()))?;
        }
    }
    Ok(())
}

impl Drop for Site {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.keep();
        }
    }
}
