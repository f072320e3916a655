//! What is done to a cluster.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result};

use super::peer::{Peer, Service};

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// `kill -9` of the JobManager that leads.
    Process,
    /// `kill -9` of the JobManager and of what stands beside it in its pod, all started again at once.
    Pod,
    /// SIGSTOP of the JobManager that leads, for good.
    Frozen,
    /// `kill -9` of the sidecar, which is started again at once.
    Sidecar,
    /// API server and etcd are gone for a while.
    Api,
}

/// What `--cases` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cases(pub Vec<Case>);

impl Case {
    /// All of them, with what the command line calls them.
    pub const NAMES: [(&'static str, Self); 5] = [
        ("process", Self::Process),
        ("pod", Self::Pod),
        ("frozen", Self::Frozen),
        ("sidecar", Self::Sidecar),
        ("api", Self::Api),
    ];

    /// Whether it can happen to this peer at all.
    pub fn concerns(self, peer: &Peer) -> bool {
        match self {
            Self::Process | Self::Pod | Self::Frozen => true,
            Self::Sidecar => peer.service == Service::Holdfast,
            Self::Api => matches!(peer.service, Service::Kubernetes | Service::Holdfast),
        }
    }

    /// Whether the same cluster may go through it again. What was frozen, or without its API server, is thrown away:
    /// what it left behind would be part of the next figure.
    pub fn is_repeatable(self) -> bool {
        !matches!(self, Self::Frozen | Self::Api)
    }

    /// Whether the job is meant to go through it without noticing.
    pub fn may_pass_unnoticed(self) -> bool {
        matches!(self, Self::Sidecar | Self::Api)
    }

    /// In words.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Process => "JobManager process killed",
            Self::Pod => "JobManager and what is beside it in the pod killed together",
            Self::Frozen => "JobManager frozen (SIGSTOP)",
            Self::Sidecar => "sidecar killed and started again",
            Self::Api => "API server gone for a while",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, case)| case == self).map(|(name, _)| *name);
        f.write_str(name.expect("every case has a name"))
    }
}

impl FromStr for Cases {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut cases = Vec::new();
        for word in text.split(',') {
            let found = Case::NAMES.iter().filter(|(name, _)| *name == word || word == "all");
            let found: Vec<Case> = found.map(|(_, case)| *case).collect();
            found.first().with_context(|| {
                format!("there is no case {word:?}; there are process, pod, frozen, sidecar and api, and all")
            })?;
            cases.extend(found);
        }
        cases.sort();
        cases.dedup();
        Ok(Self(cases))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_read_in_their_own_order() {
        let Cases(cases) = "frozen,process,process".parse().unwrap();
        assert_eq!(cases, [Case::Process, Case::Frozen]);
        let Cases(all) = "all".parse().unwrap();
        assert_eq!(all.len(), 5);
        assert!("proces".parse::<Cases>().unwrap_err().to_string().contains("no case \"proces\""));
    }

    #[test]
    fn a_case_concerns_only_who_can_meet_it() {
        let concerned = |case: Case| {
            let names = ["none", "zookeeper", "kubernetes", "holdfast"];
            names.into_iter().filter(|name| case.concerns(&name.parse().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(concerned(Case::Sidecar), ["holdfast"]);
        assert_eq!(concerned(Case::Api), ["kubernetes", "holdfast"]);
        assert_eq!(concerned(Case::Frozen).len(), 4);
    }
}
