//! `holdfast plan`: what the present generation restored, and what the next one would.

use std::io::{self, Write};
use std::process::ExitCode;

use super::exit::Exit;
use super::output::{Output, shown};
use super::source::{Opened, Source};
use super::words::{ago, kind, row};
use crate::views::{NextView, PlanDetails, PlanView, Restore};

#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

// === impl Plan ===

impl Plan {
    pub(super) fn run(self) -> ExitCode {
        let found = self.source.read("/v1/plan", async |opened: Opened| Ok(recorded(&opened)));
        self.output.finish(found, |told| verdict(&told.view), |out, told| table(out, &told.view))
    }
}

/// Whether the next generation would be granted.
fn verdict(view: &PlanView) -> Exit {
    match view.next {
        NextView::Plan { .. } => Exit::Ok,
        NextView::Refused { .. } => Exit::No,
        NextView::Unknown { .. } => Exit::Unknown,
    }
}

fn table(out: &mut dyn Write, view: &PlanView) -> io::Result<()> {
    match (&view.present, &view.generation) {
        (Some(plan), _) => details(out, &format!("present generation {}", plan.generation), plan)?,
        (None, Some(generation)) => {
            writeln!(out, "present generation {}: not planned", shown(generation))?;
        }
        (None, None) => writeln!(out, "no generation has begun: nobody ever led")?,
    }
    if let Some(reset) = &view.reset {
        let when = ago(view.now_ms, reset.asked_at_ms);
        writeln!(out, "\nasked for by `holdfast reset`, {when}: {}", shown(&reset.external_pointer))?;
    }
    writeln!(out)?;
    match &view.next {
        NextView::Plan { plan } => details(out, "next generation, if it began now", plan),
        NextView::Refused { why } => {
            writeln!(out, "next generation, if it began now: REFUSED, nobody would be granted leadership")?;
            row(out, "  why", why)
        }
        NextView::Unknown { why } => {
            writeln!(out, "next generation, if it began now: not known")?;
            row(out, "  why", why)
        }
    }
}

fn details(out: &mut dyn Write, title: &str, plan: &PlanDetails) -> io::Result<()> {
    writeln!(out, "{}", shown(title))?;
    row(out, "  strategy", &plan.strategy)?;
    let restores = match (&plan.snapshot, plan.restore) {
        (Some(snapshot), _) => {
            format!("{} {} ({})", kind(snapshot.kind), snapshot.id, snapshot.external_pointer)
        }
        (None, Restore::Given) => "nothing: it is the first start, and the job's own settings hold".into(),
        (None, _) => "nothing: the job starts without state".into(),
    };
    row(out, "  restores", &restores)?;
    if plan.snapshot.is_some() {
        row(out, "  claim mode", plan.claim_mode.as_str())?;
        let dropped =
            if plan.allow_non_restored_state { "may be left behind" } else { "is refused by Flink" };
        row(out, "  other state", &format!("state that no operator wants {dropped}"))?;
    }
    row(out, "  why", &plan.why)?;
    match &plan.taken_by {
        Some(job) => row(out, "  taken by", &format!("job {job}")),
        None => Ok(()),
    }
}
