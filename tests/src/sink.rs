//! Reads what the job's sink committed, and counts what is lost and what is there twice.
//!
//! The sink writes a file under a name that begins with a dot and renames it when the checkpoint that covers it is complete.
//! So files without a dot are exactly the committed output. Each line is `key,count,seq,ts_ms`: the source counts `seq`
//! up from 0, `key = seq % 100`, and `count` is the key's state, so `seq == key + 100 × (count − 1)`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::wait;

const KEYS: u64 = 100;

/// A checkpoint's files are renamed one by one; until the last one is, a hole is only apparent.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// What the committed files hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Committed lines.
    pub records: u64,
    /// The highest committed `seq`.
    pub highest: Option<u64>,
    /// Every `seq` below the highest that is in no line.
    pub lost: u64,
    /// Lines beyond the first of their `seq`.
    pub duplicated: u64,
    /// Lines whose count does not fit their `seq`: state and offset were restored from different checkpoints.
    pub miscounted: u64,
}

impl Report {
    /// Nothing lost, nothing twice, nothing counted wrongly.
    pub fn is_exactly_once(&self) -> bool {
        self.lost == 0 && self.duplicated == 0 && self.miscounted == 0
    }

    /// Fails unless [`Report::is_exactly_once`].
    pub fn require_exactly_once(&self) -> Result<()> {
        if !self.is_exactly_once() {
            bail!("the sink's output is not exactly once: {self:?}");
        }
        Ok(())
    }
}

/// Reads all committed files under `dir`.
pub fn read(dir: &Path) -> Result<Report> {
    Ok(read_lines(dir)?.0)
}

/// The runs of `seq` that are in two lines each: what was done again after the job had gone back to an older snapshot. More than
/// twice, a hole or a wrong count is an error.
pub fn done_again(dir: &Path) -> Result<Vec<RangeInclusive<u64>>> {
    let (report, times_by_seq) = read_lines(dir)?;
    let most = times_by_seq.values().max().copied().unwrap_or_default();
    if most > 2 || report.lost > 0 || report.miscounted > 0 {
        bail!("a record is in up to {most} lines: {report:?}");
    }
    let mut runs: Vec<RangeInclusive<u64>> = Vec::new();
    for (seq, _) in times_by_seq.into_iter().filter(|(_, times)| *times == 2) {
        match runs.last_mut() {
            Some(run) if run.end() + 1 == seq => *run = *run.start()..=seq,
            _ => runs.push(seq..=seq),
        }
    }
    Ok(runs)
}

/// With how often each `seq` is there.
fn read_lines(dir: &Path) -> Result<(Report, BTreeMap<u64, u64>)> {
    let mut times_by_seq: BTreeMap<u64, u64> = BTreeMap::new();
    let mut report = Report::default();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        if is_committed(&path) {
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            for line in text.lines() {
                let (key, count, seq) =
                    parse(line).with_context(|| format!("{}: line {line:?}", path.display()))?;
                *times_by_seq.entry(seq).or_default() += 1;
                report.records += 1;
                report.miscounted += u64::from(seq != key + KEYS * (count - 1));
            }
        }
    }
    report.highest = times_by_seq.last_key_value().map(|(seq, _)| *seq);
    report.duplicated = report.records - times_by_seq.len() as u64;
    report.lost = report.highest.map_or(0, |highest| highest + 1) - times_by_seq.len() as u64;
    Ok((report, times_by_seq))
}

/// Waits until the sink has committed `seq` and everything before it, while the job runs on, and reports. What is still
/// missing at the limit is lost.
pub async fn read_past(dir: &Path, seq: u64) -> Result<Report> {
    let mut last = Report::default();
    let settled = wait::until("the sink to commit", SETTLE_LIMIT, async || {
        last = read(dir)?;
        Ok((last.highest >= Some(seq) && last.lost == 0).then_some(()))
    })
    .await;
    match settled {
        Err(error) if last.highest < Some(seq) => {
            Err(error.context(format!("seq {seq} was never committed; {last:?}")))
        }
        _ => Ok(last),
    }
}

/// The names of the sink's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Those that a checkpoint committed.
    pub committed: BTreeSet<String>,
    /// Those that wait for their checkpoint: what the sink still could commit.
    pub uncommitted: BTreeSet<String>,
}

/// Lists the sink's files.
pub fn files(dir: &Path) -> Result<Files> {
    let mut files = Files::default();
    for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
        let path = entry?.path();
        let of_its_kind = if is_committed(&path) { &mut files.committed } else { &mut files.uncommitted };
        of_its_kind.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
    }
    Ok(files)
}

fn is_committed(path: &Path) -> bool {
    !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn parse(line: &str) -> Result<(u64, u64, u64)> {
    let fields: Vec<&str> = line.split(',').collect();
    let [key, count, seq, _ts_ms] = fields[..] else { bail!("not key,count,seq,ts_ms") };
    let (key, count, seq): (u64, u64, u64) = (key.parse()?, count.parse()?, seq.parse()?);
    if key >= KEYS || count == 0 {
        bail!("key or count out of range");
    }
    Ok((key, count, seq))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(files: &[(&str, &str)]) -> Result<Report> {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        read(dir.path())
    }

    #[test]
    fn whole_output_is_exactly_once() {
        let found = report(&[("part-a-0", "0,1,0,5\n1,1,1,5\n"), ("part-b-0", "2,1,2,5\n")]).unwrap();
        assert_eq!(found, Report { records: 3, highest: Some(2), ..Report::default() });
        found.require_exactly_once().unwrap();
    }

    #[test]
    fn gaps_repeats_and_wrong_counts_are_told_apart() {
        let found = report(&[("part-a-0", "0,1,0,5\n2,1,2,5\n2,2,2,5\n")]).unwrap();
        let expected = Report { records: 3, highest: Some(2), lost: 1, duplicated: 1, miscounted: 1 };
        assert_eq!(found, expected);
        assert!(found.require_exactly_once().is_err());
    }

    #[test]
    fn what_was_done_again_is_told_in_runs_and_three_times_is_an_error() {
        let again = |files: &[(&str, &str)]| {
            let dir = tempfile::tempdir().unwrap();
            for (name, text) in files {
                fs::write(dir.path().join(name), text).unwrap();
            }
            done_again(dir.path())
        };
        let once = ("part-a-0", "0,1,0,5\n1,1,1,5\n2,1,2,5\n3,1,3,5\n");
        assert_eq!(again(&[once]).unwrap(), []);
        let more = ("part-b-0", "0,1,0,5\n2,1,2,5\n3,1,3,5\n");
        assert_eq!(again(&[once, more]).unwrap(), [0..=0, 2..=3]);
        assert!(again(&[once, more, ("part-c-0", "3,1,3,5\n")]).is_err());
        assert!(again(&[("part-a-0", "1,1,1,5\n")]).is_err(), "0 is lost");
    }

    #[test]
    fn what_no_checkpoint_covers_does_not_count() {
        let found = report(&[(".part-a-1.inprogress.77", "0,1,0,5\n")]).unwrap();
        assert_eq!(found, Report::default());
    }

    #[test]
    fn a_torn_line_is_an_error() {
        assert!(report(&[("part-a-0", "0,1,0,5\n1,1\n")]).is_err());
    }
}
