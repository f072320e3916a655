//! A verification as people read it: a summary, the operators, and then everything that is wrong with its way out.

use std::io::{self, Write};

use snapshot::metadata::{CheckpointProperties, Operator, PropertiesKind};
use snapshot::{Unanswered, Verdict, Verification};

use crate::args::output::shown;

/// Files without an answer often share one reason, and may be a million. What is missing or too short is all shown.
const UNKNOWN_SHOWN: usize = 20;

const MISSING_METADATA: &str = "\
without its _metadata file there is no snapshot here: check the path, and that the bucket exists. A
  chk-N directory without one was not completed, or was deleted by Flink";
const MISSING: &str = "\
gone, says the store. Put them back from a backup or from older versions of the
  objects, or restore another snapshot; look what deletes files there (a lifecycle rule, a clean-up by age)";
const TOO_SHORT: &str = "\
cut off while written or copied. Copy them again from where they came from, or restore another snapshot";
const CORRUPT: &str = "\
the file was damaged, or cut off while it was copied. Copy it again from where it came from, or restore
  another snapshot";
const NOT_READ: &str = "\
this is no proof of damage. A newer Flink may have written the file: use a newer holdfast, or let that
  Flink restore it";
const UNKNOWN: &str = "\
nothing is known to be wrong here. Check network, credentials and permissions, and ask again; do not
  restore an older snapshot for this";

/// Writes it.
pub(super) fn write(out: &mut dyn Write, found: &Verification) -> io::Result<()> {
    summary(out, found)?;
    if found.version.is_some() {
        operators(out, &found.operators)?;
    }
    let missing_advice =
        if found.missing.contains(&found.metadata_path) { MISSING_METADATA } else { MISSING };
    problems(out, "missing", missing_advice, found.missing.iter().map(|path| shown(path)))?;
    problems(out, "too short", TOO_SHORT, too_short(found))?;
    if let Some(unreadable) = &found.unreadable {
        // Only what is certainly corrupt is broken.
        let advice = if found.verdict == Verdict::Broken { CORRUPT } else { NOT_READ };
        let line = format!("{}: {}", shown(&found.metadata_path), shown(&unreadable.message));
        problems(out, "does not parse", advice, std::iter::once(line))?;
    }
    unknown(out, &found.unknown)
}

fn summary(out: &mut dyn Write, found: &Verification) -> io::Result<()> {
    let mut row = |name: &str, value: String| writeln!(out, "{name:<10} {value}");
    row("snapshot", shown(&found.metadata_path))?;
    row("verdict", verdict(found).to_owned())?;
    if let (Some(version), Some(length)) = (found.version, found.metadata_bytes) {
        row("format", format!("version {version} ({}), {}", written_by(version), bytes(length)))?;
    }
    if let Some(id) = found.checkpoint_id {
        row("id", id.to_string())?;
        row("kind", found.properties.as_ref().map_or("not recorded".to_owned(), kind))?;
        if let Some(properties) = &found.properties {
            row("kept", kept(properties))?;
        }
        let recorded =
            found.references.iter().fold(0_u64, |sum, file| sum.saturating_add(file.recorded_bytes));
        let asked = if found.metadata_only { ", not asked for" } else { "" };
        row("files", format!("{}, {} recorded{asked}", found.references.len(), bytes(recorded)))?;
        row("inline", format!("{} in the _metadata file", bytes(found.inline_bytes)))?;
        for state in &found.master_states {
            row("hook", format!("{}, {}", shown(&state.name), bytes(state.bytes)))?;
        }
    }
    let requests = found.requests;
    let (heads, pages, gets) = (requests.heads, requests.list_pages, requests.gets);
    row("requests", format!("{heads} for a file's length, {pages} list pages, {gets} reads"))
}

fn verdict(found: &Verification) -> &'static str {
    match found.verdict {
        Verdict::Ok if found.metadata_only => "ok: the _metadata file is sound; no other file was asked for",
        Verdict::Ok => {
            "ok: the _metadata file is sound, and every file is there with at least its recorded length"
        }
        Verdict::Broken => "broken: no Flink restores it",
        Verdict::Unknown => "unknown: nothing is certainly wrong, but not everything was answered",
    }
}

/// Which Flink writes this version of the format.
fn written_by(version: u32) -> &'static str {
    match version {
        6 => "Flink 2.1 to 2.3",
        5 => "Flink 2.0",
        _ => "Flink 1.x",
    }
}

fn kind(properties: &CheckpointProperties) -> String {
    let plain = match properties.kind {
        PropertiesKind::Checkpoint => "Checkpoint",
        PropertiesKind::Savepoint => "Savepoint",
    };
    let mut text = shown(properties.kind_name.as_deref().unwrap_or(plain));
    if let Some(format) = &properties.format {
        text = format!("{text}, {}", shown(format));
    }
    text
}

/// When Flink deletes it. The states are those of a job.
fn kept(properties: &CheckpointProperties) -> String {
    let ends = [
        (properties.discard_finished, "FINISHED"),
        (properties.discard_cancelled, "CANCELED"),
        (properties.discard_failed, "FAILED"),
        (properties.discard_suspended, "SUSPENDED"),
    ];
    let ends: Vec<&str> = ends.iter().filter(|(discard, _)| *discard).map(|(_, state)| *state).collect();
    let subsumed = if properties.discard_subsumed { "until a newer one is complete" } else { "" };
    let ended = format!("until the job is {}", ends.join(", "));
    match (properties.discard_subsumed, ends.is_empty()) {
        (false, true) => "until somebody deletes it".to_owned(),
        (true, true) => format!("{subsumed}; the last one of a job that ended: until somebody deletes it"),
        (false, false) => ended,
        (true, false) => format!("{subsumed}, or {ended}"),
    }
}

fn operators(out: &mut dyn Write, operators: &[Operator]) -> io::Result<()> {
    writeln!(out, "\noperators with state: {}", operators.len())?;
    if operators.is_empty() {
        return Ok(());
    }
    let file = "file bytes";
    let inline = "inline bytes";
    writeln!(out, "  {:<32} {:>11} {:>5} {file:>14} {inline:>14}  name", "id", "parallelism", "max")?;
    for operator in operators {
        let Operator { id, parallelism, max_parallelism: max, file_bytes, inline_bytes, .. } = operator;
        let name = operator.name.as_deref().or(operator.uid.as_deref()).unwrap_or("-");
        let uid = operator.uid.as_deref().filter(|uid| *uid != name);
        let uid = uid.map_or_else(String::new, |uid| format!(" (uid {})", shown(uid)));
        let finished = match operator.finished_subtasks {
            _ if operator.fully_finished => ", finished".to_owned(),
            0 => String::new(),
            some => format!(", {some} subtasks finished"),
        };
        let name = shown(name);
        writeln!(
            out,
            "  {id:<32} {parallelism:>11} {max:>5} {file_bytes:>14} {inline_bytes:>14}  {name}{uid}{finished}"
        )?;
    }
    Ok(())
}

fn too_short(found: &Verification) -> impl ExactSizeIterator<Item = String> {
    let mut short = Vec::with_capacity(found.too_short.len());
    for file in &found.references {
        if let Some(length) = file.found_bytes.filter(|length| *length < file.recorded_bytes) {
            short.push(format!("{}: {length} of {} bytes", shown(&file.path), file.recorded_bytes));
        }
    }
    short.into_iter()
}

fn unknown(out: &mut dyn Write, unanswered: &[Unanswered]) -> io::Result<()> {
    let some = unanswered.iter().take(UNKNOWN_SHOWN);
    let mut lines: Vec<String> =
        some.map(|file| format!("{}: {}", shown(&file.path), shown(&file.error))).collect();
    if let Some(more) = unanswered.len().checked_sub(UNKNOWN_SHOWN).filter(|more| *more > 0) {
        lines.push(format!("… and {more} more; -o json has them all"));
    }
    section(out, "unknown", unanswered.len(), UNKNOWN, lines.into_iter())
}

fn problems(
    out: &mut dyn Write,
    what: &str,
    advice: &str,
    lines: impl ExactSizeIterator<Item = String>,
) -> io::Result<()> {
    section(out, what, lines.len(), advice, lines)
}

fn section(
    out: &mut dyn Write,
    what: &str,
    count: usize,
    advice: &str,
    lines: impl Iterator<Item = String>,
) -> io::Result<()> {
    if count == 0 {
        return Ok(());
    }
    writeln!(out, "\n{what}: {count} {}", if count == 1 { "file" } else { "files" })?;
    for line in lines {
        writeln!(out, "  {line}")?;
    }
    writeln!(out, "  what to do: {advice}")
}

/// Exact, and for large numbers as people say it too.
fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let unit = |power: u32| count as f64 / 1024_f64.powi(power as i32);
    match (1..=4).rev().find(|power| unit(*power) >= 10.0) {
        Some(power) => format!("{count} bytes ({:.1} {})", unit(power), UNITS[power as usize - 1]),
        None => format!("{count} bytes"),
    }
}
