//! Who should try to lead: client-go's leader election as a pure state machine.
//!
//! It hears what the API server answered ([`Observation`]) and says what to ask it next ([`Action`]); it never
//! waits and never looks at a clock. The driver is [`crate::election`].
//!
//! The Lease decides who *tries*; the epoch in the store decides who *may*. So this machine is calm where others
//! must be strict:
//!
//! * **Only somebody else's name in the Lease takes leadership away.** A renewal that was not answered, was refused
//!   with 401, 403 or 429, or conflicted with our own earlier write is *unknown*, not lost (patroni#3462,
//!   FLINK-10052). What was granted goes on; only new grants wait until the Lease is confirmed again.
//! * **Expiry is observed, never read.** A rival's Lease is over when its version has not changed for its duration,
//!   measured on our own clock from the moment we saw it. Remote timestamps are for people (client-go's package
//!   documentation; kubernetes#120824).
//! * **Every write names the version it read.** The API server refuses all but the first of several.
//! * **Deadlines count from the send**, not from the answer: the answer may have been long on its way.
//! * **Only a write takes the Lease.** Reading our own name confirms what we hold already; it never makes us the holder,
//!   because what is read may be old. Whoever restarts, or has lost the Lease, writes first.
//! * **Evidence beats waiting.** When the holder's pod is gone, or none of its containers runs any more, its Lease is
//!   taken at once. That is safe because the epoch fences whoever wakes up.
//! * **A deleted Lease is its last holder's.** Whoever saw another hold it lets that one make it again, for as long as
//!   it would have lasted. Whoever comes later cannot know, and makes it at once.
//! * **A server that asks for patience gets it**, as long as that cannot cost the Lease.
//!
//! # What it costs
//!
//! A holder sends one request per retry period, its renewal. Whoever waits reads the Lease once per retry period, and
//! looks at the holder's pod four times in it, so that a takeover on evidence takes less than one period. Only a waiting
//! rival pays for that, and where one pod at a time is run, as `deploy/` recommends, there is one only during a takeover.
//! One that may not look at pods, or cannot judge by what it sees, tries once per period.

mod timings;
mod words;

pub use self::timings::{InvalidTimings, Timings};
pub use self::words::{Action, HolderPod, Lease, Observation, Standing, Taking};

/// The state machine. `now_ms` is monotonic; it may run fast or slow within the ratio of lease and renew deadline.
#[derive(Debug)]
pub struct Elector {
    me: String,
    timings: Timings,
    seen: Option<Seen>,
    /// Whether somebody has written since: what was seen must be read again before it is written.
    outdated: bool,
    /// Whether a write of this round was refused for another one. The second one in a row is not answered at once.
    contested: bool,
    /// When the request was sent that last showed the Lease to be ours; `None` once it was seen to be another's.
    confirmed_ms: Option<u64>,
    next: Next,
    /// When the last round began.
    round_ms: u64,
    /// When the last request was sent.
    asked_ms: u64,
    trouble: Option<String>,
    releasing: bool,
}

/// What was last read or written.
#[derive(Debug)]
struct Seen {
    found: Found,
    /// Since when it is known to stand, without a gap in which the API server could not be asked.
    since_ms: u64,
    read_ms: u64,
}

#[derive(Debug)]
enum Found {
    Lease(Lease),
    /// None, although another held it when it was last seen.
    Vanished {
        holder: String,
        duration_ms: u64,
    },
    /// None, and nobody that it could be left to.
    Nothing,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// An answer.
    Answer,
    /// This, when the time has come.
    At { ms: u64, errand: Errand },
    /// What the Lease that was just read calls for.
    Decision,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Errand {
    /// Renew the Lease, or read it.
    Round,
    /// Only look at the holder's pod.
    Look,
}

// === impl Elector ===

impl Elector {
    /// A candidate that knows nothing yet. `me` must be the same after a restart of this process in its pod, and
    /// different in every other pod: the pod's UID.
    pub fn new(me: String, timings: Timings) -> Self {
        assert!(!me.is_empty(), "an empty holder means that nobody holds the Lease");
        Self {
            me,
            timings,
            seen: None,
            outdated: false,
            contested: false,
            confirmed_ms: None,
            next: Next::At { ms: 0, errand: Errand::Round },
            round_ms: 0,
            asked_ms: 0,
            trouble: None,
            releasing: false,
        }
    }

    /// Takes one observation and answers with the next request, if it is time for one.
    pub fn step(&mut self, now_ms: u64, observation: Observation) -> Option<Action> {
        let pod = self.observe(now_ms, observation);
        let action = self.decide(now_ms, pod);
        if action.is_some() {
            self.next = Next::Answer;
            self.asked_ms = now_ms;
        }
        action
    }

    /// Where we stand at this time.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let deadline_ms = self.confirmed_ms.map(|sent_ms| sent_ms + self.timings.renew_deadline_ms());
        match (deadline_ms, self.rival()) {
            (Some(deadline_ms), _) if now_ms < deadline_ms => Standing::Ours,
            (Some(_), _) => {
                let reason = self.trouble.clone().unwrap_or_else(|| "the API server is slow".into());
                Standing::Unconfirmed { reason }
            }
            (None, Some((holder, _))) => Standing::Others { holder: holder.into() },
            (None, None) => Standing::NotYet,
        }
    }

    /// When to call [`Elector::step`] with [`Observation::Tick`] at the latest; `None` while an answer is awaited.
    pub fn next_tick_ms(&self) -> Option<u64> {
        match self.next {
            Next::At { ms, .. } => Some(ms),
            _ => None,
        }
    }

    /// How long the Lease is still ours by its own duration, counted from the send of the last renewal.
    pub fn expires_in_ms(&self, now_ms: u64) -> Option<u64> {
        let sent_ms = self.confirmed_ms?;
        Some((sent_ms + self.timings.lease_duration_ms()).saturating_sub(now_ms))
    }

    /// What stands in the way of the Lease being read, renewed or judged, until that was done once more.
    pub fn trouble(&self) -> Option<&str> {
        self.trouble.as_deref()
    }

    /// Whether nothing is left to give up: the Lease is known not to be ours (any more).
    pub fn released(&self) -> bool {
        let ours = match &self.seen {
            Some(Seen { found: Found::Lease(lease), .. }) => self.outdated || lease.holder == self.me,
            Some(_) => self.outdated,
            None => true,
        };
        self.releasing && (self.confirmed_ms.is_none() || !ours)
    }

    /// Returns what the pod of the holder showed, if that is what was observed.
    fn observe(&mut self, now_ms: u64, observation: Observation) -> Option<HolderPod> {
        match observation {
            Observation::Read { sent_ms, lease } => {
                let ours = lease.as_ref().is_some_and(|lease| lease.holder == self.me);
                if ours && self.confirmed_ms.is_some() {
                    self.confirm(sent_ms);
                }
                self.see(now_ms, lease);
                self.next = Next::Decision;
            }
            Observation::Written { sent_ms, lease } => {
                self.trouble = None;
                self.contested = false;
                if lease.holder == self.me {
                    self.confirm(sent_ms);
                }
                self.see(now_ms, Some(lease));
                let in_a_period = round_at(sent_ms + self.timings.retry_period_ms());
                self.next = if self.releasing { Next::Decision } else { in_a_period };
            }
            // Somebody wrote. Only what stands there now can tell who. But where this happens again and again nobody
            // writes: something else is wrong, and is not asked as fast as it can answer.
            Observation::Conflict { reason } => {
                self.outdated = true;
                self.next = if self.contested { self.next_round(now_ms) } else { round_at(now_ms) };
                if self.contested {
                    self.trouble = Some(reason);
                }
                self.contested = !self.contested;
            }
            Observation::Unclear { reason, retry_after_ms } => {
                self.trouble = Some(reason);
                let patience_ms = retry_after_ms.min(self.patience_ms(now_ms));
                // A request that hung for longer than a period has been waited for long enough.
                self.next = round_at((self.asked_ms + self.pace_ms()).max(now_ms + patience_ms));
            }
            Observation::Pod { holder, pod } => {
                self.trouble = None;
                self.contested &= matches!(pod, HolderPod::Gone | HolderPod::Terminated);
                self.next = self.next_round(now_ms);
                let look_ms = now_ms + self.timings.look_interval_ms();
                if pod == HolderPod::MayRun && self.next_tick_ms().is_some_and(|round_ms| look_ms < round_ms)
                {
                    self.next = Next::At { ms: look_ms, errand: Errand::Look };
                }
                let still_holds = self.rival().is_some_and(|(rival, _)| rival == holder);
                return still_holds.then_some(pod);
            }
            Observation::Release => {
                self.releasing = true;
                if matches!(self.next, Next::At { .. }) {
                    self.next = Next::Decision;
                }
            }
            Observation::Tick => {}
        }
        None
    }

    fn confirm(&mut self, sent_ms: u64) {
        self.confirmed_ms = self.confirmed_ms.max(Some(sent_ms));
    }

    fn see(&mut self, now_ms: u64, lease: Option<Lease>) {
        self.outdated = false;
        match &lease {
            // Deleted by somebody. That takes nothing away: it is created again.
            None => {}
            Some(lease) if lease.holder == self.me => {}
            Some(lease) if lease.holder.is_empty() && !self.releasing => {}
            Some(_) => self.confirmed_ms = None,
        }
        let rival = self.rival().map(|(holder, duration_ms)| (holder.to_owned(), duration_ms));
        let found = match (lease, rival) {
            (Some(lease), _) => Found::Lease(lease),
            (None, Some((holder, duration_ms))) => Found::Vanished { holder, duration_ms },
            (None, None) => Found::Nothing,
        };
        let since_ms = match &self.seen {
            // Silence proves nothing while nobody could be heard: after an outage the holder gets its time again.
            Some(before)
                if before.found.same(&found)
                    && now_ms - before.read_ms <= self.timings.renew_deadline_ms() =>
            {
                before.since_ms
            }
            _ => now_ms,
        };
        self.seen = Some(Seen { found, since_ms, read_ms: now_ms });
    }

    fn decide(&mut self, now_ms: u64, pod: Option<HolderPod>) -> Option<Action> {
        if let Some(pod @ (HolderPod::Gone | HolderPod::Terminated)) = pod {
            return self.take(|holder| Taking::Evidence { holder, pod });
        }
        match self.next {
            Next::Answer => None,
            Next::At { ms, .. } if now_ms < ms => None,
            Next::At { errand: Errand::Look, .. } if self.next_round(now_ms) != round_at(now_ms) => {
                self.look()
            }
            Next::At { .. } => {
                self.round_ms = now_ms;
                Some(self.begin_round())
            }
            Next::Decision => self.act_on_reading(now_ms),
        }
    }

    /// A holder renews without reading first; everybody else reads first.
    fn begin_round(&self) -> Action {
        match &self.seen {
            Some(Seen { found: Found::Lease(lease), .. })
                if lease.holder == self.me && !self.releasing && !self.outdated =>
            {
                Action::Hold { version: lease.version.clone(), why: Taking::Renewal }
            }
            _ => Action::Read,
        }
    }

    fn act_on_reading(&mut self, now_ms: u64) -> Option<Action> {
        self.next = self.next_round(now_ms);
        let Some(seen) = self.seen.as_ref().filter(|_| !self.outdated) else { return Some(Action::Read) };
        match &seen.found {
            Found::Lease(lease) if self.releasing => {
                (lease.holder == self.me).then(|| Action::Release { version: lease.version.clone() })
            }
            _ if self.releasing => None,
            Found::Lease(lease) if lease.holder == self.me => self.take(|_| Taking::Renewal),
            Found::Lease(lease) if lease.holder.is_empty() => self.take(|_| Taking::Free),
            Found::Nothing => self.take(|_| Taking::Free),
            Found::Lease(Lease { duration_ms, .. }) | Found::Vanished { duration_ms, .. } => {
                if now_ms >= seen.since_ms + duration_ms {
                    self.take(|holder| Taking::Expired { holder })
                } else {
                    self.look()
                }
            }
        }
    }

    fn look(&self) -> Option<Action> {
        let (holder, _) = self.rival()?;
        Some(Action::LookAtPod { holder: holder.into() })
    }

    fn take(&self, why: impl FnOnce(String) -> Taking) -> Option<Action> {
        if self.releasing {
            return None;
        }
        let why = why(self.rival().map(|(holder, _)| holder.into()).unwrap_or_default());
        match &self.seen.as_ref()?.found {
            Found::Lease(lease) => Some(Action::Hold { version: lease.version.clone(), why }),
            Found::Vanished { .. } | Found::Nothing => Some(Action::Create { why }),
        }
    }

    /// The other whose Lease it is, and how long that lasts without a sign of life.
    fn rival(&self) -> Option<(&str, u64)> {
        match &self.seen.as_ref()?.found {
            Found::Lease(lease) => Some((&*lease.holder, lease.duration_ms)),
            Found::Vanished { holder, duration_ms } => Some((&**holder, *duration_ms)),
            Found::Nothing => None,
        }
        .filter(|(holder, _)| !holder.is_empty() && *holder != self.me)
    }

    fn next_round(&self, now_ms: u64) -> Next {
        round_at((self.round_ms + self.timings.retry_period_ms()).max(now_ms))
    }

    /// A process that stops has not the time to wait for a period.
    fn pace_ms(&self) -> u64 {
        if self.releasing { self.timings.look_interval_ms() } else { self.timings.retry_period_ms() }
    }

    /// For how long the server's wish to be left alone is granted. The renewal at the deadline is tried in any case, and
    /// so is one per period from then on while the Lease is not over: a server that can refuse can also take a renewal,
    /// and a rival that it does answer would take the Lease. Once it is over there is nothing to be lost by waiting.
    fn patience_ms(&self, now_ms: u64) -> u64 {
        let deadline_ms = self.timings.renew_deadline_ms();
        match (self.confirmed_ms, self.expires_in_ms(now_ms)) {
            (Some(sent_ms), Some(1..)) => (sent_ms + deadline_ms).saturating_sub(now_ms),
            _ => deadline_ms,
        }
    }
}

fn round_at(ms: u64) -> Next {
    Next::At { ms, errand: Errand::Round }
}

// === impl Found ===

impl Found {
    /// Whether nothing has happened between the two.
    fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Lease(one), Self::Lease(other)) => one.version == other.version,
            (Self::Vanished { .. }, Self::Vanished { .. }) | (Self::Nothing, Self::Nothing) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
