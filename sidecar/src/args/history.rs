//! `holdfast history`: generation by generation, what was granted, planned and ended.

use std::io::{self, Write};
use std::process::ExitCode;

use super::exit::Exit;
use super::output::{Output, shown};
use super::source::{Opened, Source};
use super::words::ago;
use crate::views::{self, GenerationView, HistoryView};

#[derive(Debug, clap::Args)]
pub(super) struct History {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

// === impl History ===

impl History {
    pub(super) fn run(self) -> ExitCode {
        let found = self.source.read("/v1/history", async |opened: Opened| {
            Ok(views::history(&opened.deployment, &opened.state, opened.now_ms))
        });
        self.output.finish(found, |_| Exit::Ok, |out, told| table(out, &told.view))
    }
}

fn table(out: &mut dyn Write, view: &HistoryView) -> io::Result<()> {
    if view.generations.is_empty() {
        return writeln!(out, "nobody ever led deployment {}", shown(&view.deployment));
    }
    let present = view.generations.len() - 1;
    for (index, generation) in view.generations.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        one(out, view.now_ms, generation, index == present)?;
    }
    Ok(())
}

fn one(out: &mut dyn Write, now_ms: i64, generation: &GenerationView, present: bool) -> io::Result<()> {
    let name = generation.generation.as_deref().unwrap_or("(not recorded)");
    writeln!(out, "generation {}{}", shown(name), if present { " (present)" } else { "" })?;
    let mut line = |what: &str, text: &str| writeln!(out, "  {what:<8} {}", shown(text));
    if generation.grants.is_empty() {
        line("grants", "forgotten")?;
    }
    for grant in &generation.grants {
        let when = ago(now_ms, grant.claimed_at_ms);
        line("granted", &format!("{when}: epoch {} to {}", grant.epoch, grant.holder))?;
    }
    match &generation.plan {
        Some(plan) => line("plan", &plan.why)?,
        None => line("plan", "none is recorded")?,
    }
    for result in &generation.results {
        let kind = if result.kind == ha_store::ResultKind::Jobs { "job" } else { "application" };
        let clean = if result.clean { "" } else { ", not cleaned up yet" };
        line("ended", &format!("{kind} {} {}{clean}", result.id, result.status))?;
    }
    Ok(())
}
