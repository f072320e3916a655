//! The client against a server that gives the answers that real JobManagers gave.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const JOB: &str = "00000000002efde30000000000000000";

fn job() -> JobId {
    JOB.parse().expect("an id")
}

/// Answers one request with these bytes, and gives back what it was asked.
async fn answering(answer: Vec<u8>) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut asked = Vec::new();
        while !is_whole(&asked) {
            let mut part = [0; 1_024];
            let read = stream.read(&mut part).await.expect("a request");
            assert_ne!(read, 0, "the request breaks off");
            asked.extend_from_slice(&part[..read]);
        }
        stream.write_all(&answer).await.expect("taken");
        String::from_utf8(asked).expect("text")
    });
    (address, asked)
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() == length.map_or(0, |length| length.parse().expect("a number"))
}

fn json_answer(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-type: application/json; charset=UTF-8\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn client(address: SocketAddr) -> JobManager {
    let address = format!("http://{address}").parse().expect("an address");
    JobManager::new(address, Arc::new(NetConnect::default()), Duration::from_secs(20))
}

async fn after(status: &str, body: &str) -> (JobManager, JoinHandle<String>) {
    let (address, asked) = answering(json_answer(status, body)).await;
    (client(address), asked)
}

fn order() -> SavepointOrder {
    SavepointOrder { trigger_id: "ab".repeat(16), target_directory: None, format: SavepointFormat::Native }
}

#[tokio::test]
async fn the_jobs_of_every_version_are_read() {
    // 1.20 has no `pending-operators`; 2.3 adds fields of its own.
    let recorded = include_str!("tests/overview-2.2.json");
    let older = recorded.replace(",\"pending-operators\":0", "");
    let newer =
        recorded.replace("\"state\"", "\"jobType\":\"STREAMING\",\"schedulerType\":\"Default\",\"state\"");
    assert!(older != recorded && newer != recorded);
    for body in [&older, recorded, &newer] {
        let (job_manager, asked) = after("200 OK", body).await;
        let jobs = job_manager.jobs().await.expect("an answer").jobs;
        assert_eq!((jobs.len(), jobs[0].state.as_str()), (1, "RUNNING"));
        assert!(asked.await.expect("asked").starts_with("GET /jobs/overview HTTP/1.1\r\n"));
    }
}

#[tokio::test]
async fn a_savepoint_is_found_in_the_answer_once_and_checkpoints_are_not() {
    let (job_manager, _) = after("200 OK", include_str!("tests/checkpoints-2.2.json")).await;
    let answer = job_manager.checkpoints(&job()).await.expect("an answer");
    let savepoints: Vec<(u64, Option<&str>)> = answer.savepoints().map(|it| (it.id, it.place())).collect();
    assert_eq!(savepoints, [(1, Some("file:/flink/savepoints/savepoint-000000-da14d3405708"))]);
    assert_eq!(answer.latest.restored, None);
}

#[tokio::test]
async fn each_of_the_two_calls_spells_the_target_directory_in_its_own_way() {
    let accepted = format!("{{\"request-id\":\"{}\"}}", "ab".repeat(16));
    let (job_manager, asked) = after("202 Accepted", &accepted).await;
    job_manager.trigger_savepoint(&job(), &order()).await.expect("accepted");
    let asked = asked.await.expect("asked");
    assert!(asked.starts_with(&format!("POST /jobs/{JOB}/savepoints HTTP/1.1\r\n")), "{asked}");
    assert!(
        asked.contains("\"target-directory\":null") && asked.contains("\"formatType\":\"NATIVE\""),
        "{asked}"
    );

    let (job_manager, asked) = after("202 Accepted", &accepted).await;
    job_manager.stop(&job(), &order(), true).await.expect("accepted");
    let asked = asked.await.expect("asked");
    assert!(asked.starts_with(&format!("POST /jobs/{JOB}/stop HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains("\"targetDirectory\":null") && asked.contains("\"drain\":true"), "{asked}");
}

#[tokio::test]
async fn a_savepoint_is_in_progress_then_done_or_failed() {
    let place = "file:/savepoints/savepoint-1";
    let failure = r#"{"status":{"id":"COMPLETED"},"operation":{"failure-cause":{"class":"java.util.concurrent.CompletionException",
        "stack-trace":"java.util.concurrent.CompletionException: no\n\tat a.b\nCaused by: java.io.IOException: disk full\n\tat c.d",
        "serialized-throwable":"rO0"}}}"#;
    let done = format!(r#"{{"status":{{"id":"COMPLETED"}},"operation":{{"location":"{place}"}}}}"#);
    let expected = [
        (r#"{"status":{"id":"IN_PROGRESS"},"operation":null}"#.to_owned(), Completion::InProgress),
        (done, Completion::Done { location: place.to_owned() }),
        (
            failure.to_owned(),
            Completion::Failed {
                reason:
                    "java.util.concurrent.CompletionException: no … Caused by: java.io.IOException: disk full"
                        .into(),
            },
        ),
    ];
    for (body, completion) in expected {
        let (job_manager, _) = after("200 OK", &body).await;
        assert_eq!(job_manager.savepoint(&job(), "t").await.expect("an answer").completion(), completion);
    }
}

#[tokio::test]
async fn a_refusal_is_told_with_its_status_and_its_last_cause() {
    let body = include_str!("tests/refusal-2.2.json");
    let (job_manager, _) = after("404 Not Found", body).await;
    let error = job_manager.savepoint(&job(), "t").await.expect_err("refused");
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    let words = error.to_string();
    assert!(words.contains("There is no savepoint operation") && !words.contains("\n"), "{words}");
}

#[tokio::test]
async fn no_connection_means_that_nothing_was_done_and_no_answer_that_something_may_have_been() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let gone = listener.local_addr().expect("bound");
    drop(listener);
    assert!(matches!(client(gone).jobs().await, Err(AskError::Unreachable { .. })));

    let (address, _asked) = answering(Vec::new()).await;
    assert!(matches!(client(address).jobs().await, Err(AskError::NoAnswer { .. })));
}

#[tokio::test]
async fn a_job_manager_that_hangs_is_given_up_after_the_time_out() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("bound")).parse().expect("an address");
    let job_manager = JobManager::new(address, Arc::new(NetConnect::default()), Duration::from_millis(50));
    let error = job_manager.jobs().await.expect_err("nobody answers");
    assert!(error.to_string().contains("nothing for 50 ms"), "{error}");
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let mut answer = json_answer("200 OK", "");
    let length = ANSWER_BYTES_MAX + 1;
    answer = String::from_utf8(answer)
        .expect("text")
        .replace("length: 0", &format!("length: {length}"))
        .into_bytes();
    answer.resize(answer.len() + length, b' ');
    let (address, asked) = answering(answer).await;
    let error = client(address).jobs().await.expect_err("too long");
    assert!(error.to_string().contains("more than 16777216 bytes"), "{error}");
    drop(asked);
}
