//! The process beside a Flink JobManager: it elects it, keeps its place in a fenced log, and tells people what
//! is wrong.
//!
//! # How to read it
//!
//! Decisions are pure, effects are thin. Start with the decisions; each is one file with its own tests:
//!
//! | decision | file |
//! | --- | --- |
//! | who is granted leadership | [`sessions`] |
//! | who should try to lead, by a Kubernetes Lease | [`elector`] |
//! | which leader addresses are published | [`leaders`] |
//! | what Flink's statistics tell about savepoints and restores | [`observer`] |
//! | what people are shown, and whether what they ask for makes sense | [`views`], [`wishes`] |
//! | what a new generation restores | [`planner`] |
//! | what may be written, and what a lost answer means | the crate [`ha_store`] |
//!
//! Then the effects around them:
//!
//! | effect | file |
//! | --- | --- |
//! | drives the two machines, asks the store, checks the fence | [`leadership`] |
//! | drives the planner and verifies what it asks for | `planning.rs`; [`preview`] says what the next generation would restore |
//! | asks the API server, writes Events | [`election`] |
//! | asks the JobManager's REST API | [`job_manager`], [`observation`] |
//! | takes savepoints and follows them to their end | [`savepoints`] |
//! | the `/v1` protocol of `docs/protocol.md` | [`api`] |
//! | starts everything, and stops it in order | [`runtime`] |
//! | flags, environment and file | [`settings`], checked by [`config`] |
//! | starts the JobManager, again and again | [`exec`] |
//! | commands | [`args`]; what `holdfast snapshots` finds out is the crate [`snapshot`]'s |
//!
//! # What it must never do
//!
//! * Acknowledge what is not durable, or call a write failed whose outcome is unknown.
//! * Restart a healthy job because something *else* is slow or gone: the store, the API server, the sidecar itself.
//! * Know that it is simulated: whoever starts it hands it the clock, the entropy, the object store and the listeners.

pub mod api;
pub mod args;
pub mod config;
pub mod election;
pub mod elector;
pub mod exec;
pub mod job_manager;
pub mod leaders;
pub mod leadership;
pub mod metrics;
pub mod observation;
pub mod observer;
pub mod planner;
pub mod prepare;
pub mod preview;
pub mod runtime;
pub mod savepoints;
pub mod sessions;
pub mod settings;
pub mod views;
pub mod wishes;

mod collection;
mod logging;
mod planning;
mod world;
