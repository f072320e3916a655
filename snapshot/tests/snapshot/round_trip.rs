//! What is written is read back, whatever it is made of, and however its bytes come.

use crate::support::encode::{Written, encode};
use crate::support::{files, fixtures, properties};
use bytes::Bytes;
use futures::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;
use snapshot::metadata::{self, Limits, Metadata, ReadError, Source};
use std::collections::BTreeSet;
use std::future::{Future, ready};
use std::io;

/// Gives its bytes in windows of a fixed size.
struct Windows(Bytes, usize);

impl Source for Windows {
    fn length_bytes(&self) -> u64 {
        self.0.len() as u64
    }

    fn window(&mut self, position: u64) -> impl Future<Output = io::Result<Bytes>> + Send {
        let from = usize::try_from(position).expect("a file in memory");
        ready(Ok(self.0.slice(from..(from + self.1).min(self.0.len()))))
    }
}

fn in_windows(bytes: &[u8], window: usize) -> Result<Metadata, ReadError> {
    let source = Windows(Bytes::copy_from_slice(bytes), window);
    metadata::read(source, &Limits::default()).now_or_never().expect("every window is there")
}

fn check(metadata: &Metadata, written: &Written) {
    assert_eq!(metadata.version, written.version);
    assert_eq!(metadata.checkpoint_id, written.checkpoint_id);
    assert_eq!(metadata.inline_bytes, written.inline_bytes);
    assert_eq!(files(metadata), written.files);
    let masters: Vec<_> = metadata.master_states.iter().map(|m| (m.name.clone(), m.bytes)).collect();
    assert_eq!(masters, written.master_states);
    let operators: Vec<_> = metadata
        .operators
        .iter()
        .map(|o| {
            let coordinator = o.coordinator;
            let subtasks = (o.subtasks, o.finished_subtasks);
            (
                o.id.clone(),
                o.uid.clone(),
                o.parallelism,
                subtasks.0,
                subtasks.1,
                o.fully_finished,
                coordinator,
            )
        })
        .collect();
    assert_eq!(operators, written.operators);
    let inline: u64 = metadata.operators.iter().map(|operator| operator.inline_bytes).sum();
    assert_eq!(inline, written.inline_bytes, "state belongs to operators");
    assert_eq!(metadata.properties.is_some(), written.version > 3);
    assert_eq!(metadata.trailing_bytes, 0);
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(version in 3..=6_u32, choices in vec(any::<u8>(), 0..1500), window in 1..64_usize) {
        let written = encode(version, &choices, &properties());
        let read = metadata::read_bytes(written.bytes.clone(), &Limits::default()).unwrap();
        check(&read, &written);
        prop_assert_eq!(in_windows(&written.bytes, window).unwrap(), read);
    }

    #[test]
    fn a_cut_is_found_at_the_byte_where_it_is(version in 3..=6_u32, choices in vec(any::<u8>(), 0..800), cut: prop::sample::Index) {
        let written = encode(version, &choices, &properties());
        let end = cut.index(written.bytes.len());
        let error = metadata::read_bytes(written.bytes[..end].to_vec(), &Limits::default()).unwrap_err();
        prop_assert!(matches!(error, ReadError::Corrupt(_)), "{}", error);
        prop_assert!(error.finding().unwrap().position <= end as u64);
    }
}

#[test]
fn a_fixture_reads_the_same_in_windows_of_one_byte() {
    for fixture in fixtures().into_iter().filter(|fixture| fixture.bytes.len() < 20_000) {
        let whole = metadata::read_bytes(fixture.bytes.clone(), &Limits::default()).unwrap();
        assert_eq!(in_windows(&fixture.bytes, 1).unwrap(), whole, "{}", fixture.name);
    }
}

#[test]
fn every_type_of_handle_is_read_back() {
    let mut types = BTreeSet::new();
    for seed in 0..200_u32 {
        let choices: Vec<u8> =
            (0..1200_u32).map(|i| ((i ^ (seed << 8)).wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let written = encode(6, &choices, &properties());
        check(&metadata::read_bytes(written.bytes.clone(), &Limits::default()).unwrap(), &written);
        types.extend(written.types);
    }
    let of = |what| types.iter().filter(|(of, _)| *of == what).map(|(_, kind)| *kind).collect::<Vec<u8>>();
    assert_eq!(of("stream"), [0, 1, 2, 3, 6, 15, 16]);
    assert_eq!(of("operator state"), [0, 4, 17]);
    assert_eq!(of("keyed state"), [0, 3, 5, 7, 8, 9, 10, 11, 12, 13, 14]);
    assert_eq!(of("channel"), [1, 2, 3, 4]);
}
