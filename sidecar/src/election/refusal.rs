//! What it means that a request was not answered as it should be.

use std::error::Error;
use std::fmt::Write;

use crate::elector::Observation;

/// A request that was not answered as it should be.
#[derive(Debug)]
pub(super) struct Refusal {
    code: u16,
    /// Whether the API server itself says that there is no such object. A load balancer that has lost its backends
    /// answers 404, too, and that must not pass for a pod that is gone.
    absent: bool,
    retry_after_ms: u64,
    /// Names the verb and the thing.
    pub(super) message: String,
}

/// Of what was answered, a person needs so much. It may have been a whole page of HTML.
const SHOWN_MAX: usize = 300;

// === impl Refusal ===

impl Refusal {
    pub(super) fn new(what: &str, error: kube::Error) -> Self {
        let kube::Error::Api(status) = error else {
            return Self::unclear(format!("{what}: {}", shown(&chain(&error))));
        };
        let way_out = match status.code {
            401 => "; the token is not accepted: its file is read again for the next request",
            403 => "; add this verb to the Role of this pod's service account",
            _ => "",
        };
        let details = status.details.as_ref();
        let names_it = details.is_some_and(|details| !details.name.is_empty());
        let retry_after_s = details.map_or(0, |details| details.retry_after_seconds);
        Self {
            code: status.code,
            absent: status.code == 404 && status.reason == "NotFound" && names_it,
            retry_after_ms: u64::from(retry_after_s) * 1_000,
            message: format!("{what}: {} {}{way_out}", status.code, shown(&status.message)),
        }
    }

    /// The time ran out.
    pub(super) fn silence(what: &str, limit_ms: u64) -> Self {
        Self::unclear(format!("{what}: no answer within {limit_ms} ms"))
    }

    /// The answer was something else.
    pub(super) fn garbage(what: &str) -> Self {
        Self::unclear(format!("{what}: the answer is not the object that was asked for"))
    }

    /// That there is no such object is an answer, too.
    pub(super) fn absent<T>(self) -> Result<Option<T>, Self> {
        if self.absent { Ok(None) } else { Err(self) }
    }

    /// 409: another version stands there, or it exists already. 404: it was deleted. 410: the version is forgotten.
    pub(super) fn is_about_the_version(&self) -> bool {
        matches!(self.code, 404 | 409 | 410)
    }

    fn unclear(message: String) -> Self {
        Self { code: 0, absent: false, retry_after_ms: 0, message }
    }
}

impl From<Refusal> for Observation {
    fn from(refusal: Refusal) -> Self {
        Self::Unclear { reason: refusal.message, retry_after_ms: refusal.retry_after_ms }
    }
}

/// An error of the client stack says little by itself; what caused it says the rest.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            // Writing to a String cannot fail.
            let _ = write!(text, ": {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// On one line, and not more of it than helps.
fn shown(text: &str) -> String {
    let line: Vec<_> = text.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(SHOWN_MAX) {
        None => line,
        Some((end, _)) => format!("{} …", &line[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kube::core::Status;

    fn refusal(status: Status) -> Refusal {
        Refusal::new("get pods \"a\"", kube::Error::Api(status.boxed()))
    }

    #[test]
    fn only_the_api_server_s_own_word_makes_an_object_absent() {
        let own = serde_json::json!({"status": "Failure", "code": 404, "reason": "NotFound",
            "message": "pods \"a\" not found", "details": {"name": "a", "kind": "pods"}});
        assert!(refusal(serde_json::from_value(own).expect("a Status")).absent::<()>().is_ok());
        // What kube makes of a page.
        let page = Status::failure("404 page not found", "Failed to parse error data").with_code(404);
        assert!(refusal(page).absent::<()>().is_err());
    }

    #[test]
    fn a_page_of_html_becomes_a_line_of_a_bearable_length() {
        let page = format!("<html>\n  <body>{}</body>\n</html>", "sorry ".repeat(10_000));
        let message = refusal(Status::failure(&page, "").with_code(502)).message;
        assert!(message.starts_with("get pods \"a\": 502 <html> <body>sorry"), "{message}");
        assert!(message.len() < 400 && !message.contains('\n'), "{message}");
    }
}
