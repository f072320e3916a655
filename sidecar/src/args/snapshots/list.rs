//! `holdfast snapshots list` and `show`.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;

use crate::args::exit::{Exit, Failure};
use crate::args::output::{Output, shown};
use crate::args::remote::segment;
use crate::args::source::{Opened, Source};
use crate::args::words::{ago, columns, kind, row};
use crate::views::{self, SnapshotView, SnapshotsView};

#[derive(Debug, clap::Args)]
pub(in crate::args) struct List {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, clap::Args)]
pub(in crate::args) struct Show {
    /// Flink's checkpoint id, or where the snapshot is
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

// === impl List ===

impl List {
    pub(in crate::args) fn run(self) -> ExitCode {
        let found = self.source.read("/v1/snapshots", async |opened: Opened| Ok(all(&opened)));
        self.output.finish(found, |_| Exit::Ok, |out, told| table(out, &told.view))
    }
}

// === impl Show ===

impl Show {
    pub(in crate::args) fn run(self) -> ExitCode {
        let path = format!("/v1/snapshots/{}", segment(&self.id));
        let found = self.source.read(&path, async |opened: Opened| one(&opened, &self.id));
        self.output.finish(found, |_| Exit::Ok, |out, told| details(out, &told.view))
    }
}

pub(super) fn all(opened: &Opened) -> SnapshotsView {
    views::snapshots(&opened.deployment, &opened.state, opened.now_ms)
}

fn one(opened: &Opened, id: &str) -> Result<SnapshotsView, Failure> {
    let mut view = all(opened);
    let found: Vec<_> = views::find(&view, id).into_iter().cloned().collect();
    if found.is_empty() {
        return Err(Failure::Refused(anyhow!(
            "no snapshot {id:?} is known to deployment {}; `holdfast snapshots list` shows those that are",
            opened.deployment
        )));
    }
    view.snapshots = found;
    Ok(view)
}

fn table(out: &mut dyn Write, view: &SnapshotsView) -> io::Result<()> {
    if view.snapshots.is_empty() {
        return writeln!(out, "no snapshot was recorded for deployment {}", shown(&view.deployment));
    }
    let rows = view.snapshots.iter().map(|snapshot| {
        [
            snapshot.id.to_string(),
            kind(snapshot.kind).to_owned(),
            snapshot.state.as_str().to_owned(),
            ago(view.now_ms, snapshot.completed_at_ms),
            snapshot.generation.clone().unwrap_or_else(|| "-".into()),
            snapshot.external_pointer.clone(),
            remark(snapshot),
        ]
    });
    columns(out, ["ID", "KIND", "STATE", "COMPLETED", "GENERATION", "PLACE", "REMARK"], rows)
}

/// Why it is or is not what latest-state restores.
pub(in crate::args) fn remark(snapshot: &SnapshotView) -> String {
    let newest = if snapshot.newest { "newest" } else { "" };
    match &snapshot.not_eligible {
        Some(why) if snapshot.newest => format!("newest, but {why}"),
        Some(why) => why.clone(),
        None => newest.to_owned(),
    }
}

fn details(out: &mut dyn Write, view: &SnapshotsView) -> io::Result<()> {
    for (index, snapshot) in view.snapshots.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        one_in_full(out, view.now_ms, snapshot)?;
    }
    Ok(())
}

/// Everything about one snapshot, a line each.
pub(super) fn one_in_full(out: &mut dyn Write, now_ms: i64, snapshot: &SnapshotView) -> io::Result<()> {
    row(out, "snapshot", &format!("{} {}", kind(snapshot.kind), snapshot.id))?;
    row(out, "place", &snapshot.external_pointer)?;
    row(out, "state", snapshot.state.as_str())?;
    let standing = match (snapshot.newest, &snapshot.not_eligible) {
        (true, None) => "this is what latest-state restores".to_owned(),
        (true, Some(why)) => format!("latest-state refuses: this is the newest, and {why}"),
        (false, None) => "could be restored; a newer one is".to_owned(),
        (false, Some(why)) => format!("not chosen: {why}"),
    };
    row(out, "latest-state", &standing)?;
    row(out, "job", snapshot.job.as_str())?;
    let generation = snapshot.generation.as_deref().unwrap_or("forgotten");
    row(out, "generation", &format!("{generation} (epoch {})", snapshot.epoch))?;
    row(out, "triggered", &ago(now_ms, snapshot.triggered_at_ms))?;
    row(out, "completed", &ago(now_ms, snapshot.completed_at_ms))?;
    row(out, "recorded", &ago(now_ms, snapshot.added_at_ms))
}
