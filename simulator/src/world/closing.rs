//! The connections of a process that is killed, closed in the order in which they were opened.
//!
//! When a host crashes, tokio drops the tasks of its runtime in an order that follows from their ids, and those are
//! counted per *operating system process*: other runs at the same time, or earlier ones, change it. Each connection that
//! is dropped sends its end to the other side with a latency drawn for it, so the run would not be the same again. Hence
//! connections that are dropped during a crash are set aside, and closed in an order of this run's own.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::ToSocketAddrs;
use turmoil::net::TcpStream;

thread_local! {
    /// A run has a thread of its own; only the order within a run matters.
    static OPENED: Cell<u64> = const { Cell::new(0) };
    /// What is set aside, while a host crashes.
    static SET_ASIDE: RefCell<Option<BTreeMap<u64, TcpStream>>> = const { RefCell::new(None) };
}

/// A connection of a process that may be killed.
///
/// Whatever is spawned as a task of tokio's must hold no other kind: the law of determinism depends on it.
#[derive(Debug)]
pub struct Connection {
    number: u64,
    /// `None` only while it is dropped.
    stream: Option<TcpStream>,
}

/// Closes what is set aside when it is dropped. The main future of every host holds one: it is dropped last.
#[derive(Debug)]
pub(super) struct Closes;

/// Crashes a host: `crash` drops everything on it.
///
/// # Panics
/// When nothing on it held [`Closes`].
pub(super) fn crashing(crash: impl FnOnce()) {
    SET_ASIDE.with_borrow_mut(|aside| *aside = Some(BTreeMap::new()));
    crash();
    let left = SET_ASIDE.with_borrow_mut(Option::take);
    assert!(left.is_none(), "a host crashed that closes no connections");
}

// === impl Connection ===

impl Connection {
    /// Connects to an address of the simulated network.
    ///
    /// # Errors
    /// As turmoil's: nobody listens there, or the name means nothing.
    pub async fn open(address: impl ToSocketAddrs) -> io::Result<Self> {
        TcpStream::connect(address).await.map(Self::from)
    }

    fn stream(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.stream.as_mut().expect("a connection has its stream until it is dropped"))
    }
}

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        Self { number: OPENED.replace(OPENED.get() + 1), stream: Some(stream) }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let stream = self.stream.take();
        SET_ASIDE.with_borrow_mut(|aside| {
            if let (Some(aside), Some(stream)) = (aside, stream) {
                aside.insert(self.number, stream);
            }
        });
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.stream().poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

// === impl Closes ===

impl Drop for Closes {
    fn drop(&mut self) {
        // Taken first: what closing drops in turn is not set aside again.
        let aside = SET_ASIDE.with_borrow_mut(Option::take);
        aside.into_iter().flat_map(BTreeMap::into_values).for_each(drop);
    }
}
