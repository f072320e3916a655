//! The summary as JUnit's XML, which every CI server shows: a suite for each scenario, a case for each seed.

use std::fmt::Write as _;

use crate::campaign::{Failure, OfRun, OfScenario, Summary};
use crate::words;

/// The summary as an XML document. A case's time is the CPU time of its run.
pub fn junit(summary: &Summary) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let cpu_s: f64 = summary.all_runs().map(|(_, run)| run.cpu_s).sum();
    line(
        &mut xml,
        format_args!(
            "<testsuites name=\"holdfast-sim\" tests=\"{}\" failures=\"{}\" errors=\"0\" time=\"{cpu_s:.3}\">",
            summary.runs(),
            summary.failures.len()
        ),
    );
    for (index, of_scenario) in summary.scenarios.iter().enumerate() {
        let failures: Vec<_> = summary.failures.iter().filter(|failure| failure.scenario == index).collect();
        suite(&mut xml, of_scenario, &failures);
    }
    xml.push_str("</testsuites>\n");
    xml
}

fn suite(xml: &mut String, of_scenario: &OfScenario, failures: &[&Failure]) {
    let name = escape(&of_scenario.scenario.name);
    let cpu_s: f64 = of_scenario.runs.iter().map(|run| run.cpu_s).sum();
    line(
        xml,
        format_args!(
            "  <testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"0\" time=\"{cpu_s:.3}\">",
            of_scenario.runs.len(),
            failures.len()
        ),
    );
    for run in &of_scenario.runs {
        case(xml, &name, run, failures.iter().find(|failure| failure.seed == run.seed));
    }
    xml.push_str("  </testsuite>\n");
}

fn case(xml: &mut String, name: &str, run: &OfRun, failure: Option<&&Failure>) {
    let start =
        format!("    <testcase classname=\"{name}\" name=\"seed {}\" time=\"{:.3}\"", run.seed, run.cpu_s);
    let Some(failure) = failure else {
        return line(xml, format_args!("{start}/>"));
    };
    let property = escape(failure.violation.property);
    let message = escape(&failure.violation.what);
    line(xml, format_args!("{start}>\n      <failure type=\"{property}\" message=\"{message}\">"));
    line(xml, format_args!("holdfast-sim replay {}", escape(&failure.token.to_string())));
    for fault in &failure.faults {
        line(xml, format_args!("{}", escape(&words::fault(fault))));
    }
    for event in &failure.excerpt {
        line(xml, format_args!("{}", escape(event)));
    }
    xml.push_str("      </failure>\n    </testcase>\n");
}

fn line(xml: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(xml, "{text}").expect("a string grows");
}

/// Text as XML wants it. Control characters, which XML 1.0 cannot hold at all, become `�`.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Campaign;
    use crate::report::testing;

    #[test]
    fn there_is_a_case_for_each_seed_and_a_failure_for_each_violation() {
        let scenarios = vec![testing::scenario(), testing::calm()];
        let campaign = Campaign { scenarios, seeds: 1..=10, jobs: 2 };
        let summary = campaign.run(&testing::run, &|| false, &mut |_| {});
        let xml = junit(&summary);
        let tree =
            crate::report::testing_xml::parse(&xml).unwrap_or_else(|problem| panic!("{problem}\n{xml}"));
        assert_eq!(tree.count("testsuite"), 2);
        assert_eq!(tree.count("testcase"), 20);
        assert_eq!(tree.count("failure"), summary.failures.len());
        assert!(!summary.failures.is_empty());
        assert!(xml.contains("message=\"checkpoint 3 &lt;of&gt; job &quot;a&quot; &amp; b was written"));
        assert!(xml.contains(&format!("holdfast-sim replay {}", summary.failures[0].token)));
    }

    #[test]
    fn what_xml_cannot_hold_is_replaced() {
        assert_eq!(escape("a\u{0}b\u{1b}[0m\r<\n>"), "a\u{fffd}b\u{fffd}[0m\u{fffd}&lt;&#10;&gt;");
    }
}
