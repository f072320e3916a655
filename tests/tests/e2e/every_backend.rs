//! What Flink's state backends write, `holdfast snapshots verify` finds: whole snapshots are whole, and no file can be missing
//! unseen.
//!
//! The snapshots are made as the fixtures of the reader are (`snapshot/fixtures`), in one JVM, but with their files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::command_line::{Answer, holdfast};
use harness::process::{self, Process};
use harness::scenario::{Failure, rule, with_flink};
use harness::site::Site;
use serde_json::Value;

use crate::generations::local;

/// How long Flink may take to make all of them, on a busy machine.
const MAKING_LIMIT: Duration = Duration::from_secs(240);

/// A kind of snapshot, and what shows that it is what it is called: how many files it has at least (`heap` has six: channel
/// state adds to them), and what is in the path of one or more.
struct Kind {
    name: &'static str,
    least: usize,
    inside: &'static str,
}

const KINDS: [Kind; 9] = [
    Kind { name: "heap", least: 6, inside: "/chk-" },
    Kind { name: "rocksdb-full", least: 6, inside: "/chk-" },
    Kind { name: "rocksdb-incremental", least: 7, inside: "/shared/" },
    Kind { name: "forst-incremental", least: 7, inside: "/shared/" },
    Kind { name: "changelog-files", least: 7, inside: "/dstl/" },
    Kind { name: "unaligned", least: 7, inside: "/chk-" },
    Kind { name: "file-merging", least: 2, inside: "/taskowned/job_" },
    Kind { name: "savepoint-canonical", least: 6, inside: "/savepoints/" },
    Kind { name: "savepoint-native", least: 6, inside: "/savepoints/" },
];

pub(crate) async fn test(version: &str) -> Result<(), Failure> {
    with_flink(version, async |site| {
        let made = rule("snapshots of all kinds are made", make(site)).await?;
        for kind in &KINDS {
            let directory = made.get(kind.name).with_context(|| format!("no {} was made", kind.name))?;
            let name = format!("{}: whole, and not without any one of its files", kind.name);
            rule(&name, found(site, directory, kind)).await?;
        }
        Ok(())
    })
    .await
}

/// Makes a snapshot of every kind; the directory of each.
async fn make(site: &Site) -> Result<BTreeMap<&'static str, PathBuf>> {
    let mut command = process::command(site.artifacts().fixture_script());
    command.arg(&site.artifacts().flink_home).args(KINDS.iter().map(|kind| kind.name));
    command.env("HOLDFAST_FIXTURE_WORK", site.path("tmp")).env("HOLDFAST_FIXTURE_OUT", site.path("out"));
    let mut making = Process::spawn("fixtures", command, &site.next_log("fixtures"))?;
    let status = making.wait_for_exit(MAKING_LIMIT).await?;
    ensure!(status.success(), "the fixtures' job ended with {status}: {}", process::tail(making.log(), 10));

    // KEPT SIZE bytes, from METADATA
    let log = fs::read_to_string(making.log())?;
    let metadata = log.lines().filter_map(|line| Some(Path::new(line.split_once(" bytes, from ")?.1)));
    let directories = metadata.filter_map(|file| file.parent()).collect::<Vec<_>>();
    let home = site.path("tmp").join(&site.artifacts().flink_version);
    let of = |kind: &str| directories.iter().find(|directory| directory.starts_with(home.join(kind)));
    Ok(KINDS.iter().filter_map(|kind| Some((kind.name, of(kind.name)?.to_path_buf()))).collect())
}

async fn found(site: &Site, snapshot: &Path, kind: &Kind) -> Result<()> {
    let whole = verify(site, snapshot).await?;
    ensure!(whole.code == 0 && whole.json["ok"] == true, "it is whole, but: {whole:?}");
    let files = whole.json["references"].as_array().with_context(|| format!("no references: {whole:?}"))?;
    let paths: Vec<_> = files.iter().filter_map(|file| file["path"].as_str()).collect();
    ensure!(paths.len() >= kind.least && paths.iter().any(|path| path.contains(kind.inside)), "{paths:?}");
    for path in &paths {
        without(site, snapshot, path).await?;
    }
    let longest = files.iter().max_by_key(|file| file["recorded_bytes"].as_u64());
    cut(site, snapshot, longest.context("a longest file")?).await
}

/// Without this file it is broken, and that file is named.
async fn without(site: &Site, snapshot: &Path, path: &str) -> Result<()> {
    let (here, away) = (local(path), site.path("away"));
    fs::rename(&here, &away).with_context(|| format!("moving {path} away"))?;
    let broken = verify(site, snapshot).await?;
    fs::rename(&away, &here).with_context(|| format!("moving {path} back"))?;
    named(&broken, "missing", path)
}

/// With one byte less than it needs of this file it is broken, and that file is named.
async fn cut(site: &Site, snapshot: &Path, file: &Value) -> Result<()> {
    let path = file["path"].as_str().context("a file has a path")?;
    let recorded = file["recorded_bytes"].as_u64().filter(|bytes| *bytes > 0);
    let recorded = recorded.with_context(|| format!("nothing is needed of {file}"))?;
    let opened = File::options().write(true).open(local(path)).with_context(|| format!("opening {path}"))?;
    opened.set_len(recorded - 1).with_context(|| format!("cutting {path}"))?;
    named(&verify(site, snapshot).await?, "too_short", path)
}

async fn verify(site: &Site, snapshot: &Path) -> Result<Answer> {
    let path = snapshot.to_str().context("a path of ASCII")?;
    holdfast(&site.artifacts().sidecar, &["snapshots", "verify", path], &[]).await
}

fn named(broken: &Answer, list: &str, path: &str) -> Result<()> {
    ensure!(broken.code == 1, "it is broken ({list} {path}), but: {broken:?}");
    let expected = Value::from(vec![path]);
    ensure!(broken.json[list] == expected, "{list} is {}, not {expected}", broken.json[list]);
    Ok(())
}
