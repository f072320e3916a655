//! What is wrong with a scenario file, and where.

use std::fmt;

/// A scenario that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    origin: String,
    /// Line and column, from 1.
    at: Option<(u64, u64)>,
    problem: String,
}

// === impl Broken ===

impl Broken {
    /// Says what is wrong, and at which line and column if that is known.
    pub fn new(origin: &str, at: Option<(u64, u64)>, problem: impl Into<String>) -> Self {
        Self { origin: origin.to_owned(), at, problem: problem.into() }
    }

    pub(super) fn from_yaml(origin: &str, error: &serde_saphyr::Error) -> Self {
        let at = error.location().map(|location| (location.line(), location.column()));
        let text = error.without_snippet().to_string();
        // The place comes first in our messages, and the parser's words for shapes are not those of a writer of scenarios.
        let text = text.split(" at line ").next().unwrap_or_default();
        let problem = match text {
            "expected sequence start" => "a list belongs here: lines that begin with `- `",
            "expected mapping start" => "fields belong here, as `name: value`",
            "expected string scalar" => "one value belongs here, neither a list nor fields",
            "unexpected end of input" => "the file has no fields: `faulty` and `healed` are needed",
            other => other.split(", set DuplicateKeyPolicy").next().unwrap_or(other),
        };
        Self::new(origin, at, problem.replace("unknown variant", "unknown name"))
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        if let Some((line, column)) = self.at {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", self.problem)
    }
}

impl std::error::Error for Broken {}
