//! A TaskManager process.

use anyhow::Result;

use super::config::Ports;
use super::{config, script};
use crate::process::Process;
use crate::site::Site;

/// Starts the TaskManager of the pod `pod`. It learns the leaders from the sidecar's public listener alone.
pub fn start(site: &Site, pod: &str, ports: &Ports) -> Result<Process> {
    let name = format!("{pod}-taskmanager");
    // On a TaskManager there is no sidecar on loopback; a URL that nobody serves proves that it needs none.
    let conf = config::write(site, &name, ports, "http://127.0.0.1:9")?;
    Process::spawn(&name, script(site, "taskmanager.sh", &conf), &site.next_log(&name))
}
