//! Published leader addresses, as TaskManagers see them.

use futures::StreamExt;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sidecar::settings::Settings;

use crate::support::{JobManager, Sidecar, lines, next, problem};

async fn publish(sidecar: &Sidecar, epoch: u64, components: &[&str]) -> StatusCode {
    let at = |component: &&str| {
        ((*component).to_owned(), json!({"session": "s", "address": format!("pekko://{epoch}")}))
    };
    let leaders: serde_json::Map<String, Value> = components.iter().map(at).collect();
    let request = sidecar.request(Method::PUT, "/v1/leaders").header("Holdfast-Epoch", epoch);
    request.json(&json!({ "leaders": leaders })).send().await.unwrap().status()
}

#[tokio::test]
async fn a_reader_is_told_everything_at_once_and_then_every_change() {
    let sidecar = Sidecar::start().await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    assert_eq!(publish(&sidecar, epoch, &["dispatcher"]).await, 204);
    let stream = reqwest::get(format!("{}/v1/leaders/stream", sidecar.public_url)).await.unwrap();
    let mut maps = lines(stream);
    let first = next(&mut maps).await;
    assert_eq!(first["leaders"]["dispatcher"]["address"], format!("pekko://{epoch}"), "{first}");
    assert_eq!(publish(&sidecar, epoch, &["dispatcher", "job-a"]).await, 204);
    let second = next(&mut maps).await;
    assert!(second["leaders"]["job-a"].is_object(), "{second}");
    assert_eq!(second["epoch"], epoch);
}

#[tokio::test]
async fn a_sidecar_that_just_started_does_not_say_that_there_is_no_leader() {
    let sidecar = Sidecar::start().await;
    let answer = reqwest::get(format!("{}/v1/leaders", sidecar.public_url)).await.unwrap();
    assert_eq!(problem(answer, 503).await, "not-ready");
}

#[tokio::test]
async fn a_lost_leader_s_addresses_stay_until_the_next_one_s_replace_them() {
    let sidecar = Sidecar::start().await;
    let mut first = JobManager::open(&sidecar).await;
    let old = first.granted().await;
    publish(&sidecar, old, &["dispatcher", "job-a"]).await;
    let mut maps = lines(reqwest::get(format!("{}/v1/leaders/stream", sidecar.public_url)).await.unwrap());
    next(&mut maps).await;
    drop(first);
    let mut second = JobManager::open(&sidecar).await;
    let epoch = second.granted().await;
    publish(&sidecar, epoch, &["dispatcher"]).await;
    let map = next(&mut maps).await;
    assert_eq!(map["leaders"]["dispatcher"]["epoch"], epoch, "{map}");
    assert_eq!(map["leaders"]["job-a"]["epoch"], old, "{map}");
}

#[tokio::test]
async fn with_a_grace_of_zero_they_are_withdrawn_at_once() {
    let settings = Settings { leader_loss_grace: Some("0".into()), ..Settings::default() };
    let sidecar =
        Sidecar::start_on(std::sync::Arc::new(object_store::memory::InMemory::new()), settings).await;
    let mut job_manager = JobManager::open(&sidecar).await;
    let epoch = job_manager.granted().await;
    publish(&sidecar, epoch, &["dispatcher"]).await;
    let mut maps = lines(reqwest::get(format!("{}/v1/leaders/stream", sidecar.public_url)).await.unwrap());
    next(&mut maps).await;
    drop(job_manager);
    let map = next(&mut maps).await;
    assert_eq!(map["leaders"], json!({}), "{map}");
}

#[tokio::test]
async fn an_old_epoch_cannot_publish() {
    let sidecar = Sidecar::start().await;
    let mut first = JobManager::open(&sidecar).await;
    let old = first.granted().await;
    drop(first);
    let mut second = JobManager::open(&sidecar).await;
    second.granted().await;
    assert_eq!(publish(&sidecar, old, &["dispatcher"]).await, 412);
}

#[tokio::test]
async fn a_reader_is_sent_away_by_a_sidecar_that_was_deposed() {
    let older = Sidecar::start().await;
    let mut deposed = JobManager::open(&older).await;
    let epoch = deposed.granted().await;
    publish(&older, epoch, &["dispatcher"]).await;
    let mut maps = lines(reqwest::get(format!("{}/v1/leaders/stream", older.public_url)).await.unwrap());
    next(&mut maps).await;
    let newer = Sidecar::start_on(older.backend.clone(), Settings::default()).await;
    let mut leading = JobManager::open(&newer).await;
    leading.granted().await;
    let ended = async { while maps.next().await.is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), ended).await.expect("the stream ends");
}
