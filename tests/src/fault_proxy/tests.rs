//! The proxy before a small server that counts what it was asked.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use http_body_util::StreamBody;
use http_body_util::combinators::BoxBody;
use hyper::body::Frame;
use tokio::sync::mpsc;

use super::*;

type Body = BoxBody<Bytes, Infallible>;

/// Answers `201` to everything, except that `/stream` sends what the test puts into the channel.
async fn sidecar(lines: mpsc::Receiver<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let lines = Arc::new(Mutex::new(Some(lines)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let lines = Arc::clone(&lines);
            let service = service_fn(move |request: Request<Incoming>| {
                let streamed = (request.uri().path() == "/stream").then(|| lock(&lines).take()).flatten();
                async move { Ok::<_, Infallible>(answer(streamed)) }
            });
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { connection.await.unwrap() });
        }
    });
    address
}

fn answer(lines: Option<mpsc::Receiver<&'static str>>) -> Response<Body> {
    let Some(mut lines) = lines else {
        let created = http_body_util::Full::new(Bytes::from_static(b"done")).boxed();
        return Response::builder().status(201).body(created).unwrap();
    };
    let frames = futures::stream::poll_fn(move |context| lines.poll_recv(context));
    let frames = frames.map(|line| Ok(Frame::data(Bytes::from_static(line.as_bytes()))));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().unwrap()
}

#[tokio::test]
async fn a_lost_answer_is_lost_once_and_after_the_request_was_served() {
    let (_lines, receiver) = mpsc::channel(1);
    let proxy = FaultProxy::start(sidecar(receiver).await).await.unwrap();
    proxy.lose_next_answer(Pattern::put_checkpoint());
    let url = format!("{}/v1/jobs/0a/checkpoints/7", proxy.url());
    let put = || client().put(&url).header("Idempotency-Key", "k1").send();

    assert!(put().await.is_err());
    assert_eq!(put().await.unwrap().status(), 201);

    let seen = proxy.exchanges(&Pattern::put_checkpoint());
    let lost: Vec<_> = seen.iter().map(|exchange| (exchange.status, exchange.answer_lost)).collect();
    assert_eq!(lost, [(Some(StatusCode::CREATED), true), (Some(StatusCode::CREATED), false)]);
    assert!(seen.iter().all(|exchange| exchange.idempotency_key.as_deref() == Some("k1")));
}

#[tokio::test]
async fn a_held_request_goes_on_when_it_is_released() {
    let (_lines, receiver) = mpsc::channel(1);
    let proxy = FaultProxy::start(sidecar(receiver).await).await.unwrap();
    let caught = proxy.hold_next(Pattern::put_checkpoint());
    let request = client().put(format!("{}/v1/jobs/0a/checkpoints/7", proxy.url())).send();
    let request = tokio::spawn(request);

    let held = caught.await.unwrap();
    assert_eq!(held.path, "/v1/jobs/0a/checkpoints/7");
    assert_eq!(proxy.exchanges(&Pattern::put_checkpoint())[0].status, None);
    held.release();
    assert_eq!(request.await.unwrap().unwrap().status(), 201);
}

#[tokio::test]
async fn a_stream_passes_line_by_line() {
    let (lines, receiver) = mpsc::channel(1);
    let proxy = FaultProxy::start(sidecar(receiver).await).await.unwrap();
    let answer = client().get(format!("{}/stream", proxy.url())).send().await.unwrap();
    let mut body = answer.bytes_stream();
    for line in ["{\"event\":\"session\"}\n", "{\"event\":\"ping\"}\n"] {
        lines.send(line).await.unwrap();
        assert_eq!(body.next().await.unwrap().unwrap(), line.as_bytes());
    }
}

#[tokio::test]
async fn without_a_sidecar_the_connection_is_closed() {
    let nobody = crate::net::free_address().unwrap();
    let proxy = FaultProxy::start(nobody).await.unwrap();
    assert!(client().get(format!("{}/live", proxy.url())).send().await.is_err());
}

#[tokio::test]
async fn a_standing_fault_is_met_until_it_is_dropped_and_the_server_knows_only_of_what_it_was_passed() {
    let (_lines, receiver) = mpsc::channel(1);
    let proxy = FaultProxy::start(sidecar(receiver).await).await.unwrap();
    let get = Pattern::new(Method::GET, "/x/*");
    let url = format!("{}/x/1", proxy.url());
    let busy = Canned { status: 429, retry_after_s: Some(7), body: "later".into() };

    for (disturbance, passed_on) in
        [(Disturbance::Answer(busy.clone()), None), (Disturbance::Falsify(busy), Some(StatusCode::CREATED))]
    {
        let injected = proxy.disturb(get.clone(), disturbance);
        for _ in 0..2 {
            let answer = client().get(&url).send().await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["Retry-After"]),
                (429, &"7".parse().unwrap())
            );
            assert_eq!(answer.text().await.unwrap(), "later");
        }
        assert_eq!(injected.met().len(), 2);
        assert_eq!(proxy.exchanges(&get).last().unwrap().status, passed_on);
    }
    assert_eq!(client().get(&url).send().await.unwrap().status(), 201);
}

#[tokio::test]
async fn a_reset_is_one_and_a_hang_lasts_as_long_as_the_client() {
    let (_lines, receiver) = mpsc::channel(1);
    let proxy = FaultProxy::start(sidecar(receiver).await).await.unwrap();
    let get = Pattern::new(Method::GET, "/x");
    let url = format!("{}/x", proxy.url());

    let reset = proxy.disturb(get.clone(), Disturbance::Reset);
    let error = format!("{:?}", client().get(&url).send().await.unwrap_err());
    assert!(error.contains("ConnectionReset"), "{error}");
    assert_eq!(reset.met().len(), 1);
    drop(reset);

    let hang = proxy.disturb(get, Disturbance::Hang);
    let error = client().get(&url).timeout(Duration::from_millis(200)).send().await.unwrap_err();
    assert!(error.is_timeout(), "{error:?}");
    assert_eq!(hang.met().len(), 1);
}
