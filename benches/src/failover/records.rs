//! When records were processed, from everything that the job's sink wrote: committed or not, each line has the time at
//! which its record was counted.
//!
//! A sink task gives its files a name of its own in each attempt (`part-NAME-N`), so the files tell the old tasks' records
//! from those of the new ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// The times of all records, in Unix milliseconds, by the attempt that processed them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    by_attempt: BTreeMap<String, Vec<i64>>,
}

/// What a kill did to the flow of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Interruption {
    /// The first record of new tasks, in milliseconds after the kill.
    pub(super) first_record_ms: u64,
    /// From the last record of the old tasks to that one.
    pub(super) gap_ms: u64,
}

impl Records {
    /// Reads everything under `dir`. A line that is being written is left out; a file that is renamed meanwhile is read the
    /// next time.
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let mut records = Self::default();
        for entry in fs::read_dir(dir).with_context(|| format!("reading {}", dir.display()))? {
            let path = entry?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            match fs::read(&path) {
                Ok(bytes) => records.add(&name, &String::from_utf8_lossy(&bytes)),
                // Committed between the listing and now.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("reading {}", path.display())),
            }
        }
        Ok(records)
    }

    fn add(&mut self, file: &str, text: &str) {
        let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
        let times = whole.lines().filter_map(|line| line.rsplit(',').next()?.parse::<i64>().ok());
        self.by_attempt.entry(attempt(file).to_owned()).or_default().extend(times);
    }

    /// What the kill at `kill_ms` did, if new tasks processed something already. There must have been records before it.
    pub(super) fn interruption(&self, kill_ms: i64) -> Option<Interruption> {
        let spans =
            self.by_attempt.values().filter_map(|times| Some((*times.iter().min()?, *times.iter().max()?)));
        let (old, new): (Vec<_>, Vec<_>) = spans.partition(|(first, _)| *first < kill_ms);
        let first_new = new.iter().map(|(first, _)| *first).min()?;
        let last_old = old.iter().map(|(_, last)| *last).max()?;
        Some(Interruption {
            first_record_ms: u64::try_from(first_new - kill_ms).ok()?,
            // Negative when an old task still processed a record while the first new one ran: no gap.
            gap_ms: u64::try_from(first_new - last_old).unwrap_or(0),
        })
    }

    /// The longest time between two records that follow each other, of which the second one is from `from_ms` on.
    pub(super) fn longest_silence_ms(&self, from_ms: i64) -> Option<u64> {
        let mut times: Vec<i64> = self.by_attempt.values().flatten().copied().collect();
        times.sort_unstable();
        let gaps = times.windows(2).filter(|pair| pair[1] >= from_ms).map(|pair| pair[1] - pair[0]);
        gaps.max().and_then(|gap| u64::try_from(gap).ok())
    }
}

/// `.part-NAME-3.inprogress.OTHER` and `part-NAME-3` are of `NAME`.
fn attempt(file: &str) -> &str {
    let part = file.trim_start_matches('.').split(".inprogress").next().unwrap_or_default();
    part.rsplit_once('-').map_or(part, |(attempt, _)| attempt)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(files: &[(&str, &str)]) -> Records {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(dir.path().join(name), text).unwrap();
        }
        Records::read(dir.path()).unwrap()
    }

    #[test]
    fn the_gap_is_between_the_tasks_of_before_and_those_of_after() {
        let found = records(&[
            ("part-a-0", "0,1,0,100\n1,1,1,101\n"),
            (".part-a-1.inprogress.77", "2,1,2,230\n"),
            ("part-b-0", "2,1,2,700\n3,1,3,701\n"),
        ]);
        let expected = Interruption { first_record_ms: 500, gap_ms: 470 };
        assert_eq!(found.interruption(200), Some(expected));
        assert_eq!(found.longest_silence_ms(0), Some(470));
        assert_eq!(found.longest_silence_ms(701), Some(1));
    }

    #[test]
    fn tasks_that_go_on_are_no_interruption() {
        let found = records(&[("part-a-0", "0,1,0,100\n"), ("part-a-1", "1,1,1,900\n")]);
        assert_eq!(found.interruption(200), None);
        assert_eq!(found.longest_silence_ms(200), Some(800));
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out() {
        let found = records(&[("part-a-0", "0,1,0,100\n1,1,1,1")]);
        assert_eq!(found.by_attempt.values().flatten().collect::<Vec<_>>(), [&100]);
    }

    #[test]
    fn nothing_was_interrupted_where_nothing_ran() {
        assert_eq!(records(&[]).interruption(0), None);
        assert_eq!(records(&[("part-b-0", "2,1,2,700\n")]).interruption(200), None);
    }
}
