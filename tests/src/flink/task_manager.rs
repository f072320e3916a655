//! A TaskManager process.

use anyhow::Result;

use super::config::{HighAvailability, Ports};
use super::{config, script};
use crate::process::Process;
use crate::site::Site;

/// On a TaskManager there is no sidecar on loopback; a URL that nobody serves proves that it needs none.
const NO_SIDECAR: &str = "http://127.0.0.1:9";

/// Starts the TaskManager of the pod `pod`, which learns the leaders from these services, with `settings` instead of what it
/// would have for these keys. With Holdfast it knows the sidecar's public listener alone, whatever `ha` names.
pub fn start(
    site: &Site,
    pod: &str,
    ports: &Ports,
    ha: HighAvailability<'_>,
    settings: &[(&'static str, String)],
) -> Result<Process> {
    let name = format!("{pod}-taskmanager");
    let ha = match ha {
        HighAvailability::Holdfast { .. } => HighAvailability::Holdfast { url: NO_SIDECAR },
        other => other,
    };
    let conf = config::write(site, &name, ports, ha, settings)?;
    Process::spawn(&name, script(site, "taskmanager.sh", &conf), &site.next_log(&name))
}
