//! The `holdfast` command line, as a person or a script uses it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::process;

/// What a command answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// What it printed, which is JSON.
    pub json: Value,
    /// What it complained about.
    pub complaint: String,
}

/// Runs `holdfast ARGUMENTS -o json` with these variables and waits for its end; commands have time-outs of their own.
pub async fn holdfast(
    binary: &Path,
    arguments: &[&str],
    variables: &[(&'static str, String)],
) -> Result<Answer> {
    let mut command = process::command(binary);
    command.args(arguments).args(["-o", "json"]).envs(variables.iter().cloned());
    let shown = format!("holdfast {}", arguments.join(" "));
    let output =
        spawn_blocking(move || command.output()).await?.with_context(|| format!("running {shown}"))?;
    let code = output.status.code().with_context(|| format!("{shown} was ended by a signal"))?;
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    let json = match output.stdout.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&output.stdout).with_context(|| {
            format!("{shown} printed no JSON: {}{complaint}", String::from_utf8_lossy(&output.stdout))
        })?,
    };
    Ok(Answer { code, json, complaint })
}

impl Answer {
    /// The answer of a command that must have done what it was asked for.
    pub fn done(self) -> Result<Value> {
        ensure!(self.code == 0, "exit code {}: {}{}", self.code, self.complaint, self.json);
        Ok(self.json)
    }
}
