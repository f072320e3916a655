//! `holdfast-sim replay`.

use std::path::PathBuf;

use anyhow::bail;

use super::print;
use crate::batch::{self, Runner};
use crate::plan::Plan;
use crate::report;
use crate::scenario::{self, Scenario};
use crate::token::{self, Token};

#[derive(Debug, clap::Args)]
pub(super) struct ReplayArgs {
    /// The token that a violation was reported with
    #[arg(value_name = "TOKEN")]
    token: Token,

    /// The scenario's file, if it is not one of those that are shipped
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
}

// === impl ReplayArgs ===

impl ReplayArgs {
    /// Whether everything held this time.
    pub(super) fn run(self, runner: Runner<'_>) -> anyhow::Result<bool> {
        let scenario = self.find()?;
        for warning in warnings(&self.token, &scenario) {
            warn(&warning);
        }
        let plan = self.plan(&scenario)?;
        let ran = batch::alone(runner, &plan);
        print(&report::replayed(&plan, &ran.outcome, &ran.trace))?;
        if ran.outcome.hash != self.token.hash {
            warn(&format!(
                "this is another run than the one that was reported: its hash is {}, the token's is {}",
                ran.outcome.hash, self.token.hash
            ));
        }
        Ok(ran.outcome.violation.is_none())
    }

    fn find(&self) -> anyhow::Result<Scenario> {
        let argument = match &self.scenario {
            Some(path) => path.display().to_string(),
            None => self.token.scenario.clone(),
        };
        let mut found = scenario::find(&argument)?;
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            _ => bail!("{argument} is a directory; --scenario takes one file"),
        }
    }

    fn plan(&self, scenario: &Scenario) -> anyhow::Result<Plan> {
        let plan = scenario.plan(self.token.seed);
        self.token.cut.apply(&plan).map_err(|fault| {
            anyhow::anyhow!(
                "the token keeps fault {fault}, but {} makes only {} under seed {}: it is of another scenario or version",
                scenario.name,
                plan.faults.len(),
                plan.seed
            )
        })
    }
}

/// Why it may be another run than the one that the token names.
fn warnings(token: &Token, scenario: &Scenario) -> Vec<String> {
    let mut warnings = Vec::new();
    if token.scenario != scenario.name || token.text != scenario.hash {
        warnings.push(format!(
            "the scenario is not the one of the token: {} with text {}, the token's is {} with text {}",
            scenario.name, scenario.hash, token.scenario, token.text
        ));
    }
    if token.build != token::build() {
        warnings.push(format!(
            "this build is {}, the token is of {}: the run may differ; check that commit out and build it with --locked",
            token::build(),
            token.build
        ));
    }
    warnings
}

#[allow(clippy::print_stderr)] // there is no log: this is a command
fn warn(warning: &str) {
    eprintln!("holdfast-sim: warning: {warning}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shrink::Cut;

    #[test]
    fn a_replay_on_another_build_or_of_another_text_warns() {
        let scenario = scenario::find("job-manager-crash").expect("it is shipped").remove(0);
        let same = Token::new(&scenario, 1, Cut::default(), "9a0be2771c03d4f5");
        assert_eq!(warnings(&same, &scenario), Vec::<String>::new());

        let other = Token { build: "0.0.9-00000000".into(), ..same.clone() };
        assert!(warnings(&other, &scenario)[0].contains("the token is of 0.0.9-00000000"));
        let other = Token { text: "00000000".into(), ..same };
        assert!(
            warnings(&other, &scenario)[0].contains("the token's is job-manager-crash with text 00000000")
        );
    }
}
