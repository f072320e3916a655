//! What was counted before, and what a change of it means.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Instructions of each operation, and what they were counted with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Counts of another toolchain say nothing about the code.
    pub counted_with: Toolchain,
    /// By the operation's name.
    pub instructions: BTreeMap<String, u64>,
}

/// Everything but the code that moves counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolchain {
    /// As `rustc --version` says it.
    pub rustc: String,
    /// As `valgrind --version` says it. It decides which processor the program believes to run on.
    pub valgrind: String,
    /// As `getconf GNU_LIBC_VERSION` says it: whose `malloc` and `memcpy` are counted as well.
    pub libc: String,
    /// The architecture; and whether it has AVX2, which is the one difference of processors that valgrind passes on to
    /// libraries that choose their code by it.
    pub processor: String,
}

/// How one operation's count stands to the baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Within the tolerance.
    Same,
    /// Fewer instructions, by more than the tolerance.
    Better,
    /// More instructions, by more than the tolerance.
    Worse,
    /// The baseline does not have it.
    New,
    /// The baseline has it, and it is measured no more.
    Gone,
}

/// One operation, before and now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compared {
    /// The operation.
    pub name: String,
    /// Instructions in the baseline.
    pub before: Option<u64>,
    /// Instructions now.
    pub now: Option<u64>,
    /// What that means.
    pub verdict: Verdict,
}

/// Compares every operation of either, in the order of their names. `tolerance_percent` is of the count before.
pub fn compare(
    before: &BTreeMap<String, u64>,
    now: &BTreeMap<String, u64>,
    tolerance_percent: f64,
) -> Vec<Compared> {
    let mut names: Vec<&String> = before.keys().chain(now.keys()).collect();
    names.sort();
    names.dedup();
    let compared = names.into_iter().map(|name| {
        let (before, now) = (before.get(name).copied(), now.get(name).copied());
        let verdict = match change_percent(before, now) {
            Some(change) if change > tolerance_percent => Verdict::Worse,
            Some(change) if change < -tolerance_percent => Verdict::Better,
            Some(_) => Verdict::Same,
            None if before.is_none() => Verdict::New,
            None => Verdict::Gone,
        };
        Compared { name: name.clone(), before, now, verdict }
    });
    compared.collect()
}

fn change_percent(before: Option<u64>, now: Option<u64>) -> Option<f64> {
    let (before, now) = (before? as f64, now? as f64);
    // An operation of no instructions has not been measured, so any count is infinitely more.
    Some((now - before) / before * 100.0)
}

// === impl Compared ===

impl fmt::Display for Compared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: Option<u64>| count.map_or_else(|| "-".to_owned(), |count| count.to_string());
        let (before, now) = (count(self.before), count(self.now));
        write!(f, "{:<30} {before:>12} {now:>12}", self.name)?;
        match change_percent(self.before, self.now) {
            Some(change) => write!(f, " {change:>+8.2} %")?,
            None => write!(f, " {:>10}", "")?,
        }
        match self.verdict {
            Verdict::Same => Ok(()),
            Verdict::Better => f.write_str("  better"),
            Verdict::Worse => f.write_str("  WORSE"),
            Verdict::New => f.write_str("  NOT IN THE BASELINE"),
            Verdict::Gone => f.write_str("  NOT MEASURED ANY MORE"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts<const N: usize>(counts: [(&str, u64); N]) -> BTreeMap<String, u64> {
        counts.into_iter().map(|(name, count)| (name.to_owned(), count)).collect()
    }

    fn verdict(before: u64, now: u64) -> Verdict {
        compare(&counts([("a", before)]), &counts([("a", now)]), 3.0)[0].verdict
    }

    #[test]
    fn a_change_counts_only_beyond_the_tolerance() {
        assert_eq!(verdict(1_000, 1_030), Verdict::Same);
        assert_eq!(verdict(1_000, 1_031), Verdict::Worse);
        assert_eq!(verdict(1_000, 970), Verdict::Same);
        assert_eq!(verdict(1_000, 969), Verdict::Better);
        assert_eq!(verdict(0, 1), Verdict::Worse);
    }

    #[test]
    fn an_operation_that_only_one_side_has_is_told_and_never_passed_over() {
        let compared = compare(&counts([("gone", 5), ("kept", 5)]), &counts([("kept", 5), ("new", 5)]), 3.0);
        let verdicts: Vec<_> = compared.iter().map(|one| (one.name.as_str(), one.verdict)).collect();
        assert_eq!(verdicts, [("gone", Verdict::Gone), ("kept", Verdict::Same), ("new", Verdict::New)]);
    }

    #[test]
    fn a_line_names_the_operation_both_counts_and_the_change() {
        let worse = &compare(&counts([("record/parse", 1_000)]), &counts([("record/parse", 1_100)]), 3.0)[0];
        let words: Vec<String> = worse.to_string().split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["record/parse", "1000", "1100", "+10.00", "%", "WORSE"]);
    }
}
