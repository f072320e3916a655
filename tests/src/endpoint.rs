//! The HTTP listener of one process.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// An answer that takes longer is no answer: a paused process accepts connections and says nothing.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Where it listens, and a client to ask it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    base: String,
    http: reqwest::Client,
}

impl Endpoint {
    /// Of the process that listens at `address`, or will.
    pub fn new(address: SocketAddr) -> Result<Self> {
        let http = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build()?;
        Ok(Self { base: format!("http://{address}"), http })
    }

    /// A URL of it.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Whether it answers with a success.
    pub async fn agrees(&self, path: &str) -> bool {
        self.http.get(self.url(path)).send().await.is_ok_and(|answer| answer.status().is_success())
    }

    /// Asks for text. Anything but a success is an error.
    pub async fn text(&self, path: &str) -> Result<String> {
        let url = self.url(path);
        let answer = self.http.get(&url).send().await.with_context(|| format!("GET {url}"))?;
        Ok(answer.error_for_status().with_context(|| format!("GET {url}"))?.text().await?)
    }

    /// Asks for JSON. Anything but a success is an error.
    pub async fn json<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let body = self.text(path).await?;
        serde_json::from_str(&body).with_context(|| format!("GET {} answered {body}", self.url(path)))
    }

    /// Sends a PATCH without a body. Anything but a success is an error.
    pub async fn patch(&self, path: &str) -> Result<()> {
        let url = self.url(path);
        let answer = self.http.patch(&url).send().await.with_context(|| format!("PATCH {url}"))?;
        answer.error_for_status().with_context(|| format!("PATCH {url}"))?;
        Ok(())
    }

    /// Posts JSON and reads the JSON of the answer. Anything but a success is an error.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        let url = self.url(path);
        let answer = self.http.post(&url).json(body).send().await.with_context(|| format!("POST {url}"))?;
        let answer = answer.error_for_status().with_context(|| format!("POST {url}"))?;
        answer.json().await.with_context(|| format!("POST {url} was answered with something else"))
    }
}
