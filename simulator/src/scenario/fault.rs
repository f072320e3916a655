//! One entry under `faults`: a kind, and when, how long, how often and how likely.
//!
//! ```yaml
//! - kill: { process: sidecar }
//!   at: { before-create-answer: 1..40 }
//!   chance: 50%
//! ```

use std::fmt;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, VariantAccess, Visitor,
};

use super::draw::{Count, Share, Span};
use super::kind::Kind;
use crate::plan::{Fault, Point, When};
use crate::seed::Stream;

/// A fault as a scenario writes it: each seed makes none, one or several [`Fault`]s of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FaultSpec {
    /// What happens.
    pub(super) kind: Kind,
    /// The kind as the file names it.
    pub(super) name: String,
    /// When; absent: at any time while faults may happen.
    pub(super) at: Option<At>,
    /// How long; only for kinds that last.
    pub(super) lasts: Option<Span>,
    /// How often: once where the file does not say; in a swarm, at most this often.
    pub(super) times: Option<Count>,
    /// How likely it is to be there at all.
    pub(super) chance: Option<Share>,
}

/// When a fault begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// This long after the start.
    Time(Span),
    /// At the nth visit of a point of the run.
    Point(Point, Count),
}

/// What may stand beside the kind.
const KEYS: &str = "`at`, `for`, `times`, `chance`";

// === impl FaultSpec ===

impl FaultSpec {
    /// How often it is there under this seed. `chance` and `times` are for those that name none themselves.
    pub(super) fn draw_times(&self, stream: &Stream, chance: Share, times: Count) -> u64 {
        let is_there = stream.chance(self.chance.unwrap_or(chance).draw_permille(stream));
        let times = self.times.unwrap_or(times).draw(stream);
        if is_there { times } else { 0 }
    }

    /// One of them. A time is from 0 to `faulty_ms` where the file names none.
    pub(super) fn draw(&self, stream: &Stream, faulty_ms: u64) -> Fault {
        let anywhere = At::Time(Span { low_ms: 0, high_ms: faulty_ms });
        let when = self.at.unwrap_or(anywhere).draw(stream);
        let for_ms = self.lasts.map_or(0, |lasts| lasts.draw_ms(stream));
        Fault { when, what: self.kind.draw(stream), for_ms }
    }
}

// === impl At ===

impl At {
    /// When it is under this seed.
    pub(super) fn draw(self, stream: &Stream) -> When {
        match self {
            Self::Time(span) => When::AtMs(span.draw_ms(stream)),
            Self::Point(point, nth) => When::On { point, nth: nth.draw_u32(stream) },
        }
    }
}

// === reading them ===

impl<'de> Deserialize<'de> for FaultSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FaultVisitor)
    }
}

struct FaultVisitor;

impl<'de> Visitor<'de> for FaultVisitor {
    type Value = FaultSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a fault: its kind, with {KEYS} beside it, as `- kill: {{ process: sidecar }}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FaultSpec, A::Error> {
        let (mut kind, mut at, mut lasts, mut times, mut chance) = (None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "at" => at = Some(map.next_value()?),
                "for" => lasts = Some(map.next_value()?),
                "times" => times = Some(map.next_value()?),
                "chance" => chance = Some(map.next_value()?),
                _ if kind.is_some() => {
                    let problem =
                        format!("`{key}` is one too many: a fault has one kind, and beside it only {KEYS}");
                    return Err(de::Error::custom(problem));
                }
                _ => kind = Some((read_kind(&key, &mut map)?, key)),
            }
        }
        let Some((kind, name)) = kind else {
            return Err(de::Error::custom(format!(
                "this fault has no kind: {KEYS} only say when and how often"
            )));
        };
        match (kind.lasts(), lasts.is_some()) {
            (true, false) => Err(de::Error::custom(format!(
                "`{name}` goes on for a while: say how long, as `for: 5s..20s`"
            ))),
            (false, true) => {
                Err(de::Error::custom(format!("`{name}` happens at once and is over: it takes no `for`")))
            }
            _ => Ok(FaultSpec { kind, name, at, lasts, times, chance }),
        }
    }
}

fn read_kind<'de, A: MapAccess<'de>>(name: &str, map: &mut A) -> Result<Kind, A::Error> {
    Kind::deserialize(de::value::EnumAccessDeserializer::new(Entry { name, map }))
}

/// One entry of a map, read as an enum: its key is the variant, its value the fields.
struct Entry<'a, A> {
    name: &'a str,
    map: &'a mut A,
}

impl<'de, 'a, A: MapAccess<'de>> EnumAccess<'de> for Entry<'a, A> {
    type Error = A::Error;
    type Variant = Fields<'a, A>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Fields<'a, A>), A::Error> {
        let variant = seed.deserialize(StrDeserializer::new(self.name))?;
        Ok((variant, Fields(self.map)))
    }
}

struct Fields<'a, A>(&'a mut A);

impl<'de, A: MapAccess<'de>> VariantAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn unit_variant(self) -> Result<(), A::Error> {
        self.0.next_value()
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, A::Error> {
        self.0.next_value_seed(seed)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, A::Error> {
        Err(de::Error::custom("no kind of fault has fields without names"))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, A::Error> {
        self.0.next_value_seed(Struct { fields, visitor })
    }
}

/// The value of an entry, read as a struct. Nothing at all (`delete-lease:`) is a struct without fields.
struct Struct<V> {
    fields: &'static [&'static str],
    visitor: V,
}

impl<'de, V: Visitor<'de>> DeserializeSeed<'de> for Struct<V> {
    type Value = V::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<V::Value, D::Error> {
        deserializer.deserialize_struct("fault", self.fields, self.visitor)
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AtVisitor;

        impl<'de> Visitor<'de> for AtVisitor {
            type Value = At;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time as `10s..30s`, or a point of the run as `{ before-create-answer: 3 }`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<At, E> {
                Span::deserialize(StrDeserializer::new(text)).map(At::Time)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<At, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<At, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<At, A::Error> {
                let Some((point, nth)) = map.next_entry::<Point, Count>()? else {
                    return Err(de::Error::custom(
                        "name a point of the run, as `{ before-create-answer: 3 }`",
                    ));
                };
                if nth.low == 0 {
                    return Err(de::Error::custom("visits are counted from 1"));
                }
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom("a fault begins at one point; write two faults"));
                }
                Ok(At::Point(point, nth))
            }
        }

        deserializer.deserialize_any(AtVisitor)
    }
}
