//! The command line that Flink's scripts end in: learned from the running process, used to start the next one directly.
//!
//! `standalone-job.sh start-foreground` and its like start helper JVMs to compute memory options, put a class path together, and then
//! *become* the JobManager's JVM (`exec java …`). That takes about two seconds, and comes to the same every time.

mod jvm;
pub(super) mod kept;
mod user;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use self::jvm::{Jvm, unread};
use super::archive::CLASSES_OPTION;
use super::fingerprint::Fingerprint;

/// How a JobManager is started without its scripts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LearnedCommand {
    /// The JVM.
    pub java: PathBuf,
    /// Everything after the JVM: its options, the main class, the program's arguments.
    pub arguments: Vec<String>,
    /// Where it runs.
    pub directory: PathBuf,
    /// Variables that the scripts set or changed.
    pub set: BTreeMap<String, String>,
    /// Variables that they removed.
    pub removed: Vec<String>,
    /// What all of this depends on, as it was then.
    pub fingerprint: Fingerprint,
}

/// Why there is nothing to learn from a process. It is then always started by the given command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotLearned {
    /// It went before it became a JVM.
    #[error("it ended before it became a JVM")]
    Ended,
    /// It did not become a JVM.
    #[error(
        "it did not become a JVM within {} s: its scripts start the JVM as a child instead of becoming it with `exec`",
        jvm::LEARN_LIMIT.as_secs()
    )]
    NoJvm,
    /// It runs as somebody else, as entry points arrange it that start as root and drop their rights.
    #[error(
        "it runs as {theirs}, and `holdfast exec` as {ours}, and it must not be started as another user than its entry point \
         chose. Run the container as Flink's user from the start (runAsUser: 9999, `docker run --user flink`)"
    )]
    OtherUser {
        /// As whom it runs.
        theirs: String,
        /// As whom we run.
        ours: String,
    },
    /// The system does not show it to us.
    #[error("{file} cannot be read: {reason}")]
    Unreadable {
        /// Which file of `/proc`.
        file: String,
        /// What the system said.
        reason: String,
    },
    /// Its scripts clear the environment.
    #[error(
        "it runs without any environment, so it does not know what it is called towards the sidecar: its scripts must pass {} on",
        super::PROCESS_VARIABLE
    )]
    NoEnvironment,
    /// Something is not UTF-8.
    #[error("{0} of the JVM is not UTF-8")]
    NotText(&'static str),
    /// What it depends on cannot be read.
    #[error(transparent)]
    Fingerprint(#[from] super::fingerprint::FingerprintError),
}

/// Variables that are of one process, and never of a command.
const OF_ONE_PROCESS: [&str; 4] = ["_", "SHLVL", "OLDPWD", super::PROCESS_VARIABLE];

type Environment = BTreeMap<String, String>;

// === impl LearnedCommand ===

impl LearnedCommand {
    /// Waits until the process has become a JVM, and reads how it was started. `given` is the command that it was started
    /// with, `ours` the environment that this process has.
    ///
    /// # Errors
    /// [`NotLearned`]: the process goes on all the same.
    pub async fn of_process(pid: u32, given: &[String], ours: &Environment) -> Result<Self, NotLearned> {
        let proc = PathBuf::from(format!("/proc/{pid}"));
        let Jvm { java, command_line, environment } = jvm::wait_for(&proc).await?;
        let arguments = texts(&command_line, "the command line")?;
        let arguments = arguments.into_iter().skip(1).collect::<Vec<_>>();
        let theirs = variables(&texts(&environment, "the environment")?);
        let directory = std::fs::read_link(proc.join("cwd")).map_err(|error| unread(&proc, "cwd", &error))?;
        let configuration = configuration_directory(&arguments, &theirs);
        let class_path = class_path(&arguments, &directory);
        let fingerprint = Fingerprint::take(given, ours, &java, configuration.as_deref(), &class_path)?;
        let (set, removed) = changes(ours, theirs);
        Ok(Self { java, arguments, directory, set, removed, fingerprint })
    }

    /// What has changed since this was learned, by name; empty if nothing has.
    ///
    /// # Errors
    /// Something that it depends on cannot be read.
    pub fn changes(
        &self,
        given: &[String],
        ours: &Environment,
    ) -> Result<Vec<String>, super::fingerprint::FingerprintError> {
        let mut theirs = ours.clone();
        theirs.extend(self.set.clone());
        let configuration = configuration_directory(&self.arguments, &theirs);
        let class_path = self.class_path();
        let now = Fingerprint::take(given, ours, &self.java, configuration.as_deref(), &class_path)?;
        Ok(self.fingerprint.differences(&now))
    }

    /// Where its classes come from, in order.
    pub fn class_path(&self) -> Vec<PathBuf> {
        class_path(&self.arguments, &self.directory)
    }

    /// A process of the learned JVM, directory and environment with these arguments: those of [`LearnedCommand::arguments_with`].
    /// What else the environment has is this process's.
    pub fn command(&self, arguments: &[String]) -> Command {
        let mut command = Command::new(&self.java);
        command.args(arguments).current_dir(&self.directory).envs(&self.set);
        for name in &self.removed {
            command.env_remove(name);
        }
        command
    }

    /// The arguments with `options` first among those of the JVM, and `properties` of Flink, which win over the
    /// configuration's. An option that names a list of classes brings the main class that reads it.
    /// `None`: Flink's own arguments are not recognized, so properties cannot be put among them.
    pub fn arguments_with(&self, options: &[String], properties: &[String]) -> Option<Vec<String>> {
        let mut arguments = options.to_vec();
        arguments.extend_from_slice(&self.arguments);
        if options.iter().any(|option| option.starts_with(CLASSES_OPTION))
            && let Some(main_class) = main_class(&arguments)
        {
            arguments.insert(main_class, CLASSES_AHEAD.to_owned());
        }
        if !properties.is_empty() {
            let found =
                arguments.iter().position(|argument| CONFIGURATION_OPTIONS.contains(&argument.as_str()))?;
            let place = found + 2;
            if place > arguments.len() {
                return None;
            }
            // A later one would win over an earlier one of the same key.
            let rest = without(arguments.split_off(place), properties);
            arguments.extend(properties.iter().map(|property| format!("-D{property}")));
            arguments.extend(rest);
        }
        Some(arguments)
    }
}

/// The arguments of a process that runs beside another one: its log is a file of its own. Otherwise its start would put the other's
/// aside (`OnStartupTriggeringPolicy`), and both would write into one.
pub fn with_log_of_its_own(mut arguments: Vec<String>) -> Vec<String> {
    let of_the_jvm = |argument: &&mut String| !CONFIGURATION_OPTIONS.contains(&argument.as_str());
    for argument in arguments.iter_mut().take_while(of_the_jvm) {
        if let Some(file) = argument.strip_prefix(LOG_FILE) {
            *argument = format!("{LOG_FILE}{}", beside(Path::new(file)).display());
        }
    }
    arguments
}

/// `flink.log` → `flink-spare.log`.
fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_stem().unwrap_or_default().to_owned();
    name.push("-spare");
    if let Some(extension) = file.extension() {
        name.push(".");
        name.push(extension);
    }
    file.with_file_name(name)
}

/// Where the main class is, in a command line like those that Flink's scripts end in: behind the class path.
fn main_class(arguments: &[String]) -> Option<usize> {
    let class_path = arguments.iter().position(|argument| CLASS_PATH_OPTIONS.contains(&argument.as_str()))?;
    let main_class = class_path + 2;
    arguments.get(main_class).filter(|class| !class.starts_with(['-', '@'])).map(|_| main_class)
}

/// The adapter's main class that runs the one behind it, and loads classes ahead of that.
const CLASSES_AHEAD: &str = "io.holdfast.flink.ClassesAhead";

/// By this option Flink's scripts tell the logging configuration where the log is, and the web UI finds it.
const LOG_FILE: &str = "-Dlog.file=";
const CONFIGURATION_OPTIONS: [&str; 2] = ["--configDir", "-c"];
const CLASS_PATH_OPTIONS: [&str; 3] = ["-classpath", "-cp", "--class-path"];

/// Arguments of Flink without the dynamic properties (`-Dkey=value`, or in two words) whose keys `properties` has.
fn without(arguments: Vec<String>, properties: &[String]) -> Vec<String> {
    let keys: Vec<&str> =
        properties.iter().filter_map(|property| Some(property.split_once('=')?.0)).collect();
    let is_set = |pair: &str| pair.split_once('=').is_some_and(|(key, _)| keys.contains(&key));
    let mut kept = Vec::with_capacity(arguments.len());
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        if argument == "-D" && arguments.peek().is_some_and(|pair| is_set(pair)) {
            arguments.next();
        } else if !argument.strip_prefix("-D").is_some_and(is_set) {
            kept.push(argument);
        }
    }
    kept
}

fn texts(zero_terminated: &[u8], what: &'static str) -> Result<Vec<String>, NotLearned> {
    let ended = zero_terminated.strip_suffix(b"\0").unwrap_or(zero_terminated);
    if ended.is_empty() {
        return Ok(Vec::new());
    }
    let texts = ended.split(|byte| *byte == 0).map(|text| OsString::from_vec(text.to_vec()).into_string());
    texts.collect::<Result<_, _>>().map_err(|_| NotLearned::NotText(what))
}

fn variables(pairs: &[String]) -> Environment {
    let pairs = pairs.iter().filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn changes(ours: &Environment, theirs: Environment) -> (Environment, Vec<String>) {
    let of_a_command = |name: &&String| !OF_ONE_PROCESS.contains(&name.as_str());
    let removed =
        ours.keys().filter(|name| !theirs.contains_key(*name)).filter(of_a_command).cloned().collect();
    let changed = |(name, value): &(String, String)| ours.get(name) != Some(value) && of_a_command(&name);
    (theirs.into_iter().filter(changed).collect(), removed)
}

fn configuration_directory(arguments: &[String], environment: &Environment) -> Option<PathBuf> {
    let given = value_of(arguments, &CONFIGURATION_OPTIONS);
    given.or_else(|| environment.get("FLINK_CONF_DIR").map(String::as_str)).map(PathBuf::from)
}

fn class_path(arguments: &[String], directory: &Path) -> Vec<PathBuf> {
    let entries = value_of(arguments, &CLASS_PATH_OPTIONS).unwrap_or_default().split(':');
    entries.filter(|entry| !entry.is_empty()).map(|entry| directory.join(entry)).collect()
}

fn value_of<'a>(arguments: &'a [String], options: &[&str]) -> Option<&'a str> {
    let place = arguments.iter().position(|argument| options.contains(&argument.as_str()))?;
    arguments.get(place + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&text| text.to_owned()).collect()
    }

    pub(super) fn learned() -> LearnedCommand {
        let line = "-Xmx1g -classpath lib/a.jar:/lib/b.jar::: org.apache.flink.Entry --configDir /conf -D k=v --job-classname J -c x";
        LearnedCommand {
            java: "/usr/bin/java".into(),
            arguments: line.split(' ').map(str::to_owned).collect(),
            directory: "/opt/flink".into(),
            set: BTreeMap::new(),
            removed: Vec::new(),
            fingerprint: Fingerprint::default(),
        }
    }

    #[test]
    fn options_of_the_jvm_come_first_and_properties_after_the_configuration_directory() {
        let options = strings(&["-XX:+UseSerialGC"]);
        let arguments =
            learned().arguments_with(&options, &strings(&["rest.bind-port=0"])).unwrap().join(" ");
        let expected = "-XX:+UseSerialGC -Xmx1g -classpath lib/a.jar:/lib/b.jar::: org.apache.flink.Entry \
                        --configDir /conf -Drest.bind-port=0 -D k=v --job-classname J -c x";
        assert_eq!(arguments, expected);
    }

    #[test]
    fn a_property_of_the_command_line_does_not_win_over_a_spares() {
        let mut learned = learned();
        let line = "org.apache.flink.Entry --configDir /conf -D rest.bind-port=8081 -Drest.bind-port=8082 -D a=b J -Dc=d";
        learned.arguments = line.split(' ').map(str::to_owned).collect();
        let arguments = learned.arguments_with(&[], &strings(&["rest.bind-port=0"])).unwrap().join(" ");
        assert_eq!(arguments, "org.apache.flink.Entry --configDir /conf -Drest.bind-port=0 -D a=b J -Dc=d");
    }

    #[test]
    fn a_spare_writes_no_log_of_the_leader() {
        let line = "-Xmx1g -Dlog.file=/opt/flink/log/flink-f-standalonejob-0-host.log Main --configDir /c -Dlog.file=/mine.log";
        let arguments = with_log_of_its_own(line.split(' ').map(str::to_owned).collect()).join(" ");
        let expected = "-Xmx1g -Dlog.file=/opt/flink/log/flink-f-standalonejob-0-host-spare.log Main --configDir /c \
                        -Dlog.file=/mine.log";
        assert_eq!(arguments, expected, "what follows is the program's");
        assert_eq!(with_log_of_its_own(strings(&["-Dlog.file=log"])), ["-Dlog.file=log-spare"]);
        assert_eq!(with_log_of_its_own(strings(&["-Xmx1g"])), ["-Xmx1g"]);
    }

    #[test]
    fn a_list_of_classes_brings_the_main_class_that_reads_it() {
        let option = strings(&["-Dholdfast.classes=/a.jsa.classes"]);
        let with = |words: &[&str]| {
            let learned = LearnedCommand { arguments: strings(words), ..learned() };
            learned.arguments_with(&option, &[]).unwrap().join(" ")
        };
        assert_eq!(
            with(&["-Xmx1g", "-classpath", "/a.jar", "Entry", "--configDir", "/c"]),
            "-Dholdfast.classes=/a.jsa.classes -Xmx1g -classpath /a.jar io.holdfast.flink.ClassesAhead Entry --configDir /c"
        );
        for other in [&["-cp", "/a.jar", "-Xmx1g", "Entry"][..], &["-jar", "mine.jar"], &["-cp", "/a.jar"]] {
            assert!(!with(other).contains("ClassesAhead"), "{other:?} is not what Flink's scripts end in");
        }
    }

    #[test]
    fn properties_are_not_given_to_what_is_not_known_as_flink() {
        let mut other = learned();
        other.arguments = strings(&["-jar", "mine.jar"]);
        assert_eq!(other.arguments_with(&[], &strings(&["rest.bind-port=0"])), None);
        assert_eq!(other.arguments_with(&[], &[]), Some(strings(&["-jar", "mine.jar"])));
    }

    #[test]
    fn the_class_path_is_that_of_the_directory_it_runs_in() {
        assert_eq!(
            learned().class_path(),
            [PathBuf::from("/opt/flink/lib/a.jar"), PathBuf::from("/lib/b.jar")]
        );
    }

    #[test]
    fn a_process_has_the_scripts_changes_of_the_environment_and_their_directory() {
        let mut learned = learned();
        learned.set = variables(&strings(&["PATH=/bin:/java"]));
        learned.removed = strings(&["GONE"]);
        let command = learned.command(&strings(&["-Xmx1g", "Main"]));
        let command = command.as_std();
        assert_eq!(command.get_program(), "/usr/bin/java");
        assert!(command.get_args().eq(["-Xmx1g", "Main"]));
        assert_eq!(command.get_current_dir(), Some(Path::new("/opt/flink")));
        let changes: BTreeMap<_, _> = command.get_envs().collect();
        let expected = [("GONE", None), ("PATH", Some("/bin:/java"))];
        let expected = expected.map(|(name, value)| (name.as_ref(), value.map(AsRef::as_ref)));
        assert_eq!(changes, BTreeMap::from(expected));
    }

    #[test]
    fn only_what_the_scripts_changed_is_kept_of_an_environment() {
        let ours = variables(&strings(&["PATH=/bin", "GONE=1", "SHLVL=1", "KEPT=a"]));
        let theirs = variables(&strings(&[
            "PATH=/bin:/java",
            "SHLVL=2",
            "KEPT=a",
            "NEW=a=b",
            "HOLDFAST_PROCESS=exec-1",
        ]));
        let (set, removed) = changes(&ours, theirs);
        assert_eq!(set, variables(&strings(&["PATH=/bin:/java", "NEW=a=b"])));
        assert_eq!(removed, ["GONE"]);
    }
}
