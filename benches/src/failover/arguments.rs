//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};

use super::case::Cases;
use super::kill::Limits;
use super::peer::Peers;

/// Measures how long a Flink job is away when its JobManager dies
#[derive(Clone, Debug, Parser)]
#[command(name = "failover", version)]
pub struct Arguments {
    /// Who is measured, NAME[:SETTING[+SETTING]] each: none; zookeeper, kubernetes (tuned, standby); holdfast (spare, fast,
    /// scripts); or all
    #[arg(long, default_value = "none,zookeeper,kubernetes,holdfast")]
    pub peers: Peers,

    /// What is done: process, pod, frozen, sidecar, api; or all
    #[arg(long, default_value = "process")]
    pub cases: Cases,

    /// How often, for each peer and case
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub kills: u32,

    /// Over how many turns of each peer the kills are spread
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,

    /// The Flink version
    #[arg(long, default_value = "2.2.1")]
    pub flink: String,

    /// What standard output gets when everything is measured
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub format: Format,

    /// A page with the picture and the tables
    #[arg(long, value_name = "FILE.html")]
    pub report: Option<PathBuf>,

    /// The picture alone
    #[arg(long, value_name = "FILE.svg")]
    pub svg: Option<PathBuf>,

    /// What standard output gets with --format json, in a file
    #[arg(long, value_name = "FILE.json")]
    pub json: Option<PathBuf>,

    /// After how many seconds a job counts as one that did not come back
    #[arg(long, default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub limit_s: u32,

    /// For how many seconds the API server is gone in the case api
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub outage_s: u32,

    /// Another holdfast binary than the one that is built beside this program
    #[arg(long, value_name = "FILE")]
    pub holdfast: Option<PathBuf>,

    /// holdfast exec gets no class-data archive
    #[arg(long)]
    pub no_archive: bool,

    /// Nothing is downloaded or built: what is missing is an error
    #[arg(long)]
    pub no_setup: bool,
}

/// What standard output gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables for people.
    Text,
    /// For programs.
    Json,
}

impl Arguments {
    /// How long things may take.
    pub fn limits(&self) -> Limits {
        Limits {
            recovery: Duration::from_secs(self.limit_s.into()),
            outage: Duration::from_secs(self.outage_s.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failover::case::Case;

    #[test]
    fn the_command_of_the_documentation_is_understood() {
        let line = "failover --peers none,zookeeper,kubernetes,holdfast --kills 7 --flink 2.2.1 --format json --report f.html";
        let read = Arguments::try_parse_from(line.split(' ')).unwrap();
        assert_eq!((read.peers.0.len(), read.kills, read.format), (4, 7, Format::Json));
        assert_eq!(read.cases.0, [Case::Process]);
    }

    #[test]
    fn a_wrong_peer_is_an_error_that_names_it() {
        let error = Arguments::try_parse_from(["failover", "--peers", "none,etcd"]).unwrap_err().to_string();
        assert!(error.contains("there is no peer \"etcd\""), "{error}");
        assert!(Arguments::try_parse_from(["failover", "--kills", "0"]).is_err());
    }
}
