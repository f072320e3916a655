//! `holdfast prepare`: makes a class-data archive; see [`crate::prepare`].

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::anyhow;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::prepare::{self, Options, PrepareError, Prepared};

/// Make an archive with which a JobManager starts faster, when an image is built
///
/// Starts a JobManager of this Flink with a small job, kills it, recovers it, and has the JVM keep the classes that a recovery loads.
/// Needs no network, no Kubernetes and no job of yours; takes about a minute. It fits this JVM and these jars in lib/ only: run it
/// as the last step that changes either. `holdfast exec --archive FILE` uses it.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Prepare {
    /// Where to put it; FILE.json, which says what it fits, goes beside it [default: holdfast/jobmanager.jsa in the Flink home]
    #[arg(long, env = "HOLDFAST_ARCHIVE", value_name = "FILE")]
    archive: Option<PathBuf>,

    /// The Flink distribution. The adapter must be in its lib/
    #[arg(long, env = "FLINK_HOME", value_name = "DIR", default_value = "/opt/flink")]
    flink_home: PathBuf,

    /// Leave logs and all other files of the training in this new directory
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,

    #[command(flatten)]
    output: Output,
}

const AFTER_HELP: &str = "\
Exit status: 0 made, 1 not made (an archive that was there is left as it was), 2 wrong usage";

// === impl Prepare ===

impl Prepare {
    pub(super) fn run(self) -> ExitCode {
        let output = self.output;
        let options = Options { archive: self.archive, flink_home: self.flink_home, keep: self.keep };
        output.finish(make(options), |_| Exit::Ok, table)
    }
}

fn make(options: Options) -> Result<Prepared, Failure> {
    let tokio = super::tokio().map_err(|error| Failure::Refused(error.into()))?;
    let made = tokio.block_on(async {
        let started = Instant::now();
        let tell = move |line: &str| {
            // With standard error gone there is nobody to tell; the exit status still does.
            let _ = writeln!(io::stderr(), "{:6.1} s  {line}", started.elapsed().as_secs_f64());
        };
        let mut terminate =
            signal(SignalKind::terminate()).map_err(|error| Failure::Refused(error.into()))?;
        let mut interrupt =
            signal(SignalKind::interrupt()).map_err(|error| Failure::Refused(error.into()))?;
        // Dropped halfway, the training kills what it started.
        tokio::select! {
            made = prepare::run(options, &tell) => made.map_err(Failure::from),
            _ = terminate.recv() => Err(Failure::Refused(anyhow!("told to stop; no archive was made"))),
            _ = interrupt.recv() => Err(Failure::Refused(anyhow!("told to stop; no archive was made"))),
        }
    });
    tokio.shutdown_background();
    made
}

fn table(out: &mut dyn Write, made: &Prepared) -> io::Result<()> {
    let classes = &made.classes;
    let megabytes = |bytes: u64| bytes as f64 / 1e6;
    let (archive_mb, rpc_jar_mb) = (megabytes(made.archive_bytes), megabytes(made.rpc_jar_bytes));
    writeln!(
        out,
        "archive    {} ({archive_mb:.1} MB, and {rpc_jar_mb:.1} MB of unpacked jar beside it)",
        made.archive.display()
    )?;
    writeln!(out, "fits       Flink {}, {}", made.flink, made.java_version)?;
    writeln!(
        out,
        "classes    {} of {} that a recovery loads come out of archives",
        classes.from_archive, classes.loaded
    )?;
    writeln!(
        out,
        "recovery   {} ms from the JVM's start to all tasks running; without the archive {} ms",
        made.recovery_with_ms, made.recovery_without_ms
    )
}

// === impl Failure ===

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        match error {
            PrepareError::Usage(error) => Self::Usage(error),
            PrepareError::Failed(error) => Self::Refused(error),
        }
    }
}
