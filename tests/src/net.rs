//! Ports on 127.0.0.1 that nobody uses.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Every port that was handed out, so that no two components of one run are given the same before they bind it.
static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A free address. A component keeps it across its restarts, as one behind a Service would.
pub fn free_address() -> Result<SocketAddr> {
    let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
        let address = listener.local_addr()?;
        if taken.insert(address.port()) {
            return Ok(address);
        }
    }
}
