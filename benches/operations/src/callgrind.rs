//! Counting the instructions of one operation, by running this very program under valgrind's callgrind.

use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::baseline::Toolchain;
use crate::{Operation, Run};

/// How long one operation may take under valgrind, with its preparation: some fifty times as long as without.
const LIMIT: Duration = Duration::from_secs(180);

/// The function whose instructions count, as callgrind finds it among the symbols.
const REGION: &str = "*counted_region*";

/// Prepares an operation, runs it once so that everything that happens only once has happened, and runs it to be counted.
pub fn run(operation: &Operation) {
    let mut run = (operation.prepare)();
    run();
    counted_region(&mut run);
}

/// Callgrind counts from the entry of this function to its end, so it must stay one.
#[inline(never)]
fn counted_region(run: &mut Run) {
    run();
    // Not the last call: it would be made a jump, and the end of this function not be seen.
    black_box(run);
}

/// The instructions of the operation that `program` runs when it is given `arguments`.
///
/// # Errors
/// When valgrind cannot be run, or the program fails under it, or does not run [`run`].
pub async fn count(program: &Path, arguments: &[OsString]) -> anyhow::Result<u64> {
    let scratch = tempfile::tempdir()?;
    // Its own path is what the program allocates first, and moves whatever it allocates later: by 2 % of the smallest counts.
    symlink(program, scratch.path().join("program"))?;
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--quiet", "--callgrind-out-file=counts"]);
    valgrind.arg(format!("--toggle-collect={REGION}")).arg("./program").args(arguments);
    let path = std::env::var_os("PATH").unwrap_or_default();
    valgrind.current_dir(scratch.path()).env_clear().env("PATH", path);
    let ended = output(valgrind, "valgrind").await?;
    ensure!(ended.status.success(), "{}: {}", ended.status, String::from_utf8_lossy(&ended.stderr));
    let counts = fs::read_to_string(scratch.path().join("counts")).context("callgrind wrote no counts")?;
    let total = total(&counts).context("callgrind's file has no line \"totals: N\"")?;
    ensure!(total > 0, "callgrind counted nothing: the program has no symbols, or no function {REGION}");
    Ok(total)
}

/// What counts depend on, here.
///
/// # Errors
/// When one of the tools cannot be asked.
pub async fn toolchain() -> anyhow::Result<Toolchain> {
    Ok(Toolchain {
        rustc: line("rustc", "--version").await?,
        valgrind: line("valgrind", "--version").await?,
        libc: line("getconf", "GNU_LIBC_VERSION").await?,
        processor: format!("{}{}", std::env::consts::ARCH, if has_avx2() { " with AVX2" } else { "" }),
    })
}

#[cfg(target_arch = "x86_64")]
fn has_avx2() -> bool {
    std::arch::is_x86_feature_detected!("avx2")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_avx2() -> bool {
    false
}

async fn line(program: &str, argument: &str) -> anyhow::Result<String> {
    let mut command = Command::new(program);
    command.arg(argument);
    let ended = output(command, program).await?;
    ensure!(ended.status.success(), "{program} {argument}: {}", ended.status);
    Ok(String::from_utf8(ended.stdout)?.trim().to_owned())
}

async fn output(mut command: Command, name: &str) -> anyhow::Result<Output> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    match timeout(LIMIT, command.output()).await {
        Ok(Ok(ended)) => Ok(ended),
        Ok(Err(error)) => Err(error)
            .with_context(|| format!("{name} cannot be run; install it (Debian: valgrind, libc-bin)")),
        Err(_) => bail!("{name} took longer than {} s", LIMIT.as_secs()),
    }
}

/// The instructions in a file of callgrind's.
fn total(counts: &str) -> Option<u64> {
    let total = counts.lines().find_map(|line| line.strip_prefix("totals:"))?;
    total.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_and_a_file_without_one_has_none() {
        assert_eq!(total("events: Ir\nfn=(1) main\n16 3\n\ntotals: 4711\n"), Some(4711));
        assert_eq!(total("events: Ir\n"), None);
    }
}
