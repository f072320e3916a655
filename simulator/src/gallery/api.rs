//! Ways to use a Lease that are wrong: wrappers around the client that a sidecar is given.

use std::sync::{Arc, Mutex, PoisonError};

use ha_store::Clock;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tower::{BoxError, service_fn};

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The Lease is written without naming the version that was read.
    Blind,
    /// A write that was not even sent is taken for done.
    Swallowed,
    /// Whether the Lease has expired is read from clocks.
    WallClock,
    /// The pod of the holder is taken for gone.
    PodGone,
}

/// Whose pod holds the Lease, as it was last read: its name.
type Holder = Arc<Mutex<Option<String>>>;

/// The client, used that way by somebody with this clock.
pub(super) fn tampered(client: Client, clock: Arc<dyn Clock>, how: How) -> Client {
    let namespace = client.default_namespace().to_owned();
    let holder = Holder::default();
    let service = service_fn(move |request: Request<Body>| {
        let (client, clock, holder) = (client.clone(), clock.clone(), holder.clone());
        async move {
            let is_lease = request.uri().path().contains("/leases");
            let is_read = request.method() == Method::GET;
            match how {
                How::Blind if is_lease && request.method() == Method::PUT => {
                    Ok(client.send(without_version(request).await?).await?)
                }
                How::Swallowed if is_lease && !is_read => done(request).await,
                How::WallClock if is_lease && is_read => {
                    answered(client.send(request).await?, |lease| expire(lease, clock.wall_ms())).await
                }
                How::PodGone => pod_gone(&client, request, &holder).await,
                _ => Ok::<_, BoxError>(client.send(request).await?),
            }
        }
    });
    Client::new(service, namespace)
}

async fn without_version(request: Request<Body>) -> Result<Request<Body>, BoxError> {
    let (mut head, body) = request.into_parts();
    let mut lease: Value = serde_json::from_slice(&body.collect_bytes().await?)?;
    if let Some(metadata) = lease["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    head.method = Method::PATCH;
    head.headers.insert(http::header::CONTENT_TYPE, "application/merge-patch+json".parse()?);
    head.headers.remove(http::header::CONTENT_LENGTH);
    Ok(Request::from_parts(head, Body::from(lease.to_string().into_bytes())))
}

/// The answer to a write, without the write.
async fn done(request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let created = request.method() == Method::POST;
    let mut lease: Value = serde_json::from_slice(&request.into_body().collect_bytes().await?)?;
    lease["metadata"]["resourceVersion"] = json!("1");
    let code = if created { StatusCode::CREATED } else { StatusCode::OK };
    Ok(Response::builder().status(code).body(Body::from(lease.to_string().into_bytes()))?)
}

/// The answer, changed.
async fn answered(
    response: Response<Body>,
    change: impl FnOnce(&mut Value),
) -> Result<Response<Body>, BoxError> {
    let (mut head, body) = response.into_parts();
    let bytes = body.collect_bytes().await?;
    let Ok(mut object) = serde_json::from_slice::<Value>(&bytes) else {
        return Ok(Response::from_parts(head, Body::from(bytes.to_vec())));
    };
    change(&mut object);
    head.headers.remove(http::header::CONTENT_LENGTH);
    Ok(Response::from_parts(head, Body::from(object.to_string().into_bytes())))
}

/// A Lease whose last renewal, by its holder's clock, is longer ago than its duration, by ours, is nobody's.
fn expire(lease: &mut Value, now_ms: i64) {
    let renewed = lease["spec"]["renewTime"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
    let duration_s = lease["spec"]["leaseDurationSeconds"].as_i64();
    let (Some(renewed), Some(duration_s)) = (renewed, duration_s) else { return };
    if now_ms > renewed.as_millisecond() + duration_s * 1_000 {
        lease["spec"]["holderIdentity"] = json!("");
    }
}

async fn pod_gone(
    client: &Client,
    request: Request<Body>,
    holder: &Holder,
) -> Result<Response<Body>, BoxError> {
    const POD: &str = "holdfast.io/pod";
    let path = request.uri().path().to_owned();
    let response = client.send(request).await?;
    if path.contains("/leases") {
        let remember = |lease: &mut Value| {
            let pod = lease["metadata"]["annotations"][POD].as_str().map(str::to_owned);
            *holder.lock().unwrap_or_else(PoisonError::into_inner) = pod;
        };
        return answered(response, remember).await;
    }
    let name = path.rsplit('/').next().map(str::to_owned);
    let is_holder = *holder.lock().unwrap_or_else(PoisonError::into_inner) == name;
    if !path.contains("/pods/") || !is_holder {
        return Ok(response);
    }
    let message = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404,
        "reason": "NotFound", "message": "pods not found", "details": {"name": name, "kind": "pods"}});
    let body = Body::from(message.to_string().into_bytes());
    Ok(Response::builder().status(StatusCode::NOT_FOUND).body(body)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http_body_util::{BodyExt, Full};

    /// Noon of the second day.
    #[derive(Debug)]
    struct Noon;

    impl Clock for Noon {
        fn wall_ms(&self) -> i64 {
            129_600_000
        }
    }

    const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/flink/leases/orders";
    const POD: &str = "/api/v1/namespaces/flink/pods/";

    /// An API server that answers with the method, the path and the body of what it was asked, inside a Lease.
    fn echo(renewed: &'static str) -> Client {
        let service = service_fn(move |request: Request<Body>| async move {
            let (head, body) = request.into_parts();
            let body = String::from_utf8(body.collect_bytes().await?.to_vec())?;
            let lease = json!({
                "asked": {"method": head.method.as_str(), "path": head.uri.path(), "body": body},
                "metadata": {"annotations": {"holdfast.io/pod": "orders-0"}},
                "spec": {"holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": renewed},
            });
            Ok::<_, BoxError>(Response::new(Full::new(Bytes::from(lease.to_string()))))
        });
        Client::new(service, "flink")
    }

    async fn ask(client: &Client, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
        let request = Request::builder().method(method).uri(path).body(Body::from(body.as_bytes().to_vec()));
        let response = client.send(request.unwrap()).await.unwrap();
        let code = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (code, serde_json::from_slice(&bytes).unwrap())
    }

    fn client(how: How, renewed: &'static str) -> Client {
        tampered(echo(renewed), Arc::new(Noon), how)
    }

    const JUST_NOW: &str = "1970-01-02T11:59:59Z";

    #[tokio::test]
    async fn a_blind_write_names_no_version() {
        let client = client(How::Blind, JUST_NOW);
        let lease = json!({"metadata": {"name": "orders", "resourceVersion": "7"}}).to_string();
        let (_, answer) = ask(&client, Method::PUT, LEASE, &lease).await;
        assert_eq!(answer["asked"]["method"], "PATCH");
        assert_eq!(answer["asked"]["body"], r#"{"metadata":{"name":"orders"}}"#);
    }

    #[tokio::test]
    async fn a_swallowed_write_is_never_sent_and_looks_done() {
        let client = client(How::Swallowed, JUST_NOW);
        let (code, answer) = ask(&client, Method::POST, LEASE, r#"{"spec":{"holderIdentity":"b"}}"#).await;
        assert_eq!((code, &answer["spec"]["holderIdentity"]), (StatusCode::CREATED, &json!("b")));
        assert!(answer["asked"].is_null());
        assert_eq!(ask(&client, Method::GET, LEASE, "").await.1["spec"]["holderIdentity"], "a");
    }

    #[tokio::test]
    async fn by_the_wall_clock_a_lease_of_a_minute_ago_is_nobody_s() {
        let holder = async |renewed| {
            ask(&client(How::WallClock, renewed), Method::GET, LEASE, "").await.1["spec"]["holderIdentity"]
                .clone()
        };
        assert_eq!(holder(JUST_NOW).await, "a");
        assert_eq!(holder("1970-01-02T11:59:00Z").await, "");
    }

    #[tokio::test]
    async fn only_the_holder_s_pod_is_taken_for_gone() {
        let client = client(How::PodGone, JUST_NOW);
        let pod = async |name: &str| ask(&client, Method::GET, &format!("{POD}{name}"), "").await.0;
        assert_eq!(pod("orders-0").await, StatusCode::OK, "nobody has read the Lease yet");
        ask(&client, Method::GET, LEASE, "").await;
        assert_eq!(pod("orders-0").await, StatusCode::NOT_FOUND);
        assert_eq!(pod("orders-1").await, StatusCode::OK);
    }
}
