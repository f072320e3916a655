//! The bucket of Flink's snapshots, as far as the store answers for it: the product only reads there.

use bytes::Bytes;

use super::wire::{Answer, Meta, Request};
use crate::flink::{ROOT, StateFile, StateFiles};

/// Answers a request for a file of that bucket; `None`: it is for another one.
pub(super) fn apply(files: &StateFiles, request: &Request) -> Option<(Answer, Bytes)> {
    /// What a store says to somebody who may only read.
    const FORBIDDEN: u16 = 403;
    let meta = |key: &str, file: &StateFile| Meta {
        key: key.to_owned(),
        bytes: file.bytes.len() as u64,
        modified_ms: 0,
        tag: file.tag,
    };
    let answer = match request {
        Request::Get { key, head } if key.starts_with(ROOT) => match files.get(key) {
            None => (Answer::NotFound, Bytes::new()),
            Some(file) => (Answer::Found(meta(key, &file)), if *head { Bytes::new() } else { file.bytes }),
        },
        Request::List { folder, after } if format!("{folder}/").starts_with(ROOT) => {
            let wanted = |key: &str| after.as_ref().is_none_or(|after| key > after.as_str());
            let below = files.below(&format!("{folder}/"));
            let found = below.iter().filter(|(key, _)| wanted(key)).map(|(key, file)| meta(key, file));
            (Answer::Listed(found.collect()), Bytes::new())
        }
        Request::Put { key, .. } | Request::Delete { key } if key.starts_with(ROOT) => {
            (Answer::Status(FORBIDDEN), Bytes::new())
        }
        _ => return None,
    };
    Some(answer)
}
