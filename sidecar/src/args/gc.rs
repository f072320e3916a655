//! `holdfast gc --dry-run`: what the next collection would remove, and which snapshots nothing needs any more.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;

use super::exit::{Exit, Failure};
use super::output::{Output, shown};
use super::source::{Opened, Source, Told, failure};
use super::words::{ago, kind};
use crate::views::{self, CollectionView};

#[derive(Debug, clap::Args)]
pub(super) struct Gc {
    /// Only say what would be removed; required, because the leader collects by itself
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

/// Beyond so many a person does not read on; JSON has them all.
const BLOBS_SHOWN: usize = 10;

// === impl Gc ===

impl Gc {
    pub(super) fn run(self) -> ExitCode {
        let output = self.output;
        let found = self.ask();
        output.finish(found, |_| Exit::Ok, |out, told| table(out, &told.view))
    }

    fn ask(self) -> Result<Told<CollectionView>, Failure> {
        if !self.dry_run {
            return Err(Failure::Usage(anyhow!(
                "gc removes nothing itself: the sidecar that leads collects old records and blobs every \
                 --collect-interval. Add --dry-run to see what it would remove"
            )));
        }
        self.source.read("/v1/collection", async |opened: Opened| {
            let collectable = opened.store.collectable().await.map_err(|error| failure(&error))?;
            let state = &opened.store.view().state;
            Ok(views::collection(&opened.deployment, state, opened.now_ms, &collectable))
        })
    }
}

fn table(out: &mut dyn Write, view: &CollectionView) -> io::Result<()> {
    match (view.records.first(), view.records.last()) {
        (Some(first), Some(last)) => {
            writeln!(out, "records  {} would be removed, {first} to {last}", view.records.len())?;
        }
        _ => writeln!(out, "records  none would be removed: all are young, or among the last ones")?,
    }
    let bytes: u64 = view.blobs.iter().map(|blob| blob.bytes).sum();
    match view.blobs.len() {
        0 => writeln!(out, "blobs    none would be removed")?,
        count => writeln!(out, "blobs    {count} would be removed, {bytes} bytes")?,
    }
    for blob in view.blobs.iter().take(BLOBS_SHOWN) {
        writeln!(out, "  {} ({} bytes)", shown(&blob.key), blob.bytes)?;
    }
    if let Some(more) = view.blobs.len().checked_sub(BLOBS_SHOWN).filter(|more| *more > 0) {
        writeln!(out, "  … and {more} more; -o json has them all")?;
    }
    if view.more {
        writeln!(out, "more     one round does not remove everything; the next ones go on")?;
    }
    writeln!(out, "\nretained snapshots that nothing needs any more: {}", view.unneeded_snapshots.len())?;
    for snapshot in &view.unneeded_snapshots {
        let age = ago(view.now_ms, snapshot.completed_at_ms);
        let place = shown(&snapshot.external_pointer);
        writeln!(out, "  {} {}, {age}: {place}", kind(snapshot.kind), snapshot.id)?;
    }
    if !view.unneeded_snapshots.is_empty() {
        writeln!(
            out,
            "  Holdfast never deletes files of snapshots. If you do, delete only the directory that is named here:\n  \
             files in shared/ and taskowned/ may belong to newer snapshots. `holdfast snapshots pin ID` keeps one"
        )?;
    }
    Ok(())
}
