//! `run --shard I/N --results URL` and `collect URL`, as the pods of a Job and the person who reads their results do it.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Few seconds, because debug builds are slow.
const CALM: &str = "# Nothing happens.\nfaulty: 1s\nhealed: 12s\nfaults: []\n";
/// Containers start too slowly for the promise that somebody leads again: it breaks, whatever the product does.
const BROKEN: &str = "# Nobody leads.\nfaulty: 1s\nhealed: 5s\nworld: { start: 30s }\nfaults: []\n";

struct Shards {
    directory: tempfile::TempDir,
}

impl Shards {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, text) in [("calm.yaml", CALM), ("broken.yaml", BROKEN)] {
            std::fs::write(directory.path().join(name), text).expect("a file");
        }
        Self { directory }
    }

    fn results(&self) -> std::path::PathBuf {
        self.directory.path().join("night/2026-11-21")
    }

    fn url(&self) -> String {
        format!("file://{}", self.results().display())
    }

    fn names(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.results()).expect("a directory");
        let names = names.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"));
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }

    fn sim(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_holdfast-sim"))
            .args(arguments)
            .current_dir(self.directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("the binary starts")
    }

    fn run(&self, scenario: &str, more: &[&str]) -> Output {
        let url = self.url();
        self.sim(&[&["run", scenario, "--results", &url, "--format", "json"], more].concat())
    }

    fn collect(&self) -> Output {
        self.sim(&["collect", &self.url()])
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("JSON")
}

fn read(path: &Path) -> Value {
    json(&std::fs::read(path).expect("it was put there"))
}

#[test]
fn two_shards_run_each_seed_once_and_together_are_the_campaign() {
    let shards = Shards::new();
    let early = shards.collect();
    assert_eq!(early.status.code(), Some(2));
    assert!(
        text(&early.stderr).contains("holds nothing of any shard; `holdfast-sim run"),
        "{}",
        text(&early.stderr)
    );

    let second = shards.run("calm.yaml", &["--seeds", "2", "--shard", "1/2"]);
    assert_eq!(second.status.code(), Some(0), "{}", text(&second.stderr));
    let half = shards.collect();
    assert_eq!(half.status.code(), Some(2));
    assert!(
        text(&half.stdout).contains("MISSING    shard 0/2 (seeds 1 to 1): it was never begun\n"),
        "{}",
        text(&half.stdout)
    );
    assert!(
        text(&half.stderr).contains("1 of 2 shards left no result; wait for those that run"),
        "{}",
        text(&half.stderr)
    );

    let first = shards.run("calm.yaml", &["--seeds", "2", "--shard", "0/2"]);
    assert_eq!(first.status.code(), Some(0), "{}", text(&first.stderr));
    // Not what a shard says that it ran, but what it did: the hash of a shard of one seed is that of this seed alone.
    for (seed, output) in [("1", &first), ("2", &second)] {
        let alone = shards.sim(&["run", "calm.yaml", "--seed", seed, "--format", "json"]);
        assert_eq!(json(&output.stdout)["hash"], json(&alone.stdout)["hash"], "seed {seed}");
    }
    assert_ne!(json(&first.stdout)["hash"], json(&second.stdout)["hash"]);

    let mut stored = read(&shards.results().join("shard-00000-of-00002.json"));
    let origin = stored.as_object_mut().expect("an object").remove("shard").expect("where it is from");
    assert_eq!(stored, json(&first.stdout), "beside that, it is what was printed");
    assert_eq!(
        (&origin["first_seed"], &origin["last_seed"], &origin["seeds"]),
        (&1.into(), &1.into(), &2.into())
    );

    let whole = shards.collect();
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole.stderr));
    let (said, of) = (text(&whole.stdout), "2 of 2 shards · 1 scenario · 2 runs · 26 s simulated in ");
    assert!(said.starts_with(of) && said.contains("promises   ok ") && !said.contains("MISSING"), "{said}");

    // A pod that is tried again, and a whole campaign of another size at the same place.
    let names = shards.names();
    assert_eq!(shards.run("calm.yaml", &["--seeds", "2", "--shard", "0/2"]).status.code(), Some(0));
    assert_eq!(
        (shards.names(), text(&shards.collect().stdout).starts_with(of)),
        (names, true),
        "it overwrites its own"
    );
    assert_eq!(shards.run("calm.yaml", &["--seeds", "1"]).status.code(), Some(0));
    let mixed = shards.collect();
    assert_eq!(mixed.status.code(), Some(2));
    assert!(text(&mixed.stderr).contains("give every campaign a URL of its own"), "{}", text(&mixed.stderr));
}

#[test]
fn a_shard_that_breaks_a_promise_leaves_its_page_and_collecting_ends_with_1() {
    let shards = Shards::new();
    // The time is up at once: one run is made, and what it found is there all the same.
    let run = shards.run("broken.yaml", &["--seeds", "9", "--shard", "1/3", "--time-limit", "1ms"]);
    assert_eq!(run.status.code(), Some(1), "{}", text(&run.stderr));
    let stem = "shard-00001-of-00003";
    assert_eq!(shards.names(), ["begun", "html", "json"].map(|ending| format!("{stem}.{ending}")));
    let page = std::fs::read_to_string(shards.results().join(format!("{stem}.html"))).expect("a page");
    assert!(page.contains("a promise was broken"));

    let collected = shards.collect();
    let said = text(&collected.stdout);
    assert_eq!(collected.status.code(), Some(1), "a broken promise comes before a missing shard\n{said}");
    let token = json(&run.stdout)["violations"][0]["token"].as_str().expect("a token").to_owned();
    for says in [
        "promises   BROKEN  leads-again in 1 run\n".to_owned(),
        "time up    2 runs not begun\n".to_owned(),
        "MISSING    shard 2/3 (seeds 7 to 9): it was never begun\n".to_owned(),
        format!("  again: holdfast-sim replay {token}\n"),
        format!("page: {}/{stem}.html\n", shards.url()),
    ] {
        assert!(said.contains(&says), "{says}\n{said}");
    }
    let for_programs = json(&shards.sim(&["collect", &shards.url(), "--format", "json"]).stdout);
    assert_eq!(
        (&for_programs["violations"][0]["token"], &for_programs["not_begun"]),
        (&token.into(), &2.into())
    );
}

#[test]
fn results_that_cannot_be_put_end_with_2_and_are_printed() {
    let shards = Shards::new();
    // In the way of the result, and not of the mark that says that it was begun.
    std::fs::create_dir_all(shards.results().join("shard-00000-of-00001.json/x")).expect("a directory");
    let run = shards.run("broken.yaml", &["--seeds", "1"]);
    let said = text(&run.stderr);
    assert_eq!(run.status.code(), Some(2), "{said}");
    assert!(
        said.contains(&format!("--results: cannot put {}/shard-00000-of-00001.json", shards.url())),
        "{said}"
    );
    assert_eq!(json(&run.stdout)["violations"][0]["property"], "leads-again", "it is printed");

    std::fs::create_dir_all(shards.results().join("shard-00001-of-00002.begun/x")).expect("a directory");
    let run = shards.run("calm.yaml", &["--seeds", "2", "--shard", "1/2"]);
    assert_eq!((run.status.code(), text(&run.stdout).as_str()), (Some(2), ""), "nothing is run for nothing");
    assert!(text(&run.stderr).contains("nothing was run"), "{}", text(&run.stderr));
}

#[test]
fn what_no_shard_and_no_place_can_mean_is_refused_with_the_way_out() {
    let shards = Shards::new();
    for (arguments, says) in [
        (&["--shard", "2/2"][..], "`2/2` is not a shard: write I/N, as `0/20` to `19/20`"),
        (&["--shard", "$(JOB_COMPLETION_INDEX)/20"], "is not a shard: write I/N"),
        (
            &["--shard", "0/3", "--seeds", "2"],
            "--shard 0/3 of --seeds 2 is nothing: take as many seeds as shards",
        ),
        (&["--shard", "0/2", "--seed", "7"], "cannot be used with"),
        (&["--results", "memory:///"], "memory:/// forgets everything"),
        (&["--results", "s3://key:secret@bucket/x"], "credentials come from the environment"),
        (&["--results", "results"], "allowed are file:///dir"),
    ] {
        let output = shards.sim(&[&["run", "calm.yaml"], arguments].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}\n{said}");
        assert!(said.contains(says) && !said.contains("secret"), "{arguments:?}\n{said}");
    }
    let output = shards.sim(&["collect", "s3://key:secret@bucket/x"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("credentials come from the environment") && !said.contains("secret"), "{said}");
}
