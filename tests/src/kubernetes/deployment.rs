//! One deployment in a namespace of its own, and pods in which candidates run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::ApiServer;
use super::candidate::{Candidate, Options};
use super::manifests::LEASE;
use super::namespace::Namespace;
use crate::session::Session;

/// What is awaited takes seconds at most; the machine may be busy.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A deployment in a namespace of its own, with a store of its own.
pub struct Deployment {
    /// The namespace.
    pub namespace: Namespace,
    /// Who its candidates are to the API server.
    pub kubeconfig: PathBuf,
    root: PathBuf,
}

impl Deployment {
    /// Makes the namespace `name`, and a store in `root/NAME`. Its candidates may do everything unless they are told
    /// otherwise; their logs go to `root/logs`.
    pub async fn create(server: &ApiServer, root: &Path, name: &str) -> Result<Self> {
        let own = root.join(name);
        fs::create_dir_all(own.join("store")).with_context(|| format!("making {}", own.display()))?;
        symlink(root.join("logs"), own.join("logs"))?;
        let namespace = server.namespace(name).await?;
        Ok(Self { namespace, kubeconfig: server.admin_kubeconfig(), root: own })
    }

    /// What a candidate in a new pod is started with.
    pub async fn pod(&self, name: &str) -> Result<Options> {
        let pod = self.namespace.run_pod(name).await?;
        Options::new(&self.root, &self.namespace, LEASE, &pod, &self.kubeconfig)
    }

    /// A candidate in a new pod, and its JobManager.
    pub async fn contender(&self, name: &str) -> Result<(Candidate, Session)> {
        start(&self.pod(name).await?).await
    }

    /// A contender that leads already.
    pub async fn leader(&self, name: &str) -> Result<(Candidate, Session)> {
        let (candidate, session) = self.contender(name).await?;
        session.granted(LIMIT).await?;
        Ok((candidate, session))
    }

    /// Where its store is.
    pub fn root(&self) -> &Path {
        &self.root
    }
}

/// A candidate and its JobManager.
pub async fn start(options: &Options) -> Result<(Candidate, Session)> {
    let candidate = Candidate::start(options).await?;
    let session = Session::open(&candidate.url("")).await?;
    Ok((candidate, session))
}
