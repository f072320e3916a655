//! The client stack for the API server, the same in the product and in the simulator.
//!
//! `kube::Client::try_from` would add a retry layer: up to 15 tries of every verb on 429, 503 and 504. A renewal that
//! was applied and answered 504 would be sent again, conflict with itself, and look like a lost election
//! (FLINK-28265 in another dress). So the stack is put together here, without it: whoever asks decides what an
//! answer means, and the elector asks again in its own time.
//!
//! Two things are done here that `kube` does otherwise:
//!
//! * The token's file is read for every request. `kube` keeps a token for 50 s, in which one that was revoked would cost
//!   the Lease.
//! * A `Retry-After` header reaches whoever asked. `kube` knows the one in the body only, which the API server's own overload
//!   protection and every load balancer leave out.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::anyhow;
use http::header::{AUTHORIZATION, RETRY_AFTER};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::core::Status;
use kube::core::response::StatusDetails;
use kube::{Client, Config};
use tower::util::BoxCloneService;
use tower::{BoxError, ServiceBuilder};

/// A client over any transport.
///
/// # Errors
/// When the credentials in `config` cannot be used.
pub fn api_client<C>(config: &Config, transport: C) -> kube::Result<Client>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let http = HttpClient::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(transport);
    let token = TokenFile::of(&config.auth_info)?.map(Arc::new);
    let other_auth = if token.is_some() { None } else { config.auth_layer()? };
    let stack = ServiceBuilder::new()
        .and_then(hear_errors)
        .layer(config.base_uri_layer())
        .option_layer(other_auth)
        .map_request(move |mut request: Request<Body>| {
            if let Some(token) = &token {
                request.headers_mut().insert(AUTHORIZATION, token.header());
            }
            request
        })
        .map_err(BoxError::from)
        .service(http);
    let stack: BoxCloneService<Request<Body>, _, BoxError> = BoxCloneService::new(stack);
    Ok(Client::new(stack, config.default_namespace.clone()))
}

/// The client of a pod, or of whoever set `KUBECONFIG`. A `~/.kube/config` that happens to be there is not taken.
///
/// # Errors
/// When neither is there, or the credentials cannot be used.
pub async fn infer_client() -> anyhow::Result<Client> {
    let config = match std::env::var_os("KUBECONFIG") {
        None => Config::incluster()?,
        // The parser's own words quote the file, and with it tokens and keys: they must not reach a log.
        Some(file) => Config::from_kubeconfig(&KubeConfigOptions::default()).await.map_err(|_| {
            anyhow!("KUBECONFIG names {file:?}, which is absent, not a kubeconfig, or has no current context")
        })?,
    };
    let transport = config.rustls_https_connector()?;
    Ok(api_client(&config, transport)?)
}

/// Where a pod's token is kept up to date.
#[derive(Debug)]
struct TokenFile {
    path: PathBuf,
    last: Mutex<HeaderValue>,
}

// === impl TokenFile ===

impl TokenFile {
    /// If that is what `kube` would use, too.
    fn of(auth: &AuthInfo) -> kube::Result<Option<Self>> {
        let other = auth.token.is_some() || auth.username.is_some() || auth.auth_provider.is_some();
        let Some(path) = auth.token_file.as_ref().filter(|_| !other).map(PathBuf::from) else {
            return Ok(None);
        };
        let last = Mutex::new(read_token(&path).map_err(|error| kube::Error::Service(error.into()))?);
        Ok(Some(Self { path, last }))
    }

    /// A kilobyte in memory, once a period: cheaper than any rule about when to read it. While it cannot be read, as in the
    /// middle of a replacement that is not atomic, the last token is as good as any.
    fn header(&self) -> HeaderValue {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(token) = read_token(&self.path) {
            *last = token;
        }
        last.clone()
    }
}

/// The error does not quote the token.
fn read_token(path: &Path) -> anyhow::Result<HeaderValue> {
    let text = std::fs::read_to_string(path).map_err(|error| anyhow!("token file {path:?}: {error}"))?;
    let token = text.trim();
    let header = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| !token.is_empty());
    let mut header = header.ok_or_else(|| anyhow!("token file {path:?} does not hold a token"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// Makes of an error what `kube` would make of it, and keeps what `kube` drops: the HTTP status of one whose body is JSON but no
/// `Status`, and the header `Retry-After`. A date in it is not understood: it would be compared with our clock.
async fn hear_errors(answer: Response<Incoming>) -> Result<Response<Incoming>, BoxError> {
    let code = answer.status();
    if !code.is_client_error() && !code.is_server_error() {
        return Ok(answer);
    }
    let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let body = answer.into_body().collect().await?.to_bytes();
    let own = serde_json::from_slice::<Status>(&body).ok().filter(|status| status.code == code.as_u16());
    let mut status =
        own.unwrap_or_else(|| Status::failure(&String::from_utf8_lossy(&body), "").with_code(code.as_u16()));
    if let Some(seconds) = asked {
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
        let details = status.details.get_or_insert_with(|| StatusDetails {
            name: String::new(),
            group: String::new(),
            kind: String::new(),
            uid: String::new(),
            causes: Vec::new(),
            retry_after_seconds: 0,
        });
        details.retry_after_seconds = details.retry_after_seconds.max(seconds);
    }
    Err(kube::Error::Api(status.boxed()).into())
}
