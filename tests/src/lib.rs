//! Runs the real things side by side: the `holdfast` sidecar, Apache Flink's JobManager and TaskManager, a job whose
//! output proves exactly-once, and a proxy that loses answers. `make demo` and the end-to-end tests are written with it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`process`] | one operating-system process: own group, output in a file, never left behind |
//! | [`proc`] | any process by its id: what `/proc` says of it, and signals |
//! | [`artifacts`] | where the things under test are: sidecar, adapter jar, demo job, Flink home |
//! | [`site`] | one cluster's directories, and the pods that share them |
//! | [`pod`] | a sidecar with its JobManager and TaskManager |
//! | [`rollout`] | what a new generation changes |
//! | [`endpoint`] | asking a process over HTTP |
//! | [`sidecar`], [`flink`] | starting those processes and asking them things |
//! | [`exec`] | JobManagers that `holdfast exec` started |
//! | [`command_line`] | running `holdfast` commands |
//! | [`fault_proxy`] | stands between adapter and sidecar; loses or delays chosen answers |
//! | [`failover`] | times the phases between a kill and the first new checkpoint |
//! | [`sink`] | reads what the job committed: anything lost, anything twice? |
//! | [`pki`] | certificates and Java's key stores |
//! | [`s3`] | a real S3 server |
//! | [`kubernetes`] | a real API server, and sidecars that stand for election there |
//! | [`session`] | a JobManager without Flink: what it is told, and what it writes |
//! | [`wait`] | waiting for a condition, never for a time |
//! | [`scenario`] | frames an end-to-end test: as many as there is room for, logs shown when it fails |
//!
//! The harness never looks into the product's code: it knows command lines, `/v1`, log lines and files, as a user does.
#![forbid(unsafe_code)]

pub mod artifacts;
pub mod command_line;
pub mod endpoint;
pub mod exec;
pub mod failover;
pub mod fault_proxy;
pub mod flink;
pub mod kubernetes;
pub mod net;
pub mod output;
pub mod pki;
pub mod pod;
pub mod proc;
pub mod process;
pub mod rollout;
pub mod s3;
pub mod scenario;
pub mod session;
pub mod sidecar;
pub mod sink;
pub mod site;
pub mod wait;
