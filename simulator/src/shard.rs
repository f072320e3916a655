//! A part of the seeds: so that many machines run one campaign, each seed once.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// One of `of` parts of the seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// Which one, from 0.
    index: u32,
    /// How many there are.
    of: u32,
}

/// Not a shard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a shard: write I/N, as `0/20` to `19/20` for twenty of them, at most {SHARDS_MAX}")]
pub struct NotAShard {
    text: String,
}

/// As many as their names have digits for, and more than the completions that Kubernetes allows with a limit per index.
const SHARDS_MAX: u32 = 99_999;

// === impl Shard ===

impl Shard {
    /// All seeds in one.
    pub const WHOLE: Self = Self { index: 0, of: 1 };

    /// Every one of so many.
    pub fn all(of: u32) -> impl Iterator<Item = Self> {
        (0..of).map(move |index| Self { index, of })
    }

    /// Which one it is, from 0.
    pub fn index(self) -> u32 {
        self.index
    }

    /// How many there are.
    pub fn of(self) -> u32 {
        self.of
    }

    /// Its part of the seeds 1 to `seeds`. All parts together are these seeds, each once. None where there are fewer seeds
    /// than shards and this one is left with nothing.
    pub fn seeds(self, seeds: u64) -> Option<RangeInclusive<u64>> {
        let bound = |index: u32| {
            let bound = u128::from(seeds) * u128::from(index) / u128::from(self.of);
            u64::try_from(bound).expect("a share of a number is no larger than the number")
        };
        let (before, last) = (bound(self.index), bound(self.index + 1));
        (before < last).then(|| before + 1..=last)
    }

    /// What its objects are called, without their endings: sorted by name, they are in order.
    pub fn file_stem(self) -> String {
        format!("shard-{:05}-of-{:05}", self.index, self.of)
    }

    /// The shard whose objects are called so.
    pub fn from_file_stem(stem: &str) -> Option<Self> {
        let (index, of) = stem.strip_prefix("shard-")?.split_once("-of-")?;
        let shard: Self =
            format!("{}/{}", index.parse::<u32>().ok()?, of.parse::<u32>().ok()?).parse().ok()?;
        (shard.file_stem() == stem).then_some(shard)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.of)
    }
}

impl FromStr for Shard {
    type Err = NotAShard;

    fn from_str(text: &str) -> Result<Self, NotAShard> {
        let parts =
            text.split_once('/').and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((index, of)) if index < of && of <= SHARDS_MAX => Ok(Self { index, of }),
            _ => Err(NotAShard { text: text.to_owned() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_shards_together_are_every_seed_once_and_none_has_two_more_than_another() {
        for (seeds, of) in [(1, 1), (10, 1), (10, 3), (7, 7), (3, 5), (10_000, 20), (99_999, 64)] {
            let parts: Vec<_> = Shard::all(of).map(|shard| shard.seeds(seeds)).collect();
            let together: Vec<u64> = parts.iter().flatten().cloned().flatten().collect();
            assert_eq!(together, (1..=seeds).collect::<Vec<_>>(), "{seeds} seeds in {of} shards");
            let sizes = parts.iter().map(|part| part.clone().map_or(0, Iterator::count));
            let (least, most) = (sizes.clone().min(), sizes.max());
            assert!(
                most <= least.map(|least| least + 1),
                "{seeds} seeds in {of} shards: {least:?} to {most:?}"
            );
        }
        let last = "19/20".parse::<Shard>().expect("a shard");
        assert_eq!(last.seeds(u64::MAX).map(|seeds| *seeds.end()), Some(u64::MAX), "nothing overflows");
    }

    #[test]
    fn what_is_not_a_shard_is_refused_with_what_is_allowed() {
        for wrong in
            ["", "3", "3/", "/20", "20/20", "-1/20", "0/0", "0/100000", "a/b", "$(JOB_COMPLETION_INDEX)/20"]
        {
            let refused = wrong.parse::<Shard>().expect_err(wrong).to_string();
            assert!(refused.contains(&format!("`{wrong}` is not a shard: write I/N")), "{refused}");
        }
    }

    #[test]
    fn a_shard_is_found_by_the_name_of_its_objects_and_by_no_other() {
        let shard: Shard = "3/20".parse().expect("a shard");
        assert_eq!((shard.to_string(), shard.file_stem()), ("3/20".into(), "shard-00003-of-00020".into()));
        assert_eq!(Shard::from_file_stem("shard-00003-of-00020"), Some(shard));
        for other in
            ["shard-3-of-20", "shard-00020-of-00020", "shard-00003", "00003-of-00020", "shard-+0003-of-00020"]
        {
            assert_eq!(Shard::from_file_stem(other), None, "{other}");
        }
    }
}
