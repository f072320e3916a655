//! Decides when a JobManager process is started, killed, and given up. Pure: processes, signals and time are the driver's.
//!
//! There are two slots. The first one runs the command as the user configured it; the second one is for a spare, which
//! differs in its ports only. Whichever of the two is granted is the *primary*: its end is what counts. When it crashes,
//! the one that waits becomes the primary without anything being started, and the empty slot gets the next spare.
//!
//! It must never end a JobManager because the sidecar is away: what is not known is not acted upon.

use super::budget::{Budget, BudgetLimits, Verdict};

/// One of the two places for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Slot {
    /// The command as it was given.
    First,
    /// With ports of its own.
    Second,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// By itself, with this status.
    Exited(u8),
    /// By this signal.
    Killed(u8),
}

/// What the driver saw.
#[derive(Debug)]
pub enum Observation<'a> {
    /// Time has passed.
    Tick,
    /// The process of a slot is gone, and was waited for.
    Ended(Slot, End),
    /// The sidecar's list of sessions; at most twice a second.
    Sessions(&'a [Session]),
    /// The sidecar did not answer. Nothing follows from it, and nothing follows from what it said before either.
    SidecarAway,
    /// How a JobManager is started is known, which a spare needs.
    CanStartSpares,
    /// We were asked to end, by this signal.
    AskedToEnd(u8),
    /// A signal that is meant for the JobManager.
    Signalled(u8),
}

/// One session that the sidecar has.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Session {
    /// What the process calls itself: what [`Action::Start`] named it.
    pub process: String,
    /// It leads.
    pub granted: bool,
    /// How many pings it left unanswered; `None` for an adapter that answers none.
    pub unanswered_pings: Option<u32>,
}

/// What is to be done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a process there, and tell it its name.
    Start {
        /// Where.
        slot: Slot,
        /// Its name.
        process: String,
    },
    /// `SIGKILL`.
    Kill {
        /// Whom.
        slot: Slot,
        /// Why, for people.
        why: String,
    },
    /// Pass a signal on.
    Signal {
        /// To whom.
        slot: Slot,
        /// Which.
        signal: u8,
    },
    /// Nothing runs any more, and nothing is to: end with this status.
    Finish {
        /// The exit status.
        status: u8,
        /// Why, for people.
        why: String,
    },
}

/// What the user chose.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Keep a second process ready.
    pub warm_spare: bool,
    /// How long a JobManager leads before a spare is started: what it starts with needs the processor, too.
    pub spare_delay_ms: u64,
    /// A JobManager that left so many pings unanswered is ended; `None`: never.
    pub hang_pings: Option<u32>,
    /// How often JobManagers may crash.
    pub crashes: BudgetLimits,
}

/// The state machine.
#[derive(Debug)]
pub struct Supervisor {
    policy: Policy,
    /// What the names of processes begin with.
    name: String,
    started: u64,
    primary: Slot,
    places: [Place; 2],
    crashes: Budget,
    spare_crashes: Budget,
    /// The next spare is not started before.
    spare_not_before_ms: u64,
    can_start_spares: bool,
    /// How long the slowest process took to open a session. `None`: no process of ours ever had one, so it is not known whether
    /// this is their sidecar, and whether their adapter tells it the names that we give.
    longest_start_ms: Option<u64>,
    ending: Option<Ending>,
}

#[derive(Debug)]
enum Place {
    Empty,
    Due { at_ms: u64 },
    Running(Running),
}

#[derive(Debug)]
struct Running {
    process: String,
    since_ms: u64,
    granted_since_ms: Option<u64>,
    had_session: bool,
    /// So many sightings in a row, with no silence of the sidecar in between, did not show its session.
    sightings_without: u32,
    killed: bool,
}

/// Nothing is started any more.
#[derive(Debug)]
struct Ending {
    status: u8,
    why: String,
}

/// A process that had a session and is not seen with one for so many sightings, and for the time of `--hang-limit` on top: a minute or
/// more. An adapter notices within 10 s that its session is gone, and opens another one within 2 s.
const LOST_SIGHTINGS: u32 = 120;
/// One that never had a session, after five minutes or more: a start on a busy machine takes half a minute.
const NEVER_SIGHTINGS: u32 = 600;
/// And not before so many times what the slowest of the processes before took: an entry point may have to fetch things.
const START_FACTOR: u64 = 4;
/// The sidecar pings every 2 s and is looked at twice a second.
const SIGHTINGS_PER_PING: u32 = 4;

/// What a shell adds to the number of the signal that ended a process.
const KILLED: u8 = 128;
/// Flink's `ApplicationStatus.FAILED` is 1443, of which a process keeps the low byte.
const JOB_FAILED: u8 = 163;

// === impl Supervisor ===

impl Supervisor {
    /// Starts the first process at the first step. The names of processes begin with `name`, at most 40 characters.
    /// `can_start_spares`: see [`Observation::CanStartSpares`].
    pub fn new(policy: Policy, name: String, can_start_spares: bool) -> Self {
        let (crashes, spare_crashes) = (Budget::new(policy.crashes), Budget::new(policy.crashes));
        Self {
            policy,
            name,
            started: 0,
            primary: Slot::First,
            places: [Place::Due { at_ms: 0 }, Place::Empty],
            crashes,
            spare_crashes,
            spare_not_before_ms: 0,
            can_start_spares,
            longest_start_ms: None,
            ending: None,
        }
    }

    /// Takes one observation and answers with what follows from it.
    pub fn step(&mut self, now_ms: u64, observation: Observation<'_>) -> Vec<Action> {
        let mut actions = Vec::new();
        match observation {
            Observation::Tick => {}
            Observation::Ended(slot, end) => self.ended(now_ms, slot, end, &mut actions),
            Observation::Sessions(sessions) => self.looked(now_ms, sessions, &mut actions),
            Observation::SidecarAway => self.start_counting_anew(),
            Observation::CanStartSpares => self.can_start_spares = true,
            Observation::AskedToEnd(signal) => self.asked_to_end(signal, &mut actions),
            Observation::Signalled(signal) => {
                if self.running(self.primary).is_some() {
                    actions.push(Action::Signal { slot: self.primary, signal });
                }
            }
        }
        self.start_what_is_due(now_ms, &mut actions);
        self.finish(&mut actions);
        actions
    }

    /// When to call [`Supervisor::step`] with [`Observation::Tick`] at the latest.
    pub fn next_tick_ms(&self) -> Option<u64> {
        let due = self.places.iter().filter_map(|place| match place {
            Place::Due { at_ms } => Some(*at_ms),
            Place::Empty | Place::Running(_) => None,
        });
        due.chain(self.spare_due_ms()).min()
    }

    fn ended(&mut self, now_ms: u64, slot: Slot, end: End, actions: &mut Vec<Action>) {
        let Place::Running(ended) = std::mem::replace(&mut self.places[slot.index()], Place::Empty) else {
            unreachable!("only what runs can end, and {slot:?} did not run");
        };
        if let Some(ending) = &mut self.ending {
            // What we killed says nothing: above all not over the end of a job that was seen before.
            if slot == self.primary && !ended.killed {
                ending.status = end.status();
            }
            return;
        }
        if end.is_of_the_job() {
            let why = format!("the JobManager ended with status {}: its job is over", end.status());
            self.ending = Some(Ending { status: end.status(), why });
            self.kill_other(slot, "the job is over", actions);
            return;
        }
        let lived_ms = now_ms - ended.since_ms;
        let led_ms = ended.granted_since_ms.map_or(0, |since_ms| now_ms - since_ms);
        if slot == self.primary {
            self.primary_crashed(now_ms, lived_ms, led_ms, end)
        } else {
            self.spare_crashed(now_ms, lived_ms)
        }
    }

    fn primary_crashed(&mut self, now_ms: u64, lived_ms: u64, led_ms: u64, end: End) {
        let slot = self.primary;
        let verdict = self.crashes.charge(now_ms, lived_ms, led_ms);
        if self.running(slot.other()).is_some() {
            self.primary = slot.other();
            return;
        }
        match verdict {
            Verdict::Again { pause_ms } => {
                self.places[slot.index()] = Place::Due { at_ms: now_ms + pause_ms }
            }
            Verdict::GiveUp => {
                let BudgetLimits { crashes_max, window_ms } = self.policy.crashes;
                let why = format!(
                    "JobManagers crashed {crashes_max} times within {} s (--crashes-max, --crash-window), the last one with \
                     {end}; what to do next is left to Kubernetes",
                    window_ms / 1_000
                );
                self.ending = Some(Ending { status: end.status(), why });
            }
        }
    }

    fn spare_crashed(&mut self, now_ms: u64, lived_ms: u64) {
        let pause_ms = match self.spare_crashes.charge(now_ms, lived_ms, 0) {
            Verdict::Again { pause_ms } => pause_ms.max(self.policy.spare_delay_ms),
            // One that does not start must not cost the JobManager that leads its processor for ever.
            Verdict::GiveUp => self.policy.crashes.window_ms,
        };
        self.spare_not_before_ms = now_ms + pause_ms;
    }

    fn looked(&mut self, now_ms: u64, sessions: &[Session], actions: &mut Vec<Action>) {
        for slot in Slot::BOTH {
            let Place::Running(running) = &mut self.places[slot.index()] else { continue };
            let session = sessions.iter().find(|session| session.process == running.process);
            let granted = session.is_some_and(|session| session.granted);
            running.granted_since_ms = granted.then(|| running.granted_since_ms.unwrap_or(now_ms));
            if session.is_some() && !running.had_session {
                let start_ms = now_ms - running.since_ms;
                self.longest_start_ms = Some(self.longest_start_ms.unwrap_or_default().max(start_ms));
            }
            running.had_session |= session.is_some();
            running.sightings_without = if session.is_some() { 0 } else { running.sightings_without + 1 };
            if granted && self.ending.is_none() {
                self.primary = slot;
            }
            if let Some(why) = self.hangs(now_ms, slot, session)
                && self.kill(slot)
            {
                actions.push(Action::Kill { slot, why });
            }
        }
    }

    /// Why the process of a slot is taken to hang, if it is. One that is frozen does not answer pings; when the sidecar was started
    /// anew meanwhile, it has no session that could be pinged.
    fn hangs(&self, now_ms: u64, slot: Slot, session: Option<&Session>) -> Option<String> {
        let limit_pings = self.policy.hang_pings?;
        let running = self.running(slot)?;
        if let Some(session) = session {
            let unanswered = session.unanswered_pings.unwrap_or_default();
            return (unanswered >= limit_pings).then(|| {
                format!("it hangs: it left {unanswered} pings of the sidecar unanswered (--hang-limit)")
            });
        }
        let without = running.sightings_without;
        if self.ending.is_some() {
            return None; // It gave its session up, and has the time that it needs.
        }
        if running.had_session {
            let limit = limit_pings.saturating_mul(SIGHTINGS_PER_PING).saturating_add(LOST_SIGHTINGS);
            return (without >= limit).then(|| {
                format!(
                    "it hangs: the sidecar answered {without} times, and it did not open its session again"
                )
            });
        }
        let limit_ms = self.longest_start_ms?.saturating_mul(START_FACTOR);
        (without >= NEVER_SIGHTINGS && now_ms - running.since_ms >= limit_ms)
            .then(|| format!("it hangs: the sidecar answered {without} times, and it never opened a session"))
    }

    fn start_counting_anew(&mut self) {
        for place in &mut self.places {
            if let Place::Running(running) = place {
                running.sightings_without = 0;
            }
        }
    }

    /// Whether there is something to be killed that is not being killed yet.
    fn kill(&mut self, slot: Slot) -> bool {
        match &mut self.places[slot.index()] {
            Place::Running(running) => !std::mem::replace(&mut running.killed, true),
            Place::Empty | Place::Due { .. } => false,
        }
    }

    fn asked_to_end(&mut self, signal: u8, actions: &mut Vec<Action>) {
        let why = format!("asked to end by signal {signal}");
        self.ending.get_or_insert(Ending { status: KILLED + signal, why });
        for place in &mut self.places {
            if matches!(place, Place::Due { .. }) {
                *place = Place::Empty;
            }
        }
        // The spare first: it must not be granted what the primary gives up.
        self.kill_other(self.primary, "it is not needed any more", actions);
        if self.running(self.primary).is_some() {
            actions.push(Action::Signal { slot: self.primary, signal });
        }
    }

    fn kill_other(&mut self, but: Slot, why: &str, actions: &mut Vec<Action>) {
        let slot = but.other();
        if self.kill(slot) {
            actions.push(Action::Kill { slot, why: why.to_owned() });
        }
    }

    fn start_what_is_due(&mut self, now_ms: u64, actions: &mut Vec<Action>) {
        if self.ending.is_some() {
            return;
        }
        if self.spare_due_ms().is_some_and(|at_ms| at_ms <= now_ms) {
            self.places[self.primary.other().index()] = Place::Due { at_ms: now_ms };
        }
        for slot in Slot::BOTH {
            let Place::Due { at_ms } = self.places[slot.index()] else { continue };
            if at_ms <= now_ms {
                self.started += 1;
                let process = format!("{}-{}", self.name, self.started);
                let running = Running {
                    process: process.clone(),
                    since_ms: now_ms,
                    granted_since_ms: None,
                    had_session: false,
                    sightings_without: 0,
                    killed: false,
                };
                self.places[slot.index()] = Place::Running(running);
                actions.push(Action::Start { slot, process });
            }
        }
    }

    /// When the next spare is started; `None`: not while things are as they are.
    fn spare_due_ms(&self) -> Option<u64> {
        let wanted = self.policy.warm_spare && self.can_start_spares && self.ending.is_none();
        let vacant = matches!(self.places[self.primary.other().index()], Place::Empty);
        let leads_since_ms = self.running(self.primary)?.granted_since_ms?;
        (wanted && vacant)
            .then_some((leads_since_ms + self.policy.spare_delay_ms).max(self.spare_not_before_ms))
    }

    fn finish(&self, actions: &mut Vec<Action>) {
        if let Some(Ending { status, why }) = &self.ending
            && self.places.iter().all(|place| matches!(place, Place::Empty))
        {
            actions.push(Action::Finish { status: *status, why: why.clone() });
        }
    }

    fn running(&self, slot: Slot) -> Option<&Running> {
        match &self.places[slot.index()] {
            Place::Running(running) => Some(running),
            Place::Empty | Place::Due { .. } => None,
        }
    }
}

// === impl Slot ===

impl Slot {
    const BOTH: [Self; 2] = [Self::First, Self::Second];

    fn index(self) -> usize {
        match self {
            Self::First => 0,
            Self::Second => 1,
        }
    }

    fn other(self) -> Self {
        match self {
            Self::First => Self::Second,
            Self::Second => Self::First,
        }
    }
}

// === impl End ===

impl End {
    /// What a shell would end with.
    pub fn status(self) -> u8 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => KILLED.saturating_add(signal),
        }
    }

    /// The job FINISHED or was CANCELED (0), or it FAILED with its restarts used up: starting a JobManager again would
    /// find its result and end again. Flink ends otherwise with 1, 2, 165 (`UNKNOWN`), 239 (a fatal exception) or by a signal.
    pub(super) fn is_of_the_job(self) -> bool {
        matches!(self, Self::Exited(0 | JOB_FAILED))
    }
}

impl std::fmt::Display for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "status {status}"),
            Self::Killed(signal) => write!(f, "signal {signal}"),
        }
    }
}

#[cfg(test)]
mod tests;
