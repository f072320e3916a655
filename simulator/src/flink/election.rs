//! What a JobManager believes about its leadership, and what to do about each event of its session: the adapter's
//! `ElectionState`. Pure.

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Tell Flink that it leads, under a session id never used before.
    Grant(u64),
    /// Tell Flink that it does not lead under this epoch any more.
    Revoke(u64),
    /// It goes on under this epoch; publish the leader's addresses again.
    Republish(u64),
    /// The sidecar said what it must not say: drop the connection.
    Disconnect,
}

/// GRANT and REVOKE alternate strictly, beginning with GRANT.
#[derive(Debug, Default)]
pub(super) struct Election {
    session: Option<String>,
    leading: Option<u64>,
    newest: u64,
}

// === impl Election ===

impl Election {
    pub(super) fn on_session(&mut self, id: String) {
        self.session = Some(id);
    }

    pub(super) fn on_grant(&mut self, epoch: u64, resumed: bool) -> Vec<Step> {
        if epoch == 0 || epoch < self.newest {
            return vec![Step::Disconnect];
        }
        if resumed && self.leading == Some(epoch) {
            return vec![Step::Republish(epoch)];
        }
        self.newest = epoch;
        // A grant in place of a revocation and a grant: what Flink does under the old one is fenced, so it has to go.
        let old = self.leading.replace(epoch).map(Step::Revoke);
        old.into_iter().chain([Step::Grant(epoch)]).collect()
    }

    pub(super) fn on_revoke(&mut self, epoch: u64) -> Vec<Step> {
        match self.leading {
            Some(leading) if epoch >= leading => {
                self.leading = None;
                vec![Step::Revoke(leading)]
            }
            _ => Vec::new(),
        }
    }

    /// What to resume with: a broken connection takes no leadership away.
    pub(super) fn resumable(&self) -> Option<(&str, u64)> {
        self.session.as_deref().zip(self.leading)
    }

    pub(super) fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_and_revocations_alternate_whatever_the_sidecar_says() {
        let mut election = Election::default();
        assert_eq!(election.on_revoke(1), []);
        assert_eq!(election.on_grant(1, false), [Step::Grant(1)]);
        assert_eq!(election.on_grant(2, false), [Step::Revoke(1), Step::Grant(2)]);
        assert_eq!(election.on_revoke(1), [], "late");
        assert_eq!(election.on_revoke(2), [Step::Revoke(2)]);
        assert_eq!(election.on_revoke(2), []);
        assert_eq!(election.on_grant(1, false), [Step::Disconnect]);
    }

    #[test]
    fn a_session_that_is_resumed_under_its_epoch_goes_on() {
        let mut election = Election::default();
        assert_eq!(election.resumable(), None);
        election.on_session("s".into());
        assert_eq!(election.on_grant(3, false), [Step::Grant(3)]);
        assert_eq!(election.resumable(), Some(("s", 3)));
        assert_eq!(election.on_grant(3, true), [Step::Republish(3)]);
        assert_eq!(election.on_grant(4, true), [Step::Revoke(3), Step::Grant(4)], "not what it led under");
    }
}
