//! Apache Flink as its users start it: its own scripts, its own configuration file, its own REST endpoint.

pub mod config;
pub mod job_manager;
pub mod log;
pub mod rest;
pub mod task_manager;

use std::path::Path;
use std::process::Command;

use crate::process;
use crate::site::Site;

/// One of the distribution's scripts, for a process with its own configuration directory. The scripts end in `exec java`,
/// so the process that is started *is* the JobManager or TaskManager.
pub fn script(site: &Site, name: &str, conf: &Path) -> Command {
    let mut command = process::command(site.artifacts().flink_home.join("bin").join(name));
    command
        .arg("start-foreground")
        // A job's class path is stored relative to the working directory (as in an image, where all share one).
        .current_dir(site.image())
        .env("FLINK_CONF_DIR", conf)
        // Flink looks for `usrlib` beside this one.
        .env("FLINK_LIB_DIR", site.image().join("lib"))
        .env("FLINK_LOG_DIR", conf.join("log"))
        .env("FLINK_PID_DIR", conf.join("pid"))
        .env("FLINK_IDENT_STRING", "holdfast");
    if !site.java_tool_options().is_empty() {
        command.env("JAVA_TOOL_OPTIONS", site.java_tool_options());
    }
    command
}
