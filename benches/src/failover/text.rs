//! The tables, for people.

use super::case::Case;
use super::peer::Service;
use super::phases::Phase;
use super::result::{Results, Row};
use super::spread::Spread;

/// The columns.
const COLUMNS: [Phase; 11] = [
    Phase::ProcessUp,
    Phase::RestUp,
    Phase::Leadership,
    Phase::PointersRead,
    Phase::TaskManagers,
    Phase::Restored,
    Phase::AllRunning,
    Phase::FirstRecord,
    Phase::NewCheckpoint,
    Phase::ProcessingGap,
    Phase::Own,
];

/// A table: its head, and its rows, of as many cells each.
pub(super) struct Table {
    pub(super) title: String,
    pub(super) head: Vec<String>,
    pub(super) rows: Vec<Vec<String>>,
}

/// Everything that was found out.
pub(super) fn tables(results: &Results) -> String {
    let mut lines = vec![results.machine.in_words(), String::new()];
    lines.extend(notes(results).into_iter().chain([String::new()]));
    for table in all(results) {
        lines.push(table.title.clone());
        lines.push(String::new());
        lines.extend(table.lines());
        lines.push(String::new());
    }
    lines.extend(failures(results));
    lines.join("\n")
}

/// What one must know to read the tables.
pub(super) fn notes(results: &Results) -> Vec<String> {
    let mut notes = vec![
        "Seconds after the fault, median [min–max]; own part in milliseconds. Gap: from the last record of the old tasks to the \
         first of the new ones. A dash: there is no such phase, or it was not reached."
            .to_owned(),
    ];
    let mut seen = Vec::new();
    for row in &results.rows {
        if !seen.contains(&&row.peer) {
            seen.push(&row.peer);
            let (settings, restart) = (row.peer.settings_in_words(), row.peer.restart_in_words());
            notes.push(format!("{}: {settings}; JobManager started again: {restart}", row.peer));
        }
    }
    if results.machine.cores > 0 && !results.machine.release {
        notes.push("Not a release build of holdfast.".to_owned());
    }
    if results.without_archive {
        notes.push("--no-archive: holdfast exec had no class-data archive.".to_owned());
    }
    notes
}

/// All tables: one for each case, and the ratios.
pub(super) fn all(results: &Results) -> Vec<Table> {
    let mut cases: Vec<Case> = results.rows.iter().map(|row| row.case).collect();
    cases.dedup();
    let mut tables: Vec<Table> = cases.into_iter().map(|case| phases(results, case)).collect();
    tables.extend(ratios(results));
    tables
}

/// What failed, and how, one line each.
pub(super) fn failures(results: &Results) -> Vec<String> {
    let of = |row: &Row| {
        let lines = row
            .failures()
            .into_iter()
            .map(|(why, times)| format!("{}, {}: {times} × {why}", row.peer, row.case));
        lines.collect::<Vec<_>>()
    };
    results.rows.iter().flat_map(of).collect()
}

fn phases(results: &Results, case: Case) -> Table {
    let rows: Vec<&Row> = results.rows.iter().filter(|row| row.case == case).collect();
    let shown: Vec<Phase> =
        COLUMNS.into_iter().filter(|phase| rows.iter().any(|row| row.spread(*phase).is_some())).collect();
    let mut head = vec!["peer".to_owned(), "n".to_owned()];
    head.extend(shown.iter().map(|phase| phase.title().to_owned()));
    head.extend(["lost", "twice", "remarks"].map(str::to_owned));
    let cells = |row: &&Row| {
        let mut cells = vec![row.peer.to_string(), row.outcomes.len().to_string()];
        cells.extend(shown.iter().map(|phase| cell(*phase, row.spread(*phase))));
        cells.extend([row.lost.to_string(), row.duplicated.to_string(), remarks(row)]);
        cells
    };
    Table { title: format!("{case}: {}", case.in_words()), head, rows: rows.iter().map(cells).collect() }
}

fn remarks(row: &Row) -> String {
    let mut remarks = Vec::new();
    let mut note = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("{count} {what}"));
        }
    };
    note(row.failed(), "did not recover or failed");
    note(row.undisturbed(), "undisturbed");
    note(row.outcomes.iter().map(|it| it.process_restarts).sum(), "processes ended by themselves");
    note(row.outcomes.iter().map(|it| it.job_restarts).sum(), "restarts of the tasks");
    note(usize::try_from(row.miscounted).unwrap_or(usize::MAX), "records with a wrong count");
    remarks.join(", ")
}

/// Rows are peers that are not Holdfast, columns are Holdfast's settings.
fn ratios(results: &Results) -> Option<Table> {
    let ratios = results.ratios();
    let mut ours: Vec<&str> = Vec::new();
    for row in results.rows.iter().filter(|row| row.peer.service == Service::Holdfast) {
        ours.extend(ratios.iter().map(|it| it.peer.as_str()).find(|name| *name == row.peer.to_string()));
    }
    ours.sort_unstable();
    ours.dedup();
    let mut against: Vec<(&str, &str)> =
        ratios.iter().map(|it| (it.case.as_str(), it.against.as_str())).collect();
    let mut seen = std::collections::BTreeSet::new();
    against.retain(|pair| seen.insert(*pair));
    let cell = |(case, other): (&str, &str), peer: &str| {
        let found = ratios.iter().find(|it| it.case == case && it.against == other && it.peer == peer);
        found.map_or("–".to_owned(), |it| format!("{} | {}", times(it.all_running), times(it.first_record)))
    };
    let rows: Vec<Vec<String>> = against
        .iter()
        .map(|pair| {
            let cells = ours.iter().map(|peer| cell(*pair, peer));
            [pair.1.to_owned(), pair.0.to_owned()].into_iter().chain(cells).collect()
        })
        .collect();
    let head = ["against", "case"].into_iter().chain(ours.iter().copied()).map(str::to_owned).collect();
    let title = "How many times as fast: all RUNNING | first record, by medians".to_owned();
    (!rows.is_empty()).then_some(Table { title, head, rows })
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or("–".to_owned(), |ratio| format!("{ratio:.1} ×"))
}

fn cell(phase: Phase, spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else { return "–".to_owned() };
    match phase {
        Phase::Own => format!("{median:.0} ms [{min:.0}–{max:.0}]"),
        _ => format!("{} [{}–{}]", seconds(median), seconds(min), seconds(max)),
    }
}

/// Two digits that mean something: `41.2`, `1.63`, `0.07`.
fn seconds(ms: f64) -> String {
    let digits = if ms < 10_000.0 { 2 } else { 1 };
    format!("{:.digits$}", ms / 1000.0)
}

impl Table {
    /// Columns under each other, two spaces between them.
    fn lines(&self) -> Vec<String> {
        let all: Vec<&Vec<String>> = std::iter::once(&self.head).chain(&self.rows).collect();
        let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths: Vec<usize> = (0..self.head.len()).map(width).collect();
        let line = |row: &&Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        all.iter().map(line).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::result::tests::results;

    #[test]
    fn the_table_has_medians_and_what_failed() {
        let text = tables(&results());
        let line =
            |peer: &str| text.lines().find(|line| line.starts_with(peer) && !line.contains(':')).unwrap();
        assert!(line("kubernetes").contains("18.0 [16.0–24.0]"), "{text}");
        assert!(line("zookeeper").contains("1 did not recover or failed"), "{text}");
        assert!(text.contains("10.0 ×"), "{text}");
        assert!(text.contains("zookeeper, process: 1 × did not recover"), "{text}");
    }

    #[test]
    fn a_phase_that_nobody_reached_has_no_column() {
        assert!(!tables(&results()).contains("REST up"));
    }

    #[test]
    fn seconds_have_the_digits_that_mean_something() {
        assert_eq!([seconds(41_234.0), seconds(1634.0), seconds(70.0)], ["41.2", "1.63", "0.07"]);
    }
}
