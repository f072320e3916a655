//! A damaged file is an error that says where, and never more than that.

use crate::support::{fixture, fixtures};
use snapshot::metadata::{self, Limits, Metadata, ReadError};

fn read(bytes: Vec<u8>) -> Result<Metadata, ReadError> {
    metadata::read_bytes(bytes, &Limits::default())
}

/// The finding of a file that must not parse, in words.
fn finding(bytes: Vec<u8>) -> (u64, String) {
    let error = read(bytes).unwrap_err();
    (error.finding().unwrap().position, error.to_string())
}

#[test]
fn every_truncation_of_every_fixture_is_corrupt() {
    let mut cuts = 0;
    for fixture in fixtures() {
        // Large files take long and have more of the same.
        let step = fixture.bytes.len().div_ceil(1500);
        for end in (0..fixture.bytes.len()).step_by(step) {
            let error = read(fixture.bytes[..end].to_vec()).unwrap_err();
            assert!(matches!(error, ReadError::Corrupt(_)), "{} cut at {end}: {error}", fixture.name);
            let position = error.finding().unwrap().position;
            assert!(position <= end as u64, "{} cut at {end}: {error}", fixture.name);
            cuts += 1;
        }
    }
    assert!(cuts > 50_000, "{cuts}");
}

#[test]
fn every_changed_byte_is_read_or_refused_within_the_limits() {
    let (mut read_well, mut refused) = (0, 0);
    for fixture in fixtures() {
        let step = fixture.bytes.len().div_ceil(400);
        for at in (0..fixture.bytes.len()).step_by(step) {
            for change in [0x01, 0x80, 0xFF] {
                let mut bytes = fixture.bytes.clone();
                bytes[at] ^= change;
                match read(bytes) {
                    Ok(metadata) => {
                        read_well += 1;
                        assert!(metadata.inline_bytes <= metadata.metadata_bytes, "{} at {at}", fixture.name);
                        assert!(metadata.references.len() * 4 <= metadata.metadata_bytes);
                    }
                    Err(error) => {
                        refused += 1;
                        let found = error.finding().expect("the bytes are there");
                        assert!(found.position <= fixture.bytes.len() as u64, "{} at {at}", fixture.name);
                    }
                }
            }
        }
    }
    assert!(read_well > 1000 && refused > 1000, "{read_well} read, {refused} refused");
}

#[test]
fn no_bytes_at_all_are_corrupt() {
    let (position, message) = finding(Vec::new());
    assert_eq!(position, 0);
    assert!(message.contains("found the end of the file, expected the magic number"), "{message}");
}

#[test]
fn another_file_is_refused_at_its_first_byte() {
    let (position, message) = finding(b"{\"not\": \"a snapshot\"}".to_vec());
    assert_eq!(position, 0);
    assert!(message.contains("0x4960672D"), "{message}");
}

#[test]
fn a_version_that_is_not_known_is_not_called_corrupt() {
    for version in [0_u8, 1, 2, 7, 255] {
        let mut bytes = fixture("2.2.1-heap").bytes;
        bytes[7] = version;
        let error = read(bytes).unwrap_err();
        assert!(matches!(error, ReadError::Unsupported(_)), "{error}");
        let expected = format!("byte 4: found version {version}, expected a version from 3 to 6");
        assert!(error.to_string().contains(&expected), "{error}");
    }
}

#[test]
fn a_type_that_is_not_known_is_named_with_its_operator_and_subtask() {
    let bytes = fixture("2.2.1-heap").bytes;
    // The managed keyed state of the first subtask with some: a type, the first of four key groups, and how many.
    let at = bytes.windows(9).position(|w| w == [12, 0, 0, 0, 0, 0, 0, 0, 4]).expect("keyed state");
    let mut changed = bytes;
    changed[at] = 99;
    let error = read(changed).unwrap_err();
    assert!(matches!(error, ReadError::Unsupported(_)), "{error}");
    let found = error.finding().unwrap();
    assert_eq!(found.position, at as u64);
    assert_eq!(found.found, "type 99");
    assert!(found.context[0].contains("uid \"count\""), "{error}");
    assert!(found.context[1].starts_with("subtask entry 0 (index "), "{error}");
    assert_eq!(found.context[2], "managed keyed state");
}

#[test]
fn a_file_with_more_files_than_the_limit_is_too_large_and_not_corrupt() {
    let bytes = fixture("2.2.1-rocksdb-incremental").bytes;
    for limits in [
        Limits { references_max: 3, ..Limits::default() },
        Limits { text_bytes_max: 200, ..Limits::default() },
        Limits { operators_max: 1, ..Limits::default() },
        Limits { master_states_max: 0, ..Limits::default() },
    ] {
        let error = metadata::read_bytes(bytes.clone(), &limits).unwrap_err();
        assert!(matches!(error, ReadError::TooLarge(_)), "{error}");
    }
}

#[test]
fn properties_that_are_longer_than_what_is_read_of_them_stay_opaque() {
    let limits = Limits { properties_bytes_max: 100, ..Limits::default() };
    let metadata = metadata::read_bytes(fixture("2.2.1-heap").bytes, &limits).unwrap();
    assert_eq!(metadata.properties, None);
}

#[test]
fn bytes_after_the_end_are_told_and_are_no_error() {
    let mut bytes = fixture("2.2.1-heap").bytes;
    bytes.extend_from_slice(b"more");
    assert_eq!(read(bytes).unwrap().trailing_bytes, 4);
}

#[test]
fn properties_that_do_not_begin_as_a_java_object_are_corrupt() {
    let mut bytes = fixture("2.2.1-heap").bytes;
    let start = bytes.windows(4).rposition(|w| w == [0xAC, 0xED, 0, 5]).unwrap();
    bytes[start + 1] = 0;
    let (position, message) = finding(bytes);
    assert_eq!(position, start as u64);
    assert!(message.contains("found [AC, 00, 00, 05], expected AC ED 00 05"), "{message}");
}

#[test]
fn a_count_is_believed_only_as_far_as_bytes_are_left() {
    let mut bytes = fixture("2.2.1-heap").bytes;
    // The number of operators of a file without master states stands at byte 20; this one has one: at 16 is 1.
    bytes[16..20].copy_from_slice(&i32::MAX.to_be_bytes());
    let (position, message) = finding(bytes);
    assert_eq!(position, 16);
    assert!(message.contains("bytes are left"), "{message}");
}
