//! The log on a network that loses, delays and repeats, with processes that stall and die, on paused time.
//!
//! * [`far`]: an object store whose far side owns its requests, so that "timed out but applied", "arrives later" and
//!   "the sender died meanwhile" happen as they do in reality;
//! * [`oracle`]: watches every record at the moment it becomes durable, and every answer at the moment it is given;
//! * [`histories`]: random histories;
//! * [`traps`]: the stories that are too rare to be left to chance, one test each;
//! * [`collected`]: those of them that are about the collector;
//! * [`stage`]: where they are told.

#![allow(clippy::unwrap_used, reason = "a test may end with a panic")]

mod collected;
mod far;
mod histories;
mod oracle;
mod stage;
mod traps;
