//! Rules of the format: what is refused and how, and what a seed may change.

use std::collections::BTreeSet;

use super::*;
use crate::plan::{PodChoice, Process, What};

fn parse(text: &str) -> Result<Scenario, Broken> {
    Scenario::parse("story", "story.yaml", text)
}

fn refusal(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

fn good(text: &str) -> Scenario {
    parse(text).unwrap_or_else(|broken| panic!("{broken}"))
}

/// A story with these lines after its first three.
fn with(lines: &str) -> String {
    format!("# Something happens.\nfaulty: 60s\nhealed: 10s\n{lines}\n")
}

#[test]
fn a_mistake_is_shown_with_its_place_and_what_is_allowed() {
    for (lines, place, says) in [
        ("foo: 1", "4:1", "unknown field `foo`, expected one of story, incident, reaches"),
        ("healed: 20s", "4:1", "duplicate mapping key: healed"),
        ("reaches: [victory]", "4:11", "nothing is called `victory`; there are `zombie write fenced`"),
        ("faults:\n  kill: { process: sidecar }", "5:3", "a list belongs here"),
        ("faults:\n  - kill-pod", "5:5", "expected a fault: its kind"),
        (
            "faults:\n  - kil: { process: sidecar }",
            "5:5",
            "unknown name `kil`, expected one of kill, kill-pod",
        ),
        (
            "faults:\n  - kill: { proces: sidecar }",
            "5:13",
            "unknown field `proces`, expected one of pod, process",
        ),
        ("faults:\n  - kill: { process: sidcar }", "5:13", "unknown name `sidcar`, expected one of sidecar"),
        ("faults:\n  - kill: {}", "5:11", "missing field `process`"),
        ("faults:\n  - kill:", "5:5", "missing field `process`"),
        ("faults:\n  - pause: {}", "5:5", "say how long, as `for: 5s..20s`"),
        ("faults:\n  - pause: {}\n    for: 5..20s", "6:10", "`5` is not a time: write a whole number and ms"),
        ("faults:\n  - fail-task: {}\n    for: 5s", "5:5", "it takes no `for`"),
        (
            "faults:\n  - fail-task: {}\n    at: 61s",
            "5:5",
            "may begin after 61000 ms, but faults may happen for",
        ),
        ("faults:\n  - fail-task: {}\n    at: { granted: 0 }", "6:9", "visits are counted from 1"),
        (
            "faults:\n  - fail-task: {}\n    at: { grant: 1 }",
            "6:11",
            "unknown name `grant`, expected one of before-create",
        ),
        (
            "faults:\n  - fail-task: {}\n    kill-pod: {}",
            "5:5",
            "a fault has one kind, and beside it only `at`",
        ),
        ("faults:\n  - fail-task: {}\n    times: 201", "5:5", "more than 200 faults"),
        ("faults:\n  - at: 10s", "5:5", "this fault has no kind"),
        (
            "faults:\n  - api-refuses: { status: [500, 200] }\n    for: 1s",
            "5:34",
            "write a status from 400 to 599",
        ),
        ("faults:\n  - fail-task: {}\n    chance: 0.5", "6:13", "`0.5` is not a share: write `0%` to `100%`"),
        ("job:\n  restart: { fixed-delay: { attempts: 3 } }", "5:29", "missing field `delay`"),
        ("job:\n  restart: { fixed: {} }", "5:14", "unknown name `fixed`, expected one of none, fixed-delay"),
        (
            "world:\n  settings:\n    lease-time: 9s",
            "6:5",
            "unknown field `lease-time`, expected one of deployment",
        ),
        ("world:\n  settings:\n    lease-duration: 10", "6:5", "a duration from 1000ms to 600000ms"),
        (
            "world:\n  settings:\n    store: memory:///",
            "6:5",
            "`store` is made by the world for each sidecar",
        ),
        ("swarm: { faults: 3, of: [] }", "4:8", "name the kinds of the swarm"),
        ("swarm: { faults: 3, nth: 0..3, of: [fail-task: {}] }", "4:8", "counts visits from 1"),
    ] {
        let refused = refusal(&with(lines));
        assert!(refused.starts_with(&format!("story.yaml:{place}: ")), "{lines}\n{refused}");
        assert!(refused.contains(says), "{lines}\n{refused}");
        assert!(!refused.contains(" at line "), "the place is said once: {refused}");
    }
}

#[test]
fn a_file_without_a_story_or_without_its_phases_is_refused() {
    for (text, says) in [
        ("faulty: 60s\nhealed: 10s\n", "story.yaml:1:1: the first line must tell the story"),
        ("#\nfaulty: 60s\nhealed: 10s\n", "story.yaml:1:1: the first line must tell the story"),
        ("", "story.yaml:1:1: the first line must tell the story"),
        ("# Nothing.\n", "the file has no fields: `faulty` and `healed` are needed"),
        ("# No end.\nfaulty: 60s\n", "story.yaml:2:1: missing field `healed`"),
        ("# No end.\nfaulty: 60s\nhealed: 0s\n", "story.yaml:3:9: `healed` must be longer than 0"),
        ("# A list.\nfaulty: [60s]\nhealed: 1s\n", "story.yaml:2:9: one value belongs here"),
        ("# Not YAML.\nfaulty: {60s\nhealed: 1s\n", "story.yaml:"),
    ] {
        let refused = refusal(text);
        assert!(refused.starts_with(says) || refused.contains(says), "{text}\n{refused}");
    }
}

#[test]
fn what_is_fixed_is_so_under_every_seed() {
    let scenario = good(&with(
        "world: { pods: 2, store-latency: 1ms..9ms, settings: { lease-duration: 20s, max-jobs: 3 } }\n\
         job: { restart: none, poison-offset: 40 }\n\
         faults:\n  - pause: { pod: other, process: sidecar }\n    at: 10s\n    for: 5s\n  \
         - delete-lease:\n    at: { before-create-answer: 3 }",
    ));
    let plan = scenario.plan(1);
    assert_eq!(Plan { seed: 1, ..scenario.plan(2) }, plan);
    assert_eq!((plan.world.pods, plan.world.pods_max, plan.world.store_latency_ms), (2, 3, (1, 9)));
    assert_eq!(plan.world.settings["lease-duration"], "20s");
    assert_eq!(plan.world.settings["max-jobs"], "3");
    assert_eq!((plan.job.restart, plan.job.poison_offset), (crate::plan::RestartStrategy::None, Some(40)));
    let pause = What::Pause { pod: PodChoice::Other, process: Some(Process::Sidecar) };
    assert_eq!(plan.faults[0], Fault { when: When::AtMs(10_000), what: pause, for_ms: 5_000 });
    let at = When::On { point: crate::plan::Point::BeforeCreateAnswer, nth: 3 };
    assert_eq!(plan.faults[1], Fault { when: at, what: What::DeleteLease, for_ms: 0 });
    assert_eq!((plan.faulty_ms, plan.healed_ms), (60_000, 10_000));
}

#[test]
fn a_plan_depends_on_the_seed_and_on_nothing_else() {
    let scenario = good(&with("faults:\n  - pause: {}\n    for: 1s..20s\n    times: 1..5"));
    assert_eq!(scenario.plan(7), scenario.plan(7));
    let plans: BTreeSet<String> = (0..50).map(|seed| format!("{:?}", scenario.plan(seed).faults)).collect();
    assert_eq!(plans.len(), 50);
    let counts: BTreeSet<usize> = (0..50).map(|seed| scenario.plan(seed).faults.len()).collect();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
}

#[test]
fn taking_one_fault_out_of_a_file_leaves_the_others_as_they_were() {
    let first = "  - pause: { pod: [leader, other] }\n    for: 1s..20s\n";
    let second = "  - store-slow: { by: 1s..20s }\n    for: 1s..20s\n    chance: 50%\n";
    let both = good(&with(&format!("faults:\n{first}{second}")));
    let alone = good(&with(&format!("faults:\n{second}")));
    for seed in 0..50 {
        let is_second = |fault: &Fault| matches!(fault.what, What::StoreSlow { .. });
        let among: Vec<_> = both.plan(seed).faults.into_iter().filter(is_second).collect();
        assert_eq!(among, alone.plan(seed).faults, "seed {seed}");
    }
}

#[test]
fn a_chance_decides_whether_a_fault_is_there() {
    let scenario = good(&with("faults:\n  - fail-task: {}\n    chance: 25%"));
    let there = (0..1_000).filter(|seed| !scenario.plan(*seed).faults.is_empty()).count();
    assert!((200..300).contains(&there), "{there} of 1000");
}

#[test]
fn a_swarm_leaves_kinds_out_and_ties_some_faults_to_points() {
    let scenario = good(&with(
        "swarm:\n  faults: 10\n  tied: 50%\n  nth: 1..9\n  of:\n    - fail-task: {}\n    - delete-lease: {}\n    \
         - kill-pod: {}\n    - cancel: {}\n      times: 1\n      chance: 100%\n",
    ));
    let mut shapes = BTreeSet::new();
    let (mut tied, mut all) = (0, 0);
    for seed in 0..200 {
        let plan = scenario.plan(seed);
        let names: BTreeSet<String> = plan.faults.iter().map(|fault| format!("{:?}", fault.what)).collect();
        assert!(plan.faults.iter().filter(|fault| fault.what == What::Cancel).count() <= 1);
        tied += plan.faults.iter().filter(|fault| matches!(fault.when, When::On { nth: 1..=9, .. })).count();
        all += plan.faults.len();
        shapes.insert(names);
    }
    assert!(shapes.len() >= 8, "every subset of three kinds, each with or without the fourth: {shapes:?}");
    assert!((all * 4 / 10..all * 6 / 10).contains(&tied), "{tied} of {all}");
}

#[test]
fn every_shipped_scenario_parses_and_its_plans_survive_being_printed() {
    assert!(shipped().len() >= 20);
    for (name, _) in shipped() {
        let scenarios = find(name).unwrap_or_else(|broken| panic!("{broken}"));
        for seed in 0..20 {
            let plan = scenarios[0].plan(seed);
            let printed = serde_json::to_string(&plan).expect("a plan can be printed");
            assert_eq!(serde_json::from_str::<Plan>(&printed).expect(&printed), plan, "{name}, seed {seed}");
        }
    }
}

#[test]
fn every_shipped_scenario_tells_its_story_its_incident_and_what_it_is_for() {
    let readme = include_str!("../../../scenarios/README.md");
    for (name, text) in shipped() {
        let scenario = &find(name).unwrap_or_else(|broken| panic!("{broken}"))[0];
        assert!(scenario.story.ends_with('.') && scenario.story.len() > 30, "{name}: {}", scenario.story);
        assert!(!scenario.reaches.is_empty(), "{name} is for nothing");
        let comments: String = text.lines().filter(|line| line.starts_with('#')).collect();
        for incident in &scenario.incidents {
            let number = incident.split('#').next_back().expect("a part");
            assert!(comments.contains(number), "{name} does not tell of {incident}");
        }
        assert!(
            readme.contains(&format!("[`{name}`]({name}.yaml)")),
            "scenarios/README.md does not list {name}"
        );
    }
}

/// What is allowed in the place of `none-of-them`: the list comes from the types.
fn allowed(lines: &str) -> BTreeSet<String> {
    let refused = refusal(&with(lines));
    refused.split("expected one of ").nth(1).expect(&refused).split(", ").map(str::to_owned).collect()
}

#[test]
fn the_swarm_holds_every_kind_of_fault() {
    let swarm = find("swarm").unwrap_or_else(|broken| panic!("{broken}")).remove(0);
    let specs = swarm.file.swarm.expect("it is a swarm").value.of;
    let kinds: BTreeSet<String> = specs.into_iter().map(|spec| spec.value.name).collect();
    assert_eq!(kinds, allowed("faults:\n  - none-of-them: {}"));
}

#[test]
fn the_documentation_names_everything_that_a_file_may_hold_and_its_example_is_good() {
    let page = include_str!("../../../docs/simulator.md");
    for lines in [
        "none-of-them: 1",
        "world: { none-of-them: 1 }",
        "job: { none-of-them: 1 }",
        "job: { restart: { none-of-them: {} } }",
        "faults:\n  - none-of-them: {}",
        "faults:\n  - fail-task:\n    at: { none-of-them: 1 }",
        "faults:\n  - kill: { process: none-of-them }",
        "faults:\n  - api-refuses: { none-of-them: 1 }\n    for: 1s",
        "swarm: { none-of-them: 1 }",
    ] {
        for name in allowed(lines) {
            let named = [format!("`{name}`"), format!("`{name}:")].iter().any(|name| page.contains(name));
            assert!(named, "docs/simulator.md does not name {name}");
        }
    }
    for property in crate::oracle::property::ALL.into_iter().chain([crate::batch::NO_PANIC]) {
        assert!(page.contains(&format!("| `{property}` |")), "docs/simulator.md does not name {property}");
    }
    let example =
        page.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    assert_eq!(good(example).incidents, ["FLINK-22494"]);
}

#[test]
fn a_scenario_is_found_by_name_file_and_directory() {
    let by_name = &find("job-manager-crash").expect("it is shipped")[0];
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../scenarios");
    let by_file = &find(&format!("{directory}/job-manager-crash.yaml")).expect("it is a file")[0];
    assert_eq!(by_file, by_name, "the same text is the same scenario, wherever it was read");
    assert_eq!(find(directory).expect("it is a directory").len(), shipped().len());

    let unknown = find("jobmanager-crash").expect_err("there is none").to_string();
    assert!(unknown.contains("for example") && unknown.contains("job-manager-crash"), "{unknown}");

    let other = tempfile::tempdir().expect("a directory");
    let path = other.path().join("job-manager-crash.yaml");
    std::fs::write(&path, with("")).expect("a file");
    let changed = &find(&path.display().to_string()).expect("it parses")[0];
    assert_eq!(
        changed.path.as_deref(),
        Some(&*path.display().to_string()),
        "another text is another scenario"
    );
    assert_ne!(changed.hash, by_name.hash);
}
