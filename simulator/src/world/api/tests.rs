//! The API server over the simulated network, through the product's own client stack.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, PostParams};
use serde_json::json;
use sidecar::election::api_client;
use tokio::time::timeout;

use super::{ApiServer, NAMESPACE};
use crate::plan::{Fault, What, When};
use crate::points::Points;
use crate::trace::{Event, Trace};
use crate::world::active::Active;
use crate::world::net::Connector;

const LIMIT: Duration = Duration::from_secs(5);

struct Rig {
    sim: turmoil::Sim<'static>,
    server: ApiServer,
    trace: Trace,
    active: Active,
}

impl Rig {
    fn new() -> Self {
        let (trace, active) = (Trace::default(), Active::default());
        let server = ApiServer::new(trace.clone(), Points::default(), active.clone(), 1, (2, 20));
        let mut sim = turmoil::Builder::new()
            .tick_duration(Duration::from_millis(10))
            .epoch(UNIX_EPOCH)
            .rng_seed(1)
            .simulation_duration(Duration::from_secs(3_600))
            .max_message_latency(Duration::from_millis(20))
            .build();
        let serving = server.clone();
        sim.host("api-server", move || {
            let server = serving.clone();
            async move { Ok(server.serve(6443).await?) }
        });
        Self { sim, server, trace, active }
    }

    fn begin(&self, what: What) {
        self.active.begin(0, &Fault { when: When::AtMs(0), what, for_ms: 0 }, 1);
    }

    fn run<T: 'static>(&mut self, client: impl AsyncFnOnce(Api<Lease>) -> T + 'static) -> T {
        let result = Arc::new(Mutex::new(None));
        let filled = result.clone();
        self.sim.client("sidecar-0", async move {
            let url = "http://api-server:6443".parse().expect("an URL");
            let kubernetes = api_client(&kube::Config::new(url), Connector).expect("a client");
            *filled.lock().unwrap() = Some(client(Api::namespaced(kubernetes, NAMESPACE)).await);
            Ok(())
        });
        self.sim.run().expect("the client comes to its end");
        result.lock().unwrap().take().expect("the client has ended")
    }

    fn written(&self) -> usize {
        let events = self.trace.entries();
        events.iter().filter(|entry| matches!(entry.event, Event::LeaseWritten { .. })).count()
    }
}

fn lease(holder: &str) -> Lease {
    serde_json::from_value(json!({"metadata": {"name": "orders"}, "spec": {"holderIdentity": holder}}))
        .expect("a Lease")
}

fn code<T>(result: &kube::Result<T>) -> Option<u16> {
    match result {
        Err(kube::Error::Api(status)) => Some(status.code),
        _ => None,
    }
}

#[test]
fn of_two_writers_that_read_the_same_version_one_is_refused() {
    let mut rig = Rig::new();
    let (first, second) = rig.run(async |leases: Api<Lease>| {
        let mut read = leases.create(&PostParams::default(), &lease("a")).await.expect("created");
        read.spec.get_or_insert_default().holder_identity = Some("b".into());
        let first = leases.replace("orders", &PostParams::default(), &read).await;
        read.spec.get_or_insert_default().holder_identity = Some("c".into());
        (first, leases.replace("orders", &PostParams::default(), &read).await)
    });
    assert!(first.is_ok(), "{first:?}");
    assert_eq!(code(&second), Some(409), "{second:?}");
    assert_eq!(rig.written(), 2);
}

#[test]
fn a_refusal_is_a_status_with_the_time_after_which_to_ask_again() {
    let mut rig = Rig::new();
    rig.begin(What::ApiRefuses { status: 429, permille: 1_000, retry_after_s: 7 });
    let answer = rig.run(async |leases: Api<Lease>| leases.get("orders").await);
    let Err(kube::Error::Api(status)) = answer else { panic!("no status: {answer:?}") };
    assert_eq!((status.code, status.details.map(|details| details.retry_after_seconds)), (429, Some(7)));
}

#[test]
fn a_write_whose_answer_is_lost_is_applied() {
    let mut rig = Rig::new();
    rig.begin(What::ApiLosesAnswers { permille: 1_000 });
    let silent = rig.run(async |leases: Api<Lease>| {
        timeout(LIMIT, leases.create(&PostParams::default(), &lease("a"))).await.is_err()
    });
    assert!(silent);
    assert_eq!(rig.written(), 1);
}

#[test]
fn a_server_that_is_down_refuses_connections_and_forgets_nothing() {
    let mut rig = Rig::new();
    let server = rig.server.clone();
    let (refused, found) = rig.run(async move |leases: Api<Lease>| {
        leases.create(&PostParams::default(), &lease("a")).await.expect("created");
        server.set_up(false);
        tokio::time::sleep(Duration::from_millis(100)).await;
        let refused = timeout(LIMIT, leases.get("orders")).await.expect("refused at once").is_err();
        server.set_up(true);
        tokio::time::sleep(Duration::from_millis(100)).await;
        (refused, leases.get("orders").await)
    });
    assert!(refused);
    assert!(found.is_ok(), "{found:?}");
}
