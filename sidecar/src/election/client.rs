//! The client stack for the API server, the same in the product and in the simulator.
//!
//! `kube::Client::try_from` would add a retry layer: up to 15 tries of every verb on 429, 503 and 504. A renewal that
//! was applied and answered 504 would be sent again, conflict with itself, and look like a lost election
//! (FLINK-28265 in another dress). So the stack is put together here, without it: whoever asks decides what an
//! answer means, and the elector asks again in its own time.

use anyhow::anyhow;
use http::Request;
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::client::legacy::connect::Connect;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use kube::client::{Body, ConfigExt};
use kube::config::KubeConfigOptions;
use kube::{Client, Config};
use tower::ServiceBuilder;
use tower::util::BoxCloneService;

/// A client over any transport.
///
/// # Errors
/// When the credentials in `config` cannot be used.
pub fn api_client<C>(config: &Config, transport: C) -> kube::Result<Client>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let http = HttpClient::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(transport);
    let stack = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .map_err(Into::into)
        .service(http);
    let stack: BoxCloneService<Request<Body>, _, tower::BoxError> = BoxCloneService::new(stack);
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
