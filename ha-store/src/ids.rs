//! The names and numbers that records are made of.
//!
//! Every one is a type of its own, so that an epoch cannot be passed for a sequence, and none can hold a value
//! that is not allowed: parsing is the only way in, also from JSON.

use crate::entropy::Entropy;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// A name, id or key that is not of the form that its type allows.
///
/// The message says which type, what was given and what is allowed, so that it can be shown to whoever typed it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} {value:?} is not valid: {allowed}")]
pub struct InvalidId {
    /// The kind of thing, in words.
    pub what: &'static str,
    /// The value given, cut to 80 characters.
    pub value: String,
    /// What would have been valid.
    pub allowed: &'static str,
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number that was read from elsewhere (a header, a query).
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The number itself.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The one after this.
            ///
            /// # Panics
            /// At `u64::MAX`, which no log reaches: a million records a second would take 580,000 years.
            pub const fn next(self) -> Self {
                assert!(self.0 < u64::MAX, "the number after u64::MAX was asked for");
                Self(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// The fencing token: one for every grant of leadership, strictly increasing for ever.
    ///
    /// `0` stands for "before the first claim" and is never granted.
    Epoch
}

number! {
    /// The place of a record in the log. The first record is `1`; `0` stands for "before the first".
    Sequence
}

impl Sequence {
    /// The place before this one, if there is one.
    pub const fn previous(self) -> Option<Self> {
        match self.0 {
            0 | 1 => None,
            n => Some(Self(n - 1)),
        }
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $allowed:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text itself.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(value: String) -> Result<Self, InvalidId> {
                let valid: fn(&[u8]) -> bool = $valid;
                if valid(value.as_bytes()) {
                    Ok(Self(value))
                } else {
                    let value = value.chars().take(80).collect();
                    Err(InvalidId { what: $what, value, allowed: $allowed })
                }
            }
        }

        impl TryFrom<&str> for $name {
            type Error = InvalidId;

            fn try_from(value: &str) -> Result<Self, InvalidId> {
                Self::try_from(value.to_owned())
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::try_from(value.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

text! {
    /// The name of a deployment: the folder of its log, and a valid Kubernetes label.
    DeploymentName, "the deployment name",
    "1 to 63 characters of a-z, 0-9 and -, starting and ending with a letter or digit",
    |b| {
        let inner = |c: &u8| c.is_ascii_lowercase() || c.is_ascii_digit() || *c == b'-';
        (1..=63).contains(&b.len()) && b.iter().all(inner) && b[0] != b'-' && b[b.len() - 1] != b'-'
    }
}

text! {
    /// A Flink job id, as Flink prints it.
    JobId, "the job id", "32 lower-case hexadecimal digits", is_hex_32
}

text! {
    /// The id of a terminal result: a job's, or on Flink 2.3 an application's.
    ResultId, "the result id", "32 lower-case hexadecimal digits", is_hex_32
}

text! {
    /// Made anew for every intended write and repeated on every retry of it.
    IdempotencyKey, "the idempotency key", "1 to 64 visible ASCII characters", is_token
}

text! {
    /// One JobManager session, as the sidecar names it.
    SessionId, "the session id", "1 to 64 visible ASCII characters", is_token
}

text! {
    /// One run of the process that opened the store. Two runs never share it, however alike they are otherwise.
    Incarnation, "the incarnation", "1 to 64 visible ASCII characters", is_token
}

text! {
    /// What tells one record, or one copy of a blob, from every other of equal content.
    Nonce, "the nonce", "1 to 64 visible ASCII characters", is_token
}

impl From<JobId> for ResultId {
    fn from(job: JobId) -> Self {
        Self(job.0)
    }
}

macro_rules! random {
    ($($name:ident),*) => {$(
        impl $name {
            /// A fresh one of 128 random bits, in hexadecimal.
            pub fn random(entropy: &dyn Entropy) -> Self {
                let mut bytes = [0_u8; 16];
                entropy.fill(&mut bytes);
                Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
            }
        }
    )*};
}

random!(SessionId, Incarnation, Nonce, IdempotencyKey);

fn is_hex_32(bytes: &[u8]) -> bool {
    bytes.len() == 32 && bytes.iter().all(|c| c.is_ascii_digit() || (b'a'..=b'f').contains(c))
}

fn is_token(bytes: &[u8]) -> bool {
    (1..=64).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn deployment_names_are_dns_labels() {
        for good in ["a", "orders-enrichment", "0", &"x".repeat(63)] {
            assert_eq!(DeploymentName::try_from(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "Orders", "a.b", "a/b", "ä", &"x".repeat(64)] {
            let error = DeploymentName::try_from(bad).unwrap_err().to_string();
            assert!(error.contains("1 to 63 characters"), "{error}");
        }
    }

    #[test]
    fn job_ids_are_printed_as_flink_prints_them() {
        assert!("00000000000000000000000000000a0f".parse::<JobId>().is_ok());
        for bad in ["", "0000", "00000000000000000000000000000A0F", &"g".repeat(32)] {
            assert!(bad.parse::<JobId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn json_cannot_smuggle_in_an_invalid_id() {
        assert!(serde_json::from_str::<JobId>("\"../../etc\"").is_err());
        assert!(serde_json::from_str::<IdempotencyKey>("\"two words\"").is_err());
    }

    #[test]
    fn an_error_quotes_at_most_80_characters_of_what_was_given() {
        let error = IdempotencyKey::try_from("k".repeat(10_000)).unwrap_err();
        assert_eq!(error.value.len(), 80);
    }

    #[test]
    fn random_tokens_are_valid_and_differ() {
        let (a, b) = (Nonce::random(&SystemEntropy), Nonce::random(&SystemEntropy));
        assert_ne!(a, b);
        assert_eq!(a, a.as_str().parse().unwrap());
    }

    #[test]
    fn the_first_record_has_no_record_before_it() {
        assert_eq!(Sequence::new(1).previous(), None);
        assert_eq!(Sequence::new(2).previous(), Some(Sequence::new(1)));
    }
}
