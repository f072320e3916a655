//! Which requests a fault is for.

use http::Method;

/// A method and a path whose segments may be `*`: `PUT /v1/jobs/*/checkpoints/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    method: Method,
    segments: Vec<String>,
}

impl Pattern {
    /// A pattern of `path`, in which `*` stands for any one segment.
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, segments: path.split('/').map(str::to_owned).collect() }
    }

    /// The commit of a checkpoint's pointer.
    pub fn put_checkpoint() -> Self {
        Self::new(Method::PUT, "/v1/jobs/*/checkpoints/*")
    }

    /// Whether a request is meant.
    pub fn matches(&self, method: &Method, path: &str) -> bool {
        let mut segments = path.split('/');
        *method == self.method
            && self.segments.iter().all(|own| segments.next().is_some_and(|other| own == "*" || own == other))
            && segments.next().is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment() {
        let pattern = Pattern::put_checkpoint();
        assert!(pattern.matches(&Method::PUT, "/v1/jobs/0a/checkpoints/7"));
        assert!(!pattern.matches(&Method::GET, "/v1/jobs/0a/checkpoints/7"));
        assert!(!pattern.matches(&Method::PUT, "/v1/jobs/0a/checkpoints"));
        assert!(!pattern.matches(&Method::PUT, "/v1/jobs/0a/checkpoints/7/x"));
        assert!(!pattern.matches(&Method::PUT, "/v1/jobs/0a/graph/7"));
    }
}
