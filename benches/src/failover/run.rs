//! The whole run: who has a turn when, and what is written at the end.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use harness::output;
use harness::site::Site;

use super::arguments::{Arguments, Format};
use super::case::Case;
use super::machine::Machine;
use super::peer::Peer;
use super::result::{Results, Row};
use super::turn::{Plan, Turn};
use super::{archive, page, picture, say, setup, text};

/// Sets up, measures and writes. `Ok(false)` when a job did not come back.
pub async fn run(arguments: &Arguments) -> Result<bool> {
    let artifacts = setup::artifacts(arguments).await.context("setting up")?;
    let machine = Machine::look(&artifacts).await?;
    say(machine.in_words());
    let image = Site::new(artifacts)?;
    let archive = match arguments.peers.0.iter().any(Peer::has_exec) && !arguments.no_archive {
        true => Some(archive::make(&image).await?),
        false => None,
    };
    let results = measure(arguments, &image, archive.as_deref(), machine).await;
    write(arguments, &results)?;
    Ok(results.rows.iter().all(|row| row.failed() == 0))
}

async fn measure(arguments: &Arguments, image: &Site, archive: Option<&Path>, machine: Machine) -> Results {
    let mut rows = Vec::new();
    for case in &arguments.cases.0 {
        let concerned: Vec<&Peer> = arguments.peers.0.iter().filter(|peer| case.concerns(peer)).collect();
        let mut of_case: Vec<Row> = concerned.iter().map(|peer| Row::new(peer, *case)).collect();
        let rounds = turns(arguments, *case);
        for (n, kills) in rounds.iter().enumerate() {
            say(format!("{case}: round {} of {}", n + 1, rounds.len()));
            for row in &mut of_case {
                take_turns(arguments, image, archive, row, *kills).await;
            }
        }
        rows.append(&mut of_case);
    }
    let without_archive = arguments.no_archive && arguments.peers.0.iter().any(Peer::has_exec);
    Results { machine, rows, without_archive }
}

/// A turn ends with a fault after which the job does not come back: what is left of it gets a new cluster.
async fn take_turns(
    arguments: &Arguments,
    image: &Site,
    archive: Option<&Path>,
    row: &mut Row,
    kills: usize,
) {
    let wanted = row.outcomes.len() + kills;
    while row.outcomes.len() < wanted {
        let peer = row.peer.clone();
        let (case, left) = (row.case, wanted - row.outcomes.len());
        let plan = Plan { peer: &peer, case, kills: left, limits: arguments.limits(), archive };
        let turn = Turn::take(image, plan).await;
        row.outcomes.extend(turn.outcomes);
        row.lost += turn.lost;
        row.duplicated += turn.duplicated;
        row.miscounted += turn.miscounted;
    }
}

/// How many kills each round has.
fn turns(arguments: &Arguments, case: Case) -> Vec<usize> {
    let kills = arguments.kills as usize;
    let rounds = if case.is_repeatable() { (arguments.rounds as usize).min(kills) } else { kills };
    (0..rounds).map(|n| kills / rounds + usize::from(n < kills % rounds)).collect()
}

fn write(arguments: &Arguments, results: &Results) -> Result<()> {
    let json = format!("{:#}", results.json());
    match arguments.format {
        Format::Text => output::line(text::tables(results)),
        Format::Json => output::line(&json),
    }
    let files = [
        (&arguments.json, &json as &str),
        (&arguments.svg, &picture::svg(results)),
        (&arguments.report, &page::html(results)),
    ];
    for (path, content) in files {
        if let Some(path) = path {
            write_file(path, content)?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, content: &str) -> Result<()> {
    fs::write(path, content).with_context(|| format!("writing {}", path.display()))?;
    say(format!("written: {}", path.display()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn spread_over(kills: &str, rounds: &str, case: Case) -> Vec<usize> {
        let arguments = Arguments::parse_from(["failover", "--kills", kills, "--rounds", rounds]);
        turns(&arguments, case)
    }

    #[test]
    fn kills_are_spread_over_the_rounds() {
        assert_eq!(spread_over("7", "3", Case::Process), [3, 2, 2]);
        assert_eq!(spread_over("1", "3", Case::Pod), [1]);
        assert_eq!(spread_over("3", "1", Case::Frozen), [1, 1, 1]);
    }
}
