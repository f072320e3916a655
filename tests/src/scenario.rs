//! Frames an end-to-end test: as many at a time as this machine has room for, cleaned up on Ctrl-C, and with the logs in the
//! message when it fails.

use std::env;
use std::fmt;
use std::fs;
use std::sync::LazyLock;
use std::thread;

use anyhow::Result;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::artifacts::Artifacts;
use crate::output;
use crate::process;
use crate::site::Site;

/// A cluster for each processor, as far as there is memory for them, whatever `--test-threads` says.
static MACHINE: LazyLock<Semaphore> = LazyLock::new(|| {
    let processors = thread::available_parallelism().map_or(1, usize::from);
    Semaphore::new((memory_bytes() / CLUSTER_BYTES).clamp(1, processors))
});

/// Two JobManagers and two TaskManagers as they are configured here, with their sidecars.
const CLUSTER_BYTES: usize = 8 << 30;

/// Half of what a JVM spends in its first minute is spent on compiling; none of the tests is about speed.
const JAVA_TOOL_OPTIONS: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

/// Set to anything: the logs, configuration and state of a test that passed are kept, too.
const KEEP: &str = "HOLDFAST_TESTS_KEEP";

/// Why a test failed. libtest prints errors with `{:?}`, which for `anyhow` is a back trace of the async runtime; here it is
/// the message and the logs.
pub struct Failure(String);

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// Runs `body` with a fresh site for this Flink version. When it fails, the site is kept and the error shows where it is and
/// how each log ends.
pub async fn with_flink(version: &str, body: impl AsyncFnOnce(&Site) -> Result<()>) -> Result<(), Failure> {
    let _room = MACHINE.acquire().await.expect("it is never closed");
    end_on_signal();
    let thread = thread::current();
    // On a line of its own: with `--test-threads=1` libtest has begun one already.
    let _output = output::hold(&format!("\n{}", thread.name().unwrap_or("a test")));
    let mut site = Site::new(Artifacts::for_version(version)?)?;
    site.set_java_tool_options(JAVA_TOOL_OPTIONS);
    let outcome = body(&site).await;
    if outcome.is_ok() && env::var_os(KEEP).is_some() {
        output::line(format!("    everything is kept in {}", site.keep().display()));
    }
    outcome.map_err(|error| {
        let tails = site.log_tails();
        let kept = site.keep().display();
        Failure(format!("Flink {version}: {error:#}\neverything is kept in {kept}\n{tails}"))
    })
}

/// What the kernel says; nothing where it does not.
fn memory_bytes() -> usize {
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    total.and_then(|kilobytes| kilobytes.trim().parse().ok()).map_or(0, |kilobytes: usize| kilobytes << 10)
}

/// Runs one rule of a test and prints it with the time that it took.
pub async fn rule<T>(name: &str, body: impl Future<Output = Result<T>>) -> Result<T> {
    let started = Instant::now();
    let outcome = body.await;
    let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
    output::line(format!("    {name} ... {verdict} ({:.1} s)", started.elapsed().as_secs_f64()));
    outcome.map_err(|error| error.context(name.to_owned()))
}

/// libtest does not unwind on Ctrl-C; without this the processes of the test would live on.
fn end_on_signal() {
    tokio::spawn(async {
        if let Ok(signal) = process::asked_to_end().await {
            process::kill_everything();
            output::line(format!("\nstopped by {signal}: every process is ended, the work directory stays"));
            std::process::exit(130);
        }
    });
}
