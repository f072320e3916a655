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
//! * **Evidence beats waiting.** When the holder's pod is gone, or none of its containers runs any more, its Lease is
//!   taken at once. That is safe because the epoch fences whoever wakes up.

use std::fmt;

/// How patient to be. `lease > renew deadline > 1.2 × retry period`, checked by [`Timings::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timings {
    lease_duration_ms: u64,
    renew_deadline_ms: u64,
    retry_period_ms: u64,
}

/// Timings that cannot work together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTimings(String);

/// A Lease as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// `metadata.resourceVersion`: what the next write must name.
    pub version: String,
    /// `spec.holderIdentity`; empty when it was released.
    pub holder: String,
    /// `spec.leaseDurationSeconds`: the holder's word, not ours.
    pub duration_ms: u64,
}

/// What is known of the pod that holds a Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderPod {
    /// There is no such pod any more, or another one goes by its name.
    Gone,
    /// It is there, and all its containers have terminated.
    Terminated,
    /// It may be running.
    MayRun,
}

/// What happened. `sent_ms` is when the request that it answers was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Observation {
    /// The Lease was read; `None`: there is none.
    Read { sent_ms: u64, lease: Option<Lease> },
    /// A create or update of ours was accepted, and made this.
    Written { sent_ms: u64, lease: Lease },
    /// A create or update of ours was refused because somebody wrote in between. It may have been we: an answer
    /// that was lost, a 504 that was retried.
    Conflict,
    /// No answer that says anything: time-out, reset, 401, 403, 429, 5xx, garbage. The server may have asked to be left
    /// alone for a while (0: it has not).
    Unclear { reason: String, retry_after_ms: u64 },
    /// The holder's pod was looked at.
    Pod { holder: String, pod: HolderPod },
    /// The process stops; its JobManager has ended.
    Release,
    /// Time passed.
    Tick,
}

/// What to ask the API server. One request is open at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)] // each variant's line speaks of its fields
pub enum Action {
    /// Read the Lease.
    Read,
    /// Create it, held by us.
    Create,
    /// Hold it: renew, or take over. The write names `version`.
    Hold { version: String, why: Taking },
    /// Give it up. The write names `version`.
    Release { version: String },
    /// Look at the pod of the holder.
    LookAtPod { holder: String },
}

/// Why a Lease is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taking {
    /// It is ours already.
    Renewal,
    /// Nobody holds it.
    Free,
    /// Its holder has not renewed it for its duration.
    Expired {
        /// Whose it was.
        holder: String,
    },
    /// Its holder cannot be running.
    Evidence {
        /// Whose it was.
        holder: String,
        /// What was seen.
        pod: HolderPod,
    },
}

/// Where we stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Not decided yet.
    NotYet,
    /// The Lease is ours, confirmed within the renew deadline.
    Ours,
    /// It was ours when it was last confirmed, which is longer ago than the renew deadline.
    Unconfirmed {
        /// What stands in the way.
        reason: String,
    },
    /// It is another's.
    Others {
        /// Who holds it.
        holder: String,
    },
}

/// The state machine. `now_ms` is monotonic; it may run fast or slow within the ratio of lease and renew deadline.
#[derive(Debug)]
pub struct Elector {
    me: String,
    timings: Timings,
    seen: Seen,
    /// When the request was sent that last showed the Lease to be ours; `None` once it was seen to be another's.
    confirmed_ms: Option<u64>,
    next: Next,
    trouble: Option<String>,
    releasing: bool,
}

/// The Lease as last read or written.
#[derive(Debug)]
enum Seen {
    Never,
    Absent,
    Present {
        lease: Lease,
        /// Since when its version is known to stand, without a gap in which the API server could not be asked.
        since_ms: u64,
        read_ms: u64,
    },
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// An answer.
    Answer,
    /// This, when the time has come.
    Period { at_ms: u64 },
    /// What the Lease that was just read calls for.
    Decision,
}

// === impl Timings ===

impl Timings {
    /// Checks what client-go checks.
    pub fn new(
        lease_duration_ms: u64,
        renew_deadline_ms: u64,
        retry_period_ms: u64,
    ) -> Result<Self, InvalidTimings> {
        let invalid = |what: String| Err(InvalidTimings(what));
        if lease_duration_ms <= renew_deadline_ms {
            return invalid(format!(
                "lease-duration ({lease_duration_ms}ms) must be longer than renew-deadline ({renew_deadline_ms}ms)"
            ));
        }
        // Jitter makes a period up to 1.2 times as long.
        if renew_deadline_ms * 5 <= retry_period_ms * 6 {
            return invalid(format!(
                "renew-deadline ({renew_deadline_ms}ms) must be longer than 1.2 × retry-period ({retry_period_ms}ms)"
            ));
        }
        Ok(Self { lease_duration_ms, renew_deadline_ms, retry_period_ms })
    }

    /// After this long without a renewal nothing new is begun.
    pub fn renew_deadline_ms(&self) -> u64 {
        self.renew_deadline_ms
    }

    /// What we promise to whoever reads our Lease.
    pub fn lease_duration_ms(&self) -> u64 {
        self.lease_duration_ms
    }
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
            seen: Seen::Never,
            confirmed_ms: None,
            next: Next::Period { at_ms: 0 },
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
        }
        action
    }

    /// Where we stand at this time.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let deadline_ms = self.confirmed_ms.map(|sent_ms| sent_ms + self.timings.renew_deadline_ms);
        match (deadline_ms, &self.seen) {
            (Some(deadline_ms), _) if now_ms < deadline_ms => Standing::Ours,
            (Some(_), _) => {
                let reason = self.trouble.clone().unwrap_or_else(|| "the API server is slow".into());
                Standing::Unconfirmed { reason }
            }
            (None, Seen::Present { lease, .. }) if !lease.holder.is_empty() => {
                Standing::Others { holder: lease.holder.clone() }
            }
            (None, _) => Standing::NotYet,
        }
    }

    /// When to call [`Elector::step`] with [`Observation::Tick`] at the latest; `None` while an answer is awaited.
    pub fn next_tick_ms(&self) -> Option<u64> {
        match self.next {
            Next::Period { at_ms } => Some(at_ms),
            _ => None,
        }
    }

    /// How long the Lease is still ours by its own duration, counted from the send of the last renewal.
    pub fn expires_in_ms(&self, now_ms: u64) -> Option<u64> {
        let sent_ms = self.confirmed_ms?;
        Some((sent_ms + self.timings.lease_duration_ms).saturating_sub(now_ms))
    }

    /// Returns what the pod of the holder showed, if that is what was observed.
    fn observe(&mut self, now_ms: u64, observation: Observation) -> Option<HolderPod> {
        let in_a_period = Next::Period { at_ms: now_ms + self.timings.retry_period_ms };
        match observation {
            Observation::Read { sent_ms, lease } => {
                self.trouble = None;
                self.see(now_ms, sent_ms, lease);
                self.next = Next::Decision;
            }
            Observation::Written { sent_ms, lease } => {
                self.trouble = None;
                self.see(now_ms, sent_ms, Some(lease));
                let in_a_period = Next::Period { at_ms: sent_ms + self.timings.retry_period_ms };
                self.next = if self.releasing { Next::Decision } else { in_a_period };
            }
            // Somebody wrote. Only what stands there now can tell who.
            Observation::Conflict => {
                self.seen = Seen::Never;
                self.next = Next::Period { at_ms: now_ms };
            }
            Observation::Unclear { reason, retry_after_ms } => {
                self.trouble = Some(reason);
                // Longer than the renew deadline would be as good as giving the Lease away.
                let pause_ms =
                    retry_after_ms.min(self.timings.renew_deadline_ms).max(self.timings.retry_period_ms);
                self.next = Next::Period { at_ms: now_ms + pause_ms };
            }
            Observation::Pod { holder, pod } => {
                self.next = in_a_period;
                let still_holds = matches!(&self.seen, Seen::Present { lease, .. } if lease.holder == holder);
                return still_holds.then_some(pod);
            }
            Observation::Release => {
                self.releasing = true;
                if matches!(self.next, Next::Period { .. }) {
                    self.next = Next::Decision;
                }
            }
            Observation::Tick => {}
        }
        None
    }

    fn see(&mut self, now_ms: u64, sent_ms: u64, lease: Option<Lease>) {
        let Some(lease) = lease else {
            // Deleted by somebody. That takes nothing away: it is created again.
            self.seen = Seen::Absent;
            return;
        };
        if lease.holder == self.me {
            self.confirmed_ms = self.confirmed_ms.max(Some(sent_ms));
        } else if !lease.holder.is_empty() || self.releasing {
            self.confirmed_ms = None;
        }
        let since_ms = match &self.seen {
            // Silence proves nothing while nobody could be heard: after an outage the holder gets its time again.
            Seen::Present { lease: before, since_ms, read_ms }
                if before.version == lease.version && now_ms - read_ms <= self.timings.renew_deadline_ms =>
            {
                *since_ms
            }
            _ => now_ms,
        };
        self.seen = Seen::Present { lease, since_ms, read_ms: now_ms };
    }

    fn decide(&mut self, now_ms: u64, pod: Option<HolderPod>) -> Option<Action> {
        if let Some(pod @ (HolderPod::Gone | HolderPod::Terminated)) = pod {
            return self.hold(|holder| Taking::Evidence { holder, pod });
        }
        match self.next {
            Next::Answer => None,
            Next::Period { at_ms } if now_ms < at_ms => None,
            Next::Period { .. } => Some(self.begin_period()),
            Next::Decision => self.act_on_reading(now_ms),
        }
    }

    /// A holder renews without reading first; everybody else reads first.
    fn begin_period(&self) -> Action {
        match &self.seen {
            Seen::Present { lease, .. } if lease.holder == self.me && !self.releasing => {
                Action::Hold { version: lease.version.clone(), why: Taking::Renewal }
            }
            _ => Action::Read,
        }
    }

    fn act_on_reading(&mut self, now_ms: u64) -> Option<Action> {
        self.next = Next::Period { at_ms: now_ms + self.timings.retry_period_ms };
        match &self.seen {
            Seen::Never => Some(Action::Read),
            Seen::Absent if self.releasing => None,
            Seen::Absent => Some(Action::Create),
            Seen::Present { lease, .. } if self.releasing => {
                (lease.holder == self.me).then(|| Action::Release { version: lease.version.clone() })
            }
            Seen::Present { lease, since_ms, .. } => {
                if lease.holder == self.me {
                    self.hold(|_| Taking::Renewal)
                } else if lease.holder.is_empty() {
                    self.hold(|_| Taking::Free)
                } else if now_ms >= since_ms + lease.duration_ms {
                    self.hold(|holder| Taking::Expired { holder })
                } else {
                    Some(Action::LookAtPod { holder: lease.holder.clone() })
                }
            }
        }
    }

    fn hold(&self, why: impl FnOnce(String) -> Taking) -> Option<Action> {
        let Seen::Present { lease, .. } = &self.seen else { return None };
        if self.releasing {
            return None;
        }
        Some(Action::Hold { version: lease.version.clone(), why: why(lease.holder.clone()) })
    }
}

// === impl Taking ===

impl fmt::Display for Taking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Renewal => f.write_str("it is ours"),
            Self::Free => f.write_str("nobody held it"),
            Self::Expired { holder } => write!(f, "{holder} has not renewed it for its duration"),
            Self::Evidence { holder, pod: HolderPod::Gone } => write!(f, "the pod of {holder} is gone"),
            Self::Evidence { holder, .. } => {
                write!(f, "all containers of the pod of {holder} have terminated")
            }
        }
    }
}

#[cfg(test)]
mod tests;
