//! A Kubernetes Service, as a node makes it: an address of its own that leads to whichever pod is ready when a connection
//! is made.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use turmoil::net::TcpListener;

use super::closing::Connection;

/// How long a connection to the pod may take before the client's is closed.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where connections go from now on. Those that are open stay where they are. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Service(Arc<Mutex<Option<String>>>);

// === impl Service ===

impl Service {
    /// Points it at a host, or at none.
    pub(super) fn point_at(&self, host: Option<&str>) {
        let mut target = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if target.as_deref() != host {
            *target = host.map(str::to_owned);
        }
    }

    fn target(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Serves for ever.
    ///
    /// # Errors
    /// When the port is taken.
    pub(super) async fn serve(self, port: u16) -> io::Result<()> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?;
        loop {
            let (client, _) = listener.accept().await?;
            tokio::spawn(self.clone().forward(client.into(), port));
        }
    }

    async fn forward(self, mut client: Connection, port: u16) {
        let Some(host) = self.target() else { return };
        let connect = tokio::time::timeout(CONNECT_TIMEOUT, Connection::open((host.as_str(), port)));
        if let Ok(Ok(mut pod)) = connect.await {
            // It ends when either side does; both see their connection end, and that is all there is to say.
            drop(copy_bidirectional(&mut client, &mut pod).await);
        }
    }
}
