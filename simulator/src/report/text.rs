//! The summary for people in a terminal.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::campaign::{Failure, Shrinking, Summary};
use crate::oracle::property;
use crate::outcome::Outcome;
use crate::plan::Plan;
use crate::token::{self, Token};
use crate::trace::{Trace, reached};
use crate::words;

/// Liveness: judged after everything is mended. All other properties are safety.
const LIVENESS: [&str; 2] = [property::LEADS_AGAIN, property::RUNS_AGAIN];
/// Where lines are broken.
const WIDTH: usize = 110;
/// Failures like another one that are listed; JSON has all of them.
const ALIKE_MAX: usize = 10;

/// The summary of a campaign.
pub fn text(summary: &Summary) -> String {
    let mut text = head(summary);
    verdicts(&mut text, summary);
    let reached = summary.reached();
    let met: Vec<_> = reached::ALL
        .iter()
        .filter_map(|what| reached.get(what).map(|times| format!("{what} {}", words::thousands(*times))))
        .collect();
    row(&mut text, "reached", &if met.is_empty() { vec!["nothing".to_owned()] } else { met });
    let never: Vec<_> =
        reached::ALL.iter().filter(|what| !reached.contains_key(*what)).map(ToString::to_string).collect();
    if !never.is_empty() {
        row(&mut text, "never", &never);
    }
    row(&mut text, "hash", std::slice::from_ref(&summary.hash));
    for of_scenario in &summary.scenarios {
        let missed = of_scenario.missed();
        if !missed.is_empty() {
            let runs = words::counted(of_scenario.runs.len() as u64, "run");
            let mut items: Vec<_> = missed.iter().map(ToString::to_string).collect();
            items[0] = format!("{} in {runs}, and it is for: {}", of_scenario.scenario.name, items[0]);
            row(&mut text, "missed", &items);
        }
    }
    let (alike, shrunk): (Vec<_>, Vec<_>) =
        summary.failures.iter().partition(|failure| failure.is_like_another());
    for failure in shrunk {
        failed(&mut text, summary, failure);
    }
    if !alike.is_empty() {
        line(&mut text, format_args!("\n{} like those:", words::counted(alike.len() as u64, "more run")));
    }
    for failure in alike.iter().take(ALIKE_MAX) {
        let path = summary.scenarios[failure.scenario].scenario.path.as_deref();
        line(&mut text, format_args!("  {}: {}", failure.violation.property, replay(&failure.token, path)));
    }
    if alike.len() > ALIKE_MAX {
        text.push_str("  …; `--format json` has all of them\n");
    }
    text
}

fn head(summary: &Summary) -> String {
    let mut text = String::new();
    // for people
    let rate = (summary.simulated_ms() as f64 / 1_000.0 / summary.cpu_s.max(0.001)) as u64;
    line(
        &mut text,
        format_args!(
            "{} · {} · {} simulated in {:.1} s of CPU ({} simulated s per CPU s) · {} · build {}",
            words::counted(summary.scenarios.len() as u64, "scenario"),
            words::counted(summary.runs(), "run"),
            words::time(summary.simulated_ms()),
            summary.cpu_s,
            words::thousands(rate),
            words::counted(summary.jobs as u64, "thread"),
            token::build(),
        ),
    );
    if summary.runs() < summary.planned {
        let not_run = summary.planned - summary.runs();
        row(&mut text, "time up", &[format!("{} not begun", words::counted(not_run, "run"))]);
    }
    text
}

fn verdicts(text: &mut String, summary: &Summary) {
    let mut broken: BTreeMap<&str, u64> = BTreeMap::new();
    for failure in &summary.failures {
        *broken.entry(failure.violation.property).or_default() += 1;
    }
    let verdict = |is_liveness: bool, held: String| {
        let broken: Vec<_> = broken
            .iter()
            .filter(|(property, _)| LIVENESS.contains(*property) == is_liveness)
            .map(|(property, runs)| format!("{property} in {}", words::counted(*runs, "run")))
            .collect();
        if broken.is_empty() { ("ok", held) } else { ("BROKEN", broken.join(" · ")) }
    };
    let safety = property::ALL.len() - LIVENESS.len();
    let checks = format!("{safety} properties, {} checks", words::about(summary.checks()));
    let recovery = match summary.worst_recovery() {
        Some((scenario, run)) => format!(
            "{} properties, worst recovery {} ({}, seed {})",
            LIVENESS.len(),
            words::time(run.recovery_ms.unwrap_or_default()),
            summary.scenarios[scenario].scenario.name,
            run.seed
        ),
        None => format!("{} properties, nothing to recover from", LIVENESS.len()),
    };
    for (name, (verdict, why)) in [("safety", verdict(false, checks)), ("liveness", verdict(true, recovery))]
    {
        line(text, format_args!("{name:<10} {verdict:<7} {why}"));
    }
}

fn failed(text: &mut String, summary: &Summary, failure: &Failure) {
    let Failure { violation, token, faults, faults_before, .. } = failure;
    let scenario = &summary.scenarios[failure.scenario].scenario;
    line(text, format_args!("\n{}: {}", violation.property, violation.what));
    line(text, format_args!("  {}", scenario.story));
    line(
        text,
        format_args!(
            "  scenario {}, seed {}, after {}, hash {}",
            scenario.name,
            failure.seed,
            words::time(violation.at_ms),
            token.hash
        ),
    );
    let shrinking = match failure.shrinking {
        Shrinking::Done { runs, gave_up: false } => {
            format!("what is left of {faults_before}, after {runs} runs")
        }
        Shrinking::Done { runs, gave_up: true } => {
            format!("what is left of {faults_before} after {runs} runs, the limit: it may go on")
        }
        Shrinking::LikeAnother => "not shrunk: another one like it was".to_owned(),
        Shrinking::NotRepeated => {
            "not shrunk: THE SAME PLAN DID NOT FAIL AGAIN, so something in this build is not deterministic"
                .to_owned()
        }
    };
    line(text, format_args!("  {} ({shrinking})", words::counted(faults.len() as u64, "fault")));
    for (index, fault) in faults.iter().enumerate() {
        line(text, format_args!("  {:>4}. {}", index + 1, words::fault(fault)));
    }
    if !failure.excerpt.is_empty() {
        text.push_str("  the trace around it\n");
    }
    for event in &failure.excerpt {
        line(text, format_args!("    {event}"));
    }
    line(text, format_args!("  again: {}", replay(token, scenario.path.as_deref())));
}

/// The command that runs it again.
pub(super) fn replay(token: &Token, path: Option<&str>) -> String {
    match path {
        // Quoted for a shell; a path may hold anything.
        Some(path) => format!("holdfast-sim replay {token} --scenario '{}'", path.replace('\'', r"'\''")),
        None => format!("holdfast-sim replay {token}"),
    }
}

/// One run in full detail: what was planned, everything that happened, and how it ended.
pub fn replayed(plan: &Plan, outcome: &Outcome, trace: &Trace) -> String {
    let mut text = String::new();
    line(&mut text, format_args!("scenario {}, seed {}", plan.scenario, plan.seed));
    line(&mut text, format_args!("world  {:?}", plan.world));
    line(&mut text, format_args!("job    {:?}", plan.job));
    line(
        &mut text,
        format_args!(
            "{} in {}, then {} to recover",
            words::counted(plan.faults.len() as u64, "fault"),
            words::time(plan.faulty_ms),
            words::time(plan.healed_ms)
        ),
    );
    for (index, fault) in plan.faults.iter().enumerate() {
        line(&mut text, format_args!("{:>4}. {}", index + 1, words::fault(fault)));
    }
    text.push('\n');
    for (index, entry) in trace.entries().iter().enumerate() {
        let shows_it = outcome.violation.as_ref().is_some_and(|violation| violation.entry == index);
        line(&mut text, format_args!("{} {}", if shows_it { ">" } else { " " }, words::entry(entry)));
    }
    text.push('\n');
    match &outcome.violation {
        Some(violation) => line(
            &mut text,
            format_args!(
                "BROKEN  {} after {}: {}",
                violation.property,
                words::time(violation.at_ms),
                violation.what
            ),
        ),
        None => text.push_str("ok\n"),
    }
    line(&mut text, format_args!("hash    {}", outcome.hash));
    text
}

/// A name, and items with a dot between them, broken into lines.
pub(super) fn row(text: &mut String, name: &str, items: &[String]) {
    let mut column = 11;
    write!(text, "{name:<11}").expect("a string grows");
    for (index, item) in items.iter().enumerate() {
        let width = item.chars().count();
        if index > 0 && column + 3 + width > WIDTH {
            text.push_str("\n           ");
            column = 11;
        } else if index > 0 {
            text.push_str(" · ");
            column += 3;
        }
        text.push_str(item);
        column += width;
    }
    text.push('\n');
}

pub(super) fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    writeln!(text, "{arguments}").expect("a string grows");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Runner;
    use crate::campaign::Campaign;
    use crate::report::testing;

    fn text_of(runner: Runner<'_>, seeds: std::ops::RangeInclusive<u64>) -> String {
        let scenarios = vec![testing::scenario(), testing::calm()];
        text(&Campaign { scenarios, seeds, jobs: 2 }.run(runner, &|| false, &mut |_| {}))
    }

    #[test]
    fn when_all_held_the_summary_says_what_was_tried_and_what_was_never_met() {
        let text = text_of(&testing::held, 1..=10);
        let safety = format!("safety     ok      {} properties, ", property::ALL.len() - LIVENESS.len());
        for line in [
            "2 scenarios · 20 runs · ",
            &safety,
            "liveness   ok      2 properties, worst recovery 8 s (anything, seed 6)",
            "reached    restored from a checkpoint ",
            "never      zombie write fenced · unknown resolved as recorded",
            "missed     calm in 10 runs, and it is for: ambiguous add ended the process",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("replay"));
        assert!(text.lines().skip(1).all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn a_violation_is_shown_with_its_faults_the_trace_and_the_command() {
        let text = text_of(&testing::run, 1..=20);
        for line in [
            "safety     BROKEN  fenced in ",
            "\nfenced: checkpoint 3 <of> job \"a\"",
            "  2 faults (what is left of ",
            "a task fails\n",
            "the store takes ",
            "    >   ",
            "  again: holdfast-sim replay anything.",
            " more runs like those:\n  fenced: holdfast-sim replay anything.",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn a_scenario_from_a_file_is_replayed_from_that_file() {
        let mut scenario = testing::scenario();
        scenario.path = Some("my dir/it's.yaml".into());
        let campaign = Campaign { scenarios: vec![scenario], seeds: 1..=20, jobs: 1 };
        let text = text(&campaign.run(&testing::run, &|| false, &mut |_| {}));
        assert!(text.contains(r"--scenario 'my dir/it'\''s.yaml'"), "{text}");
    }

    #[test]
    fn a_replay_shows_every_event() {
        let plan = testing::scenario().plan(3);
        let (outcome, trace) = testing::run(&plan);
        let text = replayed(&plan, &outcome, &trace);
        assert!(text.lines().count() > trace.entries().len() + plan.faults.len());
        assert!(text.ends_with(&format!("hash    {}\n", outcome.hash)));
    }
}
