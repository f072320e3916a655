//! `holdfast prepare`, as a step of an image's build.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use harness::command_line;
use harness::output;
use harness::scenario::{Failure, rule, with_flink};
use harness::site::Site;
use serde_json::Value;

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let home = site.make_flink_home()?;
        let archive = site.path("jobmanager.jsa");
        rule("an archive is made of a recovery, and most classes of the next one come out of it", async {
            prepare(site, home, &archive).await
        })
        .await?;
        rule("a home without the adapter is refused, and the archive stays", async {
            fs::remove_file(home.join("lib/holdfast-flink-adapter.jar"))?;
            refused(site, home, &archive).await
        })
        .await
    })
    .await
}

async fn prepare(site: &Site, home: &Path, archive: &Path) -> Result<()> {
    let made = run(site, home, archive).await?.done()?;
    let classes = |name: &str| made["classes"][name].as_u64().with_context(|| format!("no {name}: {made}"));
    let (loaded, archived) = (classes("loaded")?, classes("from_archive")?);
    ensure!(archived > loaded / 2, "only {archived} of {loaded} classes came out of archives");
    ensure!(classes("of_flink_from_archive")? > 1_000, "too few of Flink's: {made}");
    output::line(format!(
        "    ({archived} of {loaded} classes; {} ms, without it {} ms; {} bytes)",
        made["recovery_with_ms"], made["recovery_without_ms"], made["archive_bytes"]
    ));
    let manifest = fs::read_to_string(archive.with_extension("jsa.json")).context("reading the manifest")?;
    let manifest: Value = serde_json::from_str(&manifest)?;
    ensure!(manifest["archive_bytes"] == fs::metadata(archive)?.len(), "another length: {manifest}");
    let rpc_jar = fs::metadata(archive.with_extension("jsa.rpc.jar")).context("the RPC system's jar")?.len();
    ensure!(manifest["rpc_jar_bytes"] == rpc_jar, "another length: {manifest}");
    require_nothing_unpacked(&site.path("prepare/tmp"))?;
    let dist = format!("flink-dist-{}.jar", site.artifacts().flink_version);
    let jars = manifest["made_for"]["class_path"].as_array().context("the manifest names no class path")?;
    let named = |jar: &Value| jar["path"].as_str().is_some_and(|path| path.ends_with(&dist));
    ensure!(jars.iter().any(named), "the manifest does not name {dist}: {manifest}");
    Ok(())
}

/// The training's first two JobManagers unpack the RPC system, and leave it when they are killed. Those that have the jar do not.
fn require_nothing_unpacked(temporary: &Path) -> Result<()> {
    let entries: Vec<_> = fs::read_dir(temporary)?.collect::<Result<_, _>>()?;
    let names = entries.iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let unpacked = names.filter(|name| name.starts_with("flink-rpc-akka")).count();
    ensure!(unpacked <= 3, "{unpacked} copies of the RPC system in {}", temporary.display());
    Ok(())
}

async fn refused(site: &Site, home: &Path, archive: &Path) -> Result<()> {
    let before = fs::metadata(archive)?.modified()?;
    let answer = run(site, home, archive).await?;
    ensure!(answer.code == 2, "exit code {}: {}", answer.code, answer.complaint);
    ensure!(answer.complaint.contains("install-adapter"), "no way out: {}", answer.complaint);
    ensure!(fs::metadata(archive)?.modified()? == before, "the archive was touched");
    Ok(())
}

async fn run(site: &Site, home: &Path, archive: &Path) -> Result<command_line::Answer> {
    let (home, archive) = (home.display().to_string(), archive.display().to_string());
    let keep = site.path("prepare").display().to_string();
    let arguments = ["prepare", "--flink-home", &home, "--archive", &archive, "--keep", &keep];
    command_line::holdfast(&site.artifacts().sidecar, &arguments, &[]).await
}
