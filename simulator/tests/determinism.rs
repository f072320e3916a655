//! The law of determinism: same seed, same hash, in one process and in a fresh one; and a leak is noticed.
//!
//! The leaks are planted from outside, into what each sidecar is given. Whoever breaks the law by accident does the same
//! from inside: asks the system for randomness or the time, or goes by an order that a hash map made up.

use std::hash::{BuildHasher, RandomState};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use ha_store::{Entropy, SystemClock, SystemEntropy};
use sidecar::runtime::World;
use simulator::batch;
use simulator::campaign::Campaign;
use simulator::plan::Plan;
use simulator::product::{Product, Wrap};
use simulator::run::run;
use simulator::scenario::{self, Scenario};

/// Few seconds, because debug builds are slow, and yet every part of the world is reached.
const CRASHES: &str = "# Both halves of a pod die, with a rival beside it.\nfaulty: 8s\nhealed: 25s\nworld: { pods: 2 }\nfaults:\n  \
                       - kill: { process: [sidecar, job-manager] }\n    at: 3s..7s\n    times: 2\n  \
                       - store-loses-answers: { share: 50% }\n    for: 2s\n";
const SWARM: &str = "# A few of everything.\nfaulty: 8s\nhealed: 25s\nworld: { pods: 1..2 }\nswarm:\n  faults: 2..6\n  tied: 50%\n  \
                     nth: 1..5\n  of:\n    - kill: { process: [sidecar, job-manager, task-managers] }\n    \
                     - pause: { process: [all, sidecar, job-manager] }\n      for: 1s..3s\n    - clock-jump: { by: -1h..1h }\n    \
                     - store-slow: { by: 100ms..500ms }\n      for: 1s..3s\n    - store-loses-requests: { share: 50% }\n      \
                     for: 1s..3s\n    - api-loses-answers: { share: 50% }\n      for: 1s..3s\n    - fail-task:\n";
const SEEDS: u64 = 2;

/// The hash over all runs in this process.
fn here(scenarios: &[Scenario], jobs: usize) -> String {
    let runner = |plan: &Plan| {
        let run = run(plan, &Product::default());
        (run.outcome, run.trace)
    };
    let campaign = Campaign { scenarios: scenarios.to_vec(), seeds: 1..=SEEDS, jobs };
    let summary = campaign.run(&runner, &|| false, &mut |_| {});
    assert!(summary.failures.is_empty(), "{:#?}", summary.failures);
    summary.hash
}

#[test]
fn the_same_seeds_give_the_same_hash_again_and_in_a_fresh_process_elsewhere() {
    let directory = tempfile::tempdir().expect("a directory");
    let paths = [("crashes.yaml", CRASHES), ("swarm.yaml", SWARM)].map(|(name, text)| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    });
    let elsewhere = tempfile::tempdir().expect("a directory");
    let fresh = Command::new(env!("CARGO_BIN_EXE_holdfast-sim"))
        .arg("run")
        .args(&paths)
        .args(["--seeds", &SEEDS.to_string(), "--jobs", "1", "--format", "json"])
        .env_clear()
        .envs([
            ("HOME", "/nonexistent"),
            ("HOSTNAME", "elsewhere"),
            ("LANG", "tr_TR.UTF-8"),
            ("TZ", "Pacific/Kiritimati"),
            ("RUST_LOG", "trace"),
            ("TOKIO_WORKER_THREADS", "7"),
            ("KUBECONFIG", "/nonexistent"),
            ("AWS_REGION", "eu-west-1"),
        ])
        .current_dir(elsewhere.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");

    let scenarios = paths.map(|path| scenario::find(&path).expect("it parses").remove(0));
    let first = here(&scenarios, 2);
    assert_eq!(here(&scenarios, 1), first, "again in this process, one after the other");

    let output = fresh.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(summary["seeds"], 2 * SEEDS);
    assert_eq!(summary["hash"], first, "in a fresh process");
}

/// Draws as before, and then one bit pattern over it: what a leak brings in.
#[derive(Debug)]
struct Tinted {
    under: Arc<dyn Entropy>,
    tint: u64,
}

impl Entropy for Tinted {
    fn fill(&self, bytes: &mut [u8]) {
        self.under.fill(bytes);
        for (byte, tint) in bytes.iter_mut().zip(self.tint.to_le_bytes().into_iter().cycle()) {
            *byte ^= tint;
        }
    }
}

fn tinted(tint: impl Fn() -> u64 + Send + Sync + 'static) -> Wrap {
    Arc::new(move |world| {
        let entropy = Arc::new(Tinted { under: world.entropy.clone(), tint: tint() });
        World { entropy, ..world }
    })
}

/// Long enough for an election and some records. Whether the promises hold is not asked here.
fn short_run(product: &Product) -> String {
    let text = "# The first seconds.\nfaulty: 4s\nhealed: 1s\nfaults: []\n";
    let scenario = Scenario::parse("first-seconds", "first-seconds.yaml", text).expect("it parses");
    let runner = |plan: &Plan| {
        let run = run(plan, product);
        (run.outcome, run.trace)
    };
    let ran = batch::alone(&runner, &scenario.plan(1));
    assert!(ran.outcome.simulated_ms >= 4_000, "{:?}", ran.outcome);
    ran.outcome.hash
}

#[test]
fn a_leak_of_the_system_s_randomness_time_or_hash_order_or_of_earlier_runs_changes_the_next_hash() {
    // What tokio does without `--cfg tokio_unstable`: it counts the runtimes of the whole process.
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let leaks: [(&str, Wrap); 4] = [
        ("randomness", Arc::new(|world| World { entropy: Arc::new(SystemEntropy), ..world })),
        ("time", Arc::new(|world| World { clock: Arc::new(SystemClock), ..world })),
        ("hash order", tinted(|| RandomState::new().hash_one(0_u8))),
        ("earlier runs", tinted(|| RUNS.fetch_add(1, Ordering::Relaxed))),
    ];
    let sound = short_run(&Product::default());
    for (what, leak) in leaks {
        let product = Product { sidecar: Some(leak), ..Product::default() };
        assert_ne!(short_run(&product), short_run(&product), "the leak of {what} is not in the hash");
        assert_eq!(short_run(&Product::default()), sound, "the leak of {what} outlives its runs");
    }
}

/// Set in the fresh process that the last test starts; it says there what the hash is, and nothing else.
const CHILD: &str = "HOLDFAST_TEST_PRINTS_HASH";

#[test]
fn a_leak_that_is_the_same_all_through_a_process_shows_in_a_fresh_one() {
    static OF_THIS_PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(0_u8));
    let leaky = Product { sidecar: Some(tinted(|| *OF_THIS_PROCESS)), ..Product::default() };
    if std::env::var_os(CHILD).is_some() {
        println!("\n{CHILD} {} {}", short_run(&leaky), short_run(&Product::default()));
        return;
    }
    let name = "a_leak_that_is_the_same_all_through_a_process_shows_in_a_fresh_one";
    let output = Command::new(std::env::current_exe().expect("this test's binary"))
        .args(["--exact", name, "--nocapture"])
        .env(CHILD, "1")
        .stdin(Stdio::null())
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let hashes = said.lines().find_map(|line| line.strip_prefix(CHILD)).expect("it prints its hashes");
    let hashes: Vec<&str> = hashes.split_whitespace().collect();
    let [with_leak, without] = hashes[..] else { panic!("two hashes: {said}") };

    assert_eq!(short_run(&Product::default()), without, "the product is the same there");
    let here = short_run(&leaky);
    assert_eq!(short_run(&leaky), here, "within this process nothing gives it away");
    assert_ne!(here, with_leak, "a fresh process does");
}
