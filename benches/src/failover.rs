//! How long a Flink job is away when its JobManager dies: Holdfast beside Flink's own HA services, in one run.
//!
//! # How it is kept fair
//!
//! * **The same job, machine and Flink.** The demo job (1,000 records per second, a checkpoint every second), one JobManager
//!   (and a standby, where the peer has one), one TaskManager, all of them unmodified processes on loopback.
//! * **Interleaved.** The kills of each peer are spread over some rounds; in each round every peer has its turn, so that what
//!   the machine does in between meets all of them alike. Only one cluster exists at a time: on a small machine a second one
//!   would be noise, and one that is stopped (SIGSTOP) would lose its Lease or its session.
//! * **A new cluster for each turn**, with an empty store and a job of its own, which completes [`WARM_UP`] checkpoints before
//!   its first kill, and [`BETWEEN`] before each further one. Between two kills of a turn the job goes on.
//! * **The same restart.** Whoever has no supervisor of its own is started again at once by Flink's own scripts, which is better
//!   than what Kubernetes does (its back-off). `holdfast` alone is restarted by `holdfast exec`, which is part of it;
//!   `holdfast:scripts` is the like-for-like comparison of the HA services alone.
//! * **Flink's own times.** Phases are the times that Flink's log has; records' times are in the sink's output. How often they
//!   are looked at does not matter.
//! * **What fails is shown.** A kill after which the job does not come back is reported as that, and what is lost or
//!   there twice is counted for every peer.

mod archive;
pub mod arguments;
pub mod case;
mod cluster;
pub mod kill;
pub mod machine;
mod own;
mod page;
pub mod peer;
pub mod phases;
mod picture;
mod records;
pub mod result;
pub mod run;
pub mod setup;
pub mod spread;
mod text;
mod turn;

use std::io::{self, Write};

/// Checkpoints of a new cluster before its first kill. By then the TaskManager's code is warm, as it is in a job of some age.
pub const WARM_UP: usize = 10;

/// Checkpoints between the end of a failover and the next kill.
pub const BETWEEN: usize = 3;

/// Says how it goes, on standard error: standard output is for the results. That nobody reads it is no reason to fail.
fn say(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}
