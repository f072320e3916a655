//! Where the things under test are. Nothing is built or downloaded here: what is missing is named, with the command that
//! makes it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// Everything that a run with one Flink version needs.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The `holdfast` binary of the profile that this program was built with.
    pub sidecar: PathBuf,
    /// The jar that makes Flink talk to the sidecar.
    pub adapter_jar: PathBuf,
    /// The job whose output proves exactly-once, compiled against this version.
    pub job_jar: PathBuf,
    /// An unmodified Flink distribution.
    pub flink_home: PathBuf,
    /// Its version, as in its file names.
    pub flink_version: String,
}

impl Artifacts {
    /// For a Flink version in the cache.
    pub fn for_version(version: &str) -> Result<Self> {
        let home = cache()?.join(format!("flink-{version}"));
        if !home.join("lib").is_dir() {
            bail!("there is no Flink {version} in {}; run: scripts/setup-flink.sh {version}", home.display());
        }
        Self::for_home(&home)
    }

    /// For a Flink distribution wherever it is.
    pub fn for_home(home: &Path) -> Result<Self> {
        let home = fs::canonicalize(home).with_context(|| format!("Flink home {}", home.display()))?;
        let flink_version = version_of(&home)?;
        let checkout = checkout();
        let adapter_jar = checkout.join("flink-adapter/build/holdfast-flink-adapter.jar");
        let job_jar = checkout.join(format!("target/demo-job/demo-job-{flink_version}.jar"));
        require(&adapter_jar, &format!("flink-adapter/build.sh {}", home.display()))?;
        let build_job = format!("flink-adapter/demo-job/build.sh {} {}", home.display(), job_jar.display());
        require(&job_jar, &build_job)?;
        Ok(Self { sidecar: sidecar()?, adapter_jar, job_jar, flink_home: home, flink_version })
    }

    /// The script that makes snapshots of every kind with a Flink home that it is given.
    pub fn fixture_script(&self) -> PathBuf {
        checkout().join("snapshot/fixtures/make.sh")
    }
}

/// The `holdfast` binary beside this program: `target/debug/deps/e2e-…` and `target/debug/holdfast-demo` both find
/// `target/debug/holdfast`.
pub fn sidecar() -> Result<PathBuf> {
    let me = env::current_exe().context("finding this program's own path")?;
    let mut profile = me.parent().context("this program is in no directory")?;
    if profile.ends_with("deps") {
        profile = profile.parent().context("deps is in no directory")?;
    }
    let binary = profile.join("holdfast");
    let flag = if profile.ends_with("release") { " --release" } else { "" };
    require(&binary, &format!("cargo build{flag} --bin holdfast"))?;
    Ok(binary)
}

fn require(path: &Path, made_by: &str) -> Result<()> {
    if !path.is_file() {
        bail!("{} is missing; run: {made_by}", path.display());
    }
    Ok(())
}

/// `…/lib/flink-dist-2.2.1.jar` → `2.2.1`. The name of the home is the user's business.
fn version_of(home: &Path) -> Result<String> {
    let lib = home.join("lib");
    let entries = fs::read_dir(&lib).with_context(|| format!("{} is not a Flink home", home.display()))?;
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut versions =
        names.filter_map(|name| Some(name.strip_prefix("flink-dist-")?.strip_suffix(".jar")?.to_owned()));
    versions.next().with_context(|| format!("{} holds no flink-dist-VERSION.jar", lib.display()))
}

/// The cache that `scripts/setup-flink.sh` fills, found by the same rule.
fn cache() -> Result<PathBuf> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = set("HOLDFAST_CACHE") {
        return Ok(cache);
    }
    let base = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    Ok(base.context("none of HOLDFAST_CACHE, XDG_CACHE_HOME and HOME is set")?.join("holdfast"))
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is a folder of the checkout")
}
