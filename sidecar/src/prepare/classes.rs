//! Reads the JVM's log of loaded classes (`-Xlog:class+load`): which of them came from an archive.

use std::io::{self, BufRead};

use serde::Serialize;

/// How many classes a JVM loaded, and from where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Classes {
    /// All of them.
    pub loaded: u64,
    /// Out of an archive, the JDK's own included.
    pub from_archive: u64,
    /// Of Flink's, out of an archive: the JDK's own has none of them.
    pub of_flink_from_archive: u64,
}

// === impl Classes ===

impl Classes {
    /// Counts the lines of a log. Lines of anything else are passed over.
    pub(super) fn count(log: impl BufRead) -> io::Result<Self> {
        let mut classes = Self::default();
        for line in log.split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            let Some((name, source)) = line.split_once(" source: ") else { continue };
            let archived = source.starts_with("shared objects file");
            classes.loaded += 1;
            classes.from_archive += u64::from(archived);
            classes.of_flink_from_archive += u64::from(archived && name.contains("org.apache.flink."));
        }
        Ok(classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_counted_by_where_they_came_from() {
        let log = b"[0.01s] java.lang.Object source: shared objects file\n\
            [0.3s][info][class,load] org.apache.flink.Entry source: shared objects file (top)\n\
            [0.4s] org.apache.flink.rpc.Pekko source: file:/tmp/rpc.jar\n\
            [0.4s] something else\n\
            [0.5s] java.lang.Lambda$1 source: __JVM_LookupDefineClass__\n";
        let counted = Classes::count(log.as_slice()).unwrap();
        assert_eq!(counted, Classes { loaded: 4, from_archive: 2, of_flink_from_archive: 1 });
    }
}
