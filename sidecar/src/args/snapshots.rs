//! `holdfast snapshots`: what can be said about checkpoints and savepoints, with or without a deployment.
//!
//! Exit status of `verify`: the verdict, see [`exit_status`]. Nothing is ever written but the answer.

mod list;
mod pin;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Error, anyhow};
use clap::Subcommand;
use ha_store::BackendOptions;
use snapshot::{PlaceError, Stores, Verdict, Verification, VerifyError, VerifyOptions};

use super::exit::{Exit, Failure};
use super::output::Output;
use crate::config::store_timeout_ms;

#[derive(Debug, Subcommand)]
pub(super) enum Snapshots {
    /// Find out whether a checkpoint or savepoint can be restored, without restoring it
    ///
    /// Reads the snapshot's _metadata file to its end, then asks for every file that it refers to: is it there, with at
    /// least its recorded length? No deployment, sidecar or Flink is needed, and nothing is written.
    #[command(after_help = AFTER_HELP, after_long_help = AFTER_LONG_HELP)]
    Verify(Verify),
    /// List what is known of the deployment's checkpoints and savepoints, newest first
    List(list::List),
    /// Show one of them in full
    Show(list::Show),
    /// Keep a retained checkpoint or a savepoint
    ///
    /// It stays in the history whatever comes after, and no job takes over its files. A live checkpoint cannot be pinned:
    /// Flink deletes its files.
    Pin(pin::Pin),
    /// Let it go again
    Unpin(pin::Pin),
}

const AFTER_HELP: &str = "\
Exit status: 0 ok, 1 broken, 2 wrong usage or configuration, 3 unknown";

const AFTER_LONG_HELP: &str = "\
Exit status:
  0  ok: it can be restored, as far as its files tell
  1  broken: something is certainly missing, too short or corrupt; no Flink restores it
  2  wrong usage or configuration: nothing was asked
  3  unknown: nothing is certainly wrong, but not everything was answered, or the answer could not be printed.
     Ask again; restoring an older snapshot for it would lose state

Credentials, endpoint and region come from the provider's usual environment variables (AWS_ACCESS_KEY_ID,
AWS_ENDPOINT, AWS_REGION, GOOGLE_SERVICE_ACCOUNT, AZURE_STORAGE_ACCOUNT_NAME, …), as for `holdfast run`.";

#[derive(Debug, clap::Args)]
pub(super) struct Verify {
    /// The chk-N directory of a checkpoint, the directory of a savepoint, or a _metadata file, as a path or a URL:
    /// file:, s3://, s3a://, s3p://, gs://, az://, abfs:// or abfss://
    #[arg(value_name = "SNAPSHOT")]
    snapshot: String,

    /// Read the _metadata file and ask for no other: enough for one that was copied to somewhere by itself
    #[arg(long)]
    metadata_only: bool,

    #[command(flatten)]
    output: Output,

    /// How long one request to a store may take; it is tried three times [default: 5s]
    #[arg(long, env = "HOLDFAST_STORE_TIMEOUT", value_name = "DURATION")]
    store_timeout: Option<String>,

    /// Where the root of Flink's local files is here, SNAPSHOT included: /mnt/flink when Flink's /checkpoints is
    /// mounted at /mnt/flink/checkpoints
    #[arg(long, value_name = "DIR", default_value = "/")]
    local_root: PathBuf,
}

/// As documented in `--help` and `docs/snapshots.md`; 2 is for wrong usage.
fn exit_status(verdict: Verdict) -> Exit {
    match verdict {
        Verdict::Ok => Exit::Ok,
        Verdict::Broken => Exit::No,
        Verdict::Unknown => Exit::Unknown,
    }
}

// === impl Snapshots ===

impl Snapshots {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Verify(verify) => verify.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Pin(pin) => pin.run(true),
            Self::Unpin(unpin) => unpin.run(false),
        }
    }
}

impl Verify {
    fn run(self) -> ExitCode {
        let output = self.output;
        let found = self.ask().map_err(Failure::Usage);
        output.finish(found, |found| exit_status(found.verdict), table::write)
    }

    fn ask(self) -> anyhow::Result<Verification> {
        let timeout_ms = store_timeout_ms(self.store_timeout)?;
        let backend = BackendOptions { call_timeout_ms: timeout_ms, ..BackendOptions::default() };
        let stores = Stores::new(backend).with_local_root(self.local_root);
        let options = VerifyOptions {
            metadata_only: self.metadata_only,
            request_timeout_ms: timeout_ms,
            ..VerifyOptions::default()
        };
        let tokio = super::tokio().context("the threads cannot be started")?;
        let found = tokio.block_on(snapshot::verify(&stores, &self.snapshot, &options));
        // Not waited for: a file system that hangs keeps a thread that asked it, and must not keep the answer.
        tokio.shutdown_background();
        found.map_err(explained)
    }
}

/// The error, and the way out. The snapshot's own text is not repeated: it may carry a credential.
fn explained(error: VerifyError) -> Error {
    let way_out = match &error {
        VerifyError::Place(PlaceError::NoClient { .. }) => {
            "copy the snapshot's directory to one of those (a savepoint can be moved as a whole), or its _metadata \
             file alone and use --metadata-only"
        }
        VerifyError::Place(PlaceError::Invalid { .. }) => {
            "give the directory or the _metadata file as a path, or as a URL like s3://bucket/checkpoints/JOB/chk-7"
        }
        VerifyError::Store { .. } => {
            "check the environment variables of this kind of store: credentials, endpoint, region"
        }
    };
    anyhow!("{error}; {way_out}")
}
