//! Where snapshots are: Flink and people write one place in several ways.

/// The directory that a path of a snapshot means.
pub fn place_of(path: &str) -> String {
    match parts(path) {
        (true, local) => format!("/{local}"),
        (false, elsewhere) => elsewhere.to_owned(),
    }
}

/// Whether two paths mean the same snapshot.
pub fn is_same_place(one: &str, other: &str) -> bool {
    one == other || parts(one) == parts(other)
}

/// Whether Flink wrote a checkpoint there: it calls its directory `chk-7`, and no savepoint's so.
pub fn is_place_of_checkpoint(path: &str) -> bool {
    let (_, place) = parts(path);
    let last = place.rsplit('/').next().unwrap_or_default();
    last.strip_prefix("chk-").is_some_and(|id| id.parse::<u64>().is_ok())
}

/// Whether it is a local path, and the rest without what makes no difference.
fn parts(path: &str) -> (bool, &str) {
    let path = path.trim_end_matches('/');
    let path = path.strip_suffix("/_metadata").unwrap_or(path).trim_end_matches('/');
    match path.strip_prefix("file:") {
        Some(local) => (true, local.trim_start_matches('/')),
        None if path.starts_with('/') => (true, path.trim_start_matches('/')),
        None => (false, path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_many_spellings() {
        let spellings =
            ["/b/sp-1", "/b/sp-1/", "/b/sp-1/_metadata", "file:/b/sp-1", "file:///b/sp-1/_metadata"];
        for spelling in spellings {
            assert_eq!(place_of(spelling), "/b/sp-1", "{spelling}");
            assert!(is_same_place(spelling, "file:/b/sp-1"), "{spelling}");
        }
        assert!(is_same_place("s3://b/sp-1/", "s3://b/sp-1"));
        assert!(!is_same_place("s3://b/sp-1", "s3://b/sp-11") && !is_same_place("s3://b/sp-1", "/b/sp-1"));
    }

    #[test]
    fn a_checkpoint_is_known_by_the_name_of_its_directory() {
        assert!(is_place_of_checkpoint("s3://b/job/chk-17/_metadata") && is_place_of_checkpoint("/chk-1/"));
        assert!(!is_place_of_checkpoint("s3://b/savepoint-17") && !is_place_of_checkpoint("/chk-new"));
    }
}
