//! Any bytes are a snapshot or an error: never a panic, never memory beyond the limits, and the same however they come.

#![no_main]

use bytes::Bytes;
use futures::FutureExt;
use libfuzzer_sys::fuzz_target;
use snapshot::metadata::{self, Limits, ReadError, Source};
use std::future::{Future, ready};
use std::io;

/// Gives its bytes in pieces of one to 31, so that fields lie across windows.
struct Pieces(Bytes);

impl Source for Pieces {
    fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send {
        let from = position as usize;
        let to = (from + from % 31 + 1).min(self.0.len());
        ready(Ok(self.0.slice(from..to)))
    }
}

fn limits() -> Limits {
    Limits { references_max: 1000, text_bytes_max: 100_000, operators_max: 1000, ..Limits::default() }
}

fuzz_target!(|data: &[u8]| {
    let bytes = Bytes::copy_from_slice(data);
    let length = data.len() as u64;
    let whole = metadata::read_bytes(bytes.clone(), &limits());
    let pieces = metadata::read(Pieces(bytes), &limits()).now_or_never().expect("every piece is there");
    match (&whole, &pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            assert!(whole.inline_bytes <= length, "state that is inlined lies within the file");
            assert!(whole.trailing_bytes < length);
        }
        (Err(whole), Err(pieces)) => {
            assert_eq!(whole.to_string(), pieces.to_string());
            assert!(!matches!(whole, ReadError::Source { .. }), "the bytes are there");
            let finding = whole.finding().expect("a byte that does not parse");
            assert!(finding.position <= length, "the byte lies within the file");
        }
        _ => panic!("{whole:?}, but in pieces {pieces:?}"),
    }
});
