//! One API server and one directory for the rules of a test, and pods in which candidates run.

use std::cell::Cell;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow};
use harness::kubernetes::ApiServer;
pub(crate) use harness::kubernetes::deployment::{Deployment, LIMIT};
pub(crate) use harness::kubernetes::manifests::LEASE;
use harness::output;
use harness::process;
use harness::scenario::Failure;
use tempfile::TempDir;
use tokio::sync::Mutex;

/// How many lines of each log an error shows.
const TAIL_LINES: usize = 15;

/// One test at a time: several of the rules are about time.
pub(crate) static MACHINE: Mutex<()> = Mutex::const_new(());

/// What the rules of a test share.
pub(crate) struct World {
    pub(crate) server: ApiServer,
    root: PathBuf,
    rules: Cell<u32>,
}

/// Runs `body` with a fresh API server. When it fails, its directory is kept and the error shows how each log ends.
pub(crate) async fn with_api_server(body: impl AsyncFnOnce(&mut World) -> Result<()>) -> Result<(), Failure> {
    let _alone = MACHINE.lock().await;
    end_on_signal();
    output::line("");
    let dir =
        tempfile::Builder::new().prefix("holdfast-k8s-").tempdir().context("making a work directory")?;
    let root = dir.path().to_owned();
    let outcome = async {
        let server = ApiServer::start(&root).await?;
        body(&mut World { server, root: root.clone(), rules: Cell::new(0) }).await
    };
    let outcome: Result<()> = outcome.await;
    outcome.map_err(|error| explain(&error, dir).into())
}

fn explain(error: &anyhow::Error, dir: TempDir) -> anyhow::Error {
    let kept = dir.keep();
    let mut logs: Vec<_> = fs::read_dir(kept.join("logs")).into_iter().flatten().flatten().collect();
    logs.sort_by_key(fs::DirEntry::path);
    let shown = |log: &fs::DirEntry| {
        format!("\n--- {}\n{}\n", log.path().display(), process::tail(&log.path(), TAIL_LINES))
    };
    let tails: String = logs.iter().map(shown).collect();
    anyhow!("{error:#}\neverything is kept in {}\n{tails}", kept.display())
}

/// libtest does not unwind on Ctrl-C; without this the processes of the test would live on.
fn end_on_signal() {
    tokio::spawn(async {
        if process::asked_to_end().await.is_ok() {
            process::kill_everything();
            std::process::exit(130);
        }
    });
}

impl World {
    /// A new deployment, in the namespace `rule-N`. Its candidates may do everything unless they are told otherwise.
    pub(crate) async fn deployment(&self) -> Result<Deployment> {
        self.rules.set(self.rules.get() + 1);
        Deployment::create(&self.server, &self.root, &format!("rule-{}", self.rules.get())).await
    }
}
