//! Java's modified UTF-8 (`DataInput.readUTF`).

/// The text of these bytes, or None where `DataInput.readUTF` throws `UTFDataFormatException`.
///
/// NUL may be two bytes, and what is beyond the basic plane is two surrogates of three bytes each. A surrogate without
/// its other half is legal in Java but not in Rust; it becomes U+FFFD.
pub(super) fn decode(bytes: &[u8]) -> Option<String> {
    if bytes.is_ascii() {
        return std::str::from_utf8(bytes).ok().map(str::to_owned);
    }
    let mut units = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((&first, after)) = rest.split_first() {
        let (unit, length) = match (first >> 4, after) {
            (0..=7, _) => (u16::from(first), 0),
            (12 | 13, &[second, ..]) => (u16::from(first & 0x1F) << 6 | continued(second)?, 1),
            (14, &[second, third, ..]) => {
                (u16::from(first) << 12 | continued(second)? << 6 | continued(third)?, 2)
            }
            _ => return None,
        };
        units.push(unit);
        rest = &after[length..];
    }
    Some(String::from_utf16_lossy(&units))
}

fn continued(byte: u8) -> Option<u16> {
    (byte & 0xC0 == 0x80).then_some(u16::from(byte & 0x3F))
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_java_writes_is_read_back() {
        let cases: [(&[u8], &str); 5] = [
            (b"chk-1/abc", "chk-1/abc"),
            (b"a\xC0\x80b", "a\0b"),
            (b"\xC3\xBCber", "über"),
            (b"\xE2\x82\xAC", "€"),
            (b"\xED\xA0\xBD\xED\xBA\x80!", "🚀!"),
        ];
        for (bytes, text) in cases {
            assert_eq!(decode(bytes).as_deref(), Some(text), "{bytes:x?}");
        }
    }

    #[test]
    fn what_java_refuses_is_refused() {
        for bytes in [&b"\xF0\x9F\x9A\x80"[..], b"\x80", b"a\xC3", b"\xC3\x28", b"\xE2\x82", b"\xFF"] {
            assert_eq!(decode(bytes), None, "{bytes:x?}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_replaced() {
        assert_eq!(decode(b"\xED\xA0\xBD?").as_deref(), Some("\u{FFFD}?"));
    }
}
