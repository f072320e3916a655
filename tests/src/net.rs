//! Ports on 127.0.0.1 that nobody uses, and that nobody is given by accident before their owner binds them.
//!
//! A port is reserved long before it is bound: a JobManager's is, while its pod's TaskManager already starts. The kernel gives
//! ports of its ephemeral range to whoever asks for "any": to every outgoing connection, and to the listeners of that very
//! TaskManager. So reserved ports come from below that range.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use anyhow::{Result, bail, ensure};

/// Below it are the well-known ports and most that services use by default.
const LOWEST: u16 = 10_000;

/// What the kernel hands out by itself, where it does not say.
const EPHEMERAL_LOWEST: u16 = 32_768;

/// Every port that was handed out, so that no two components of one run are given the same before they bind it.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A free address. A component keeps it across its restarts, as one behind a Service would.
pub fn free_address() -> Result<SocketAddr> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    let ports = reservable();
    ensure!(!ports.is_empty(), "the kernel gives out every port from {LOWEST} on, so none can be reserved");
    // Test binaries that run at the same time start their search at different places.
    let offset = std::process::id() as usize * 97 % ports.len();
    for port in ports.clone().cycle().skip(offset).take(ports.len()) {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if !taken.contains(&port) && TcpListener::bind(address).is_ok() {
            taken.insert(port);
            return Ok(address);
        }
    }
    bail!("no port from {} to {} is free", ports.start, ports.end - 1)
}

/// The ports that are nobody's unless somebody names them.
fn reservable() -> Range<u16> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let lowest = range.split_whitespace().next().and_then(|lowest| lowest.parse().ok());
    LOWEST..lowest.unwrap_or(EPHEMERAL_LOWEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_never_one_that_the_kernel_gives_away() {
        let any = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        assert!(!reservable().contains(&any.port()), "{any}");
        let (one, other) = (free_address().unwrap(), free_address().unwrap());
        assert!(reservable().contains(&one.port()), "{one}");
        assert_ne!(one, other);
    }
}
