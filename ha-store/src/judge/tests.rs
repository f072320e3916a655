use super::*;
use crate::{DeploymentName, Epoch, Incarnation, Nonce, Sequence};

const ANSWERS: [CreateAnswer; 4] =
    [CreateAnswer::Created, CreateAnswer::Exists, CreateAnswer::Refused, CreateAnswer::Unclear];
const HELD: [Holds; 6] =
    [Holds::NotRead, Holds::Absent, Holds::Unreadable, Holds::Mine, Holds::Anothers, Holds::Impossible];
const COLLECTORS: [Collector; 3] = [Collector::NotAsked, Collector::HasNotPassed, Collector::HasPassed];

/// Every combination of evidence, with its verdict.
fn table() -> Vec<(Evidence, Verdict)> {
    let mut rows = Vec::new();
    for answer in ANSWERS {
        for doubtful_before in [false, true] {
            for holds in HELD {
                for collector in COLLECTORS {
                    let evidence = Evidence { answer, doubtful_before, holds, collector };
                    rows.push((evidence, judge(evidence)));
                }
            }
        }
    }
    assert_eq!(rows.len(), 4 * 2 * 6 * 3);
    rows
}

/// The rows of which `matches` holds; there must be some.
fn rows(matches: impl Fn(&Evidence) -> bool) -> Vec<(Evidence, Verdict)> {
    let rows: Vec<_> = table().into_iter().filter(|(evidence, _)| matches(evidence)).collect();
    assert!(!rows.is_empty());
    rows
}

#[test]
fn an_unclear_or_refused_create_is_sent_again_whatever_else_is_known() {
    for (evidence, verdict) in rows(|e| matches!(e.answer, CreateAnswer::Unclear | CreateAnswer::Refused)) {
        assert_eq!(verdict, Verdict::SendAgain, "{evidence:?}");
    }
}

#[test]
fn only_a_record_of_ours_that_the_collector_has_not_passed_is_recorded() {
    for (evidence, verdict) in table() {
        let ours = match evidence.answer {
            CreateAnswer::Created => true,
            CreateAnswer::Exists => evidence.holds == Holds::Mine,
            _ => false,
        };
        let recorded = ours && evidence.collector == Collector::HasNotPassed;
        assert_eq!(verdict == Verdict::Recorded, recorded, "{evidence:?}");
    }
}

#[test]
fn nothing_is_called_lost_that_may_have_been_recorded_at_any_time() {
    for (evidence, verdict) in table() {
        let anothers = evidence.answer == CreateAnswer::Exists
            && matches!(evidence.holds, Holds::Anothers | Holds::Impossible);
        let lost = match evidence.collector {
            Collector::NotAsked => false,
            // The key holds the one true record of its place, and that is not ours.
            Collector::HasNotPassed => anothers && evidence.holds == Holds::Anothers,
            // It may hold a stray, but our only create was answered: it was never applied.
            Collector::HasPassed => anothers && !evidence.doubtful_before,
        };
        assert_eq!(verdict == Verdict::Lost, lost, "{evidence:?}");
    }
}

#[test]
fn no_end_is_reached_before_the_collector_was_asked() {
    for (evidence, verdict) in rows(|e| e.collector == Collector::NotAsked) {
        let goes_on = matches!(verdict, Verdict::SendAgain | Verdict::ReadKey | Verdict::AskCollector);
        assert!(goes_on || verdict == Verdict::Blocked, "{evidence:?}: {verdict:?}");
    }
}

#[test]
fn an_existing_key_is_read_before_anything_else() {
    for (evidence, verdict) in rows(|e| e.answer == CreateAnswer::Exists && e.holds == Holds::NotRead) {
        assert_eq!(verdict, Verdict::ReadKey, "{evidence:?}");
    }
}

#[test]
fn a_conflict_about_an_empty_key_decides_nothing() {
    for (evidence, verdict) in rows(|e| e.answer == CreateAnswer::Exists && e.holds == Holds::Absent) {
        assert_eq!(verdict, Verdict::SendAgain, "{evidence:?}");
    }
}

#[test]
fn what_is_impossible_is_not_called_so_before_strays_are_ruled_out() {
    for (evidence, verdict) in rows(|e| e.answer == CreateAnswer::Exists && e.holds == Holds::Impossible) {
        let expected = match (evidence.collector, evidence.doubtful_before) {
            (Collector::NotAsked, _) => Verdict::AskCollector,
            (Collector::HasNotPassed, _) => Verdict::Impossible,
            (Collector::HasPassed, true) => Verdict::Undecidable,
            (Collector::HasPassed, false) => Verdict::Lost,
        };
        assert_eq!(verdict, expected, "{evidence:?}");
    }
}

#[test]
fn an_unreadable_key_blocks_only_when_no_create_of_ours_may_still_arrive() {
    for (evidence, verdict) in rows(|e| e.answer == CreateAnswer::Exists && e.holds == Holds::Unreadable) {
        let expected = if evidence.doubtful_before { Verdict::SendAgain } else { Verdict::Blocked };
        assert_eq!(verdict, expected, "{evidence:?}");
    }
}

#[test]
fn a_record_of_ours_that_the_collector_has_passed_is_undecidable() {
    for (evidence, verdict) in rows(|e| {
        let ours = match e.answer {
            CreateAnswer::Created => true,
            CreateAnswer::Exists => e.holds == Holds::Mine,
            _ => false,
        };
        ours && e.collector == Collector::HasPassed
    }) {
        assert_eq!(verdict, Verdict::Undecidable, "{evidence:?}");
    }
}

fn header(kind: RecordKind, epoch: u64, incarnation: &str, nonce: &str) -> RecordHeader {
    RecordHeader {
        format: 1,
        deployment: DeploymentName::try_from("orders").unwrap(),
        sequence: Sequence::new(7),
        follows: None,
        epoch: Epoch::new(epoch),
        incarnation: Incarnation::try_from(incarnation).unwrap(),
        nonce: Nonce::try_from(nonce).unwrap(),
        kind,
        written_at_ms: 0,
    }
}

#[test]
fn a_record_is_ours_by_its_nonce_alone() {
    let mine = header(RecordKind::Commit, 3, "me", "n");
    assert_eq!(compare(&mine, &mine.clone()), Holds::Mine);
    assert_ne!(compare(&mine, &header(RecordKind::Commit, 3, "me", "m")), Holds::Mine);
}

#[test]
fn a_key_can_be_taken_by_a_newer_epoch_or_a_later_incarnation_but_not_by_an_older_epoch() {
    let expectations = [
        // what collided, under which epoch, of whom: what that means for a claim, an adoption, a commit of epoch 3
        (4, "other", [Holds::Anothers, Holds::Anothers, Holds::Anothers]),
        (4, "me", [Holds::Anothers, Holds::Anothers, Holds::Anothers]),
        (3, "other", [Holds::Anothers, Holds::Anothers, Holds::Anothers]),
        (3, "me", [Holds::Impossible, Holds::Impossible, Holds::Impossible]),
        (2, "other", [Holds::Anothers, Holds::Impossible, Holds::Impossible]),
    ];
    for (epoch, incarnation, expected) in expectations {
        let found = header(RecordKind::Commit, epoch, incarnation, "theirs");
        for (kind, expected) in
            [RecordKind::Claim, RecordKind::Adopt, RecordKind::Commit].into_iter().zip(expected)
        {
            assert_eq!(
                compare(&header(kind, 3, "me", "mine"), &found),
                expected,
                "{kind} against {epoch} of {incarnation}"
            );
        }
    }
}
