//! The store on a real S3 server, and behind a gateway that breaks it; and whether a snapshot there can be restored.
//!
//! Each test starts a server of its own on a free port.

use ha_store::conformance::{Bench, RULES};
use ha_store::{BackendOptions, Store, StoreError, StoreUrl, SystemEntropy};
use harness::s3::{BUCKET, S3Server, variables};
use snapshot::{Stores, Verdict, Verification, VerifyOptions, verify};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream};

/// A running S3 server, which ends with the test.
struct Server {
    running: S3Server,
    _home: tempfile::TempDir,
}

impl Server {
    async fn start() -> Self {
        let home = tempfile::tempdir().expect("a scratch directory");
        let running = S3Server::start(home.path(), &home.path().join("log")).await.expect("ministack starts");
        Self { running, _home: home }
    }

    fn address(&self) -> SocketAddr {
        self.running.address()
    }
}

/// A savepoint of a real Flink, in a bucket.
struct Savepoint {
    server: Server,
    stores: Stores,
    /// Its files by name.
    files: Vec<(String, Vec<u8>)>,
}

impl Savepoint {
    const KEY: &str = "flink/savepoints/savepoint-4c1d7e-1";

    /// All of its files are there.
    async fn put() -> Self {
        let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("../snapshot/fixtures/whole");
        let directory = fixture.join("2.2.1-stop-with-savepoint");
        let files = std::fs::read_dir(directory).expect("the fixture is there").map(|file| {
            let file = file.expect("it can be listed");
            let name = file.file_name().into_string().expect("an ASCII name");
            (name, std::fs::read(file.path()).expect("it can be read"))
        });
        let server = Server::start().await;
        let stores = Stores::new(options(server.address()));
        let savepoint = Self { stores, files: files.collect(), server };
        for (name, bytes) in &savepoint.files {
            savepoint.write(name, bytes).await;
        }
        savepoint
    }

    /// As Flink names it.
    fn pointer() -> String {
        format!("s3://{BUCKET}/{}", Self::KEY)
    }

    fn path(name: &str) -> String {
        format!("{}/{name}", Self::pointer())
    }

    fn object(&self, name: &str) -> String {
        format!("http://{}/{BUCKET}/{}/{name}", self.server.address(), Self::KEY)
    }

    async fn write(&self, name: &str, bytes: &[u8]) {
        let put = reqwest::Client::new().put(self.object(name)).body(bytes.to_vec());
        let answer = put.send().await.expect("the server answers");
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
    }

    async fn remove(&self, name: &str) {
        let answer =
            reqwest::Client::new().delete(self.object(name)).send().await.expect("the server answers");
        assert!(answer.status().is_success(), "{name}: {}", answer.status());
    }

    async fn verified(&self, options: &VerifyOptions) -> Verification {
        verify(&self.stores, &Self::pointer(), options).await.expect("a path that can be asked for")
    }
}

fn options(endpoint: SocketAddr) -> BackendOptions {
    let settings = variables(format!("http://{endpoint}"))
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    BackendOptions { settings, ..BackendOptions::default() }
}

fn url() -> StoreUrl {
    format!("s3://{BUCKET}/flink/ha").parse().expect("a valid URL")
}

/// A gateway in front of a server that drops the header on which everything depends. Gives its address.
async fn header_dropping_gateway(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let server = TcpStream::connect(server).await?;
                let (mut from_client, mut to_client) = client.into_split();
                let (mut from_server, mut to_server) = server.into_split();
                tokio::spawn(async move { copy(&mut from_server, &mut to_client).await });
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    let read = from_client.read(&mut buffer).await?;
                    if read == 0 {
                        return to_server.shutdown().await;
                    }
                    rename_header(&mut buffer[..read]);
                    to_server.write_all(&buffer[..read]).await?;
                }
            });
        }
    });
    address
}

/// A header of another name is a header that the server does not know. The length stays, and with it the framing.
fn rename_header(bytes: &mut [u8]) {
    let (dropped, unknown) = (b"if-none-match", b"x-not-for-you");
    for start in 0..bytes.len().saturating_sub(dropped.len()) {
        let here = &mut bytes[start..start + dropped.len()];
        if here.eq_ignore_ascii_case(dropped) {
            here.copy_from_slice(unknown);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_rule_holds_on_a_real_s3_server() {
    let server = Server::start().await;
    let backend = url().connect(&options(server.address())).expect("a client");
    let bench = Bench { prefix: url().prefix(), ..Bench::new(backend) };
    for (name, rule) in RULES {
        println!("{name}");
        rule(&bench).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_drops_if_none_match_is_refused_before_anything_is_written() {
    let server = Server::start().await;
    let gateway = header_dropping_gateway(server.address()).await;
    let backend = url().connect(&options(gateway)).expect("a client");
    let bench = Bench { prefix: url().prefix(), ..Bench::new(backend.clone()) };
    let deployment = bench.deployment();
    let shown_as = url().to_string();
    let timeout = Duration::from_secs(5);
    let refused =
        Store::preflight(&backend, &url().prefix(), &deployment, &SystemEntropy, &shown_as, timeout).await;
    let Err(StoreError::Unfit { store, reason }) = refused else { panic!("{refused:?}") };
    assert_eq!(store, "s3://holdfast/flink/ha");
    assert!(reason.contains("accepted a second create"), "{reason}");
    assert!(reason.contains("gateway that drops the header"), "the way out: {reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unavailable_and_that_is_certain() {
    let server = Server::start().await;
    let backend = url().connect(&options(server.address())).expect("a client");
    let mut bench = Bench { prefix: url().prefix(), ..Bench::new(backend) };
    bench.options.call_timeout_ms = 1_000;
    bench.options.commit_deadline_ms = 1_000;
    let deployment = bench.deployment();
    let store = bench.open(&deployment).await;
    let epoch = bench.claim(&store, "g").await.epoch;
    drop(server);
    // Connections are refused: nothing was sent, so nothing can be recorded.
    let refused = store.commit(epoch, bench.key(), ha_store::conformance::add_checkpoint(1)).await;
    assert!(matches!(refused, Err(StoreError::Unavailable { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_on_a_real_s3_server_is_sound_or_what_is_missing_or_truncated_is_named() {
    let savepoint = Savepoint::put().await;
    // Each file asked for by itself, and all of them by one listing.
    let one_by_one = VerifyOptions::default();
    let listed = VerifyOptions { list_from_files: 2, list_page_costs_heads: 1, ..VerifyOptions::default() };
    let sound = savepoint.verified(&one_by_one).await;
    assert_eq!(
        (sound.verdict, sound.checkpoint_id, sound.references.len()),
        (Verdict::Ok, Some(7), 6),
        "{sound:?}"
    );
    assert_eq!((sound.requests.heads, sound.requests.list_pages), (1 + 6, 0), "{sound:?}");
    let sound = savepoint.verified(&listed).await;
    assert_eq!(
        (sound.verdict, sound.requests.heads, sound.requests.list_pages),
        (Verdict::Ok, 1, 1),
        "{sound:?}"
    );

    for (name, bytes) in savepoint.files.iter().filter(|(name, _)| name != "_metadata") {
        let path = Savepoint::path(name);
        for how in [&one_by_one, &listed] {
            savepoint.remove(name).await;
            let found = savepoint.verified(how).await;
            assert_eq!((found.verdict, &found.missing), (Verdict::Broken, &vec![path.clone()]), "{found:?}");
            savepoint.write(name, &bytes[..bytes.len() - 1]).await;
            let found = savepoint.verified(how).await;
            assert_eq!(
                (found.verdict, &found.too_short),
                (Verdict::Broken, &vec![path.clone()]),
                "{found:?}"
            );
            savepoint.write(name, bytes).await;
        }
    }
    assert!(savepoint.verified(&one_by_one).await.ok, "all is mended");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_whose_metadata_file_is_truncated_or_gone_is_broken_and_one_whose_server_is_gone_is_unknown()
 {
    let savepoint = Savepoint::put().await;
    let options = VerifyOptions { attempts_max: 1, ..VerifyOptions::default() };
    let whole = savepoint.files.iter().find(|(name, _)| name == "_metadata").expect("it has one").1.clone();
    savepoint.write("_metadata", &whole[..whole.len() / 2]).await;
    let found = savepoint.verified(&options).await;
    assert_eq!(found.verdict, Verdict::Broken, "{found:?}");
    let unreadable = found.unreadable.expect("it does not parse");
    assert!(unreadable.finding.position <= whole.len() as u64 / 2, "{unreadable:?}");

    savepoint.remove("_metadata").await;
    let found = savepoint.verified(&options).await;
    assert_eq!((found.verdict, found.missing), (Verdict::Broken, vec![Savepoint::path("_metadata")]));

    savepoint.write("_metadata", &whole).await;
    assert!(savepoint.verified(&options).await.ok, "it is mended");
    let Savepoint { server, stores, .. } = savepoint;
    drop(server);
    let found = verify(&stores, &Savepoint::pointer(), &options).await.expect("a path that can be asked for");
    assert_eq!(
        (found.verdict, found.missing, found.too_short),
        (Verdict::Unknown, vec![], vec![]),
        "nobody answers"
    );
}
