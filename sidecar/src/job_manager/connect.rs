//! Where connections to a JobManager come from.

use std::fmt;
use std::io;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::spawn_blocking;
use tokio_rustls::rustls::pki_types::ServerName;

use super::{RestAddress, TlsFiles};

/// A connection, of whatever kind.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

/// Makes connections. It must not retry, and needs no time-out: who asks has one.
pub trait Connect: fmt::Debug + Send + Sync {
    /// A new connection, over which HTTP can be spoken.
    fn connect(&self, address: &RestAddress) -> BoxFuture<'static, io::Result<Box<dyn Connection>>>;
}

/// TCP, and TLS over it where the address asks for that.
#[derive(Debug, Clone, Default)]
pub struct NetConnect {
    /// Without it, nothing that asks for TLS can be reached.
    pub tls: Option<TlsFiles>,
}

const NO_TLS: &str = "it asks for TLS, and nothing says whose certificate to trust: set --job-manager-ca";

impl Connect for NetConnect {
    fn connect(&self, address: &RestAddress) -> BoxFuture<'static, io::Result<Box<dyn Connection>>> {
        let (address, tls) = (address.clone(), self.tls.clone());
        Box::pin(async move {
            let connector = match (address.is_tls(), tls) {
                (false, _) => None,
                (true, None) => return Err(io::Error::other(NO_TLS)),
                (true, Some(files)) => {
                    Some(spawn_blocking(move || files.connector()).await?.map_err(io::Error::other)?)
                }
            };
            let stream = TcpStream::connect((address.host(), address.port())).await?;
            stream.set_nodelay(true)?;
            let Some(connector) = connector else { return Ok(Box::new(stream) as Box<dyn Connection>) };
            let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
            Ok(Box::new(connector.connect(name, stream).await?) as Box<dyn Connection>)
        })
    }
}
