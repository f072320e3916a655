//! Processes that stand still.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// While it is shut, what runs behind it is not polled; clocks run on. Clones share it.
///
/// It holds back the root future of a process only. Tasks that the process spawned are out of its reach, so whoever
/// shuts it holds the links of the host as well: whatever such a task sends then arrives after the pause, late.
#[derive(Debug, Clone, Default)]
pub struct Gate(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    shut: bool,
    waker: Option<Waker>,
}

/// A future behind a gate.
pub struct Behind<F> {
    gate: Gate,
    inner: Pin<Box<F>>,
}

// === impl Gate ===

impl Gate {
    /// From now on nothing moves.
    pub fn shut(&self) {
        self.0.borrow_mut().shut = true;
    }

    /// Everything goes on.
    pub fn open(&self) {
        let inner = &mut *self.0.borrow_mut();
        inner.shut = false;
        if let Some(waker) = inner.waker.take() {
            waker.wake();
        }
    }

    /// Puts a future behind this gate.
    pub fn hold<F: Future>(&self, inner: F) -> Behind<F> {
        Behind { gate: self.clone(), inner: Box::pin(inner) }
    }
}

// === impl Behind ===

impl<F: Future> Future for Behind<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        {
            let inner = &mut *self.gate.0.borrow_mut();
            inner.waker = Some(cx.waker().clone());
            if inner.shut {
                return Poll::Pending;
            }
        }
        self.inner.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn what_is_behind_a_shut_gate_moves_only_after_it_was_opened() {
        let gate = Gate::default();
        gate.shut();
        let mut held = Box::pin(gate.hold(async { 7 }));
        let limit = Duration::from_secs(60);
        assert!(tokio::time::timeout(limit, &mut held).await.is_err());
        gate.open();
        assert_eq!(tokio::time::timeout(limit, held).await.ok(), Some(7));
    }
}
