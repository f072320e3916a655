//! The one task of a process that writes to the log.
//!
//! It does one thing at a time ([`perform`]), and while that is under way it keeps taking requests and watching
//! their deadlines ([`desk`]). So a caller always gets its answer in time, whatever the store does; a record whose
//! fate is open is resolved before anything else is begun, for as long as it takes; and a caller that goes away
//! cancels nothing.

mod desk;
mod perform;

pub(crate) use desk::{Ask, Caller, Edit, Entry, Reply};

use crate::View;
use crate::log::{Log, Progress};
use desk::Desk;
use perform::Performer;
use std::{pin::pin, sync::Arc};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// What handles send to the writer.
#[derive(Debug)]
pub(crate) enum Mail {
    Ask(Arc<Ask>, Caller),
    /// Finish what was accepted, then end.
    Close(oneshot::Sender<()>),
}

#[derive(Debug)]
pub(crate) struct Writer {
    performer: Performer,
    desk: Desk,
    mailbox: mpsc::Receiver<Mail>,
    /// No handle is left that could send anything.
    deserted: bool,
    views: watch::Sender<Arc<View>>,
    /// The newest sequence that the hint was written for.
    hinted_at: u64,
}

impl Writer {
    pub(crate) fn new(log: Log, mailbox: mpsc::Receiver<Mail>, views: watch::Sender<Arc<View>>) -> Self {
        let desk = Desk::new(&log.options.limits);
        let hinted_at = log.newest().get();
        Self { performer: Performer::new(log), desk, mailbox, deserted: false, views, hinted_at }
    }

    pub(crate) async fn run(mut self) {
        loop {
            self.publish();
            while let Ok(mail) = self.mailbox.try_recv() {
                self.desk.receive(mail);
            }
            if let Some(asks) = self.desk.begin() {
                if !self.work(asks).await {
                    return;
                }
            } else if self.deserted || self.desk.is_closing() {
                break;
            } else {
                match self.mailbox.recv().await {
                    Some(mail) => self.desk.receive(mail),
                    None => self.deserted = true,
                }
            }
        }
        let log = &self.performer.log;
        if log.held().is_some() && log.newest().get() > self.hinted_at {
            log.hint().await;
        }
        self.desk.closed();
    }

    /// Does what was begun, to its end; or drops it when its deadline comes before anything was sent. `false` when
    /// there is nobody left to do anything for.
    async fn work(&mut self, asks: Vec<Arc<Ask>>) -> bool {
        let progress = Progress::default();
        let results = {
            let mut work = pin!(self.performer.perform(&asks, &progress));
            loop {
                let deadline = self.desk.deadline();
                // A record whose fate is open is pursued only as long as somebody could still ask for it.
                if self.deserted && deadline.is_none() {
                    return false;
                }
                tokio::select! {
                    biased;
                    results = &mut work => break results,
                    mail = self.mailbox.recv(), if !self.deserted => match mail {
                        Some(mail) => self.desk.receive(mail),
                        None => self.deserted = true,
                    },
                    () = at(deadline), if deadline.is_some() => {
                        if self.desk.expire(Instant::now(), &progress) {
                            return true;
                        }
                    }
                }
            }
        };
        self.publish();
        self.desk.settle(results);
        self.renew_hint();
        true
    }

    /// Shows handles and the desk what is known, before any answer that rests on it is given.
    fn publish(&mut self) {
        let made = self.performer.take_made();
        let view = self.performer.log.view();
        for made in made.iter().filter(|made| !Arc::ptr_eq(made, view)) {
            self.desk.remember(made);
        }
        self.desk.learn(view, self.performer.vouched());
        self.views.send_if_modified(|shown| {
            let newer = !Arc::ptr_eq(shown, view);
            if newer {
                *shown = view.clone();
            }
            newer
        });
    }

    fn renew_hint(&mut self) {
        let log = &self.performer.log;
        let newest = log.newest().get();
        if log.held().is_some() && newest >= self.hinted_at + log.options.hint_every_records {
            self.hinted_at = newest;
            // On its own: nobody's commit waits for a hint.
            tokio::spawn(log.hint());
        }
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
