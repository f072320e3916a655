//! A TaskManager process.

use anyhow::Result;

use super::config::{HighAvailability, Ports};
use super::{config, script};
use crate::process::Process;
use crate::site::Site;

/// Starts the TaskManager of the pod `pod`. It learns the leaders from the sidecar's public listener alone.
pub fn start(site: &Site, pod: &str, ports: &Ports) -> Result<Process> {
    // On a TaskManager there is no sidecar on loopback; a URL that nobody serves proves that it needs none.
    start_with(site, pod, ports, HighAvailability::Holdfast { url: "http://127.0.0.1:9" })
}

/// Starts the TaskManager of the pod `pod`, which learns the leaders from these services.
pub fn start_with(site: &Site, pod: &str, ports: &Ports, ha: HighAvailability<'_>) -> Result<Process> {
    let name = format!("{pod}-taskmanager");
    let conf = config::write(site, &name, ports, ha, &[])?;
    Process::spawn(&name, script(site, "taskmanager.sh", &conf), &site.next_log(&name))
}
