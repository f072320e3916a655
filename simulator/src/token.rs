//! Replay tokens: everything that names one run, in one word that a shell takes without quotes.
//!
//! ```text
//! job-manager-crash.3f2c9aa1.7.0+3f1000+t12000.9a0be2771c03d4f5.0.1.0-5e1f2a3b-640014cb
//! scenario          its text seed cut          hash of the run  build: version, Cargo.lock, commit
//! ```

use std::fmt;
use std::str::FromStr;

use crate::scenario::Scenario;
use crate::shrink::{Cut, Kept};

/// Names one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The scenario's name.
    pub scenario: String,
    /// The hash of its text.
    pub text: String,
    /// The seed.
    pub seed: u64,
    /// What is left of the plan that they make.
    pub cut: Cut,
    /// The hash over the run's events.
    pub hash: String,
    /// Which build it was.
    pub build: String,
}

/// Not a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{token}` is not a replay token: {problem}; copy it whole from the report of a violation")]
pub struct NotAToken {
    token: String,
    problem: &'static str,
}

/// This build: version, a hash of `Cargo.lock`, and the commit where it was known.
pub fn build() -> &'static str {
    if env!("HOLDFAST_COMMIT").is_empty() {
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("HOLDFAST_LOCK_HASH"))
    } else {
        concat!(env!("CARGO_PKG_VERSION"), "-", env!("HOLDFAST_LOCK_HASH"), "-", env!("HOLDFAST_COMMIT"))
    }
}

// === impl Token ===

impl Token {
    /// The token of a run by this build.
    pub fn new(scenario: &Scenario, seed: u64, cut: Cut, hash: &str) -> Self {
        Self {
            scenario: scenario.name.clone(),
            text: scenario.hash.clone(),
            seed,
            cut,
            hash: hash.to_owned(),
            build: build().to_owned(),
        }
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenario, text, seed, cut, hash, build } = self;
        write!(f, "{scenario}.{text}.{seed}.{cut}.{hash}.{build}")
    }
}

impl FromStr for Token {
    type Err = NotAToken;

    fn from_str(token: &str) -> Result<Self, NotAToken> {
        let refuse = |problem| NotAToken { token: token.to_owned(), problem };
        let parts: Vec<_> = token.splitn(6, '.').collect();
        let [scenario, text, seed, cut, hash, build] = parts[..] else {
            return Err(refuse("it has too few parts"));
        };
        let is_hex =
            |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if scenario.is_empty() || !is_hex(text, 8) {
            return Err(refuse("it does not begin with a scenario and the hash of its text"));
        }
        if !is_hex(hash, 16) {
            return Err(refuse("its hash is not 16 hex digits"));
        }
        Ok(Self {
            scenario: scenario.to_owned(),
            text: text.to_owned(),
            seed: seed.parse().map_err(|_| refuse("its seed is not a number"))?,
            cut: cut.parse().map_err(|()| refuse("what it leaves of the plan cannot be read"))?,
            hash: hash.to_owned(),
            build: build.to_owned(),
        })
    }
}

// === impl Cut ===

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut items: Vec<String> = match &self.kept {
            None => vec!["all".to_owned()],
            Some(kept) if kept.is_empty() => vec!["none".to_owned()],
            Some(kept) => kept.iter().map(ToString::to_string).collect(),
        };
        items.extend(self.faulty_ms.map(|faulty_ms| format!("t{faulty_ms}")));
        f.write_str(&items.join("+"))
    }
}

impl FromStr for Cut {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut items: Vec<&str> = text.split('+').collect();
        let faulty_ms = match items.last().and_then(|last| last.strip_prefix('t')) {
            Some(ms) => {
                items.pop();
                Some(ms.parse().map_err(|_| ())?)
            }
            None => None,
        };
        let kept = match items[..] {
            ["all"] => None,
            ["none"] => Some(Vec::new()),
            _ => Some(items.into_iter().map(str::parse).collect::<Result<_, ()>>()?),
        };
        Ok(Self { kept, faulty_ms })
    }
}

// === impl Kept ===

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.fault)?;
        if let Some(for_ms) = self.for_ms {
            write!(f, "f{for_ms}")?;
        }
        match self.at_ms {
            Some(at_ms) => write!(f, "a{at_ms}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Kept {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let split = |text, letter| match str::split_once(text, letter) {
            Some((front, ms)) => Ok::<_, ()>((front, Some(ms.parse().map_err(|_| ())?))),
            None => Ok((text, None)),
        };
        let (text, at_ms) = split(text, 'a')?;
        let (text, for_ms) = split(text, 'f')?;
        Ok(Self { fault: text.parse().map_err(|_| ())?, at_ms, for_ms })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(cut: Cut) -> Token {
        Token {
            scenario: "job-manager-crash".into(),
            text: "3f2c9aa1".into(),
            seed: 7,
            cut,
            hash: "9a0be2771c03d4f5".into(),
            build: build().into(),
        }
    }

    #[test]
    fn a_token_is_one_word_for_a_shell_and_is_read_back_as_it_was() {
        let kept = |fault, at_ms, for_ms| Kept { fault, at_ms, for_ms };
        for cut in [
            Cut::default(),
            Cut { kept: Some(vec![]), faulty_ms: Some(1) },
            Cut { kept: None, faulty_ms: Some(12_000) },
            Cut { kept: Some(vec![kept(0, None, None), kept(12, Some(3), Some(4))]), faulty_ms: None },
            Cut { kept: Some(vec![kept(3, Some(0), None), kept(4, None, Some(9))]), faulty_ms: Some(60_000) },
        ] {
            let whole = token(cut);
            let written = whole.to_string();
            assert!(written.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b)), "{written}");
            assert_eq!(written.parse(), Ok(whole), "{written}");
        }
    }

    #[test]
    fn what_is_not_a_token_is_refused_with_a_reason() {
        let good = token(Cut::default()).to_string();
        for (wrong, reason) in [
            ("7".to_owned(), "too few parts"),
            (good.replace(".7.", ".seven."), "seed is not a number"),
            (good.replace("3f2c9aa1", "3f2c"), "hash of its text"),
            (good.replace(".all.", ".some."), "leaves of the plan"),
            (good.replace(".all.", ".1+."), "leaves of the plan"),
            (good.replace("9a0be2771c03d4f5", "9a0b"), "16 hex digits"),
        ] {
            let refused = wrong.parse::<Token>().expect_err(&wrong).to_string();
            assert!(refused.contains(reason) && refused.contains(&wrong), "{refused}");
        }
    }
}
