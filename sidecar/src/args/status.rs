//! `holdfast status`: what an operator looks at first.

use std::io::{self, Write};
use std::process::ExitCode;

use ha_store::{Epoch, Sequence};
use serde::{Deserialize, Serialize};

use super::exit::Exit;
use super::output::{Output, shown};
use super::source::{Opened, Source};
use super::words::{ago, columns, kind, row};
use crate::views::{self, StateSummary};

#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    output: Output,
}

/// What the table shows of `GET /status`; from the store alone, what it can tell.
#[derive(Debug, Serialize, Deserialize)]
struct StatusView {
    /// Of the sidecar that was asked; null when none was.
    version: Option<String>,
    deployment: String,
    /// The sidecar's own; with `--store`, the recorded one.
    generation: Option<String>,
    role: Role,
    reason: Option<String>,
    epoch: Option<Epoch>,
    newest_epoch: Option<Epoch>,
    session: Option<String>,
    store: StoreView,
    #[serde(flatten)]
    recorded: StateSummary,
    #[serde(default)]
    journal: Vec<EntryView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Role {
    Leading,
    Waiting,
    Fenced,
    /// No sidecar was asked.
    Unknown,
    /// One that only a newer sidecar knows.
    #[serde(other)]
    Other,
}

#[derive(Debug, Serialize, Deserialize)]
struct StoreView {
    answers: bool,
    trouble: Option<String>,
    newest_record: Option<Sequence>,
}

#[derive(Debug, Serialize, Deserialize)]
struct EntryView {
    at_ms: i64,
    event: String,
    detail: String,
}

/// The last things that happened; JSON has more.
const JOURNAL_SHOWN: usize = 8;

// === impl Status ===

impl Status {
    pub(super) fn run(self) -> ExitCode {
        let found = self.source.read("/status", async |opened: Opened| Ok(recorded(&opened)));
        self.output.finish(found, |told| told.view.verdict(), |out, told| table(out, &told.view))
    }
}

fn recorded(opened: &Opened) -> StatusView {
    let header = opened.store.view().header.clone();
    StatusView {
        version: None,
        deployment: opened.deployment.clone(),
        generation: opened.state.generation.clone(),
        role: Role::Unknown,
        reason: None,
        epoch: None,
        newest_epoch: header.as_ref().map(|header| header.epoch),
        session: None,
        store: StoreView {
            answers: true,
            trouble: None,
            newest_record: header.as_ref().map(|header| header.sequence),
        },
        recorded: views::summary(&opened.state, opened.now_ms),
        journal: Vec::new(),
    }
}

// === impl StatusView ===

impl StatusView {
    /// 1 for a sidecar that does not lead, or whose store does not answer.
    fn verdict(&self) -> Exit {
        match self.role {
            Role::Leading | Role::Unknown if self.store.answers => Exit::Ok,
            _ => Exit::No,
        }
    }

    fn role(&self) -> String {
        let reason = self.reason.as_deref().map_or_else(String::new, |reason| format!(": {reason}"));
        match self.role {
            Role::Leading => match self.epoch {
                Some(epoch) => format!("leading, under epoch {epoch}"),
                None => "leading".into(),
            },
            Role::Waiting => format!("waiting: no JobManager is granted here{reason}"),
            Role::Fenced => format!("fenced: another process claimed a newer epoch{reason}"),
            Role::Other => format!("one that this version of holdfast does not know{reason}"),
            Role::Unknown => "unknown: the store was asked, and no sidecar".into(),
        }
    }
}

fn table(out: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    let now_ms = view.recorded.now_ms;
    row(out, "deployment", &view.deployment)?;
    row(out, "role", &view.role())?;
    row(out, "generation", view.generation.as_deref().unwrap_or("none yet"))?;
    match &view.recorded.grant {
        Some(grant) => {
            let when = ago(now_ms, grant.claimed_at_ms);
            row(out, "last grant", &format!("{when}: epoch {} to {}", grant.epoch, grant.holder))?;
        }
        None => row(out, "last grant", "none: nobody ever led")?,
    }
    let store = match (&view.store.trouble, view.store.newest_record) {
        (Some(trouble), _) => format!("does not answer: {trouble}"),
        (None, Some(record)) => format!("answers; newest record {record}"),
        (None, None) => "answers; empty".into(),
    };
    row(out, "store", &store)?;
    let newest = match &view.recorded.newest_snapshot {
        Some(newest) => {
            let gone = newest.not_eligible.as_deref().map_or_else(String::new, |why| format!(", but {why}"));
            let when = ago(now_ms, newest.completed_at_ms);
            format!("{} {}, {when}{gone}: {}", kind(newest.kind), newest.id, newest.external_pointer)
        }
        None => "none was recorded".into(),
    };
    row(out, "newest state", &newest)?;
    if let Some(plan) = &view.recorded.plan {
        row(out, "plan", &plan.why)?;
    }
    if let Some(reset) = &view.recorded.reset {
        let when = ago(now_ms, reset.asked_at_ms);
        row(out, "reset", &format!("{when}: the next generation starts from {}", reset.external_pointer))?;
    }
    jobs(out, view)?;
    journal(out, view)
}

fn jobs(out: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    if view.recorded.jobs.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    let rows = view.recorded.jobs.iter().map(|(id, job)| {
        let newest = match (job.checkpoints.last(), job.newest_completed_at_ms) {
            (Some(id), Some(at_ms)) => format!("{id}, {}", ago(view.recorded.now_ms, at_ms)),
            _ => "-".into(),
        };
        [
            id.to_string(),
            job.ended.map_or("not ended".into(), |status| status.to_string()),
            job.checkpoints.len().to_string(),
            newest,
            job.graph_bytes.map_or("-".into(), |bytes| format!("{bytes} bytes")),
        ]
    });
    columns(out, ["JOB", "ENDED", "LIVE", "NEWEST CHECKPOINT", "GRAPH"], rows)
}

fn journal(out: &mut dyn Write, view: &StatusView) -> io::Result<()> {
    if view.journal.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nlast events")?;
    let first = view.journal.len().saturating_sub(JOURNAL_SHOWN);
    for entry in &view.journal[first..] {
        let when = ago(view.recorded.now_ms, entry.at_ms);
        writeln!(out, "  {when}: {}: {}", shown(&entry.event), shown(&entry.detail))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::examples::lineage;

    fn view(role: Role, answers: bool) -> StatusView {
        StatusView {
            version: None,
            deployment: "orders".into(),
            generation: Some("g2".into()),
            role,
            reason: Some("the Lease is held by pod-b".into()),
            epoch: None,
            newest_epoch: None,
            session: None,
            store: StoreView { answers, trouble: None, newest_record: None },
            recorded: views::summary(&lineage(), 4_000),
            journal: Vec::new(),
        }
    }

    #[test]
    fn only_who_leads_with_a_store_that_answers_is_well() {
        assert_eq!(view(Role::Leading, true).verdict(), Exit::Ok);
        assert_eq!(view(Role::Leading, false).verdict(), Exit::No);
        assert_eq!(view(Role::Waiting, true).verdict(), Exit::No);
        assert_eq!(view(Role::Fenced, true).verdict(), Exit::No);
        assert_eq!(view(Role::Unknown, true).verdict(), Exit::Ok);
    }

    #[test]
    fn the_reason_stands_next_to_the_state() {
        let mut out = Vec::new();
        table(&mut out, &view(Role::Waiting, true)).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.contains("waiting: no JobManager is granted here: the Lease is held by pod-b"),
            "{text}"
        );
        assert!(text.contains("newest state  checkpoint 8, 3 s ago: file:/cp/chk-8"), "{text}");
    }
}
