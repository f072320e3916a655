//! People who speak to the sidecar over its API, as the command line does: they choose among the snapshots that it lists, ask
//! for what they want until there is a definite answer, and give up after a while.

mod asking;

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use self::asking::Asking;
use super::host::{Host, Start};
use super::{USER, World};
use crate::plan::{Process, What};
use crate::seed::Stream;

/// All of them, and where they sit.
pub(super) struct People {
    /// Made only when somebody wants something: a host costs time in every tick.
    pub(super) host: Host,
    wanted: Option<mpsc::UnboundedSender<Wanted>>,
    sidecars: Sidecars,
    asked: u64,
}

/// The sidecars that run, by the names of their hosts: the one that leads first, then the newest. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Sidecars(Arc<Mutex<Vec<String>>>);

/// What somebody wants.
struct Wanted {
    number: u64,
    what: What,
    stream: Stream,
}

// === impl People ===

impl People {
    /// Nobody wants anything yet.
    pub(super) fn new() -> Self {
        Self { host: Host::new(USER), wanted: None, sidecars: Sidecars::default(), asked: 0 }
    }
}

// === impl Sidecars ===

impl Sidecars {
    fn set(&self, names: Vec<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    /// The one to ask at this attempt, counted from 0; none may run.
    fn at(&self, attempt: usize) -> Option<String> {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.get(attempt % names.len().max(1)).cloned()
    }
}

// === impl World ===

impl World<'_> {
    /// Somebody wants this from now on.
    pub(super) fn ask_people(&mut self, what: &What, stream: &Stream) {
        if self.people.wanted.is_none() {
            self.seat_people();
        }
        let number = self.people.asked;
        self.people.asked += 1;
        let wanted = Wanted { number, what: what.clone(), stream: stream.clone() };
        if let Some(sender) = &self.people.wanted {
            // The host that receives it is never killed.
            drop(sender.send(wanted));
        }
    }

    fn seat_people(&mut self) {
        let (sender, mut wanted) = mpsc::unbounded_channel::<Wanted>();
        self.people.wanted = Some(sender);
        let (trace, sidecars) = (self.scene.trace.clone(), self.people.sidecars.clone());
        let start: Start = Box::new(move || {
            Box::pin(async move {
                while let Some(Wanted { number, what, stream }) = wanted.recv().await {
                    let asking = Asking::new(number, trace.clone(), sidecars.clone(), stream);
                    tokio::task::spawn_local(asking.see_through(what));
                }
                0
            })
        });
        self.people.host.start(&mut self.sim, start);
        self.links_changed = true;
    }

    /// Where people find the sidecars now.
    pub(super) fn show_people_the_way(&mut self) {
        if self.people.wanted.is_none() {
            return;
        }
        let leader = self.watch.leader();
        let mut running: Vec<(bool, String)> = Vec::new();
        for (index, kubelet) in self.kubelets.iter().enumerate().rev() {
            if self.slots[kubelet.pod.slot].sidecar.is_running() {
                let leads = leader == Some(kubelet.pod.slot);
                running.push((leads, self.actor(index, Process::Sidecar)));
            }
        }
        running.sort_by_key(|(leads, _)| !leads);
        self.people.sidecars.set(running.into_iter().map(|(_, name)| name).collect());
    }
}
