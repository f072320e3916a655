//! What the sidecar answered to one attempt, and what that says about the write: the adapter's `SidecarAnswer` and
//! `Problem`. Pure.

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

pub(super) const ALREADY_EXISTS: &str = "already-exists";
pub(super) const FENCED: &str = "fenced";
pub(super) const UNKNOWN_JOB: &str = "unknown-job";
pub(super) const NO_GRAPH: &str = "no-graph";
pub(super) const NO_PLAN: &str = "no-plan";
pub(super) const UNKNOWN_RESULT: &str = "unknown-result";

const PREFIX: &str = "urn:holdfast:problem:";
const TRY_AGAIN: [&str; 3] = ["unavailable", "not-ready", "too-many-streams"];

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Bytes,
    pub(super) retry_after_ms: u64,
    /// `None`: a success.
    pub(super) problem: Option<Problem>,
}

/// An answer of 400 and above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The last part of the type; empty when the answer was not a problem document.
    pub(super) kind: String,
    /// Nothing of this attempt was stored or will be.
    pub(super) not_recorded: bool,
    pub(super) detail: String,
}

// === impl Answer ===

impl Answer {
    pub(super) fn new(status: u16, body: Bytes, retry_after_ms: u64) -> Self {
        let problem = (status >= 400).then(|| Problem::parse(&body));
        Self { status, body, retry_after_ms, problem }
    }

    pub(super) fn is(&self, kind: &str) -> bool {
        self.problem.as_ref().is_some_and(|problem| problem.kind == kind)
    }

    /// False: the outcome is unknown, or the sidecar could not decide yet.
    pub(super) fn is_definite(&self) -> bool {
        self.problem.as_ref().is_none_or(|problem| !problem.is_worth_repeating())
    }

    /// The body of a success.
    ///
    /// # Panics
    /// When it is not what the protocol says: a defect of the product.
    pub(super) fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| {
            panic!("an answer that docs/protocol.md does not allow: {error}: {:?}", self.body)
        })
    }
}

// === impl Problem ===

impl Problem {
    /// What cannot be read, or was said by something else than the sidecar, says nothing about the write.
    fn parse(body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Document {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default)]
            outcome: String,
            #[serde(default)]
            detail: String,
        }
        let foreign = || Self {
            kind: String::new(),
            not_recorded: false,
            detail: format!("not a problem document: {:.300}", String::from_utf8_lossy(body)),
        };
        let Ok(document) = serde_json::from_slice::<Document>(body) else { return foreign() };
        let Some(kind) = document.kind.strip_prefix(PREFIX) else { return foreign() };
        let not_recorded = document.outcome == "not-recorded";
        Self { kind: kind.to_owned(), not_recorded, detail: document.detail }
    }

    /// The identical request will be answered otherwise sooner or later.
    fn is_worth_repeating(&self) -> bool {
        !self.not_recorded || TRY_AGAIN.contains(&self.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &'static str) -> Answer {
        Answer::new(status, Bytes::from_static(body.as_bytes()), 0)
    }

    #[test]
    fn only_an_answer_that_says_so_is_definite() {
        assert!(answer(201, "").is_definite());
        let fenced = r#"{"type":"urn:holdfast:problem:fenced","outcome":"not-recorded"}"#;
        assert!(answer(412, fenced).is_definite() && answer(412, fenced).is(FENCED));
        let unknown = r#"{"type":"urn:holdfast:problem:unknown-outcome","outcome":"unknown"}"#;
        assert!(!answer(504, unknown).is_definite());
        let unavailable = r#"{"type":"urn:holdfast:problem:unavailable","outcome":"not-recorded"}"#;
        let unavailable = answer(503, unavailable);
        assert!(!unavailable.is_definite());
        assert!(unavailable.problem.is_some_and(|problem| problem.not_recorded));
        let proxy = answer(502, "<html>bad gateway</html>");
        assert!(!proxy.is_definite());
        assert!(proxy.problem.is_some_and(|problem| !problem.not_recorded));
    }
}
