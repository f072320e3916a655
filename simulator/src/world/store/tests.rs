//! The store over the simulated network, as the product's client of it sees it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use object_store::path::Path;
use object_store::{Error, ObjectStore, PutMode, PutPayload};
use tokio::time::timeout;

use super::{Client, FarSide};
use crate::flink::StateFiles;
use crate::plan::{Fault, What, When};
use crate::points::Points;
use crate::trace::{Event, Trace, reached};
use crate::world::active::Active;

const PORT: u16 = 9000;
const KEY: &str = "orders/log/00000000000000000001.json";

struct Rig {
    sim: turmoil::Sim<'static>,
    trace: Trace,
    active: Active,
}

impl Rig {
    fn new() -> Self {
        Self::with_state(StateFiles::default())
    }

    fn with_state(state: StateFiles) -> Self {
        let (trace, active) = (Trace::default(), Active::default());
        let far =
            FarSide::new(trace.clone(), Points::default(), active.clone(), 1, (5, 20)).with_state(state);
        let mut sim = turmoil::Builder::new()
            .tick_duration(Duration::from_millis(10))
            .epoch(UNIX_EPOCH)
            .rng_seed(1)
            .simulation_duration(Duration::from_secs(3_600))
            .max_message_latency(Duration::from_millis(20))
            .build();
        sim.host("store", move || {
            let far = far.clone();
            async move { Ok(far.serve(PORT).await?) }
        });
        Self { sim, trace, active }
    }

    fn begin(&self, what: What) {
        self.active.begin(0, &Fault { when: When::AtMs(0), what, for_ms: 0 }, 1);
    }

    /// Runs a client to its end, and 60 s more.
    fn run<T: 'static>(&mut self, client: impl AsyncFnOnce(Client) -> T + 'static) -> T {
        let (result, taken) = (Arc::new(Mutex::new(None)), Arc::new(Mutex::new(None)));
        let filled = result.clone();
        *taken.lock().unwrap() = Some(client);
        self.sim.client("sidecar-0", async move {
            let client = taken.lock().unwrap().take().expect("a client runs once");
            let answer = client(Client::new("sidecar-0", "store", PORT)).await;
            *filled.lock().unwrap() = Some(answer);
            Ok(())
        });
        self.sim.run().expect("the client comes to its end");
        for _ in 0..6_000 {
            self.sim.step().expect("the store goes on");
        }
        result.lock().unwrap().take().expect("the client has ended")
    }

    fn created(&self) -> usize {
        let events = self.trace.entries();
        events.iter().filter(|entry| matches!(entry.event, Event::StoreCreated { .. })).count()
    }
}

async fn create(client: &Client, body: &'static str) -> Result<(), Error> {
    let payload = PutPayload::from_static(body.as_bytes());
    client.put_opts(&Path::from(KEY), payload, PutMode::Create.into()).await.map(drop)
}

#[test]
fn a_create_over_an_object_is_refused_and_a_listing_shows_the_first() {
    let mut rig = Rig::new();
    let (first, second, body) = rig.run(async |client: Client| {
        let (first, second) = (create(&client, "first").await, create(&client, "second").await);
        let found = client.get_opts(&Path::from(KEY), Default::default()).await.expect("it is there");
        (first, second, found.bytes().await.expect("its bytes"))
    });
    assert!(first.is_ok());
    assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
    assert_eq!(&body[..], b"first");
}

#[test]
fn a_create_whose_sender_gave_up_is_applied_all_the_same() {
    let mut rig = Rig::new();
    rig.begin(What::StoreDelaysWrites { by_ms: 30_000, permille: 1_000 });
    let answer = rig
        .run(async |client: Client| timeout(Duration::from_secs(5), create(&client, "late")).await.is_err());
    assert!(answer, "nobody answered in time");
    assert_eq!(rig.created(), 1);
}

#[test]
fn an_answer_that_is_lost_leaves_the_create_applied_and_a_request_that_is_lost_does_not() {
    for (what, created) in [
        (What::StoreLosesAnswers { permille: 1_000 }, 1),
        (What::StoreLosesRequests { permille: 1_000 }, 0),
        (What::StoreRefuses { status: 403, permille: 1_000 }, 0),
    ] {
        let mut rig = Rig::new();
        rig.begin(what.clone());
        let failed = rig.run(async |client: Client| {
            !matches!(timeout(Duration::from_secs(5), create(&client, "a")).await, Ok(Ok(())))
        });
        assert!(failed, "{what:?}");
        assert_eq!(rig.created(), created, "{what:?}");
    }
}

#[test]
fn a_create_that_was_applied_and_answered_with_500_is_its_own_rival_when_it_is_sent_again() {
    let mut rig = Rig::new();
    rig.begin(What::StoreAppliesAndFails { permille: 1_000 });
    let active = rig.active.clone();
    let answer = rig.run(async move |client: Client| {
        let mended = async {
            tokio::time::sleep(Duration::from_millis(80)).await;
            active.end(0);
        };
        tokio::join!(create(&client, "mine"), mended).0
    });
    assert!(matches!(answer, Err(Error::AlreadyExists { .. })), "{answer:?}");
    assert_eq!(rig.created(), 1);
    assert_eq!(rig.trace.reached_counts().get(reached::OWN_CONFLICT), Some(&1));
}

#[test]
fn what_was_lost_and_comes_again_is_an_unknown_that_was_absent() {
    let mut rig = Rig::new();
    rig.begin(What::StoreLosesRequests { permille: 1_000 });
    let active = rig.active.clone();
    let answer = rig.run(async move |client: Client| {
        drop(timeout(Duration::from_secs(1), create(&client, "mine")).await);
        active.end(0);
        create(&client, "mine").await
    });
    assert!(answer.is_ok(), "{answer:?}");
    assert_eq!(rig.trace.reached_counts().get(reached::UNKNOWN_ABSENT), Some(&1));
}

#[test]
fn the_product_verifies_a_snapshot_over_the_network() {
    let cluster = crate::flink::Cluster::new(crate::flink::Adapter::default());
    let pointer = cluster.example_snapshot();
    let mut rig = Rig::with_state(cluster.files().clone());
    let path = pointer.clone();
    let verdict = rig.run(async move |client: Client| {
        let stores = snapshot::Stores::default();
        stores.register(crate::flink::BUCKET, Arc::new(client)).expect("a bucket");
        let found = snapshot::verify(&stores, &path, &snapshot::VerifyOptions::default()).await;
        found.map(|found| (found.verdict, found.references.len()))
    });
    assert_eq!(verdict.expect("a path in the bucket"), (snapshot::Verdict::Ok, 2));
}
