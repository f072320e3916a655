//! Values that a scenario fixes or leaves to the seed: `10s` is always that, `5s..20s` is drawn, both ends included.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};

use crate::seed::Stream;

/// A length of time or a moment: `500ms`, `10s`, `5m`, `1h`, or a range of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The shortest, milliseconds.
    pub(super) low_ms: u64,
    /// The longest.
    pub(super) high_ms: u64,
}

/// A [`Span`] that may be negative, for what goes forwards or back: `-1h..1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    /// The least, milliseconds.
    pub(super) low_ms: i64,
    /// The most.
    pub(super) high_ms: i64,
}

/// A number, or a range: `3`, `1..10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// The least.
    pub(super) low: u64,
    /// The most.
    pub(super) high: u64,
}

/// A probability or a share: `5%`, `0.5%`, or a range: `1%..20%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    /// The least, in thousandths.
    pub(super) low_permille: u64,
    /// The most.
    pub(super) high_permille: u64,
}

/// One value, or a list of which one is drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OneOf<T>(Vec<T>);

// === impl Span ===

impl Span {
    /// Always this.
    pub(super) const fn fixed(ms: u64) -> Self {
        Self { low_ms: ms, high_ms: ms }
    }

    /// What it is under this seed.
    pub(super) fn draw_ms(self, stream: &Stream) -> u64 {
        stream.between(self.low_ms, self.high_ms)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (low_ms, high_ms) = range(text, time_ms)?;
        Ok(Self { low_ms, high_ms })
    }
}

// === impl Shift ===

impl Shift {
    /// What it is under this seed.
    pub(super) fn draw_ms(self, stream: &Stream) -> i64 {
        let drawn = stream.between(0, self.high_ms.abs_diff(self.low_ms));
        self.low_ms.saturating_add_unsigned(drawn)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let signed = |text: &str| {
            let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
            let ms = i64::try_from(time_ms(digits)?).map_err(|_| format!("`{text}` is too long"))?;
            Ok(if negative { -ms } else { ms })
        };
        let (low_ms, high_ms) = range(text, signed)?;
        Ok(Self { low_ms, high_ms })
    }
}

// === impl Count ===

impl Count {
    /// Always this.
    pub(super) const fn fixed(number: u64) -> Self {
        Self { low: number, high: number }
    }

    /// What it is under this seed.
    pub(super) fn draw(self, stream: &Stream) -> u64 {
        stream.between(self.low, self.high)
    }

    /// [`Self::draw`] where the plan has a `u32`. Everything that is parsed fits.
    pub(super) fn draw_u32(self, stream: &Stream) -> u32 {
        u32::try_from(self.draw(stream)).expect("a count is at most COUNT_MAX")
    }

    fn parse(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.parse::<u64>() {
            Ok(number) if number <= COUNT_MAX => Ok(number),
            _ => Err(format!("`{text}` is not a number from 0 to {COUNT_MAX}")),
        };
        let (low, high) = range(text, number)?;
        Ok(Self { low, high })
    }
}

/// More of anything than a run can hold, and small enough for a `u32`.
const COUNT_MAX: u64 = 1_000_000_000;

// === impl Share ===

impl Share {
    /// Certain, or everything.
    pub(super) const ALL: Self = Self { low_permille: 1_000, high_permille: 1_000 };

    /// What it is under this seed, in thousandths.
    pub(super) fn draw_permille(self, stream: &Stream) -> u64 {
        stream.between(self.low_permille, self.high_permille)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (low_permille, high_permille) = range(text, permille)?;
        Ok(Self { low_permille, high_permille })
    }
}

// === impl OneOf ===

impl<T: Clone> OneOf<T> {
    /// What it is under this seed.
    pub(super) fn draw(&self, stream: &Stream) -> T {
        stream.pick(&self.0).clone()
    }

    /// Everything that it can be.
    pub(super) fn all(&self) -> &[T] {
        &self.0
    }
}

impl<T> From<T> for OneOf<T> {
    fn from(only: T) -> Self {
        Self(vec![only])
    }
}

impl<T: Default> Default for OneOf<T> {
    fn default() -> Self {
        Self::from(T::default())
    }
}

// === reading them ===

/// `low..high` or one value, each read by `one`.
fn range<T: PartialOrd + Copy>(
    text: &str,
    one: impl Fn(&str) -> Result<T, String>,
) -> Result<(T, T), String> {
    let Some((low, high)) = text.split_once("..") else {
        let only = one(text.trim())?;
        return Ok((only, only));
    };
    let (low, high) = (one(low.trim())?, one(high.trim())?);
    if low > high {
        return Err(format!("`{text}` goes down: write the smaller end first"));
    }
    Ok((low, high))
}

/// Reads a time as scenarios write it: `500ms`, `10s`, `5m`, `1h`. The result is in milliseconds.
pub fn time_ms(text: &str) -> Result<u64, String> {
    let refuse =
        || format!("`{text}` is not a time: write a whole number and ms, s, m or h, as in `500ms` or `10s`");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit_ms = match &text[digits.len()..] {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "" if digits == "0" => 1,
        _ => return Err(refuse()),
    };
    let number: u64 = digits.parse().map_err(|_| refuse())?;
    number
        .checked_mul(unit_ms)
        .filter(|ms| *ms <= TIME_MAX_MS)
        .ok_or_else(|| format!("`{text}` is over a year"))
}

const TIME_MAX_MS: u64 = 366 * 24 * 3_600_000;

fn permille(text: &str) -> Result<u64, String> {
    let refuse =
        || format!("`{text}` is not a share: write `0%` to `100%`, with at most one decimal, as in `2.5%`");
    let number = text.strip_suffix('%').ok_or_else(refuse)?;
    let (whole, tenth) = number.split_once('.').unwrap_or((number, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(tenth) || tenth.len() != 1 || whole.len() > 3 {
        return Err(refuse());
    }
    let permille =
        whole.parse::<u64>().map_err(|_| refuse())? * 10 + tenth.parse::<u64>().map_err(|_| refuse())?;
    if permille <= 1_000 { Ok(permille) } else { Err(refuse()) }
}

/// Reads a scalar through a function of its text.
struct Scalar<T>(&'static str, fn(&str) -> Result<T, String>);

impl<T> Visitor<'_> for Scalar<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        (self.1)(text).map_err(E::custom)
    }
}

macro_rules! from_text {
    ($($type:ty, $expected:literal;)*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Scalar($expected, <$type>::parse))
            }
        }
    )*};
}

from_text! {
    Span, "a time or a range of times, as `10s` or `5s..20s`";
    Shift, "a time or a range of times, negative ones allowed, as `-10s..10s`";
    Count, "a number or a range of numbers, as `3` or `1..10`";
    Share, "a share or a range of shares, as `5%` or `1%..20%`";
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOf<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Choices<T>(std::marker::PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Choices<T> {
            type Value = OneOf<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value, or a list of which each seed draws one")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                T::deserialize(text.into_deserializer()).map(OneOf::from)
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOf::from)
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOf::from)
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
                T::deserialize(value.into_deserializer()).map(OneOf::from)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                T::deserialize(de::value::MapAccessDeserializer::new(map)).map(OneOf::from)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
                let mut choices = Vec::new();
                while let Some(choice) = sequence.next_element()? {
                    choices.push(choice);
                }
                if choices.is_empty() {
                    return Err(de::Error::custom("the list is empty: name at least one value"));
                }
                Ok(OneOf(choices))
            }
        }

        deserializer.deserialize_any(Choices(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_ranges_include_both_ends() {
        assert_eq!(Span::parse("500ms"), Ok(Span::fixed(500)));
        assert_eq!(Span::parse("0"), Ok(Span::fixed(0)));
        assert_eq!(Span::parse("2s..1m"), Ok(Span { low_ms: 2_000, high_ms: 60_000 }));
        assert_eq!(Shift::parse("-1h..90s"), Ok(Shift { low_ms: -3_600_000, high_ms: 90_000 }));

        let stream = Stream::new(1, "times");
        let drawn: std::collections::BTreeSet<_> =
            (0..200).map(|_| Shift { low_ms: -1, high_ms: 1 }.draw_ms(&stream)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), [-1, 0, 1]);
    }

    #[test]
    fn shares_have_a_percent_sign_and_one_decimal_at_most() {
        assert_eq!(Share::parse("2.5%..100%"), Ok(Share { low_permille: 25, high_permille: 1_000 }));
        for wrong in ["5", "101%", "100.1%", "1.25%", "-1%", "%", ".5%", "1.%"] {
            assert!(Share::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_a_value_is_refused_with_what_would_be() {
        for wrong in ["10", "10 s", "s", "1.5s", "-1s", "5..20s", "10S", "1w", "", "400000h"] {
            let refused = Span::parse(wrong).expect_err(wrong);
            assert!(refused.contains('`'), "{refused}");
        }
        assert_eq!(Span::parse("9s..1s"), Err("`9s..1s` goes down: write the smaller end first".to_owned()));
        assert!(Count::parse("2000000000").is_err());
        assert!(Count::parse("many").is_err_and(|refused| refused.contains("from 0 to")));
    }
}
