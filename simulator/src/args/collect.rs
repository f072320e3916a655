//! `holdfast-sim collect`.

use anyhow::Context;
use clap::ValueEnum;

use super::print;
use crate::report;
use crate::results::Collected;
use crate::results::place::Place;

#[derive(Debug, clap::Args)]
pub(super) struct CollectArgs {
    /// Where `run --results` put them
    #[arg(value_name = "URL")]
    url: String,

    /// What is printed
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

// === impl CollectArgs ===

impl CollectArgs {
    /// Whether everything held. An error when it did as far as one knows, and shards are missing.
    pub(super) fn run(self) -> anyhow::Result<bool> {
        let place = Place::open(&self.url)?;
        let objects = place.read()?;
        let collected = Collected::of(&objects).with_context(|| place.url().to_string())?;
        let shown = |name: &str| place.shown(name);
        match self.format {
            Format::Text => print(&report::collected_text(&collected, &shown))?,
            Format::Json => print(&format!("{:#}\n", report::collected_json(&collected, &shown)))?,
        }
        let held = collected.violations.is_empty();
        if held && !collected.missing.is_empty() {
            anyhow::bail!("{}", report::missing(&collected));
        }
        Ok(held)
    }
}
