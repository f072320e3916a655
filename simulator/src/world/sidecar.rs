//! The product, started as in a pod: its own configuration, its own client stack, its own `serve`.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use sidecar::config::Config;
use sidecar::election::api_client;
use sidecar::runtime::{World, serve};
use sidecar::settings::Settings;
use tokio::sync::watch;

use super::api::NAMESPACE;
use super::clock::PodClock;
use super::net::{Connector, Listener};
use super::store::Client;
use super::{API_PORT, API_SERVER, DEPLOYMENT, PRIVATE_PORT, PUBLIC_PORT, STORE, STORE_PORT};
use crate::product::Wrap;
use crate::seed::Stream;

/// What one sidecar process is started with.
pub struct Sidecar {
    /// Who it is in the trace, and in the network.
    pub actor: String,
    /// The pod's name.
    pub pod: String,
    /// The pod's UID.
    pub uid: String,
    /// The Job's UID.
    pub generation: String,
    /// Settings that differ from the defaults.
    pub settings: BTreeMap<String, String>,
    /// The pod's wall clock.
    pub clock: PodClock,
    /// This process's own randomness.
    pub stream: Stream,
    /// What plants defects, if anything.
    pub wrap: Option<Wrap>,
    /// Turns true when it is asked to stop.
    pub stop: watch::Receiver<bool>,
}

// === impl Sidecar ===

impl Sidecar {
    /// Runs it, inside its host. 0: it stopped in order; 1: it could not go on.
    ///
    /// # Panics
    /// When the plan's settings are not good: they were checked when the scenario was read.
    pub async fn run(self) -> i32 {
        let (Ok(private), Ok(public)) =
            (Listener::bind(PRIVATE_PORT).await, Listener::bind(PUBLIC_PORT).await)
        else {
            return 1;
        };
        let config = self.config();
        let api = format!("http://{API_SERVER}:{API_PORT}").parse().expect("an URL made of constants");
        let kubernetes = api_client(&kube::Config::new(api), Connector);
        let world = World {
            clock: Arc::new(self.clock),
            entropy: Arc::new(self.stream),
            backend: Arc::new(Client::new(&self.actor, STORE, STORE_PORT)),
            kubernetes: Some(kubernetes.expect("a client without credentials")),
            snapshots: Arc::default(),
            connect: Arc::new(Connector),
        };
        let world = match self.wrap {
            Some(wrap) => wrap(world),
            None => world,
        };
        match serve(config, world, private, public, self.stop).await {
            Ok(()) => 0,
            Err(_) => 1,
        }
    }

    fn config(&self) -> Config {
        let own = Settings {
            deployment: Some(DEPLOYMENT.into()),
            store: Some("memory:///".into()),
            generation: Some(self.generation.clone()),
            election: Some("kubernetes".into()),
            identity: Some(self.uid.clone()),
            pod_name: Some(self.pod.clone()),
            namespace: Some(NAMESPACE.into()),
            ..Settings::default()
        };
        let settings = own.or(parse(&self.settings));
        Config::try_from(settings).expect("the settings of a plan are checked when its scenario is read")
    }
}

/// Settings by their names on the command line.
fn parse(settings: &BTreeMap<String, String>) -> Settings {
    let value = |(name, text): (&String, &String)| {
        let number = name.starts_with("max-").then(|| text.parse::<u64>().ok()).flatten();
        (name.clone(), number.map_or_else(|| Value::from(text.as_str()), Value::from))
    };
    let object = Value::Object(settings.iter().map(value).collect());
    serde_json::from_value(object).expect("the settings of a plan are checked when its scenario is read")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_named_as_on_the_command_line() {
        let plan = [("retry-period", "1s"), ("max-sessions", "4")];
        let plan = plan.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let settings = parse(&plan);
        assert_eq!(settings.retry_period.as_deref(), Some("1s"));
        assert_eq!(settings.max_sessions, Some(4));
    }
}
