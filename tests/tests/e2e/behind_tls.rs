//! A JobManager whose REST API speaks TLS, and only to whom it knows.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::pki::{Authority, Key, STORE_PASSWORD};
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::scenario::{Failure, rule, with_flink};
use harness::wait;

use crate::generations::{END_LIMIT, savepoint};

/// How long a JobManager may take from its start to a job that can be asked for.
const OBSERVED_LIMIT: Duration = Duration::from_secs(120);

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let authority = Authority::new(&site.path("pki"))?;
        authority.server("rest", "/CN=jobmanager", Key::Rsa)?;
        authority.client("holdfast", "/CN=holdfast", Key::P256)?;
        let rollout = rollout(&authority)?;
        let mut pod = Pod::new(site, "pod-1")?;
        rule("whoever is not told whom to trust says so", untold(&mut pod, rollout.clone())).await?;
        rule("with the certificates, savepoints are taken and observed", told(&mut pod, &authority, rollout))
            .await
    })
    .await
}

/// Flink's side of it.
fn rollout(authority: &Authority) -> Result<Rollout> {
    let shown = |path: &Path| path.display().to_string();
    Ok(Rollout::default()
        .set("security.ssl.rest.enabled", "true")
        .set("security.ssl.rest.authentication-enabled", "true")
        .set("security.ssl.rest.keystore", &shown(&authority.key_store("rest")?))
        .set("security.ssl.rest.keystore-password", STORE_PASSWORD)
        .set("security.ssl.rest.key-password", STORE_PASSWORD)
        .set("security.ssl.rest.truststore", &shown(&authority.trust_store()?))
        .set("security.ssl.rest.truststore-password", STORE_PASSWORD))
}

async fn untold(pod: &mut Pod<'_>, rollout: Rollout) -> Result<()> {
    pod.roll_out(rollout);
    pod.start_sidecar().await?;
    pod.start_job_manager()?;
    pod.start_task_manager()?;
    wait_for_trouble(pod, Some("--job-manager-ca")).await
}

async fn told(pod: &mut Pod<'_>, authority: &Authority, rollout: Rollout) -> Result<()> {
    pod.sidecar()?.process.kill()?;
    let shown = |name: &str| authority.file(name).display().to_string();
    pod.roll_out(rollout.sidecar(&[
        "--job-manager-ca",
        &shown("ca.crt"),
        "--job-manager-client-cert",
        &shown("holdfast.crt"),
        "--job-manager-client-key",
        &shown("holdfast.key"),
    ]));
    pod.start_sidecar().await?;
    wait_for_trouble(pod, None).await?;
    pod.job_manager()?.wait_for_checkpoints(1).await?;
    let (taken, _) = savepoint(pod, &[]).await?;
    let (stopped, _) = savepoint(pod, &["--stop"]).await?;
    ensure!(stopped > taken, "savepoint {stopped} is not newer than savepoint {taken}");
    pod.job_manager()?.process.wait_for_exit(END_LIMIT).await?;
    Ok(())
}

/// Until the observer has no trouble, or one that speaks of this.
async fn wait_for_trouble(pod: &Pod<'_>, expected: Option<&str>) -> Result<()> {
    let what = format!("the observer's trouble to be {}", expected.unwrap_or("over"));
    wait::until(&what, OBSERVED_LIMIT, async || {
        // Its exit code says whether somebody leads, which comes in time.
        let status = pod.holdfast(&["status"]).await?.json;
        let observer = status.get("observer").with_context(|| format!("no observer: {status}"))?;
        let trouble = observer["trouble"].as_str();
        let is_it = match (expected, trouble) {
            (None, None) => !observer["last_success_ms"].is_null(),
            (Some(expected), Some(trouble)) => trouble.contains(expected),
            _ => false,
        };
        Ok(is_it.then_some(()))
    })
    .await
}
