//! The deterministic world in which the real sidecar and store are tried.
//!
//! A run is made of a [`plan::Plan`] (what the job is, and every fault: data) and a seed. [`run::run`] builds the world
//! out of them: hosts in `turmoil` with real TCP between them, on which the *product's own* `sidecar::runtime::serve`
//! runs unchanged, a model of Flink, an API server, an object store, kubelets and a user. Everything that happens is
//! recorded in a [`trace::Trace`]; the [`oracle`]s read it event by event and speak up at the first violation.
//!
//! ```text
//! scenario ──► plan ──► run ──► world + flink ──► trace ──► oracle ──► outcome ──► report, shrink
//! ```
//!
//! | module | is |
//! | --- | --- |
//! | [`scenario`] | scenario files, and the plans that they and a seed make |
//! | [`plan`] | what happens in a run, as data: it can be printed, shrunk and replayed |
//! | [`product`] | what is tried: the product, or the product with a planted defect |
//! | [`seed`] | one random stream per seed and component |
//! | [`trace`] | what happened: events, their hash, what was reached |
//! | [`world`] | hosts, network, clocks, API server, object store, kubelets; applies the faults |
//! | [`flink`] | the model of Flink |
//! | [`outcome`] | how a run ended: what the oracles and the world tell of it |
//! | [`oracle`] | the promises, checked at every event |
//! | [`run`] | one plan, from start to verdict |
//! | [`shrink`] | the smallest plan that still fails |
//! | [`gallery`] | planted defects, each of which must be caught |
//! | [`batch`] | many runs, each on a thread of its own |
//! | [`campaign`] | scenarios times seeds: everything run, shrunk and added up |
//! | [`shard`] | a part of the seeds |
//! | [`results`] | what the shards of a campaign left in an object store, read together |
//! | [`token`] | one run's name, for a replay |
//! | [`report`] | text, JSON, JUnit and HTML |
//! | [`words`] | numbers, times, faults and events in words |
//! | [`args`] | the command line |
//!
//! # The law of determinism
//! The same plan and seed give the same hash, whatever ran before in this process and in whichever process. So: nothing
//! here looks at a real clock, draws from the system, spawns a thread inside a run, or iterates in an order that is not
//! its own; and every component draws from its own [`seed::Stream`], so that taking a fault out changes nothing else.

pub mod args;
pub mod batch;
pub mod campaign;
pub mod flink;
pub mod gallery;
pub mod oracle;
pub mod outcome;
pub mod plan;
pub mod points;
pub mod product;
pub mod report;
pub mod results;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shard;
pub mod shrink;
pub mod token;
pub mod trace;
pub mod words;
pub mod world;
