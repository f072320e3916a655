//! Flink's paths: in which store a file is, and under which key.

use std::fmt;

/// A store: the machine's own files, or a bucket.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StoreId {
    /// `file:`
    Local,
    /// A bucket or container, as the URL that `ha_store` opens: `s3://bucket`. The schemes of Flink's several S3
    /// file systems are one.
    Bucket(String),
}

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "file:",
            Self::Bucket(url) => url,
        })
    }
}

/// Where a file is. The key is the rest of the path's text from `key_at` on: absolute for local files, without a
/// slash at its start in a bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) store: StoreId,
    pub(crate) key_at: usize,
}

/// A path that leads to no store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// There is a file system of this kind, but no client for it here.
    #[error(
        "no client for {scheme}:// is built in; there are ones for file, s3, s3a, s3p, gs, az, abfs and abfss"
    )]
    NoClient {
        /// The scheme of the URI, for example `hdfs`.
        scheme: String,
    },
    /// The text is not a path that Flink would write.
    #[error("{shown:?} is not a path of a file: {reason}")]
    Invalid {
        /// The text, without what could be a credential.
        shown: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// Takes apart a path as Flink's `Path.toString()` writes it. Nothing in it is percent-encoded, so nothing is decoded.
pub(crate) fn parse(text: &str) -> Result<Place, PlaceError> {
    let invalid = |shown: &str, reason| Err(PlaceError::Invalid { shown: shown.to_owned(), reason });
    if text.starts_with('/') {
        return Ok(Place { store: StoreId::Local, key_at: 0 });
    }
    let Some((scheme, rest)) = text.split_once(':').filter(|(scheme, _)| is_scheme(scheme)) else {
        return invalid(text, "it is neither absolute nor a URI");
    };
    let (authority, key) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    let lower = scheme.to_ascii_lowercase();
    let canonical = match lower.as_str() {
        "file" if !key.starts_with('/') => return invalid(text, "the path of a file: URI is absolute"),
        "file" if !matches!(authority, "" | "localhost") => {
            return invalid(text, "a file: URI names no other machine");
        }
        "file" => return Ok(Place { store: StoreId::Local, key_at: text.len() - key.len() }),
        "s3" | "s3a" | "s3n" | "s3p" => "s3",
        "gs" => "gs",
        "az" | "abfs" | "abfss" => lower.as_str(),
        _ => return Err(PlaceError::NoClient { scheme: lower }),
    };
    if authority.is_empty() {
        return invalid(text, "it names no bucket");
    }
    if authority.contains('@') && !canonical.starts_with("abfs") {
        let shown = format!("{canonical}://…@…{key}");
        return invalid(&shown, "it carries credentials, which come from the environment");
    }
    let key = key.strip_prefix('/').unwrap_or(key);
    let store = StoreId::Bucket(format!("{canonical}://{authority}"));
    Ok(Place { store, key_at: text.len() - key.len() })
}

/// A scheme of RFC 3986. Without this a Windows path, or a name with a colon, would be one.
fn is_scheme(text: &str) -> bool {
    text.len() > 1
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_flink_leads_to_its_store_and_key() {
        let cases = [
            ("/chk/a", "file:", "/chk/a"),
            ("file:/chk/a b%20#c?d", "file:", "/chk/a b%20#c?d"),
            ("file:///chk/a", "file:", "/chk/a"),
            ("file://localhost/chk/a", "file:", "/chk/a"),
            ("s3://bucket/chk/a", "s3://bucket", "chk/a"),
            ("s3a://bucket/chk/a", "s3://bucket", "chk/a"),
            ("s3p://bucket/chk/a:b@c", "s3://bucket", "chk/a:b@c"),
            ("S3://bucket/chk", "s3://bucket", "chk"),
            ("gs://bucket/chk/a", "gs://bucket", "chk/a"),
            ("abfss://c@acc.dfs.core.windows.net/chk", "abfss://c@acc.dfs.core.windows.net", "chk"),
            ("s3://bucket", "s3://bucket", ""),
        ];
        for (text, store, key) in cases {
            let place = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((place.store.to_string().as_str(), &text[place.key_at..]), (store, key), "{text}");
        }
    }

    #[test]
    fn a_file_system_without_a_client_is_named() {
        for (text, scheme) in
            [("hdfs://nn:8020/chk", "hdfs"), ("oss://b/chk", "oss"), ("viewfs:/x", "viewfs")]
        {
            assert_eq!(parse(text), Err(PlaceError::NoClient { scheme: scheme.to_owned() }));
        }
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", "chk-1", "file:relative", "file://host/x", "s3:///x", "s3:/x", "./a:b"] {
            assert!(matches!(parse(text), Err(PlaceError::Invalid { .. })), "{text}");
        }
    }

    #[test]
    fn credentials_are_refused_and_never_shown() {
        let error = parse("s3://key:secret@bucket/chk").unwrap_err().to_string();
        assert!(error.contains("come from the environment") && !error.contains("secret"), "{error}");
    }
}
