//! One process and the turmoil host that it runs on: started, killed, paused, and asked whether it has ended.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use turmoil::Sim;

use super::closing::{self, Closes};
use super::gate::Gate;

/// What a process does; its result is its exit code.
pub(super) type Program = Pin<Box<dyn Future<Output = i32>>>;

/// Makes a program inside the host that runs it.
pub(super) type Start = Box<dyn FnOnce() -> Program>;

/// A host of the network on which one process at a time runs.
pub(super) struct Host {
    name: String,
    next: Rc<RefCell<Option<Start>>>,
    exit: Rc<RefCell<Option<i32>>>,
    gate: Rc<RefCell<Gate>>,
    registered: bool,
    running: bool,
}

// === impl Host ===

impl Host {
    /// A host of that name, with nothing on it yet.
    pub(super) fn new(name: impl Into<String>) -> Self {
        let (next, exit, gate) = Default::default();
        Self { name: name.into(), next, exit, gate, registered: false, running: false }
    }

    /// Its name in the network, and in the trace.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the network knows it.
    pub(super) fn is_registered(&self) -> bool {
        self.registered
    }

    /// Whether a process runs on it.
    pub(super) fn is_running(&self) -> bool {
        self.running
    }

    /// Starts a process.
    ///
    /// # Panics
    /// When one runs already.
    pub(super) fn start(&mut self, sim: &mut Sim<'_>, start: Start) {
        assert!(!self.running, "{} runs a process already", self.name);
        self.running = true;
        *self.exit.borrow_mut() = None;
        *self.gate.borrow_mut() = Gate::default();
        *self.next.borrow_mut() = Some(start);
        if self.registered {
            sim.bounce(self.name.as_str());
            return;
        }
        self.registered = true;
        let (next, exit, gate) = (self.next.clone(), self.exit.clone(), self.gate.clone());
        sim.host(self.name.as_str(), move || {
            let start = next.borrow_mut().take().expect("a host is started with a program");
            let (exit, gate) = (exit.clone(), gate.borrow().clone());
            let closes = Closes;
            gate.hold(async move {
                let _closes = closes;
                let code = start().await;
                *exit.borrow_mut() = Some(code);
                // The kubelet sees it and ends what the process left behind. A host that returned by itself would keep
                // its other tasks and their connections.
                std::future::pending().await
            })
        });
    }

    /// Ends the process at once; whatever it holds is let go, and the other sides of its connections see that.
    pub(super) fn kill(&mut self, sim: &mut Sim<'_>) {
        if std::mem::take(&mut self.running) {
            closing::crashing(|| sim.crash(self.name.as_str()));
        }
    }

    /// Its exit code, once, if it has ended by itself.
    pub(super) fn take_exit(&mut self, sim: &mut Sim<'_>) -> Option<i32> {
        let code = self.exit.borrow_mut().take()?;
        self.kill(sim);
        Some(code)
    }

    /// The process stands still from now on.
    pub(super) fn pause(&self) {
        self.gate.borrow().shut();
    }

    /// It goes on.
    pub(super) fn wake(&self) {
        self.gate.borrow().open();
    }
}
