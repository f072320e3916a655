//! `holdfast reset`: what the next generation starts from, whatever is newer.

use std::io::{self, Write};
use std::process::ExitCode;

use ha_store::{Answer, Change, Clock, SystemClock};
use serde_json::json;

use super::exit::{Exit, Failure};
use super::output::Output;
use super::source::{Asked, Depose, Opened, Source, Told, declined};
use super::words::{kind, row};
use crate::views;
use crate::wishes::{self, ResetAnswer};

#[derive(Debug, clap::Args)]
pub(super) struct Reset {
    /// The snapshot: Flink's checkpoint id, or where it is, which may be elsewhere. It is verified first
    #[arg(long, value_name = "SNAPSHOT", required_unless_present = "cancel", conflicts_with = "cancel")]
    to: Option<String>,

    /// Take the last reset back, as long as no generation has begun with it
    #[arg(long)]
    cancel: bool,

    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    depose: Depose,
    #[command(flatten)]
    output: Output,
}

// === impl Reset ===

impl Reset {
    pub(super) fn run(self) -> ExitCode {
        let output = self.output;
        let done = self.ask();
        output.finish(done, |_| Exit::Ok, |out, told| table(out, &told.view))
    }

    fn ask(self) -> Result<Told<ResetAnswer>, Failure> {
        match (self.source.checked()?, self.to) {
            (Asked::Sidecar(remote), Some(to)) => {
                remote.post("/v1/reset", &json!({"to": to})).and_then(Told::of_json)
            }
            (Asked::Sidecar(remote), None) => remote.delete("/v1/reset").and_then(Told::of_json),
            (Asked::Store(direct), to) => {
                let depose = self.depose.depose;
                let done = direct.run(async |opened| write(&opened, depose, to.as_deref()).await);
                done.and_then(Told::of_view)
            }
        }
    }
}

async fn write(opened: &Opened, depose: bool, to: Option<&str>) -> Result<ResetAnswer, Failure> {
    let Some(to) = to else {
        if opened.state.reset.is_none() {
            return Ok(ResetAnswer::cancelled(false));
        }
        let (answer, _) = opened.write("reset", depose, Change::SetReset { reset: None }).await?;
        return Ok(ResetAnswer::cancelled(answer == Answer::Changed));
    };
    let known = views::snapshots(&opened.deployment, &opened.state, opened.now_ms);
    let found = wishes::to_reset(&known, to, &opened.snapshots).await;
    let mut found = found.map_err(declined)?;
    let wished = opened.state.reset.as_ref().map(|reset| &reset.external_pointer);
    found.changed = wished != found.external_pointer.as_ref();
    if found.changed {
        let (answer, _) = opened.write("reset", depose, wishes::reset(&found, SystemClock.wall_ms())).await?;
        found.changed = answer == Answer::Changed;
    }
    Ok(found)
}

fn table(out: &mut dyn Write, answer: &ResetAnswer) -> io::Result<()> {
    let Some(pointer) = &answer.external_pointer else {
        return writeln!(out, "{}", super::output::shown(&answer.why));
    };
    writeln!(out, "the next generation starts from this snapshot; the present one is not touched")?;
    let id = answer.id.map_or_else(String::new, |id| format!(" {id}"));
    row(out, "snapshot", &format!("{}{id}", answer.kind.map_or("snapshot", kind)))?;
    row(out, "place", pointer)?;
    row(out, "known", if answer.known { "yes" } else { "no: it is not of this deployment" })?;
    row(out, "verified", &answer.why)?;
    row(out, "take back", "holdfast reset --cancel")
}
