use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn session(name: &str) -> SessionId {
    name.parse().expect("a token")
}

fn opened(name: &str, attachment: u64, resume: Option<u64>) -> Observation {
    let resume = resume.map(Epoch::new);
    Observation::Opened { session: session(name), attachment: Attachment(attachment), resume, waited: false }
}

/// One that had a stream before, and did not lead.
fn waited(name: &str, attachment: u64) -> Observation {
    let (session, attachment) = (session(name), Attachment(attachment));
    Observation::Opened { session, attachment, resume: None, waited: true }
}

fn closed(name: &str, attachment: u64) -> Observation {
    Observation::Closed { session: session(name), attachment: Attachment(attachment) }
}

fn claimed(name: &str, epoch: u64) -> Observation {
    Observation::Claimed { session: session(name), epoch: Epoch::new(epoch) }
}

fn granted(name: &str, epoch: u64, resumed: bool) -> Action {
    Action::Grant { session: session(name), epoch: Epoch::new(epoch), resumed }
}

fn claim(name: &str) -> Action {
    Action::Claim { session: session(name) }
}

/// A machine that may lead and has granted epoch 1 to session `a`.
fn leading() -> Sessions {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    assert_eq!(sessions.step(0, opened("a", 1, None)), [claim("a")]);
    assert_eq!(sessions.step(0, claimed("a", 1)), [granted("a", 1, false)]);
    sessions
}

#[test]
fn nothing_is_granted_before_the_election_says_so() {
    let mut sessions = Sessions::default();
    let told = sessions.step(0, opened("a", 1, None));
    assert!(matches!(told.as_slice(), [Action::Wait { .. }]), "{told:?}");
    assert_eq!(sessions.step(0, Observation::MayLead), [claim("a")]);
}

#[test]
fn a_second_job_manager_waits_and_is_told_why() {
    let mut sessions = leading();
    let told = sessions.step(0, opened("b", 2, None));
    assert!(
        matches!(told.as_slice(), [Action::Wait { reason, .. }] if reason.contains("standby")),
        "{told:?}"
    );
}

#[test]
fn when_the_leader_s_process_ends_the_next_one_is_asked_for_at_once() {
    let mut sessions = leading();
    sessions.step(0, opened("b", 2, None));
    let actions = sessions.step(0, closed("a", 1));
    assert_eq!(actions, [Action::LeaderLost { session: session("a"), epoch: Epoch::new(1) }, claim("b")]);
    assert_eq!(sessions.step(0, claimed("b", 2)), [granted("b", 2, false)]);
}

#[test]
fn a_leader_that_reconnects_goes_on_under_its_epoch() {
    let mut sessions = leading();
    // The new stream is there before the end of the old one is noticed.
    assert_eq!(sessions.step(0, opened("a", 2, Some(1))), [granted("a", 1, true)]);
    assert_eq!(sessions.step(0, closed("a", 1)), [], "the end of the old stream says nothing");
    assert!(sessions.leader().is_some());
}

#[test]
fn after_a_sidecar_restart_the_old_leader_goes_first() {
    let mut sessions = Sessions::default();
    sessions.step(0, opened("new", 1, None));
    // The election has not spoken yet; going on under one's own epoch does not need it.
    let actions = sessions.step(0, opened("old", 2, Some(7)));
    assert_eq!(actions[0], Action::Resume { session: session("old"), epoch: Epoch::new(7) });
    assert_eq!(sessions.step(0, Observation::MayLead).len(), 1, "the new one is told why it waits");
    let resumed = Observation::Resumed { session: session("old"), epoch: Epoch::new(7) };
    assert_eq!(sessions.step(0, resumed)[0], granted("old", 7, true));
}

#[test]
fn an_election_that_cannot_tell_takes_nothing_away_and_grants_nothing_new() {
    let mut sessions = leading();
    let cannot_tell = || Observation::MayKeep { reason: "the API server is down".into() };
    assert_eq!(sessions.step(0, cannot_tell()), []);
    assert!(sessions.leader().is_some());
    sessions.step(0, closed("a", 1));
    let told = sessions.step(0, opened("b", 2, None));
    assert!(
        matches!(told.as_slice(), [Action::Wait { reason, .. }] if reason.contains("API server")),
        "{told:?}"
    );
    // A restarted sidecar's JobManager goes on all the same.
    let asked = sessions.step(0, opened("a", 3, Some(1)));
    assert_eq!(asked, [Action::Resume { session: session("a"), epoch: Epoch::new(1) }]);
    let resumed = Observation::Resumed { session: session("a"), epoch: Epoch::new(1) };
    assert_eq!(sessions.step(0, resumed)[0], granted("a", 1, true));
    assert_eq!(sessions.step(0, Observation::MayLead).len(), 1, "b is told that it is a standby");
}

#[test]
fn a_refused_resumption_is_a_revocation_and_then_a_new_grant() {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    sessions.step(0, opened("a", 1, Some(3)));
    let refused =
        Observation::ResumeRefused { session: session("a"), epoch: Epoch::new(3), detail: "5".into() };
    let actions = sessions.step(0, refused);
    assert!(matches!(&actions[0], Action::Revoke { epoch, .. } if *epoch == Epoch::new(3)), "{actions:?}");
    assert_eq!(actions[1], claim("a"));
}

#[test]
fn a_stale_epoch_is_revoked_without_asking_the_store() {
    let mut sessions = leading();
    let actions = sessions.step(0, opened("z", 9, Some(0)));
    assert!(matches!(&actions[0], Action::Revoke { reason: RevokeReason::Fenced, .. }), "{actions:?}");
}

#[test]
fn once_deposed_nothing_is_granted_until_the_election_says_so_again() {
    let mut sessions = leading();
    let actions = sessions.step(0, Observation::Deposed { detail: "epoch 2 exists".into() });
    assert!(matches!(&actions[0], Action::Revoke { reason: RevokeReason::Fenced, .. }), "{actions:?}");
    assert!(matches!(&actions[1], Action::LeaderLost { .. }), "{actions:?}");
    sessions.step(0, closed("a", 1));
    let told = sessions.step(0, opened("b", 2, None));
    assert!(matches!(told.as_slice(), [Action::Wait { .. }]), "{told:?}");
    assert_eq!(sessions.step(0, Observation::MayLead), [claim("b")]);
}

fn renewed(sent_ms: u64) -> Observation {
    Observation::LeaseRenewed { sent_ms }
}

fn deposed() -> Observation {
    Observation::Deposed { detail: "epoch 2 exists".into() }
}

#[test]
fn whoever_is_deposed_and_still_renews_its_lease_claims_again() {
    let mut sessions = leading();
    assert_eq!(sessions.step(100, renewed(90)), [], "a leader's renewal is nothing new");
    sessions.step(1_000, deposed());
    assert_eq!(sessions.step(1_005, renewed(999)), [], "it was sent before, and may have been overtaken");
    assert_eq!(sessions.step(3_005, renewed(3_000)), [claim("a")]);
    assert_eq!(sessions.step(3_010, claimed("a", 3)), [granted("a", 3, false)]);
}

#[test]
fn two_that_depose_each_other_with_a_lease_each_do_so_ever_more_rarely() {
    let mut sessions = leading();
    let mut epoch = 1;
    let mut waited_ms = Vec::new();
    let mut now_ms = 0;
    for _ in 0..6 {
        sessions.step(now_ms, deposed());
        let since_ms = now_ms;
        while sessions.step(now_ms + 5, renewed(now_ms)).is_empty() {
            now_ms += 2_000;
        }
        waited_ms.push(now_ms - since_ms);
        epoch += 2;
        assert_eq!(sessions.step(now_ms + 10, claimed("a", epoch)), [granted("a", epoch, false)]);
        now_ms += 2_000;
    }
    assert_eq!(waited_ms, [2_000, 60_000, 120_000, 240_000, 480_000, 600_000]);
    now_ms += 2 * QUARREL_MAX_MS + 1;
    sessions.step(now_ms, deposed());
    assert_eq!(
        sessions.step(now_ms + 5, renewed(now_ms + 1)),
        [claim("a")],
        "after a long peace it is the first"
    );
}

#[test]
fn a_store_that_does_not_answer_is_asked_again_later_and_decides_nothing() {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    sessions.step(0, opened("a", 1, None));
    let told = sessions.step(1_000, Observation::StoreUnavailable { detail: "time-out".into() });
    assert!(matches!(told.as_slice(), [Action::Wait { .. }]), "{told:?}");
    let next_ms = sessions.next_tick_ms().expect("it will ask again");
    assert_eq!(sessions.step(next_ms - 1, Observation::Tick), []);
    assert_eq!(sessions.step(next_ms, Observation::Tick), [claim("a")]);
}

#[test]
fn a_process_that_died_while_its_claim_was_under_way_leaves_the_epoch_to_nobody() {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    sessions.step(0, opened("a", 1, None));
    sessions.step(0, closed("a", 1));
    sessions.step(0, opened("b", 2, None));
    assert_eq!(sessions.step(0, claimed("a", 1)), [claim("b")]);
    assert_eq!(sessions.step(0, claimed("b", 2)), [granted("b", 2, false)]);
}

#[test]
fn a_stop_grants_nothing_new_and_takes_nothing_away() {
    let mut sessions = leading();
    assert_eq!(sessions.step(0, Observation::Stopping), []);
    assert!(sessions.leader().is_some());
    sessions.step(0, closed("a", 1));
    let told = sessions.step(0, opened("b", 2, None));
    assert!(matches!(told.as_slice(), [Action::Wait { .. }]), "{told:?}");
    let told = sessions.step(0, Observation::MayLead);
    assert!(!told.iter().any(|action| matches!(action, Action::Claim { .. })), "{told:?}");
}

/// What a JobManager may do next, by number: the driver's side is played by the test.
#[test]
fn a_spare_that_is_back_first_after_a_restart_of_the_sidecar_leaves_the_leader_its_place() {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    let told = sessions.step(1_000, waited("spare", 1));
    assert!(matches!(&told[..], [Action::Wait { reason, .. }] if reason.contains("led before")), "{told:?}");
    assert_eq!(sessions.next_tick_ms(), Some(1_000 + HEAD_START_MS));
    let resume = Action::Resume { session: session("leader"), epoch: Epoch::new(7) };
    assert_eq!(sessions.step(1_500, opened("leader", 2, Some(7)))[0], resume);
    let resumed = Observation::Resumed { session: session("leader"), epoch: Epoch::new(7) };
    assert_eq!(sessions.step(1_500, resumed)[0], granted("leader", 7, true));
    let gone = sessions.step(60_000, closed("leader", 2));
    assert!(gone.contains(&claim("spare")), "its own time has come long ago: {gone:?}");
}

#[test]
fn a_spare_leads_when_the_leader_does_not_come_back_and_a_new_process_waits_for_nobody() {
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    sessions.step(1_000, waited("spare", 1));
    assert_eq!(sessions.step(999 + HEAD_START_MS, Observation::Tick), []);
    assert_eq!(sessions.step(1_000 + HEAD_START_MS, Observation::Tick), [claim("spare")]);
    let mut sessions = Sessions::default();
    sessions.step(0, Observation::MayLead);
    sessions.step(1_000, waited("spare", 1));
    assert!(sessions.step(1_100, opened("new", 2, None)).contains(&claim("new")));
}

#[derive(Debug, Clone)]
enum Play {
    Open(u8, bool),
    Close(u8),
    StoreAnswers,
    StoreIsDown,
    StoreHasNewer,
    Elected(bool),
    ElectionSilent,
}

fn play() -> impl Strategy<Value = Play> {
    prop_oneof![
        4 => (0..4u8, any::<bool>()).prop_map(|(who, resume)| Play::Open(who, resume)),
        3 => (0..4u8).prop_map(Play::Close),
        6 => Just(Play::StoreAnswers),
        1 => Just(Play::StoreIsDown),
        1 => Just(Play::StoreHasNewer),
        1 => any::<bool>().prop_map(Play::Elected),
        1 => Just(Play::ElectionSilent),
    ]
}

/// The driver, the store and Flink's rule, all in one: it panics where Flink would end the process.
#[derive(Default)]
struct Referee {
    newest: u64,
    attachments: u64,
    open: BTreeMap<String, u64>,
    /// What each *process* believes; it outlives its connection.
    believes: BTreeMap<String, u64>,
    asked: Option<Action>,
}

impl Referee {
    fn apply(&mut self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Claim { .. } | Action::Resume { .. } => {
                    assert!(self.asked.is_none(), "two questions to the store at once");
                    self.asked = Some(action);
                }
                Action::Grant { session, epoch, resumed } => {
                    let before = self.believes.insert(session.to_string(), epoch.get());
                    match resumed {
                        true => assert_eq!(before, Some(epoch.get()), "resumed what it did not lead"),
                        false => assert_eq!(before, None, "granted twice without a revocation between"),
                    }
                }
                Action::Revoke { session, epoch, .. } => {
                    let before = self.believes.remove(session.as_str());
                    assert_eq!(before, Some(epoch.get()), "revoked what it did not lead");
                }
                Action::Wait { .. } | Action::LeaderLost { .. } => {}
            }
        }
    }

    fn observation(&mut self, play: &Play) -> Option<Observation> {
        match play {
            Play::Open(who, resume) => {
                let name = format!("s{who}");
                let believed = self.believes.get(&name).copied();
                // A process that leads comes back with its epoch; one that forgot it is a new process.
                if believed.is_some() && !resume {
                    return None;
                }
                self.attachments += 1;
                self.open.insert(name.clone(), self.attachments);
                Some(opened(&name, self.attachments, believed))
            }
            Play::Close(who) => {
                let name = format!("s{who}");
                let attachment = self.open.remove(&name)?;
                Some(closed(&name, attachment))
            }
            Play::StoreAnswers => match self.asked.take()? {
                Action::Claim { session } => {
                    self.newest += 1;
                    Some(Observation::Claimed { session, epoch: Epoch::new(self.newest) })
                }
                Action::Resume { session, epoch } if epoch.get() == self.newest => {
                    Some(Observation::Resumed { session, epoch })
                }
                Action::Resume { session, epoch } => {
                    Some(Observation::ResumeRefused { session, epoch, detail: "newer".into() })
                }
                other => panic!("not a question: {other:?}"),
            },
            Play::StoreIsDown => {
                self.asked.take()?;
                Some(Observation::StoreUnavailable { detail: "down".into() })
            }
            Play::StoreHasNewer => {
                self.newest += 1;
                Some(Observation::Deposed { detail: "newer".into() })
            }
            Play::Elected(true) => Some(Observation::MayLead),
            Play::ElectionSilent => Some(Observation::MayKeep { reason: "silent".into() }),
            Play::Elected(false) => Some(Observation::MustNotLead { reason: "not elected".into() }),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_grants_and_revocations_alternate_and_one_question_is_open(
        plays in proptest::collection::vec(play(), 1..80),
    ) {
        let mut sessions = Sessions::default();
        let mut referee = Referee::default();
        for (now_ms, play) in (0u64..).step_by(5_000).zip(&plays) {
            if let Some(observation) = referee.observation(play) {
                referee.apply(sessions.step(now_ms, observation));
            }
            if let Some(leader) = sessions.leader() {
                prop_assert!(referee.open.contains_key(leader.session.as_str()), "a closed session leads");
                prop_assert!(leader.epoch.get() <= referee.newest);
            }
        }
    }
}

#[test]
fn whoever_looks_for_the_leader_is_sent_elsewhere_only_while_another_process_is_known_to_lead() {
    let mut sessions = leading();
    assert!(!sessions.leads_elsewhere());
    sessions.step(1, Observation::MayKeep { reason: "no answer".into() });
    sessions.step(2, closed("a", 1));
    assert!(!sessions.leads_elsewhere(), "not to know who leads is not to know that another one does");
    sessions.step(3, Observation::MustNotLead { reason: "held by b".into() });
    assert!(sessions.leads_elsewhere());
    sessions.step(4, Observation::MayKeep { reason: "no answer".into() });
    assert!(sessions.leads_elsewhere(), "nobody took it back");
    sessions.step(5, Observation::MayLead);
    assert!(!sessions.leads_elsewhere());
}
