//! Puts into the binary what a replay needs to know: the scenarios, and which build this is.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let crate_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out_dir = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    seeded_runtimes()?;
    let root = crate_dir.parent().expect("the crate is in the workspace's directory");
    scenarios(&root.join("scenarios"), &out_dir.join("scenarios.rs"))?;
    versions(root)
}

/// Runs repeat only with tokio's seeded runtimes. A `RUSTFLAGS` in the environment replaces what the checkout asks for, without
/// a word; such a binary would look as good as any other.
fn seeded_runtimes() -> io::Result<()> {
    match env::var_os("CARGO_CFG_TOKIO_UNSTABLE") {
        Some(_) => Ok(()),
        None => Err(io::Error::other(
            "the simulator needs `--cfg tokio_unstable`, or its runs do not repeat: .cargo/config.toml sets it, unless RUSTFLAGS is set \
             too; add it there",
        )),
    }
}

/// A Rust array of every scenario's name and text.
fn scenarios(directory: &Path, to: &Path) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", directory.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "yaml") {
            files.push(path);
        }
    }
    files.sort();
    let mut code = format!("static SHIPPED: [(&str, &str); {}] = [\n", files.len());
    for path in files {
        println!("cargo::rerun-if-changed={}", path.display());
        let name = path.file_stem().expect("it has an ending, so it has a stem").to_string_lossy();
        writeln!(code, "    ({name:?}, include_str!({:?})),", path.display().to_string())
            .expect("a string grows");
    }
    code.push_str("];\n");
    fs::write(to, code)
}

/// The hash of `Cargo.lock` and the commit: `HOLDFAST_COMMIT` if it is set, otherwise the checkout's, if there is one. A build
/// without both is as good.
fn versions(root: &Path) -> io::Result<()> {
    let lock = root.join("Cargo.lock");
    println!("cargo::rerun-if-changed={}", lock.display());
    println!("cargo::rustc-env=HOLDFAST_LOCK_HASH={:08x}", fnv1a(&fs::read(lock)?));

    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(root).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
    };
    for file in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", file])
            && Path::new(&path).exists()
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    println!("cargo::rerun-if-env-changed=HOLDFAST_COMMIT");
    let named = env::var("HOLDFAST_COMMIT").ok().filter(|commit| !commit.is_empty());
    let commit = named.or_else(|| git(&["rev-parse", "--short=8", "HEAD"])).unwrap_or_default();
    // It becomes a part of tokens, which a shell must take without quotes.
    if !commit.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::other(format!(
            "HOLDFAST_COMMIT is {commit:?}, which is no commit: hex digits belong there"
        )));
    }
    println!("cargo::rustc-env=HOLDFAST_COMMIT={commit}");
    Ok(())
}

/// A plain hash: enough to tell one lock file from another, without a build dependency.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
