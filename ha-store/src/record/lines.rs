//! How a record is laid out: a line for each field and for each snapshot, so that people can `cat`, `grep` and `diff` it.

use serde_json::ser::Formatter;
use std::io::{Result, Write};

/// Down to here everything has a line of its own: record, state, jobs, one job, its snapshots.
const DEPTH_OF_LINES: usize = 5;

/// Indents what is near the surface, and keeps what is below on one line.
///
/// A record is written with every commit, and most of it is the history of snapshots: indenting all of that takes more
/// time than everything else about the record.
#[derive(Debug, Default)]
pub(super) struct Lines {
    depth: usize,
    /// What was opened last has something in it.
    filled: bool,
}

impl Lines {
    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(bracket)
    }

    fn next<W: ?Sized + Write>(&self, writer: &mut W, first: bool) -> Result<()> {
        if self.depth > DEPTH_OF_LINES {
            return if first { Ok(()) } else { writer.write_all(b", ") };
        }
        writer.write_all(if first { b"\n" } else { b",\n" })?;
        self.indent(writer)
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &[u8]) -> Result<()> {
        self.depth -= 1;
        if self.filled && self.depth < DEPTH_OF_LINES {
            writer.write_all(b"\n")?;
            self.indent(writer)?;
        }
        self.filled = true;
        writer.write_all(bracket)
    }

    fn indent<W: ?Sized + Write>(&self, writer: &mut W) -> Result<()> {
        const SPACES: [u8; 2 * DEPTH_OF_LINES] = [b' '; 2 * DEPTH_OF_LINES];
        writer.write_all(&SPACES[..2 * self.depth])
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, _: &mut W) -> Result<()> {
        self.filled = true;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Serialize;
    use serde_json::{Value, json};

    fn laid_out(value: &Value) -> String {
        let mut bytes = Vec::new();
        value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Lines::default())).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_snapshot_is_one_line_and_what_is_above_it_is_indented() {
        let snapshots =
            json!([{ "id": 1, "pointer": { "path": "a", "more": [] } }, { "id": 2, "tags": ["x", "y"] }]);
        let value = json!({ "state": { "jobs": { "j": { "snapshots": snapshots, "none": [] } } } });
        let expected = r#"{
  "state": {
    "jobs": {
      "j": {
        "none": [],
        "snapshots": [
          {"id": 1, "pointer": {"more": [], "path": "a"}},
          {"id": 2, "tags": ["x", "y"]}
        ]
      }
    }
  }
}"#;
        assert_eq!(laid_out(&value), expected);
    }

    #[test]
    fn what_is_laid_out_is_the_same_value() {
        let deep = (0..12).fold(json!({}), |inner, depth| json!({ "a": [inner, [], {}, depth], "b": null }));
        assert_eq!(serde_json::from_str::<Value>(&laid_out(&deep)).unwrap(), deep);
    }
}
