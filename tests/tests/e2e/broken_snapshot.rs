//! A snapshot whose files are not all there, or not whole: found by `verify`, refused, or passed over where that is allowed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::flink::job_manager::RATE;
use harness::pod::Pod;
use harness::rollout::Rollout;
use harness::scenario::rule;
use harness::sink;
use harness::site::Site;
use harness::wait;
use serde_json::Value;

use crate::generations::{generation, local, next};

/// How long a sidecar that restores nothing may take to say so.
const REFUSED_LIMIT: Duration = Duration::from_secs(60);

/// The snapshot before the one that is broken.
pub(crate) struct Before {
    /// Its id.
    pub(crate) id: u64,
    /// The last record that it covers: everything up to it was committed when the job stopped with it.
    pub(crate) committed: u64,
}

/// What is done to a file.
enum Damage {
    Removed,
    Halved,
}

/// A file of a snapshot, as it was.
struct Original {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Original {
    fn of(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        ensure!(bytes.len() > 1, "{} is too short to be halved", path.display());
        Ok(Self { path: path.to_owned(), bytes })
    }

    fn damage(&self, how: &Damage) -> Result<()> {
        match how {
            Damage::Removed => fs::remove_file(&self.path),
            Damage::Halved => fs::write(&self.path, &self.bytes[..self.bytes.len() / 2]),
        }
        .with_context(|| format!("harming {}", self.path.display()))
    }

    fn mend(&self) -> Result<()> {
        fs::write(&self.path, &self.bytes).with_context(|| format!("mending {}", self.path.display()))
    }
}

/// The last generation's job was cancelled, and has state in files beside `_metadata`; this one is `number`. The JobManager of
/// this generation waits while one file after the other is harmed, since the sidecar plans anew every few seconds.
pub(crate) async fn test(site: &Site, pod: &mut Pod<'_>, number: u32, before: Before) -> Result<()> {
    let last = pod.job_manager()?.log.completed()?.last().copied().context("no checkpoint completed")?;
    let shown = pod.holdfast(&["snapshots", "show", &last.to_string()]).await?.done()?;
    let pointer = pointer_in(&shown).with_context(|| format!("no pointer: {shown}"))?;
    let whole = pod.holdfast_alone(&["snapshots", "verify", &pointer]).await?.done()?;
    let metadata = Original::of(&local(&pointer).join("_metadata"))?;
    let state = Original::of(&state_file(&whole)?)?;

    metadata.damage(&Damage::Halved)?;
    pod.stop_sidecar().await?;
    pod.roll_out(generation(number));
    pod.spawn_sidecar()?;
    pod.start_job_manager()?;
    rule("a truncated _metadata: found by verify and refused", refused(pod, &pointer, &metadata, None))
        .await?;
    // Harmed before the other is mended: whole for a moment, it would be restored.
    state.damage(&Damage::Removed)?;
    metadata.mend()?;
    rule("a deleted state file: the same", refused(pod, &pointer, &state, Some("missing"))).await?;
    state.damage(&Damage::Halved)?;
    rule("a truncated state file: the same", refused(pod, &pointer, &state, Some("too_short"))).await?;
    pod.job_manager()?.process.kill()?;

    let rollout = generation(number).sidecar(&["--on-broken-snapshot", "previous"]);
    rule("where that is allowed, exactly the one before is restored", previous(site, pod, rollout, before))
        .await?;
    state.mend()
}

/// Flink keeps one checkpoint (num-retained), so the one before is the savepoint of the stop, which was taken after all of its
/// job's checkpoints.
async fn previous(site: &Site, pod: &mut Pod<'_>, rollout: Rollout, before: Before) -> Result<()> {
    let out = site.path("out");
    let committed = sink::read(&out)?.highest.context("nothing was committed")?;
    let (job, restored) = next(pod, rollout).await?;
    let restored = restored.context("it started empty")?;
    ensure!(restored.id == before.id, "{restored:?}, but the one before is {}", before.id);
    // What the broken one covered beyond it is done again, each record once more; everything else is there once.
    sink::read_past(&out, committed + RATE / 2).await?;
    pod.job_manager()?.require_no_restart(&job.id).await?;
    let (done_again, expected) = (sink::done_again(&out)?, before.committed + 1..=committed);
    ensure!(done_again == [expected.clone()], "done again: {done_again:?}, not {expected:?}");
    Ok(())
}

/// `verify` fails and lists the file under `list`, and the sidecar refuses to restore the snapshot and names the file.
async fn refused(pod: &mut Pod<'_>, pointer: &str, harmed: &Original, list: Option<&str>) -> Result<()> {
    let verified = pod.holdfast_alone(&["snapshots", "verify", pointer]).await?;
    ensure!(verified.code == 1, "a broken snapshot was verified with {verified:?}");
    match list {
        Some(list) => {
            let paths = verified.json[list].as_array().with_context(|| format!("no {list}: {verified:?}"))?;
            let paths: Vec<_> = paths.iter().filter_map(Value::as_str).map(local).collect();
            ensure!(paths == [harmed.path.clone()], "{list} are {paths:?}, not {}", harmed.path.display());
        }
        None => ensure!(!verified.json["unreadable"].is_null(), "it parses: {verified:?}"),
    }
    let name = harmed.path.file_name().context("a file has a name")?.to_string_lossy().into_owned();
    let mut last = None;
    let reason = wait::until("the restore to be refused for that file", REFUSED_LIMIT, async || {
        let status = pod.sidecar()?.status().await.ok();
        last = status.and_then(|status| status["reason"].as_str().map(str::to_owned));
        let said = |reason: &&String| {
            let right_word = match list {
                Some("missing") => reason.contains("is not there"),
                _ => !reason.contains("is not there"),
            };
            reason.contains("cannot be restored") && reason.contains(&name) && right_word
        };
        Ok(last.as_ref().filter(said).cloned())
    })
    .await
    .with_context(|| format!("its last reason was {last:?}"))?;
    ensure!(reason.contains("--on-broken-snapshot previous"), "no way out: {reason}");
    Ok(())
}

/// A file with state, beside `_metadata`.
fn state_file(whole: &Value) -> Result<PathBuf> {
    let references = whole["references"].as_array().with_context(|| format!("no references: {whole}"))?;
    let first = references.iter().filter_map(|file| file["path"].as_str()).next();
    Ok(local(first.with_context(|| format!("all of its state is in _metadata: {whole}"))?))
}

fn pointer_in(shown: &Value) -> Option<String> {
    let first = shown["snapshots"].get(0).unwrap_or(shown);
    first["external_pointer"].as_str().map(str::to_owned)
}
