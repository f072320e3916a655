//! The summary for programs. Its fields are part of the command's contract: none is renamed or dropped.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::campaign::{Failure, Summary};
use crate::trace::reached;

/// The summary as one JSON object.
pub fn json(summary: &Summary) -> Value {
    let violation = |failure: &Failure| {
        json!({
            "property": failure.violation.property,
            "seed": failure.seed,
            "hash": failure.token.hash,
            "token": failure.token.to_string(),
            "faults": failure.faults,
        })
    };
    json!({
        "seeds": summary.runs(),
        "violations": summary.failures.iter().map(violation).collect::<Vec<_>>(),
        "simulated_seconds": seconds(summary.simulated_ms()),
        "cpu_seconds": summary.cpu_s,
        "worst_recovery_seconds": summary.worst_recovery().and_then(|(_, run)| run.recovery_ms).map(seconds),
        "reached": every_thing(&summary.reached()),
        "hash": summary.hash,
    })
}
/// Those that were never met too, with 0: whoever reads this wants to see them.
fn every_thing(reached: &BTreeMap<&'static str, u64>) -> BTreeMap<&'static str, u64> {
    reached::ALL.into_iter().map(|what| (what, reached.get(what).copied().unwrap_or_default())).collect()
}

fn seconds(ms: u64) -> f64 {
    ms as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::campaign::Campaign;
    use crate::plan::Fault;
    use crate::report::testing;
    use crate::token::Token;

    #[test]
    fn the_fields_are_those_of_the_contract_and_no_others() {
        let campaign = Campaign { scenarios: vec![testing::scenario()], seeds: 1..=40, jobs: 2 };
        let summary = campaign.run(&testing::run, &|| false, &mut |_| {});
        let value = json(&summary);
        let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        let of_summary = [
            "cpu_seconds",
            "hash",
            "reached",
            "seeds",
            "simulated_seconds",
            "violations",
            "worst_recovery_seconds",
        ];
        assert_eq!(names(&value), of_summary);
        assert_eq!(value["seeds"], 40);
        assert!(value["cpu_seconds"].as_f64().expect("a number") > 0.0);
        assert!(value["simulated_seconds"].as_f64().expect("a number") > 40.0 * 60.0);
        assert_eq!(value["worst_recovery_seconds"], 8.0);
        assert!(value["reached"]["restored from a checkpoint"].as_u64().expect("a count") >= 40);
        assert_eq!(value["reached"]["zombie write fenced"], 0, "what was never met is there too");

        let violation = &value["violations"][0];
        assert_eq!(names(violation), ["faults", "hash", "property", "seed", "token"]);
        assert_eq!(violation["property"], "fenced");
        let token: Token = violation["token"].as_str().expect("text").parse().expect("a token");
        assert_eq!(
            (token.seed, token.hash.as_str()),
            (violation["seed"].as_u64().expect("a number"), violation["hash"].as_str().expect("text"))
        );
        let faults: Vec<Fault> =
            serde_json::from_value(violation["faults"].clone()).expect("faults of a plan");
        assert_eq!(faults, summary.failures[0].faults);
    }

    #[test]
    fn a_campaign_without_a_recovery_says_null() {
        let campaign = Campaign { scenarios: vec![testing::calm()], seeds: 1..=2, jobs: 1 };
        let value = json(&campaign.run(&testing::run, &|| false, &mut |_| {}));
        assert_eq!(value["worst_recovery_seconds"], Value::Null);
        assert_eq!(value["violations"], Value::Array(vec![]));
    }
}
