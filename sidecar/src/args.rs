//! The command line.
//!
//! Exit status of `run`: 0 stopped in order, 1 could not start or had to stop. Of commands that ask something:
//! `exit::Exit`. Of every command: 2 wrong usage or configuration.

mod exec;
mod exit;
mod gc;
mod history;
mod output;
mod plan;
mod remote;
mod reset;
mod savepoint;
mod snapshots;
mod source;
mod status;
mod words;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::config::Config;
use crate::settings::Settings;
use crate::{logging, runtime};

/// Keeps a Flink job's place: the process beside its JobManager
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, arg_required_else_help = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run beside a JobManager
    Run(Configured),
    /// Run a JobManager: the entry point of its container
    Exec(exec::Exec),
    /// Check the configuration, print the one in force, and exit
    CheckConfig(Configured),
    /// Copy the jar that makes Flink talk to Holdfast into a Flink lib/ directory, and this program if asked
    InstallAdapter(InstallAdapter),
    /// Say who leads, what is running, and what the newest state is
    Status(status::Status),
    /// Look at checkpoints and savepoints, and pin them
    #[command(subcommand)]
    Snapshots(snapshots::Snapshots),
    /// Say what the present generation restored, and what the next one would
    Plan(plan::Plan),
    /// Have the next generation start from a certain snapshot, whatever is newer
    Reset(reset::Reset),
    /// Say what happened, generation by generation
    History(history::History),
    /// Say what the next collection would remove, and which snapshots nothing needs any more
    Gc(gc::Gc),
    /// Take a savepoint, or stop the job with one, and wait for it
    Savepoint(savepoint::Savepoint),
}

#[derive(Debug, clap::Args)]
struct Configured {
    /// A YAML file with the same settings; flags and environment win over it
    #[arg(long, env = "HOLDFAST_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,

    #[command(flatten)]
    settings: Settings,
}

#[derive(Debug, clap::Args)]
struct InstallAdapter {
    /// The directory; it must exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,

    /// The jar; the image has it at the default
    #[arg(
        long,
        env = "HOLDFAST_ADAPTER_JAR",
        value_name = "FILE",
        default_value = "/opt/holdfast/holdfast-flink-adapter.jar"
    )]
    from: PathBuf,

    /// Copy this program there too, as `holdfast`: for `holdfast exec` in a container of another image
    #[arg(long)]
    with_exec: bool,
}

const ADAPTER_JAR: &str = "holdfast-flink-adapter.jar";
const PROGRAM: &str = "holdfast";
const USAGE: u8 = 2;

// === impl Args ===

impl Args {
    /// Does what the command line says.
    pub fn run(self) -> ExitCode {
        match self.command {
            Command::Run(configured) => match configured.load() {
                Ok(config) => run(config),
                Err(error) => refuse(&error),
            },
            Command::Exec(exec) => exec.run(),
            Command::CheckConfig(configured) => match configured.load() {
                Ok(config) => print(&Settings::from(&config)),
                Err(error) => refuse(&error),
            },
            Command::InstallAdapter(install) => match install.run() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => refuse(&error),
            },
            Command::Status(status) => status.run(),
            Command::Snapshots(snapshots) => snapshots.run(),
            Command::Plan(plan) => plan.run(),
            Command::Reset(reset) => reset.run(),
            Command::History(history) => history.run(),
            Command::Gc(gc) => gc.run(),
            Command::Savepoint(savepoint) => savepoint.run(),
        }
    }
}

impl InstallAdapter {
    fn run(self) -> anyhow::Result<()> {
        let Self { to, from, with_exec } = self;
        install(&from, &to, ADAPTER_JAR)
            .with_context(|| format!("cannot copy {} (--from) to {} (--to)", from.display(), to.display()))?;
        if with_exec {
            // The link leads to the very file that runs, also where it was replaced meanwhile.
            install(Path::new("/proc/self/exe"), &to, PROGRAM)
                .with_context(|| format!("cannot copy this program to {} (--to)", to.display()))?;
        }
        Ok(())
    }
}

impl Configured {
    fn load(self) -> anyhow::Result<Config> {
        let file = self.config.as_deref().map(Settings::read).transpose()?.unwrap_or_default();
        Ok(Config::try_from(self.settings.or(file))?)
    }
}

/// Copied aside and renamed, so that whoever looks meanwhile never sees half a file. Keeps the permissions.
fn install(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let aside = to.join(format!(".{name}.{}", std::process::id()));
    fs::copy(from, &aside)?;
    fs::rename(&aside, to.join(name))
}

fn run(config: Config) -> ExitCode {
    logging::init(&config.log);
    let result = tokio().map_err(anyhow::Error::from).and_then(|tokio| tokio.block_on(runtime::run(config)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(event = "failed", "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn tokio() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()
}

fn print(settings: &Settings) -> ExitCode {
    let yaml = serde_saphyr::to_string(settings).map_err(anyhow::Error::from);
    let printed = yaml.and_then(|yaml| Ok(output::print(|out| out.write_all(yaml.as_bytes()))?));
    match printed {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

fn refuse(error: &anyhow::Error) -> ExitCode {
    output::complain(error);
    ExitCode::from(USAGE)
}
