//! Which archive JobManagers are started with, and what is said when it is not used: once, and not at every start.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::{IN_FLINK_HOME, Launch, fits};
use crate::exec::learned::LearnedCommand;
use crate::exec::supervisor::{End, Slot};

/// The archive of this container.
#[derive(Debug)]
pub(in crate::exec) struct Using {
    /// What the user named; otherwise the one in the Flink home is used, if there is one.
    given: Option<PathBuf>,
    /// The JVM did not bear it.
    refused: bool,
    warned: bool,
    /// The slots whose process has it, and when that was started.
    with_it: BTreeMap<Slot, u64>,
}

/// What a JVM ends with that crashes over a damaged archive: SIGABRT, SIGBUS or SIGSEGV. It does so at once, before it runs anything
/// (seen with JDK 17 and a truncated file, `-Xshare:auto` notwithstanding).
const CRASHES: [End; 3] = [End::Killed(6), End::Killed(7), End::Killed(11)];
/// A JVM that lived longer has read its archive.
const READ_MS: u64 = 10_000;

// === impl Using ===

impl Using {
    pub(in crate::exec) fn new(given: Option<PathBuf>) -> Self {
        Self { given, refused: false, warned: false, with_it: BTreeMap::new() }
    }

    /// The options that go first on the command line of a JVM that is about to be started in `slot`; none without an archive.
    pub(in crate::exec) fn options(
        &mut self,
        slot: Slot,
        learned: &LearnedCommand,
        now_ms: u64,
    ) -> Vec<String> {
        self.with_it.remove(&slot);
        let class_path = learned.class_path();
        let Some(archive) = self.given.clone().or_else(|| in_flink_home(&class_path)) else {
            return Vec::new();
        };
        if self.refused {
            return Vec::new();
        }
        let launch = Launch { java: &learned.java, arguments: &learned.arguments, class_path: &class_path };
        match fits(&archive, launch) {
            Ok(options) => {
                self.with_it.insert(slot, now_ms);
                options
            }
            Err(why) => {
                self.warn(&archive, &why.to_string());
                Vec::new()
            }
        }
    }

    /// The process in `slot` ended. An archive that may have crashed it is not used again: it must not become a loop.
    pub(in crate::exec) fn ended(&mut self, slot: Slot, end: End, now_ms: u64) {
        let Some(started_ms) = self.with_it.remove(&slot) else { return };
        // A shell in between says with a status by which signal it ended.
        let crashed = CRASHES.iter().any(|crash| crash.status() == end.status());
        if crashed && now_ms - started_ms < READ_MS {
            self.refused = true;
            let archive = self.given.clone().unwrap_or_else(|| IN_FLINK_HOME.into());
            self.warn(
                &archive,
                &format!("the JVM crashed with it ({end}); make it anew with `holdfast prepare`"),
            );
        }
    }

    fn warn(&mut self, archive: &Path, why: &str) {
        if !std::mem::replace(&mut self.warned, true) {
            tracing::warn!(event = "archive-not-used", "{}", warning(archive, why));
        }
    }
}

fn warning(archive: &Path, why: &str) -> String {
    format!("the archive {} is not used: {why}", archive.display())
}

/// The Flink home is where `lib/flink-dist-VERSION.jar` is.
fn in_flink_home(class_path: &[PathBuf]) -> Option<PathBuf> {
    let is_dist = |entry: &&PathBuf| {
        entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("flink-dist"))
    };
    let home = class_path.iter().find(is_dist)?.parent()?.parent()?;
    Some(home.join(IN_FLINK_HOME)).filter(|archive| archive.exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::archive::{Difference, NotUsed};

    const PREPARE: &str = "`holdfast prepare` makes ";

    /// What a user can do about it. A new variant belongs into the test below as well.
    fn way_out(why: &NotUsed) -> &'static str {
        match why {
            NotUsed::Unreadable { .. }
            | NotUsed::Malformed { .. }
            | NotUsed::OtherFile { .. }
            | NotUsed::OtherJvm(_)
            | NotUsed::OtherClassPath(_) => PREPARE,
            NotUsed::UnreadableSurroundings { .. } => "put it there, or take it out of the class path",
            NotUsed::OwnOption(_) => "take that out (env.java.opts.all or .jobmanager, JVM_ARGS)",
        }
    }

    #[test]
    fn each_reason_names_its_own_way_out_and_once() {
        let text = |text: &str| text.to_owned();
        let difference = || Difference { then: text("then"), now: text("now") };
        for why in [
            NotUsed::Unreadable { path: "/a.jsa".into(), reason: text("no such file") },
            NotUsed::UnreadableSurroundings { path: "/a.jar".into(), reason: text("no such file") },
            NotUsed::Malformed { path: "/a.jsa.json".into(), reason: text("no JSON") },
            NotUsed::OtherFile { path: "/a.jsa".into(), found: 1, recorded: 2 },
            NotUsed::OtherJvm(difference()),
            NotUsed::OtherClassPath(difference()),
            NotUsed::OwnOption(text("-Xshare:off")),
        ] {
            let (said, expected) = (warning(Path::new("/a.jsa"), &why.to_string()), way_out(&why));
            assert_eq!(said.matches(expected).count(), 1, "{said}");
            assert_eq!(said.matches("holdfast prepare").count(), usize::from(expected == PREPARE), "{said}");
        }
    }

    #[test]
    fn an_archive_that_a_jvm_crashed_with_is_not_used_again() {
        let mut using = Using::new(Some("/nowhere/jobmanager.jsa".into()));
        const STARTED_MS: u64 = 60_000;
        for (slot, end, lived_ms) in [
            (Slot::First, End::Killed(9), 100),
            (Slot::First, End::Exited(1), 100),
            (Slot::First, End::Killed(11), READ_MS),
        ] {
            using.with_it.insert(slot, STARTED_MS);
            using.ended(slot, end, STARTED_MS + lived_ms);
            assert!(!using.refused, "{end} after {lived_ms} ms says nothing of the archive");
        }
        using.ended(Slot::Second, End::Killed(6), STARTED_MS + 100);
        assert!(!using.refused, "it was started without the archive");
        using.with_it.insert(Slot::Second, STARTED_MS);
        using.ended(Slot::Second, End::Exited(134), STARTED_MS + 100);
        assert!(using.refused);
    }
}
