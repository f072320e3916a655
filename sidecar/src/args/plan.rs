//! `holdfast plan`: what the present generation restored, and what the next one would.

use std::io::{self, Write};
use std::process::ExitCode;

use super::exit::{Exit, Failure};
use super::output::{Output, shown};
use super::source::{Opened, Source};
use super::words::{ago, kind, row};
use crate::config::restore_wish;
use crate::planner::Wish;
use crate::preview;
use crate::settings::Settings;
use crate::views::{self, NextView, PlanDetails, PlanView, Restore};

#[derive(Debug, clap::Args)]
pub(super) struct Plan {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    wished: Wished,
    #[command(flatten)]
    output: Output,
}

/// How the next generation will be configured. A sidecar knows its own settings; the store does not.
#[derive(Debug, clap::Args)]
struct Wished {
    /// With --store: the strategy of the next generation, as for `holdfast run` [default: latest-state]
    #[arg(long, value_name = "STRATEGY", requires = "store")]
    restore: Option<String>,

    /// With --store: restores nothing that was completed longer ago than this [default: no limit]
    #[arg(long, value_name = "DURATION", requires = "store")]
    max_snapshot_age: Option<String>,

    /// With --store: state that belongs to no operator may be left behind
    #[arg(long, requires = "store")]
    allow_non_restored_state: bool,

    /// With --store: `claim`, `no-claim` or `auto` [default: auto]
    #[arg(long, value_name = "MODE", requires = "store")]
    claim_mode: Option<String>,

    /// With --store: `refuse`, or restore the `previous` one [default: refuse]
    #[arg(long, value_name = "POLICY", requires = "store")]
    on_broken_snapshot: Option<String>,
}

// === impl Wished ===

impl Wished {
    fn checked(self) -> Result<Wish, Failure> {
        let settings = Settings {
            restore: self.restore,
            max_snapshot_age: self.max_snapshot_age,
            allow_non_restored_state: Some(self.allow_non_restored_state),
            claim_mode: self.claim_mode,
            on_broken_snapshot: self.on_broken_snapshot,
            ..Settings::default()
        };
        restore_wish(&settings).map_err(|error| Failure::Usage(error.into()))
    }
}

// === impl Plan ===

impl Plan {
    pub(super) fn run(self) -> ExitCode {
        let source = self.source;
        let found = self.wished.checked().and_then(|wish| {
            source.read("/v1/plan", async |opened: Opened| Ok(preview(&opened, &wish).await))
        });
        self.output.finish(found, |told| verdict(&told.view), |out, told| table(out, &told.view))
    }
}

async fn preview(opened: &Opened, wish: &Wish) -> PlanView {
    let next = preview::next(&opened.state, wish, &opened.snapshots, opened.now_ms).await;
    views::plan(&opened.deployment, &opened.state, opened.now_ms, next)
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
