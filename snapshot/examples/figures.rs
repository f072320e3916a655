//! How fast the reader is, and what it costs to verify a snapshot that refers to 100,000 files.
//!
//! ```text
//! cargo run --release -p holdfast-snapshot --example figures                      # in a directory of its own
//! cargo run --release -p holdfast-snapshot --example figures -- s3://bucket/dir   # there; the files stay
//! ```
//!
//! The second form takes the endpoint and credentials from the environment (`AWS_ENDPOINT`, `AWS_ACCESS_KEY_ID`, …).
//! The snapshot is one operator's incremental RocksDB state; every file has eight bytes. A second one refers to 1 % of the
//! same files, which is what a listing is not for.

#![allow(clippy::print_stdout, reason = "printing is what it is for")]

use futures::{StreamExt, TryStreamExt, stream};
use ha_store::{BackendOptions, StoreUrl};
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use snapshot::{Stores, VerifyOptions, metadata, verify};
use std::error::Error;
use std::fs;
use tokio::time::Instant;

const FILES: u32 = 100_000;
const FILE_BYTES: u64 = 8;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let scratch = tempfile::tempdir()?;
    let base = match std::env::args().nth(1) {
        Some(base) => base.trim_end_matches('/').to_owned(),
        None => scratch.path().display().to_string(),
    };
    let names: Vec<String> = (0..FILES).map(file_name).collect();
    reader(&snapshot_of(&base, &names));
    println!("verify, in {}", if base.contains("://") { &base } else { "a directory" });
    let before = resident_peak_kib()?;
    for (snapshot, step) in [("chk-1", 1), ("chk-2", 100)] {
        let needed: Vec<String> = names.iter().step_by(step).cloned().collect();
        let bytes = snapshot_of(&base, &needed);
        put_all(&base, snapshot, bytes, if step == 1 { &names } else { &[] }).await?;
    }
    let written = resident_peak_kib()?;
    for snapshot in ["chk-2", "chk-1"] {
        let began = Instant::now();
        let path = format!("{base}/{snapshot}");
        let found = verify(&Stores::default(), &path, &VerifyOptions::default()).await?;
        println!(
            "  {:>6} files: {:>6.2} s, {:>6} file requests, {:>3} list pages, {} reads, verdict {:?}",
            found.references.len(),
            began.elapsed().as_secs_f64(),
            found.requests.heads,
            found.requests.list_pages,
            found.requests.gets,
            found.verdict,
        );
    }
    let after = resident_peak_kib()?;
    println!(
        "  resident memory at its peak: {before} KiB before, {written} KiB when the files were made, {after} KiB now"
    );
    Ok(())
}

fn reader(bytes: &[u8]) {
    const ROUNDS: u32 = 20;
    let bytes = bytes::Bytes::copy_from_slice(bytes);
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let read = metadata::read_bytes(bytes.clone(), &metadata::Limits::default());
        assert_eq!(read.expect("it was made to be read").references.len(), u64::from(FILES));
    }
    let seconds = began.elapsed().as_secs_f64() / f64::from(ROUNDS);
    let megabytes = bytes.len() as f64 / 1e6;
    println!(
        "reader: {megabytes:.1} MB with {FILES} files in {:.1} ms, {:.0} MB/s",
        seconds * 1e3,
        megabytes / seconds
    );
}

/// As random as Flink's names, but the same in every run.
fn file_name(index: u32) -> String {
    let high = u64::from(index).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let low = high.rotate_left(29).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    format!(
        "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
        high >> 32,
        high >> 16 & 0xFFFF,
        high & 0xFFF,
        low >> 52,
        low >> 4 & 0xFFFF_FFFF_FFFF
    )
}

/// Version 3, which ends without a Java object: one operator, one subtask, incremental keyed state in `shared/`.
fn snapshot_of(base: &str, names: &[String]) -> Vec<u8> {
    let mut out = Vec::new();
    let text = |out: &mut Vec<u8>, text: &str| {
        out.extend((text.len() as u16).to_be_bytes());
        out.extend(text.as_bytes());
    };
    let ints = |out: &mut Vec<u8>, ints: &[i32]| ints.iter().for_each(|int| out.extend(int.to_be_bytes()));
    ints(&mut out, &[0x4960_672D, 3, 0, 1, 0, 1]);
    out.extend([0; 16]);
    ints(&mut out, &[1, 128]);
    out.push(0);
    ints(&mut out, &[1, 0, 0, 0]);
    out.push(5);
    out.extend(1_i64.to_be_bytes());
    text(&mut out, "00000000-0000-0000-0000-000000000000");
    ints(&mut out, &[0, 128]);
    out.push(0);
    ints(&mut out, &[names.len() as i32]);
    for (index, name) in names.iter().enumerate() {
        text(&mut out, &format!("{index:06}.sst"));
        out.push(2);
        out.extend(FILE_BYTES.to_be_bytes());
        text(&mut out, &format!("{base}/shared/{name}"));
    }
    ints(&mut out, &[0]);
    out.push(0);
    ints(&mut out, &[0, 0]);
    out
}

async fn put_all(
    base: &str,
    snapshot: &str,
    metadata: Vec<u8>,
    names: &[String],
) -> Result<(), Box<dyn Error>> {
    if !base.contains("://") {
        fs::create_dir_all(format!("{base}/{snapshot}"))?;
        fs::create_dir_all(format!("{base}/shared"))?;
        fs::write(format!("{base}/{snapshot}/_metadata"), metadata)?;
        return Ok(names.iter().try_for_each(|name| fs::write(format!("{base}/shared/{name}"), [0; 8]))?);
    }
    let url: StoreUrl = base.parse()?;
    let (store, prefix) = (url.connect(&BackendOptions::default())?, url.prefix());
    store.put(&prefix.clone().join(snapshot).join("_metadata"), metadata.into()).await?;
    let puts = names.iter().map(|name| {
        let (store, key) = (&store, Key::parse(format!("{prefix}/shared/{name}")));
        async move { store.put(&key?, PutPayload::from_static(&[0; 8])).await.map(drop) }
    });
    Ok(stream::iter(puts).buffer_unordered(32).try_collect::<()>().await?)
}

/// The high-water mark of this process, so it never goes down.
fn resident_peak_kib() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM in /proc/self/status")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
