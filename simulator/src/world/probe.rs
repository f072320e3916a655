//! A kubelet's probes of the sidecar, over HTTP as in the manifests.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};
use turmoil::net::TcpStream;

use super::PUBLIC_PORT;

/// What the probes of one process have found. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Probes(Rc<RefCell<Found>>);

#[derive(Debug, Default)]
struct Found {
    started: bool,
    ready: bool,
    dead: bool,
    paused: bool,
}

/// One probe, as in the manifests.
struct Probe {
    path: &'static str,
    period: Duration,
    timeout: Duration,
    failures_max: u32,
}

const STARTUP: Probe = Probe {
    path: "/ready",
    period: Duration::from_secs(1),
    timeout: Duration::from_secs(2),
    failures_max: 600,
};
const READINESS: Probe = Probe {
    path: "/ready",
    period: Duration::from_secs(5),
    timeout: Duration::from_secs(2),
    failures_max: 2,
};
const LIVENESS: Probe = Probe {
    path: "/live",
    period: Duration::from_secs(10),
    timeout: Duration::from_secs(5),
    failures_max: 3,
};

// === impl Probes ===

impl Probes {
    /// The startup probe has passed once: the JobManager may be started.
    pub(super) fn started(&self) -> bool {
        self.0.borrow().started
    }

    /// The Service may lead here.
    pub(super) fn ready(&self) -> bool {
        self.0.borrow().ready
    }

    /// The process must be killed and started again.
    pub(super) fn dead(&self) -> bool {
        self.0.borrow().dead
    }

    /// A process that stands still answers no probe.
    pub(super) fn set_paused(&self, paused: bool) {
        self.0.borrow_mut().paused = paused;
    }

    /// Probes for ever, inside the host of the process.
    pub(super) async fn run(self) {
        let mut failures = 0;
        while !self.passes(&STARTUP).await {
            failures += 1;
            if failures == STARTUP.failures_max {
                self.0.borrow_mut().dead = true;
                return;
            }
            sleep(STARTUP.period).await;
        }
        {
            let found = &mut *self.0.borrow_mut();
            (found.started, found.ready) = (true, true);
        }
        tokio::join!(self.keep_ready(), self.keep_alive());
    }

    async fn keep_ready(&self) {
        let mut failures = 0;
        loop {
            sleep(READINESS.period).await;
            failures = if self.passes(&READINESS).await { 0 } else { failures + 1 };
            if failures == 0 || failures >= READINESS.failures_max {
                self.0.borrow_mut().ready = failures == 0;
            }
        }
    }

    async fn keep_alive(&self) {
        let mut failures = 0;
        while failures < LIVENESS.failures_max {
            sleep(LIVENESS.period).await;
            failures = if self.passes(&LIVENESS).await { 0 } else { failures + 1 };
        }
        self.0.borrow_mut().dead = true;
    }

    async fn passes(&self, probe: &Probe) -> bool {
        let answered = timeout(probe.timeout, get(probe.path)).await;
        let ok = matches!(answered, Ok(Ok(true)));
        ok && !self.0.borrow().paused
    }
}

/// Whether a GET is answered with 200.
async fn get(path: &str) -> io::Result<bool> {
    const OK: &[u8] = b"HTTP/1.1 200";
    let mut connection = TcpStream::connect(("127.0.0.1", PUBLIC_PORT)).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer).await?;
    Ok(answer.starts_with(OK))
}
