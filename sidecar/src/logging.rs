//! One line for each decision, in words or in JSON, on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::SubscriberBuilder;

use crate::config::LogConfig;

/// Sets up the process's log. Call it once.
pub(crate) fn init(config: &LogConfig) {
    let filter = EnvFilter::try_new(&config.filter).expect("the filter was checked with the configuration");
    let colours = std::io::stderr().is_terminal();
    let builder =
        SubscriberBuilder::default().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours);
    if config.json {
        builder.json().flatten_event(true).with_current_span(false).init();
    } else {
        builder.with_target(false).init();
    }
}
