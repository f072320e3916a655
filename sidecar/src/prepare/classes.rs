//! Reads the JVM's log of loaded classes (`-Xlog:class+load`): which of them came from an archive, and what they are called.

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

/// The main class of a process that loads classes ahead: what was loaded before it is there anyway.
const FIRST: &str = "io.holdfast.flink.ClassesAhead";

/// The names of the classes that another process can load by their names, one a line, in the order of the log.
pub(super) fn names(log: impl BufRead) -> io::Result<String> {
    let mut names = String::new();
    let mut begun = false;
    for line in log.split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        let Some((head, source)) = line.split_once(" source: ") else { continue };
        let name = head.rsplit(' ').next().unwrap_or_default();
        // Those that are made at run time have other sources, or an address in their name.
        let is_named = !name.contains('/') && SOURCES.iter().any(|of_files| source.starts_with(of_files));
        if begun && is_named {
            names.push_str(name);
            names.push('\n');
        }
        begun |= name == FIRST;
    }
    Ok(names)
}

/// What a class's source begins with that came out of a file.
const SOURCES: [&str; 3] = ["file:", "jrt:", "shared objects file"];

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

    #[test]
    fn the_names_are_those_that_can_be_loaded_by_name_after_the_main_class() {
        let log = b"[0.01s] java.lang.Object source: shared objects file\n\
            [0.1s] io.holdfast.flink.ClassesAhead source: file:/lib/adapter.jar\n\
            [0.3s][info][class,load] org.apache.flink.Entry source: file:/lib/flink-dist.jar\n\
            [0.3s] java.util.Timer source: jrt:/java.base\n\
            [0.3s] java.util.Random source: shared objects file\n\
            [0.4s] org.Lambda$$Lambda$3/0x0000000800c03000 source: org.Lambda\n\
            [0.4s] org.Lambda$$Lambda$4/0x0000000800c04000 source: shared objects file\n\
            [0.4s] jdk.proxy2.$Proxy7 source: __dynamic_proxy__\n\
            [0.4s] something else\n";
        assert_eq!(
            names(log.as_slice()).unwrap(),
            "org.apache.flink.Entry\njava.util.Timer\njava.util.Random\n"
        );
    }
}
