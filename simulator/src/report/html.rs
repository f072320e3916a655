//! The page: one file that opens offline, with pictures drawn here and not a single script.

mod draw;
mod timeline;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use self::timeline::{MarkKind, Timeline};
use super::text::replay;
use crate::campaign::{Detail, Failure, Shrinking, Summary};
use crate::oracle::property;
use crate::token;
use crate::trace::reached;
use crate::words;

const STYLE: &str = include_str!("html/page.css");
/// Failures like another one that the page lists; JSON has all of them.
const ALIKE_MAX: usize = 100;
/// Events of the run in detail that the page lists.
const EVENTS_MAX: usize = 5_000;

/// The page about a campaign. `detail` is the run that is drawn.
pub fn html(summary: &Summary, detail: Option<&Detail>) -> String {
    let held = summary.failures.is_empty();
    let title = if held { "all promises held" } else { "a promise was broken" };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "holdfast-sim: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "holdfast-sim " span class=(if held { "verdict ok" } else { "verdict bad" }) { (title) } }
                    p class="quiet" { (ran(summary)) }
                }
                main {
                    (tiles(summary))
                    @for failure in summary.failures.iter().filter(|failure| !failure.is_like_another()) { (failed(summary, failure)) }
                    (like_those(summary))
                    @if let Some(detail) = detail { (in_detail(summary, detail)) }
                    div class="columns" {
                        (recoveries(summary))
                        (reached_things(summary))
                    }
                    (scenarios(summary))
                }
            }
        }
    };
    page.into_string()
}

fn ran(summary: &Summary) -> String {
    let not_run = summary.planned - summary.runs();
    let time_up = if not_run > 0 {
        format!(", {} not begun: the time was up", words::counted(not_run, "run"))
    } else {
        String::new()
    };
    format!(
        "{}, {}{time_up} · {} · build {} · hash {}",
        words::counted(summary.scenarios.len() as u64, "scenario"),
        words::counted(summary.runs(), "run"),
        words::counted(summary.jobs as u64, "thread"),
        token::build(),
        summary.hash
    )
}

fn tiles(summary: &Summary) -> Markup {
    // for people
    let rate = (summary.simulated_ms() as f64 / 1_000.0 / summary.cpu_s.max(0.001)) as u64;
    let recovery = summary.worst_recovery().and_then(|(_, run)| run.recovery_ms);
    let tile = |name: &str, value: String, more: String| {
        html! { div class="tile" { div class="quiet" { (name) } div class="value" { (value) } div class="quiet" { (more) } } }
    };
    html! {
        section class="tiles" {
            (tile("simulated", words::time(summary.simulated_ms()), format!("in {:.1} s of CPU", summary.cpu_s)))
            (tile("rate", words::thousands(rate), "simulated s per CPU s".into()))
            (tile("checks", words::about(summary.checks()), format!("of {} properties", property::ALL.len())))
            (tile("broken", words::thousands(summary.failures.len() as u64), format!("of {}", words::counted(summary.runs(), "run"))))
            (tile("worst recovery", recovery.map_or("–".into(), words::time), worst(summary)))
        }
    }
}

fn worst(summary: &Summary) -> String {
    summary.worst_recovery().map_or_else(
        || "nothing to recover from".into(),
        |(index, run)| format!("{}, seed {}", summary.scenarios[index].scenario.name, run.seed),
    )
}

fn failed(summary: &Summary, failure: &Failure) -> Markup {
    let scenario = &summary.scenarios[failure.scenario].scenario;
    let shrinking = match failure.shrinking {
        Shrinking::Done { runs, .. } => {
            format!("left of {} after {}", failure.faults_before, words::counted(runs.into(), "run"))
        }
        Shrinking::LikeAnother => "not shrunk: another one like it was".to_owned(),
        Shrinking::NotRepeated => {
            "not shrunk: the same plan did not fail again, so this build is not deterministic".to_owned()
        }
    };
    html! {
        section class="failure" {
            h2 { code { (failure.violation.property) } " after " (words::time(failure.violation.at_ms)) }
            p { (failure.violation.what) }
            p class="quiet" { (scenario.name) ", seed " (failure.seed) ", hash " code { (failure.token.hash) } ": " (scenario.story) }
            h3 { (words::counted(failure.faults.len() as u64, "fault")) " " span class="quiet" { (shrinking) } }
            ol { @for fault in &failure.faults { li { (words::fault(fault)) } } }
            h3 { "Run it again" }
            pre class="command" { (replay(&failure.token, scenario.path.as_deref())) }
            @if !failure.excerpt.is_empty() {
                details {
                    summary { "The trace around it" }
                    pre { @for line in &failure.excerpt { span class=(if line.starts_with('>') { "hit" } else { "" }) { (line) } "\n" } }
                }
            }
        }
    }
}

/// The failures that were not shrunk, because another one like them was.
fn like_those(summary: &Summary) -> Markup {
    let alike: Vec<_> = summary.failures.iter().filter(|failure| failure.is_like_another()).collect();
    html! {
        @if !alike.is_empty() {
            section class="failure" {
                details {
                    summary { (words::counted(alike.len() as u64, "more run")) " that broke the same promises in the same scenarios" }
                    @for failure in alike.iter().take(ALIKE_MAX) {
                        p class="alike" { code { (failure.violation.property) } " after " (words::time(failure.violation.at_ms)) ": " (failure.violation.what) }
                        pre class="command" { (replay(&failure.token, summary.scenarios[failure.scenario].scenario.path.as_deref())) }
                    }
                    @if alike.len() > ALIKE_MAX { p class="quiet" { "… " code { "--format json" } " has all of them" } }
                }
            }
        }
    }
}

fn in_detail(summary: &Summary, detail: &Detail) -> Markup {
    let entries = detail.ran.trace.entries();
    let drawn = Timeline::of(&detail.plan, &detail.ran.outcome, &entries);
    let scenario = &summary.scenarios[detail.scenario].scenario;
    let why = match &detail.ran.outcome {
        outcome if outcome.violation.is_some() => "the run that broke a promise",
        outcome if outcome.worst_recovery_ms.is_some() => "the slowest recovery",
        _ => "the first run",
    };
    html! {
        section class="detail" {
            h2 { (scenario.name) ", seed " (detail.plan.seed) " " span class="quiet" { (why) } }
            p class="quiet" { (scenario.story) }
            div class=(if drawn.broken.is_some() { "scroll from-end" } else { "scroll" }) {
                div class="run" { (draw::timeline(&drawn)) }
            }
            (legend())
            @if !detail.plan.faults.is_empty() {
                details open {
                    summary { (words::counted(detail.plan.faults.len() as u64, "fault")) }
                    ol {
                        @for (index, fault) in detail.plan.faults.iter().enumerate() {
                            @let began = drawn.faults.iter().any(|band| band.fault == index);
                            li { (words::fault(fault)) @if !began { " " span class="quiet not-begun" { "did not begin in this run" } } }
                        }
                    }
                }
            }
            details {
                summary { (words::counted(entries.len() as u64, "event")) }
                pre {
                    @for entry in entries.iter().take(EVENTS_MAX) { (words::entry(entry)) "\n" }
                    @if entries.len() > EVENTS_MAX { "… holdfast-sim replay shows all of them\n" }
                }
            }
        }
    }
}

fn legend() -> Markup {
    let swatch = |kind: MarkKind, class: &str, words: &str| {
        html! {
            span {
                svg class="swatch" viewBox="0 0 16 26" { g class=(format!("mark {class}")) { path d=(draw::shape(kind, 8.0, 0.0)) {} } }
                (words)
            }
        }
    };
    let block =
        |class: &str, words: &str| html! { span { span class=(format!("block {class}")) {} (words) } };
    html! {
        p class="legend" {
            (block("life", "process runs")) (block("epoch", "leads, a colour for each epoch")) (block("pause", "stands still"))
            (block("fault", "fault"))
            (swatch(MarkKind::Checkpoint, "checkpoint", "checkpoint"))
            (swatch(MarkKind::CheckpointFailed, "checkpoint-failed", "checkpoint failed"))
            (swatch(MarkKind::Restore, "restore", "restore"))
            (swatch(MarkKind::TasksRestart, "tasks-restart", "tasks restart"))
            (swatch(MarkKind::JobEnded, "job-ended", "job ended"))
            (swatch(MarkKind::Write, "write", "durable write"))
            (swatch(MarkKind::Refused, "refused", "write refused"))
            (swatch(MarkKind::Delete, "delete", "delete"))
            (swatch(MarkKind::Commit, "commit", "sink committed"))
        }
    }
}

fn recoveries(summary: &Summary) -> Markup {
    let mut recoveries_ms: Vec<u64> = summary.all_runs().filter_map(|(_, run)| run.recovery_ms).collect();
    recoveries_ms.sort_unstable();
    let at = |percent: usize| {
        recoveries_ms.get((recoveries_ms.len() * percent).div_ceil(100).max(1) - 1).copied().unwrap_or(0)
    };
    html! {
        section {
            h2 { "Recovery " span class="quiet" { "from a fault's end to the job running, the worst of each run" } }
            @if recoveries_ms.is_empty() {
                p class="quiet" { "No run had anything to recover from." }
            } @else {
                (draw::histogram(&recoveries_ms))
                p class="quiet" {
                    (words::counted(recoveries_ms.len() as u64, "run")) " · median " (words::time(at(50)))
                    " · 95 % within " (words::time(at(95))) " · worst " (words::time(at(100)))
                }
            }
        }
    }
}

fn reached_things(summary: &Summary) -> Markup {
    let counts = summary.reached();
    html! {
        section {
            h2 { "Reached " span class="quiet" { "interesting things that the runs met" } }
            table {
                @for what in reached::ALL {
                    @match counts.get(what) {
                        Some(times) => tr { td { (what) } td class="number" { (words::thousands(*times)) } },
                        None => tr class="never" { td { (what) } td class="number" { "never" } },
                    }
                }
            }
        }
    }
}

fn scenarios(summary: &Summary) -> Markup {
    html! {
        section {
            h2 { "Scenarios" }
            div class="scroll" {
                table class="scenarios" {
                    thead { tr { th { "scenario" } th { "story" } th class="number" { "runs" } th class="number" { "broken" } th class="number" { "worst recovery" } } }
                    tbody {
                        @for of_scenario in &summary.scenarios {
                            @let broken = of_scenario.runs.iter().filter(|run| run.violation.is_some()).count();
                            @let recovery = of_scenario.runs.iter().filter_map(|run| run.recovery_ms).max();
                            tr {
                                td { code { (of_scenario.scenario.name) } @for incident in &of_scenario.scenario.incidents { " " span class="incident" { (incident) } } }
                                td {
                                    (of_scenario.scenario.story)
                                    @for what in of_scenario.missed() { div class="missed" { "never met what it is for: " (what) } }
                                }
                                td class="number" { (words::thousands(of_scenario.runs.len() as u64)) }
                                td class=(if broken > 0 { "number bad" } else { "number" }) { (broken) }
                                td class="number" { (recovery.map_or("–".into(), words::time)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Runner;
    use crate::campaign::Campaign;
    use crate::report::{testing, testing_xml};

    fn page_of(runner: Runner<'_>) -> (Summary, String) {
        let campaign =
            Campaign { scenarios: vec![testing::scenario(), testing::calm()], seeds: 1..=30, jobs: 2 };
        let summary = campaign.run(runner, &|| false, &mut |_| {});
        let page = html(&summary, summary.detail(runner).as_ref());
        (summary, page)
    }

    #[test]
    fn the_page_is_well_formed_and_loads_nothing() {
        for runner in [&testing::run as Runner<'_>, &testing::held] {
            let (_, page) = page_of(runner);
            let tree = testing_xml::parse(&page).unwrap_or_else(|problem| panic!("{problem}"));
            assert_eq!(tree.loads, Vec::<String>::new());
            assert_eq!(tree.count("script"), 0);
            assert!(
                !page.contains("http://") && !page.contains("https://") && !STYLE.contains("url("),
                "it opens offline"
            );
            assert!(STYLE.contains("prefers-color-scheme: dark"));
        }
    }

    #[test]
    fn a_failing_run_is_drawn_with_lanes_epochs_faults_and_the_violating_write() {
        let (summary, page) = page_of(&testing::run);
        let tree = testing_xml::parse(&page).unwrap_or_else(|problem| panic!("{problem}"));
        let failure = &summary.failures[0];
        assert_eq!(tree.classed("fault-band"), failure.faults.len());
        assert_eq!(tree.classed("lane-name"), 4, "a sidecar, a JobManager, a TaskManager and the store");
        assert_eq!(tree.classed("killed"), failure.faults.len());
        assert!(tree.classed("epoch") > 1 && tree.classed("checkpoint") > 1 && tree.classed("restore") > 1);
        assert_eq!(tree.classed("broken"), 1);
        assert!(page.contains(&format!("holdfast-sim replay {}", failure.token)));
        assert!(page.contains("checkpoint 3 &lt;of&gt; job &quot;a&quot; &amp; b"));
    }

    #[test]
    fn a_page_about_ten_thousand_seeds_is_hardly_larger_than_one_about_a_thousand() {
        let page_bytes = |seeds: u64| {
            let outcomes: Vec<_> =
                (1..=30).map(|seed| testing::run(&testing::scenario().plan(seed)).0).collect();
            // Running them all would take longer than the test is worth: outcomes come again every thirty seeds.
            let runner = |plan: &crate::plan::Plan| match plan.seed {
                31.. => (outcomes[(plan.seed % 30) as usize].clone(), crate::trace::Trace::default()),
                _ => testing::run(plan),
            };
            let campaign = Campaign { scenarios: vec![testing::scenario()], seeds: 1..=seeds, jobs: 2 };
            let summary = campaign.run(&runner, &|| false, &mut |_| {});
            assert!(summary.failures.len() as u64 > seeds / 10, "many of them fail");
            html(&summary, summary.detail(&runner).as_ref()).len()
        };
        let (few, many) = (page_bytes(1_000), page_bytes(10_000));
        assert!(many < few + few / 10 && many < 500_000, "{few} and {many} bytes");
    }

    #[test]
    fn a_fault_that_never_began_is_told() {
        let scenario = crate::scenario::Scenario::parse(
            "never",
            "never.yaml",
            "# A moment that never comes.\nfaulty: 60s\nhealed: 30s\nfaults:\n  - fail-task:\n    at: 5s\n  - fail-task:\n    at: 8s\n",
        );
        let scenario = scenario.unwrap_or_else(|broken| panic!("{broken}"));
        let blind = |plan: &crate::plan::Plan| {
            let first = crate::plan::Plan { faults: plan.faults[..1].to_vec(), ..plan.clone() };
            testing::run(&first)
        };
        let campaign = Campaign { scenarios: vec![scenario], seeds: 1..=1, jobs: 1 };
        let summary = campaign.run(&blind, &|| false, &mut |_| {});
        let page = html(&summary, summary.detail(&blind).as_ref());
        let tree = testing_xml::parse(&page).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!((tree.classed("fault-band"), tree.classed("not-begun")), (1, 1));
    }

    #[test]
    fn a_campaign_that_held_shows_recoveries_what_was_never_met_and_no_failure() {
        let (_, page) = page_of(&testing::held);
        let tree = testing_xml::parse(&page).unwrap_or_else(|problem| panic!("{problem}"));
        assert_eq!((tree.classed("failure"), tree.classed("broken")), (0, 0));
        assert_eq!(tree.classed("histogram"), 1);
        assert_eq!(tree.classed("never"), reached::ALL.len() - 1);
        assert!(page.contains("never met what it is for: ambiguous add ended the process"));
        assert!(page.contains("median"));
    }
}
