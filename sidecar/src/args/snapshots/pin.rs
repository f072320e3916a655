//! `holdfast snapshots pin` and `unpin`.

use std::io::{self, Write};
use std::process::ExitCode;

use ha_store::{Answer, Clock, SystemClock};
use serde_json::json;

use super::list::{all, one_in_full};
use crate::args::exit::{Exit, Failure};
use crate::args::output::Output;
use crate::args::remote::segment;
use crate::args::source::{Asked, Depose, Opened, Source, Told, declined};
use crate::views;
use crate::wishes::{self, PinAnswer};

#[derive(Debug, clap::Args)]
pub(in crate::args) struct Pin {
    /// Flink's checkpoint id, or where the snapshot is
    #[arg(value_name = "ID")]
    id: String,

    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    depose: Depose,
    #[command(flatten)]
    output: Output,
}

// === impl Pin ===

impl Pin {
    pub(in crate::args) fn run(self, pinned: bool) -> ExitCode {
        let output = self.output;
        let now_ms = SystemClock.wall_ms();
        let done = self.ask(pinned);
        output.finish(done, |_| Exit::Ok, |out, told| table(out, now_ms, &told.view))
    }

    fn ask(self, pinned: bool) -> Result<Told<PinAnswer>, Failure> {
        let verb = if pinned { "pin" } else { "unpin" };
        match self.source.checked()? {
            Asked::Sidecar(remote) => {
                let path = format!("/v1/snapshots/{}/{verb}", segment(&self.id));
                remote.post(&path, &json!(null)).and_then(Told::of_json)
            }
            Asked::Store(direct) => {
                let depose = self.depose.depose;
                let command = format!("snapshots {verb}");
                let id = self.id;
                let done = direct.run(async |opened| write(&opened, &command, depose, &id, pinned).await);
                done.and_then(Told::of_view)
            }
        }
    }
}

async fn write(
    opened: &Opened,
    command: &str,
    depose: bool,
    id: &str,
    pinned: bool,
) -> Result<PinAnswer, Failure> {
    let meant = wishes::to_pin(&all(opened), id, pinned).map_err(declined)?;
    let is_pinned = meant.state == views::Standing::Pinned;
    if is_pinned == pinned {
        // No epoch is claimed for what is so already.
        return Ok(PinAnswer { changed: false, snapshot: meant });
    }
    let (answer, state) = opened.write(command, depose, wishes::pin(&meant, pinned)).await?;
    let after = views::snapshots(&opened.deployment, &state, opened.now_ms);
    let now = views::find(&after, &meant.external_pointer).into_iter().next().cloned();
    Ok(PinAnswer { changed: answer == Answer::Changed, snapshot: now.unwrap_or(meant) })
}

fn table(out: &mut dyn Write, now_ms: i64, answer: &PinAnswer) -> io::Result<()> {
    let pinned = answer.snapshot.state == views::Standing::Pinned;
    let word = match (pinned, answer.changed) {
        (true, true) => "pinned: Holdfast keeps it in its history, and no job takes over its files",
        (true, false) => "it was pinned already",
        (false, true) => "let go: it is treated like any other again",
        (false, false) => "it was not pinned",
    };
    writeln!(out, "{word}")?;
    one_in_full(out, now_ms, &answer.snapshot)
}
