//! All shards of a campaign together, for people and for programs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::text::{line, row};
use crate::results::{Collected, Missing};
use crate::words;

/// Violations that are listed; JSON has all of them.
const LISTED_MAX: usize = 20;

/// The joint summary for people. `shown` makes an address of an object's name.
pub fn collected_text(collected: &Collected, shown: &dyn Fn(&str) -> String) -> String {
    let mut text = head(collected);
    for missing in &collected.missing {
        row(&mut text, "MISSING", &[words_of(missing)]);
    }
    if collected.runs < collected.planned {
        let not_run = collected.planned - collected.runs;
        row(&mut text, "time up", &[format!("{} not begun", words::counted(not_run, "run"))]);
    }
    let mut broken: BTreeMap<&str, u64> = BTreeMap::new();
    for violation in &collected.violations {
        *broken.entry(text_of(violation, "property")).or_default() += 1;
    }
    let recovery = collected.worst_recovery_s.map_or("nothing to recover from".to_owned(), |seconds| {
        format!("worst recovery {}", words::time(in_ms(seconds)))
    });
    if broken.is_empty() {
        row(&mut text, "promises", &[format!("ok      {recovery}")]);
    } else {
        let broken =
            broken.iter().map(|(property, runs)| format!("{property} in {}", words::counted(*runs, "run")));
        row(&mut text, "promises", &[format!("BROKEN  {}", broken.collect::<Vec<_>>().join(" · "))]);
    }
    let (met, never): (Vec<_>, Vec<_>) = collected.reached.iter().partition(|(_, times)| **times > 0);
    let met: Vec<_> =
        met.iter().map(|(what, times)| format!("{what} {}", words::thousands(**times))).collect();
    row(&mut text, "reached", &if met.is_empty() { vec!["nothing".to_owned()] } else { met });
    if !never.is_empty() {
        row(&mut text, "never", &never.iter().map(|(what, _)| (*what).clone()).collect::<Vec<_>>());
    }
    if let Some(hash) = &collected.hash {
        row(&mut text, "hash", std::slice::from_ref(hash));
    }
    for violation in collected.violations.iter().take(LISTED_MAX) {
        let faults = violation["faults"].as_array().map_or(0, Vec::len) as u64;
        let (property, seed) = (text_of(violation, "property"), &violation["seed"]);
        let faults = words::counted(faults, "fault");
        line(&mut text, format_args!("\n{property}: seed {seed}, {faults}, shard {}", violation["shard"]));
        line(&mut text, format_args!("  again: holdfast-sim replay {}", text_of(violation, "token")));
    }
    if collected.violations.len() > LISTED_MAX {
        let more = (collected.violations.len() - LISTED_MAX) as u64;
        line(&mut text, format_args!("\n{} more; `--format json` has all of them", words::thousands(more)));
    }
    for page in &collected.pages {
        line(&mut text, format_args!("page: {}", shown(page)));
    }
    text
}

fn head(collected: &Collected) -> String {
    let mut text = String::new();
    let here = u64::from(collected.of) - collected.missing.len() as u64;
    // for people
    let rate = (collected.simulated_s / collected.cpu_s.max(0.001)) as u64;
    line(
        &mut text,
        format_args!(
            "{here} of {} · {} · {} · {} simulated in {:.1} s of CPU ({} simulated s per CPU s) · build {}",
            words::counted(collected.of.into(), "shard"),
            words::counted(collected.scenarios.len() as u64, "scenario"),
            words::counted(collected.runs, "run"),
            words::time(in_ms(collected.simulated_s)),
            collected.cpu_s,
            words::thousands(rate),
            collected.build,
        ),
    );
    text
}

/// Says that results are missing, and the way out.
pub fn missing(collected: &Collected) -> String {
    format!(
        "{} of {} left no result; wait for those that run, and run the others again with the same arguments and their own --shard",
        words::thousands(collected.missing.len() as u64),
        words::counted(collected.of.into(), "shard"),
    )
}

/// What is known of a shard without a result.
fn words_of(missing: &Missing) -> String {
    let Missing { shard, seeds, begun } = missing;
    let seeds = seeds.map_or("no seeds".to_owned(), |(first, last)| format!("seeds {first} to {last}"));
    let why = if *begun { "it was begun, and still runs or was ended" } else { "it was never begun" };
    format!("shard {shard} ({seeds}): {why}")
}

/// The joint summary for programs: the fields of one run's summary, and what is missing.
pub fn collected_json(collected: &Collected, shown: &dyn Fn(&str) -> String) -> Value {
    let missing = |missing: &Missing| json!({ "shard": missing.shard.index(), "seeds": missing.seeds, "begun": missing.begun });
    json!({
        "seeds": collected.runs,
        "violations": collected.violations,
        "simulated_seconds": collected.simulated_s,
        "cpu_seconds": collected.cpu_s,
        "worst_recovery_seconds": collected.worst_recovery_s,
        "reached": collected.reached,
        "hash": collected.hash,
        "shards": collected.of,
        "missing": collected.missing.iter().map(missing).collect::<Vec<_>>(),
        "not_begun": collected.planned - collected.runs,
        "pages": collected.pages.iter().map(|page| shown(page)).collect::<Vec<_>>(),
        "scenarios": collected.scenarios,
        "build": collected.build,
    })
}

fn text_of<'a>(violation: &'a Value, field: &str) -> &'a str {
    violation[field].as_str().unwrap_or("(unnamed)")
}

fn in_ms(seconds: f64) -> u64 {
    (seconds * 1_000.0).round() as u64 // for people, and far below where a float ends
}
