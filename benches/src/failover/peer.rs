//! Who is measured: an HA service, and what is set about it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context, Error, Result, bail};

/// Who keeps a job's place while its JobManager is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    /// Nobody: `high-availability.type: NONE`.
    Nobody,
    /// Flink's ZooKeeper HA services.
    ZooKeeper,
    /// Flink's Kubernetes HA services, outside a pod, against a real kube-apiserver.
    Kubernetes,
    /// Holdfast.
    Holdfast,
}

/// What differs from the defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Setting {
    /// Time-outs as short as one can advise.
    Tuned,
    /// A second JobManager waits.
    Standby,
    /// `holdfast exec --warm-spare`.
    Spare,
    /// No `holdfast exec`: Flink's scripts start the JobManager again, as for the others.
    Scripts,
    /// JVM flags for a quick start, which cost a large job its throughput.
    Fast,
}

/// One line of the tables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who keeps the job's place.
    pub service: Service,
    settings: BTreeSet<Setting>,
}

/// What `--peers` names, in that order and none twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peers(pub Vec<Peer>);

/// What `all` stands for.
const ALL: &str = "none,zookeeper,zookeeper:standby,zookeeper:tuned,zookeeper:tuned+standby,kubernetes,\
    kubernetes:standby,kubernetes:tuned,kubernetes:tuned+standby,holdfast,holdfast:spare,holdfast:fast,holdfast:scripts";

impl Service {
    const NAMES: [(&'static str, Self); 4] = [
        ("none", Self::Nobody),
        ("zookeeper", Self::ZooKeeper),
        ("kubernetes", Self::Kubernetes),
        ("holdfast", Self::Holdfast),
    ];

    fn has(self, setting: Setting) -> bool {
        match setting {
            Setting::Tuned | Setting::Standby => matches!(self, Self::ZooKeeper | Self::Kubernetes),
            Setting::Spare | Setting::Scripts | Setting::Fast => self == Self::Holdfast,
        }
    }
}

impl Setting {
    const NAMES: [(&'static str, Self); 5] = [
        ("tuned", Self::Tuned),
        ("standby", Self::Standby),
        ("spare", Self::Spare),
        ("scripts", Self::Scripts),
        ("fast", Self::Fast),
    ];
}

impl Peer {
    /// Whether this is set.
    pub fn has(&self, setting: Setting) -> bool {
        self.settings.contains(&setting)
    }

    /// Whether `holdfast exec` starts the JobManager.
    pub fn has_exec(&self) -> bool {
        self.service == Service::Holdfast && !self.has(Setting::Scripts)
    }

    /// What is set, in words.
    pub fn settings_in_words(&self) -> String {
        let mut words = vec![match (self.service, self.has(Setting::Tuned)) {
            (Service::Nobody, _) => "high-availability.type NONE",
            (Service::ZooKeeper, false) => "Flink's defaults",
            (Service::ZooKeeper, true) => "session time-out 5 s",
            (Service::Kubernetes, false) => "Flink's defaults (Lease 15 s, deadline 15 s, retry 5 s)",
            (Service::Kubernetes, true) => "Lease 5 s, deadline 4 s, retry 1 s",
            (Service::Holdfast, _) if self.has_exec() => "holdfast exec, launcher, class-data archive",
            (Service::Holdfast, _) => "no holdfast exec, no archive",
        }];
        let further = [
            (Setting::Standby, "a standby JobManager"),
            (Setting::Spare, "warm spare"),
            (Setting::Fast, "C1 compiler, serial collector"),
        ];
        words.extend(further.iter().filter(|(setting, _)| self.has(*setting)).map(|(_, word)| *word));
        words.join(", ")
    }

    /// How its JobManager is started again after a kill, in words.
    pub fn restart_in_words(&self) -> &'static str {
        match (self.has_exec(), self.has(Setting::Standby)) {
            (true, _) => "holdfast exec",
            (false, true) => "a standby leads; the killed one is started at once by Flink's scripts",
            (false, false) => "at once, by Flink's scripts",
        }
    }

    /// What Flink is told beyond the defaults of every peer.
    pub fn flink_settings(&self) -> Vec<(&'static str, String)> {
        let set = |key, value: &str| (key, value.to_owned());
        match (self.service, self.has(Setting::Tuned)) {
            (Service::ZooKeeper, true) => {
                // A bare number is milliseconds, for all versions.
                vec![set("high-availability.zookeeper.client.session-timeout", "5000")]
            }
            (Service::Kubernetes, true) => vec![
                set("high-availability.kubernetes.leader-election.lease-duration", "5 s"),
                set("high-availability.kubernetes.leader-election.renew-deadline", "4 s"),
                set("high-availability.kubernetes.leader-election.retry-period", "1 s"),
            ],
            (Service::Holdfast, _) if self.has(Setting::Fast) => {
                vec![set("env.java.opts.jobmanager", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")]
            }
            _ => Vec::new(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&Service::NAMES, self.service))?;
        for (n, setting) in self.settings.iter().enumerate() {
            write!(f, "{}{}", if n == 0 { ':' } else { '+' }, name_of(&Setting::NAMES, *setting))?;
        }
        Ok(())
    }
}

impl FromStr for Peer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, settings) = text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest)));
        let service = named(&Service::NAMES, name).with_context(|| {
            format!("there is no peer {name:?}; there are none, zookeeper, kubernetes and holdfast")
        })?;
        let mut found = BTreeSet::new();
        for word in settings.into_iter().flat_map(|settings| settings.split('+')) {
            let setting = named(&Setting::NAMES, word).filter(|setting| service.has(*setting));
            found.insert(setting.with_context(|| {
                let of_it = Setting::NAMES.iter().filter(|(_, setting)| service.has(*setting));
                let of_it: Vec<_> = of_it.map(|(name, _)| *name).collect();
                format!("{name} has no setting {word:?}; it has {of_it:?}")
            })?);
        }
        if found.contains(&Setting::Scripts) && found.len() > 1 {
            bail!("{text}: scripts means without holdfast exec, which every other setting needs");
        }
        Ok(Self { service, settings: found })
    }
}

impl FromStr for Peers {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut peers: Vec<Peer> = Vec::new();
        for word in text.split(',') {
            for name in if word == "all" { ALL } else { word }.split(',') {
                let peer = name.parse()?;
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
            }
        }
        Ok(Self(peers))
    }
}

fn named<T: Copy>(names: &[(&str, T)], wanted: &str) -> Option<T> {
    names.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value)
}

fn name_of<T: Copy + PartialEq>(names: &[(&'static str, T)], wanted: T) -> &'static str {
    names.iter().find(|(_, value)| *value == wanted).map(|(name, _)| *name).expect("every value has a name")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_and_written_alike() {
        for name in ["none", "zookeeper", "kubernetes:tuned+standby", "holdfast:spare+fast"] {
            assert_eq!(name.parse::<Peer>().unwrap().to_string(), name);
        }
        assert_eq!(
            "kubernetes:standby+tuned".parse::<Peer>().unwrap().to_string(),
            "kubernetes:tuned+standby"
        );
    }

    #[test]
    fn what_a_peer_has_not_is_refused_with_what_it_has() {
        let complaint = |name: &str| name.parse::<Peer>().unwrap_err().to_string();
        assert!(complaint("etcd").contains("none, zookeeper, kubernetes and holdfast"));
        assert!(complaint("none:tuned").contains("no setting \"tuned\""));
        assert!(complaint("zookeeper:spare").contains("[\"tuned\", \"standby\"]"));
        assert!(complaint("holdfast:scripts+spare").contains("without holdfast exec"));
        assert!(complaint("holdfast:").contains("no setting \"\""));
    }

    #[test]
    fn all_names_each_peer_once() {
        let Peers(all) = "holdfast,all".parse().unwrap();
        assert_eq!(all.len(), 13);
        assert_eq!(all[0].to_string(), "holdfast");
    }

    #[test]
    fn only_what_differs_from_the_defaults_is_set() {
        for name in ["none", "zookeeper:standby", "kubernetes", "holdfast"] {
            assert_eq!(name.parse::<Peer>().unwrap().flink_settings(), []);
        }
        assert_eq!("kubernetes:tuned".parse::<Peer>().unwrap().flink_settings().len(), 3);
    }
}
