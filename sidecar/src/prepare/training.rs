//! One training: a JobManager is started, killed and recovered, and the JVM of a recovery writes down its classes.

mod watch;

use std::fs::File;
use std::io::BufReader;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use ha_store::{BackendOptions, SystemClock, SystemEntropy};
use snapshot::Stores;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::Instant;

use self::watch::Watched;
use super::child::Child;
use super::classes::{self, Classes};
use super::home::FlinkHome;
use crate::config::Config;
use crate::exec::archive::{self, Surroundings};
use crate::exec::learned::LearnedCommand;
use crate::exec::{JOB_MANAGER_PORTS, environment};
use crate::job_manager::NetConnect;
use crate::runtime::{self, World};
use crate::settings::Settings;

/// What a training leaves.
#[derive(Debug)]
pub(super) struct Trained {
    pub(super) archive: PathBuf,
    pub(super) rpc_jar: PathBuf,
    /// The list of classes that are loaded ahead.
    pub(super) ahead: PathBuf,
    pub(super) made_for: Surroundings,
    pub(super) java_version: String,
    pub(super) classes: Classes,
    pub(super) without_ms: u64,
    pub(super) with_ms: u64,
}

/// What all steps share.
struct Training<'a> {
    home: &'a FlinkHome,
    work: &'a Path,
    sidecar: SocketAddr,
    leaders: SocketAddr,
    tell: &'a (dyn Fn(&str) + Sync),
}

const JOB: &str = "io.holdfast.flink.TrainingJob";
const FACTORY: &str = "io.holdfast.flink.HoldfastHaServicesFactory";
/// Archives of the classes that one run loaded are known from here on.
const JAVA_OLDEST: u32 = 13;
/// How long the JVM may take to write the archive when it ends.
const DUMP_LIMIT: Duration = Duration::from_secs(180);
const RPC_SYSTEM_JAR: &str = "io.holdfast.flink.RpcSystemJar";
const UNPACK_LIMIT: Duration = Duration::from_secs(60);
const JAVA_VERSION_LIMIT: Duration = Duration::from_secs(30);

/// Trains a JobManager of `home`, with all files in `work`.
///
/// # Errors
/// With the step, the process and its last words. Nothing is left running.
pub(super) async fn run(home: &FlinkHome, work: &Path, tell: &(dyn Fn(&str) + Sync)) -> Result<Trained> {
    for directory in ["store", "tmp", "log"] {
        std::fs::create_dir_all(work.join(directory))
            .with_context(|| format!("cannot write {}", work.display()))?;
    }
    let private = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
    let public = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
    let (sidecar, leaders) = (private.local_addr()?, public.local_addr()?);
    // Until the end of this function: the sidecar stops when nobody can tell it to any more.
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let (config, world) = surroundings(work)?;
    let serving = runtime::serve(config, world, private, public, stopped);
    let training = Training { home, work, sidecar, leaders, tell };
    let trained = tokio::select! {
        biased;
        trained = training.steps() => trained,
        served = serving => bail!("the sidecar of the training ended: {served:?}"),
    };
    drop(stop);
    trained
}

/// The training's own sidecar: what `holdfast run` would have, on a directory.
fn surroundings(work: &Path) -> Result<(Config, World)> {
    let settings = Settings {
        deployment: Some("holdfast-training".to_owned()),
        store: Some(format!("file://{}", work.join("store").display())),
        election: Some("none".to_owned()),
        identity: Some("holdfast-prepare".to_owned()),
        ..Settings::default()
    };
    let config = Config::try_from(settings).context("the training's own settings")?;
    let options = BackendOptions::default();
    let world = World {
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        backend: config.store.connect(&options).context("the training's own store")?,
        kubernetes: None,
        snapshots: Arc::new(Stores::new(options)),
        connect: Arc::new(NetConnect::default()),
    };
    Ok((config, world))
}

// === impl Training ===

impl Training<'_> {
    async fn steps(&self) -> Result<Trained> {
        self.say(&format!("Flink {} in {}", self.home.version, self.home.path.display()));
        let _task_manager = self.start_task_manager()?;
        let (mut first, learned) = self.start_by_script().await?;
        let java_version = version_of(&learned.java).await?;
        check(&learned)?;
        let made_for = Surroundings::of(&learned.java, &learned.class_path())?;
        self.watched(&mut first, None).running_with_a_checkpoint().await?;
        self.say("the training job runs; its JobManager is killed, and recovered three times");
        first.kill().await?;

        let (mut plain, without_ms) = self.recover("plain", &learned, &[]).await?;
        plain.kill().await?;
        self.say(&format!("recovered without an archive: all tasks ran after {without_ms} ms"));

        let rpc_jar = self.unpack(&learned).await?;
        let (archive, ahead) = self.record(&learned, &rpc_jar).await?;

        let mut options = archive::options(&archive);
        options.extend([archive::rpc_jar_option(&rpc_jar), archive::classes_option(&ahead)]);
        let (mut archived, with_ms, classes) = self.verify(&learned, options).await?;
        archived.kill().await?;
        self.say(&format!(
            "recovered with it: all tasks ran after {with_ms} ms; {} of {} classes came out of archives",
            classes.from_archive, classes.loaded
        ));
        Ok(Trained { archive, rpc_jar, ahead, made_for, java_version, classes, without_ms, with_ms })
    }

    /// Unpacks the jar of the RPC system, which lies inside another one.
    async fn unpack(&self, learned: &LearnedCommand) -> Result<PathBuf> {
        let rpc_jar = self.work.join("rpc.jar");
        let class_path =
            std::env::join_paths(learned.class_path()).context("the class path of the JobManager")?;
        let mut command = Command::new(&learned.java);
        command.arg("-cp").arg(class_path).arg(RPC_SYSTEM_JAR).arg(&rpc_jar).kill_on_drop(true);
        let run = tokio::time::timeout(UNPACK_LIMIT, command.output()).await;
        let output = run.with_context(|| format!("{RPC_SYSTEM_JAR} does not end"))?;
        let output = output.with_context(|| format!("cannot run {}", learned.java.display()))?;
        ensure!(
            output.status.success(),
            "the RPC system's jar could not be unpacked ({}): {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(rpc_jar)
    }

    /// Recovers the job with a JVM that writes down its classes when it ends. Answers with the archive, and with the list of those
    /// that it had loaded when the job ran.
    async fn record(&self, learned: &LearnedCommand, rpc_jar: &Path) -> Result<(PathBuf, PathBuf)> {
        let (archive, ahead) = (self.work.join("jobmanager.jsa"), self.work.join("classes"));
        let log = self.work.join("log/recorded-classes.log");
        let options = [
            format!("-XX:ArchiveClassesAtExit={}", archive.display()),
            "-Xlog:cds*=off".to_owned(),
            archive::rpc_jar_option(rpc_jar),
            // Nothing yet; its main class is to be in the archive, too.
            archive::CLASSES_OPTION.to_owned(),
            log_of_classes(&log),
        ];
        let (mut recording, _) = self.recover("recorded", learned, &options).await?;
        let names = open(&log).and_then(|log| Ok(classes::names(log)?));
        let written = names.and_then(|names| Ok(std::fs::write(&ahead, names)?));
        written.with_context(|| format!("cannot make {} of {}", ahead.display(), log.display()))?;
        self.watched(&mut recording, None).touched().await?;
        self.say("recovered for the record; its JVM writes the archive");
        let status = recording.terminate(DUMP_LIMIT).await?;
        let written = std::fs::metadata(&archive).is_ok_and(|found| found.len() > 0);
        ensure!(
            written,
            "the JVM wrote no archive (it ended with {status}); is there a JVM option in the way, like another \
             collector or an agent? Its last words:\n{}",
            recording.last_words()
        );
        Ok((archive, ahead))
    }

    /// Recovers the job with the archive, and counts where its classes came from.
    async fn verify(
        &self,
        learned: &LearnedCommand,
        mut options: Vec<String>,
    ) -> Result<(Child, u64, Classes)> {
        let log = self.work.join("log/classes.log");
        options.push(log_of_classes(&log));
        let (running, with_ms) = self.recover("archived", learned, &options).await?;
        let read = open(&log).and_then(|log| Ok(Classes::count(log)?));
        let classes = read.with_context(|| format!("cannot read {}", log.display()))?;
        ensure!(
            classes.of_flink_from_archive > 0,
            "the JVM took no class of Flink out of the archive that it had just written, though {} classes were \
             loaded; run it again with --keep DIR and look at DIR/log",
            classes.loaded
        );
        Ok((running, with_ms, classes))
    }

    /// Starts a JobManager directly, and waits until all tasks run again, restored. How long that took.
    async fn recover(
        &self,
        name: &'static str,
        learned: &LearnedCommand,
        options: &[String],
    ) -> Result<(Child, u64)> {
        let arguments = learned.arguments_with(options, &[]).context("the JobManager's arguments")?;
        let command = learned.command(&arguments);
        let before = Watched::rest_address(self.leaders).await;
        let started = Instant::now();
        let mut child = Child::start("JobManager", command, &self.log(&format!("jobmanager-{name}")))?;
        self.watched(&mut child, before).restored().await?;
        let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.watched(&mut child, None).running_with_a_checkpoint().await?;
        Ok((child, took_ms))
    }

    async fn start_by_script(&self) -> Result<(Child, LearnedCommand)> {
        let script = self.home.script("standalone-job.sh");
        let mut given = vec![script.display().to_string(), "start-foreground".to_owned()];
        given.extend(["--job-classname", JOB].map(str::to_owned));
        given.extend(self.properties());
        let command = self.command(&given);
        let mut child = Child::start("JobManager", command, &self.log("jobmanager-first"))?;
        let learned = match LearnedCommand::of_process(child.id(), &given, &environment()).await {
            Ok(learned) => learned,
            Err(error) => {
                child.require_alive()?;
                return Err(error).context("the JobManager's command line cannot be learned");
            }
        };
        Ok((child, learned))
    }

    fn start_task_manager(&self) -> Result<Child> {
        let script = self.home.script("taskmanager.sh");
        let mut given = vec![script.display().to_string(), "start-foreground".to_owned()];
        given.extend(self.properties());
        Child::start("TaskManager", self.command(&given), &self.log("taskmanager"))
    }

    fn command(&self, given: &[String]) -> Command {
        let mut command = Command::new(&given[0]);
        command.args(&given[1..]).current_dir(&self.home.path);
        for name in ["FLINK_LOG_DIR", "FLINK_PID_DIR"] {
            command.env(name, self.work.join("log"));
        }
        command
    }

    /// Everything else is as it is configured. They win over the configuration's, which is only read.
    fn properties(&self) -> Vec<String> {
        let directory = |name: &str| format!("file://{}", self.work.join(name).display());
        let own = [
            ("high-availability.type", FACTORY.to_owned()),
            ("high-availability.cluster-id", "holdfast-training".to_owned()),
            ("high-availability.storageDir", directory("ha")),
            ("high-availability.holdfast.url", format!("http://{}", self.sidecar)),
            ("high-availability.holdfast.leaders-url", format!("http://{}", self.leaders)),
            ("execution.checkpointing.dir", directory("checkpoints")),
            ("io.tmp.dirs", self.work.join("tmp").display().to_string()),
            ("parallelism.default", "1".to_owned()),
            ("taskmanager.numberOfTaskSlots", "1".to_owned()),
        ];
        let loopback = [
            "jobmanager.rpc.address",
            "jobmanager.bind-host",
            "rest.address",
            "rest.bind-address",
            "taskmanager.host",
            "taskmanager.bind-host",
        ];
        let other_ports =
            ["taskmanager.rpc.port", "taskmanager.data.port", "metrics.internal.query-service.port"];
        let any_port = JOB_MANAGER_PORTS.into_iter().chain(other_ports);
        let own = own.into_iter();
        let own = own.chain(loopback.map(|key| (key, "127.0.0.1".to_owned())));
        let own = own.chain(any_port.map(|key| (key, "0".to_owned())));
        own.map(|(key, value)| format!("-D{key}={value}")).collect()
    }

    fn watched<'a>(&self, process: &'a mut Child, not_at: Option<String>) -> Watched<'a> {
        Watched { process, leaders: self.leaders, not_at }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.work.join("log").join(format!("{name}.log"))
    }

    fn say(&self, line: &str) {
        (self.tell)(line);
    }
}

/// The JVM's option that writes what [`classes`] reads.
fn log_of_classes(log: &Path) -> String {
    format!("-Xlog:class+load:file={}:none:filecount=0", log.display())
}

fn open(log: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(log)?))
}

/// What is known to keep a JVM from writing an archive.
fn check(learned: &LearnedCommand) -> Result<()> {
    if let Some(own) = archive::own_option(&learned.arguments) {
        bail!(
            "the JobManager's command line has {own}: take it out (env.java.opts.all or .jobmanager, JVM_ARGS)"
        );
    }
    let mut directories = learned.class_path().into_iter().filter(|entry| entry.is_dir());
    if let Some(directory) = directories.next() {
        bail!(
            "{} on the class path is a directory, and a JVM makes archives of jars only; take it out (HADOOP_CLASSPATH, \
             HADOOP_CONF_DIR, YARN_CONF_DIR)",
            directory.display()
        );
    }
    Ok(())
}

/// What `java -version` says, in one line.
async fn version_of(java: &Path) -> Result<String> {
    let mut command = Command::new(java);
    command.arg("-version").kill_on_drop(true);
    let asked = tokio::time::timeout(JAVA_VERSION_LIMIT, command.output()).await;
    let output = asked.with_context(|| format!("{} -version does not end", java.display()))?;
    let output = output.with_context(|| format!("cannot run {}", java.display()))?;
    let text = String::from_utf8_lossy(&output.stderr).lines().collect::<Vec<_>>().join("; ");
    let major = major_of(&text).with_context(|| format!("{} -version says {text:?}", java.display()))?;
    ensure!(
        major >= JAVA_OLDEST,
        "{} is Java {major}, which cannot make such an archive; it takes Java {JAVA_OLDEST} or newer: use the image of \
         this Flink with java17",
        java.display()
    );
    Ok(text)
}

/// `openjdk version "17.0.15" …` → 17; `"11.0.2"` → 11; `"21"` → 21.
fn major_of(version: &str) -> Option<u32> {
    version.split('"').nth(1)?.split(['.', '-', '+']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_training_asks_for_no_port_that_something_else_may_have() {
        let home = FlinkHome { path: "/opt/flink".into(), version: "2.2.1".to_owned() };
        let address: SocketAddr = ([127, 0, 0, 1], 1).into();
        let training = Training {
            home: &home,
            work: Path::new("/work"),
            sidecar: address,
            leaders: address,
            tell: &|_| (),
        };
        let properties = training.properties();
        for key in [
            "rest.bind-port",
            "jobmanager.rpc.port",
            "high-availability.jobmanager.port",
            "blob.server.port",
            "taskmanager.rpc.port",
            "taskmanager.data.port",
            "metrics.internal.query-service.port",
        ] {
            let start = format!("-D{key}=");
            let set: Vec<_> = properties.iter().filter_map(|one| one.strip_prefix(&start)).collect();
            assert_eq!(set, ["0"], "{key}");
        }
    }

    #[test]
    fn the_version_of_a_jvm_is_read_off_what_it_says() {
        assert_eq!(major_of("openjdk version \"17.0.15\" 2025-04-15"), Some(17));
        assert_eq!(major_of("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(major_of("openjdk version \"24-ea\" 2025-03-18"), Some(24));
        assert_eq!(major_of("Unrecognized option: -version"), None);
    }
}
