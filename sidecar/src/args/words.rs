//! How tables say things: aligned columns, ages in words.

use std::io::{self, Write};

use ha_store::SnapshotKind;

use super::output::shown;

/// Writes rows under their headings, each column as wide as its widest cell. The last column is as long as it likes, and
/// an empty cell there leaves no blanks at the line's end.
pub(super) fn columns<const N: usize>(
    out: &mut dyn Write,
    headings: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> io::Result<()> {
    let rows: Vec<[String; N]> = std::iter::once(headings.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: [usize; N] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{:<width$}", shown(cell)));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// One thing and its name, for summaries.
pub(super) fn row(out: &mut dyn Write, name: &str, value: &str) -> io::Result<()> {
    writeln!(out, "{name:<13} {}", shown(value))
}

/// How long ago, with the two largest units that matter: `3 h 20 min ago`. Clocks differ, so what is a little in the
/// future is now.
pub(super) fn ago(now_ms: i64, at_ms: i64) -> String {
    const CLOCKS_DIFFER_MS: i64 = 60_000;
    if at_ms <= 0 {
        return "unknown".into();
    }
    match now_ms.saturating_sub(at_ms) {
        ms if ms < -CLOCKS_DIFFER_MS => format!("in {}, if clocks agree", span(-ms)),
        ms if ms < 1_000 => "just now".into(),
        ms => format!("{} ago", span(ms)),
    }
}

fn span(ms: i64) -> String {
    const UNITS: [(&str, i64); 4] = [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)];
    let seconds = ms / 1_000;
    let largest = UNITS.iter().position(|(_, size)| seconds >= *size).unwrap_or(UNITS.len() - 1);
    let (unit, size) = UNITS[largest];
    let first = format!("{} {unit}", seconds / size);
    let second = UNITS.get(largest + 1).map(|(unit, smaller)| (unit, seconds % size / smaller));
    match second {
        // Minutes are exact enough without their seconds, and a day without its hours is not.
        Some((unit, count)) if count > 0 && *unit != "s" => format!("{first} {count} {unit}"),
        _ => first,
    }
}

/// The word that JSON has, too.
pub(super) fn kind(kind: SnapshotKind) -> &'static str {
    match kind {
        SnapshotKind::Checkpoint => "checkpoint",
        SnapshotKind::Savepoint => "savepoint",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_as_exact_as_a_person_needs() {
        let age = |seconds: i64| ago(seconds * 1_000 + 1, 1);
        assert_eq!(age(0), "just now");
        assert_eq!(age(59), "59 s ago");
        assert_eq!(age(125), "2 min ago");
        assert_eq!(age(3 * 3_600 + 20 * 60), "3 h 20 min ago");
        assert_eq!(age(49 * 3_600), "2 d 1 h ago");
        assert_eq!(age(-30), "just now", "two clocks");
        assert_eq!(age(-7_200), "in 2 h, if clocks agree");
        assert_eq!(ago(1_000, 0), "unknown", "and not since 1970");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = [["7".to_owned(), "active".to_owned(), String::new()]];
        columns(&mut out, ["ID", "STATE", "WHY"], rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "ID  STATE   WHY\n7   active\n");
    }
}
