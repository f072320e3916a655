use super::*;
use crate::report::{self, collected_json, collected_text, missing, testing};

const SEEDS: u64 = 40;
const OF: u32 = 3;

/// One shard of the synthetic campaign: its origin and its result, as objects.
fn objects_of(shard: Shard) -> Objects {
    let seeds = shard.seeds(SEEDS).expect("it has seeds");
    let campaign = Campaign { scenarios: vec![testing::scenario(), testing::calm()], seeds, jobs: 2 };
    let summary = campaign.run(&testing::run, &|| false, &mut |_| {});
    let origin = Origin::new(shard, SEEDS, &campaign);
    let object = |ending: &str, value: Value| {
        (format!("{}.{ending}", shard.file_stem()), value.to_string().into_bytes())
    };
    let page = (!summary.failures.is_empty()).then(|| object(HTML, Value::Null));
    [object(BEGUN, origin.begun()), object(JSON, origin.result(report::json(&summary)))]
        .into_iter()
        .chain(page)
        .collect()
}

fn objects() -> Objects {
    Shard::all(OF).flat_map(objects_of).collect()
}

fn collected(objects: &Objects) -> Collected {
    Collected::of(objects).unwrap_or_else(|problem| panic!("{problem}"))
}

#[test]
fn all_shards_together_say_what_one_campaign_over_all_seeds_says() {
    let whole = Campaign { scenarios: vec![testing::scenario(), testing::calm()], seeds: 1..=SEEDS, jobs: 2 };
    let whole = report::json(&whole.run(&testing::run, &|| false, &mut |_| {}));
    let together = collected_json(&collected(&objects()), &|name| name.to_owned());
    for field in ["seeds", "simulated_seconds", "worst_recovery_seconds", "reached"] {
        assert_eq!(together[field], whole[field], "{field}");
    }
    let seeds = |of: &Value| -> std::collections::BTreeSet<u64> {
        of["violations"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|violation| violation["seed"].as_u64())
            .collect()
    };
    assert_eq!(seeds(&together), seeds(&whole));
    assert!(!seeds(&whole).is_empty(), "the synthetic run fails now and then");
    assert_eq!(
        (&together["missing"], &together["not_begun"], &together["shards"]),
        (&Value::Array(vec![]), &0.into(), &OF.into())
    );
    let pages = together["pages"].as_array().expect("a list");
    assert!(
        !pages.is_empty()
            && pages.iter().all(|page| page.as_str().is_some_and(|page| page.ends_with(".html")))
    );
}

#[test]
fn a_missing_shard_is_named_with_its_seeds_and_whether_it_was_begun() {
    let mut objects = objects();
    objects.remove("shard-00000-of-00003.json");
    objects.remove("shard-00002-of-00003.json");
    objects.remove("shard-00002-of-00003.begun");
    let collected = collected(&objects);
    let [first, last] = Shard::all(OF).filter(|shard| shard.index() != 1).collect::<Vec<_>>()[..] else {
        panic!("two")
    };
    let expected = [
        Missing { shard: first, seeds: Some((1, 13)), begun: true },
        Missing { shard: last, seeds: Some((27, 40)), begun: false },
    ];
    assert_eq!((collected.missing.as_slice(), collected.hash.as_deref()), (&expected[..], None));
    let text = collected_text(&collected, &|name| format!("s3://b/{name}"));
    for says in [
        "1 of 3 shards · 2 scenarios · 26 runs",
        "MISSING    shard 0/3 (seeds 1 to 13): it was begun, and still runs or was ended\n",
        "MISSING    shard 2/3 (seeds 27 to 40): it was never begun\n",
        "promises   BROKEN  fenced in ",
        "\n  again: holdfast-sim replay anything.",
        "page: s3://b/shard-00001-of-00003.html\n",
    ] {
        assert!(text.contains(says), "{says}\n{text}");
    }
    assert!(missing(&collected).contains("2 of 3 shards left no result"));
}

#[test]
fn a_shard_that_was_cut_short_says_how_many_runs_were_not_begun() {
    let mut objects = objects();
    let name = "shard-00001-of-00003.json";
    let mut result: Value = serde_json::from_slice(&objects[name]).expect("JSON");
    result["seeds"] = 20.into();
    objects.insert(name.to_owned(), result.to_string().into_bytes());
    let collected = collected(&objects);
    assert_eq!((collected.planned, collected.runs), (80, 74));
    assert!(collected_text(&collected, &str::to_owned).contains("time up    6 runs not begun"));
}

#[test]
fn what_cannot_be_read_together_is_refused_with_the_object_and_the_way_out() {
    type Spoil = fn(&mut Value);
    let spoil: [(Spoil, &str); 5] = [
        (
            |of| of["shard"]["build"] = "0.0.9".into(),
            "shard-00000-of-00003 and shard-00001-of-00003 are of two campaigns: build ",
        ),
        (|of| of["shard"]["scenarios"][0] = "calm.0".into(), "of two campaigns: scenarios anything."),
        (|of| of["shard"]["seeds"] = 41.into(), "of two campaigns: seeds 40 there, 41 here"),
        (
            |of| of["shard"]["index"] = 2.into(),
            "shard-00001-of-00003.json is not a shard's result: it is of shard 2/3; delete it",
        ),
        (|of| *of = Value::Null, "shard-00001-of-00003.json is not a shard's result: invalid type: null"),
    ];
    for (spoil, says) in spoil {
        let mut objects = objects();
        let name = "shard-00001-of-00003.json";
        let mut result = serde_json::from_slice(&objects[name]).expect("JSON");
        spoil(&mut result);
        objects.insert(name.to_owned(), result.to_string().into_bytes());
        let refused = Collected::of(&objects).expect_err(says).to_string();
        assert!(refused.contains(says), "{refused}");
    }

    let mut two_sizes = objects();
    two_sizes.extend(objects_of(Shard::WHOLE));
    let refused = Collected::of(&two_sizes).expect_err("two sizes").to_string();
    assert!(refused.contains("shards 1 there, 3 here; give every campaign a URL of its own"), "{refused}");

    let foreign = Objects::from([("README.md".to_owned(), b"hello".to_vec())]);
    assert_eq!(Collected::of(&foreign), Err(Uncollectable::Nothing));
}

#[test]
fn the_mark_of_an_earlier_try_by_another_build_does_not_count_once_there_is_a_result() {
    let mut objects = objects();
    let name = "shard-00001-of-00003.begun";
    let mut mark: Value = serde_json::from_slice(&objects[name]).expect("JSON");
    mark["shard"]["build"] = "0.0.9".into();
    objects.insert(name.to_owned(), mark.to_string().into_bytes());
    assert_eq!(collected(&objects).missing, Vec::new());
}
