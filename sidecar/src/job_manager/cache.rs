//! How old Flink's answers about checkpoints may be, by what its configuration says.
//!
//! `GET /jobs/:id/checkpoints` is answered out of a cache. How long an answer stays in there is
//! `rest.cache.checkpoint-statistics.timeout`, and where that is not set, `web.refresh-interval`.

use std::time::Duration;

use serde::Deserialize;

/// An entry of `GET /jobmanager/config`, which has what is set and nothing of what is not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Setting {
    key: String,
    value: String,
}

/// How old an answer about checkpoints may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheAge {
    /// So old at most.
    pub max: Duration,
    /// The setting that says so, as Flink has it; `None` for Flink's default.
    pub set_by: Option<String>,
}

/// `web.refresh-interval` where nothing is set: 3 s in all of Flink's versions.
const DEFAULT: Duration = Duration::from_secs(3);

/// The first of them that is set counts. The last one is an older name that Flink still takes.
const KEYS: [&str; 3] =
    ["rest.cache.checkpoint-statistics.timeout", "web.refresh-interval", "jobmanager.web.refresh-interval"];

// === impl CacheAge ===

impl Default for CacheAge {
    fn default() -> Self {
        Self { max: DEFAULT, set_by: None }
    }
}

impl CacheAge {
    /// What these settings say. A value that is not one of Flink's durations is an error, in words.
    pub(super) fn of(settings: &[Setting]) -> Result<Self, String> {
        let set = KEYS.iter().find_map(|key| settings.iter().find(|setting| setting.key == *key));
        let Some(Setting { key, value }) = set else { return Ok(Self::default()) };
        let max = duration(value).ok_or_else(|| format!("{key} = {value:?} is no duration of Flink's"))?;
        Ok(Self { max, set_by: Some(format!("{key}: {value}")) })
    }
}

/// As Flink reads durations: a whole number and a unit, milliseconds if there is none.
fn duration(text: &str) -> Option<Duration> {
    let text = text.trim();
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let (scale, per): (u64, fn(u64) -> Duration) = match unit.trim().to_lowercase().as_str() {
        "d" | "day" | "days" => (86_400, Duration::from_secs),
        "h" | "hour" | "hours" => (3_600, Duration::from_secs),
        "m" | "min" | "minute" | "minutes" => (60, Duration::from_secs),
        "s" | "sec" | "secs" | "second" | "seconds" => (1, Duration::from_secs),
        "" | "ms" | "milli" | "millis" | "millisecond" | "milliseconds" => (1, Duration::from_millis),
        "µs" | "micro" | "micros" | "microsecond" | "microseconds" => (1, Duration::from_micros),
        "ns" | "nano" | "nanos" | "nanosecond" | "nanoseconds" => (1, Duration::from_nanos),
        _ => return None,
    };
    Some(per(number.checked_mul(scale)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(settings: &[(&str, &str)]) -> Result<CacheAge, String> {
        let setting =
            |(key, value): &(&str, &str)| Setting { key: (*key).to_owned(), value: (*value).to_owned() };
        CacheAge::of(&settings.iter().map(setting).collect::<Vec<_>>())
    }

    #[test]
    fn without_a_setting_it_is_flinks_default() {
        assert_eq!(set(&[("rest.port", "8081")]), Ok(CacheAge { max: Duration::from_secs(3), set_by: None }));
    }

    #[test]
    fn the_time_out_of_the_cache_counts_for_more_than_the_refresh_interval() {
        let (cache, web) = ("rest.cache.checkpoint-statistics.timeout", "web.refresh-interval");
        let age = set(&[(web, "60000"), (cache, "2 s")]).expect("durations");
        assert_eq!(
            (age.max, age.set_by.as_deref()),
            (Duration::from_secs(2), Some(&*format!("{cache}: 2 s")))
        );
        assert_eq!(set(&[(web, "60000")]).expect("a duration").max, Duration::from_secs(60));
    }

    #[test]
    fn durations_are_read_as_flink_reads_them() {
        for (text, ms) in [
            ("3000", 3_000),
            (" 10 s ", 10_000),
            ("1min", 60_000),
            ("2 H", 7_200_000),
            ("5 days", 432_000_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(ms)), "{text:?}");
        }
        for text in ["", "s", "-1", "3 lightyears", "1.5 s", "99999999999999999999", "18446744073709551615 d"]
        {
            assert_eq!(duration(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_value_that_cannot_be_read_is_named() {
        let error = set(&[("web.refresh-interval", "soon")]).expect_err("no duration");
        assert!(error.contains("web.refresh-interval") && error.contains("soon"), "{error}");
    }
}
