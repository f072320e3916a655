//! The product's network over turmoil: what hyper connects with, and what axum listens on.

use std::future::Future;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::Uri;
use hyper_util::client::legacy::connect::{self, Connected};
use hyper_util::rt::TokioIo;
use sidecar::job_manager::{self, Connect, RestAddress};
use turmoil::net::TcpListener;

use super::closing::Connection;

/// Connects to `http://host:port/…` of the simulated network. For hyper-util's client.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connector;

/// A listener of the simulated network, as axum wants it.
pub struct Listener(TcpListener);

// === impl Connector ===

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<Connection>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        Box::pin(async move {
            let host = uri.host().ok_or_else(|| io::Error::other(format!("{uri} names no host")))?;
            Ok(TokioIo::new(Connection::open((host, uri.port_u16().unwrap_or(80))).await?))
        })
    }
}

impl Connect for Connector {
    fn connect(
        &self,
        address: &RestAddress,
    ) -> BoxFuture<'static, io::Result<Box<dyn job_manager::Connection>>> {
        let address = address.clone();
        Box::pin(async move {
            let connection = Connection::open((address.host(), address.port())).await?;
            Ok(Box::new(connection) as Box<dyn job_manager::Connection>)
        })
    }
}

impl connect::Connection for Connection {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

// === impl Listener ===

impl Listener {
    /// Listens on all addresses of this host.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn bind(port: u16) -> io::Result<Self> {
        Ok(Self(TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await?))
    }
}

impl axum::serve::Listener for Listener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            if let Ok((stream, from)) = self.0.accept().await {
                return (stream.into(), from);
            }
            // The simulated listener has no error of its own; if it ever gets one, this must not spin.
            tokio::task::yield_now().await;
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
