//! `holdfast savepoint`: takes one, waits for it, and says where it is.
//!
//! Exit status: see [`AFTER_LONG_HELP`]. It is asked for once; what became of it can be asked for again by its id.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use jiff::SignedDuration;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::exit::{Exit, Failure};
use super::output::{Output, shown};
use super::remote::{Remote, segment};

/// Take a savepoint of a running job, or stop it with one
///
/// The savepoint is in the ledger before this command says that it is done: the next generation starts from it if nothing newer
/// follows. Without --target-directory it goes where Flink is configured to put it (execution.checkpointing.savepoint-dir, or
/// state.savepoints.dir).
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
pub(super) struct Savepoint {
    /// Stop the job with it: it ends as FINISHED once the savepoint is complete and its sinks have committed
    #[arg(long)]
    stop: bool,

    /// With --stop: sources end as if there were no more data, and windows fire. Not for a job that is to go on later
    #[arg(long, requires = "stop")]
    drain: bool,

    /// The job's id; needed when several run
    #[arg(long, value_name = "ID")]
    job: Option<String>,

    /// Where to put it, as Flink names it, like s3://bucket/savepoints
    #[arg(long, value_name = "URL")]
    target_directory: Option<String>,

    /// `canonical` can be restored with another state backend; `native` is faster
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = SavepointFormat::Canonical)]
    format: SavepointFormat,

    /// How long to wait for it. It goes on when this is over
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    timeout: SignedDuration,

    #[command(flatten)]
    remote: Remote,

    #[command(flatten)]
    output: Output,
}

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 failed, 2 wrong usage, 3 unknown";

const AFTER_LONG_HELP: &str = "\
Exit status:
  0  done: it is complete and recorded, and with --stop the end of the job is recorded, too
  1  failed: it was refused or not made, or it was made and the job did not end; the message says which
  2  wrong usage: nothing was asked
  3  unknown: it may be made, or be made later, or it is made but not recorded; or with --stop it is made, and the JobManager
     was gone before the end of the job was recorded. Look with `holdfast snapshots list` before asking for another one";

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum SavepointFormat {
    Canonical,
    Native,
}

const POLL: Duration = Duration::from_millis(500);
/// So often in a row the sidecar may not answer, when it is restarted for example.
const UNANSWERED_MAX: u32 = 20;

// === impl Savepoint ===

impl Savepoint {
    pub(super) fn run(self) -> ExitCode {
        self.output.finish(self.take(), verdict, table)
    }

    fn take(&self) -> Result<Value, Failure> {
        let timeout = Duration::try_from(self.timeout)
            .map_err(|_| Failure::Usage(anyhow!("--timeout {} must not be negative", self.timeout)))?;
        let format = match self.format {
            SavepointFormat::Canonical => "CANONICAL",
            SavepointFormat::Native => "NATIVE",
        };
        let request = json!({
            "job": self.job, "target_directory": self.target_directory, "stop": self.stop, "drain": self.drain,
            "format": format,
        });
        let accepted: Value = self.remote.post("/v1/savepoints", &request)?;
        let id = accepted["id"].as_str().unwrap_or_default();
        self.wait(id, timeout)
    }

    fn wait(&self, id: &str, timeout: Duration) -> Result<Value, Failure> {
        let path = format!("/v1/savepoints/{}", segment(id));
        let tokio = super::tokio().map_err(|error| Failure::Unknown(error.into()))?;
        let started = Instant::now();
        let mut unanswered = 0;
        loop {
            match self.remote.get::<Value>(&path) {
                Ok(taken) if taken["status"] != "in-progress" => return Ok(taken),
                Ok(_) => unanswered = 0,
                Err(Failure::Unknown(_)) if unanswered < UNANSWERED_MAX => unanswered += 1,
                Err(failure) => {
                    let reason = "it was asked for, and what became of it cannot be asked any more";
                    let told = anyhow!("savepoint {id}: {reason}: {:#}", failure.error());
                    return Err(Failure::Unknown(told));
                }
            }
            if started.elapsed() >= timeout {
                return Err(Failure::Unknown(anyhow!(
                    "savepoint {id} is not done after {} (--timeout), and goes on; ask for it at {path} of the sidecar, or look \
                     with `holdfast snapshots list`",
                    self.timeout
                )));
            }
            tokio.block_on(async { sleep(POLL).await });
        }
    }
}

/// As documented in `--help`.
fn verdict(taken: &Value) -> Exit {
    match (taken["status"].as_str(), taken["recorded"].as_bool()) {
        (Some("completed"), Some(true)) => Exit::Ok,
        (Some("failed"), _) => Exit::No,
        _ => Exit::Unknown,
    }
}

fn table(out: &mut dyn Write, taken: &Value) -> io::Result<()> {
    let fields = [
        ("status", "status"),
        ("job", "job"),
        ("savepoint", "external_pointer"),
        ("checkpoint id", "checkpoint_id"),
        ("recorded", "recorded"),
        ("detail", "detail"),
    ];
    for (name, field) in fields {
        let value = match &taken[field] {
            Value::Null => continue,
            Value::String(text) => shown(text),
            other => other.to_string(),
        };
        writeln!(out, "{name:<14} {value}")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_savepoint_that_is_recorded_is_done() {
        assert_eq!(verdict(&json!({"status": "completed", "recorded": true})), Exit::Ok);
        assert_eq!(verdict(&json!({"status": "completed", "recorded": false})), Exit::Unknown);
        assert_eq!(verdict(&json!({"status": "failed", "recorded": true})), Exit::No);
        assert_eq!(verdict(&json!({"status": "unknown", "recorded": false})), Exit::Unknown);
        assert_eq!(verdict(&json!({})), Exit::Unknown);
    }

    #[test]
    fn what_is_shown_leaves_out_what_is_not_known() {
        let mut out = Vec::new();
        table(&mut out, &json!({"status": "failed", "external_pointer": null, "detail": "no\u{1b}"}))
            .unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "status         failed\ndetail         no\\u{1b}\n");
    }
}
