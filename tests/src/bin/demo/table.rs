//! The figures of a demo, as a table.

use std::time::Duration;

use harness::failover::Failover;
use harness::output;

/// What was measured at the sidecar.
#[derive(Debug, Default)]
pub(crate) struct SidecarFigures {
    /// From each start of the process to `/ready`.
    pub(crate) starts: Vec<Duration>,
    /// Resident memory, while the job ran.
    pub(crate) resident_bytes: u64,
}

/// Prints both.
pub(crate) fn print(failover: &Failover, sidecar: &SidecarFigures) {
    let starts: Vec<String> =
        sidecar.starts.iter().map(|start| format!("{:.0}", start.as_secs_f64() * 1e3)).collect();
    output::line("");
    row("failover of the JobManager", "ms after the kill");
    row("  kill -9", "0");
    timed("  process up", failover.process_up);
    timed("  granted", failover.granted);
    timed(&format!("  restored from checkpoint {}", failover.restored_id), failover.restored);
    timed("  all tasks RUNNING", failover.all_running);
    timed(&format!("  first new checkpoint ({})", failover.checkpoint_id), failover.checkpoint);
    row("sidecar", "");
    row("  start to /ready, ms: first, after its kill", &starts.join(", "));
    row("  resident memory, MiB", &format!("{:.1}", sidecar.resident_bytes as f64 / f64::from(1 << 20)));
    output::line("");
}

fn timed(name: &str, after: Duration) {
    row(name, &after.as_millis().to_string());
}

fn row(name: &str, value: &str) {
    output::line(format!("{name:<46}{value:>18}").trim_end());
}
