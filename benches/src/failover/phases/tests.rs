use super::*;

const KILL_MS: i64 = 1_767_323_045_000; // 2026-01-02 03:04:05 UTC
const PACKAGE: &str = "INFO  org.apache.flink.Something [] -";

/// Lines from `(ms after the kill, text)`.
fn log(lines: &[(i64, &str)]) -> String {
    let line = |(ms, text): &(i64, &str)| {
        let time = jiff::Timestamp::from_millisecond(KILL_MS + ms).unwrap();
        let shown = time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%d %H:%M:%S,%3f").to_string();
        format!("{shown} {PACKAGE} {text}\n")
    };
    lines.iter().map(line).collect()
}

const GRANTED: &str = "DefaultDispatcherRunner was granted leadership with leader id x.";
const RUNNING: &str = "count (1/2) (x) switched from INITIALIZING to RUNNING.";

fn read(logs: &[String]) -> Timeline {
    timeline(logs, KILL_MS, 2, &TimeZone::UTC)
}

fn whole_start() -> Vec<(i64, &'static str)> {
    vec![
        (2500, " Starting StandaloneApplicationClusterEntryPoint (Version: 2.2.1, Scala: 2.12)"),
        (3200, "Starting StandaloneApplicationClusterEntryPoint."),
        (4500, "Rest endpoint listening at 127.0.0.1:8081"),
        (4600, GRANTED),
        (4700, "Found 1 checkpoints in the sidecar's /v1/jobs/0/checkpoints."),
        (4800, "Registering TaskManager with ResourceID 127.0.0.1:1-a (x) at ResourceManager"),
        (4900, "Restoring job 00 from Checkpoint 17 @ 1 for 00 located at file:/c/chk-17."),
        (5000, RUNNING),
        (5100, RUNNING),
        (5900, "Completed checkpoint 18 for job 00 (9713 bytes, checkpointDuration=162 ms)"),
        (6900, "Completed checkpoint 19 for job 00 (9713 bytes, checkpointDuration=162 ms)"),
    ]
}

#[test]
fn a_restart_has_every_phase() {
    let found = read(&[log(&whole_start())]);
    let expected = [
        (Phase::ProcessUp, 2500),
        (Phase::RestUp, 4500),
        (Phase::Leadership, 4600),
        (Phase::PointersRead, 4700),
        (Phase::TaskManagers, 4800),
        (Phase::Restored, 4900),
        (Phase::AllRunning, 5100),
        (Phase::NewCheckpoint, 5900),
    ];
    assert_eq!(
        found,
        Timeline { phases: Phases::from(expected), grants: 1, job_restarts: 0, checkpoints: 2 }
    );
    assert!(found.is_complete());
}

#[test]
fn what_was_before_the_kill_does_not_count() {
    let before: Vec<_> = whole_start().into_iter().map(|(ms, text)| (ms - 60_000, text)).collect();
    assert_eq!(read(&[log(&before)]), Timeline::default());
}

#[test]
fn a_standby_has_no_start_and_the_start_of_the_killed_one_is_not_its_own() {
    let killed = log(&[whole_start()[0], whole_start()[2]]);
    let standby = log(&[(70, GRANTED), (900, RUNNING), (950, RUNNING), (1500, whole_start()[9].1)]);
    let found = read(&[killed, standby]);
    let expected = [(Phase::Leadership, 70), (Phase::AllRunning, 950), (Phase::NewCheckpoint, 1500)];
    assert_eq!(found.phases, Phases::from(expected));
}

#[test]
fn a_spare_that_is_replaced_in_the_same_stream_starts_nothing_anew() {
    let stream = log(&[
        (70, GRANTED),
        (900, RUNNING),
        (950, RUNNING),
        (1500, whole_start()[9].1),
        (3000, whole_start()[0].1),
        (4000, whole_start()[2].1),
    ]);
    assert_eq!(read(&[stream]).phases.keys().next(), Some(&Phase::Leadership));
}

#[test]
fn tasks_that_fail_again_before_a_checkpoint_were_no_recovery() {
    let stream = log(&[
        (100, GRANTED),
        (200, RUNNING),
        (250, RUNNING),
        (300, "Job holdfast-demo (0) switched from state RUNNING to RESTARTING."),
        (1200, RUNNING),
        (1300, RUNNING),
        (2000, whole_start()[9].1),
        (3000, "Job holdfast-demo (0) switched from state RUNNING to RESTARTING."),
    ]);
    let found = read(&[stream]);
    assert_eq!((found.phases[&Phase::AllRunning], found.job_restarts), (1300, 2));
}

#[test]
fn a_leader_that_did_not_bring_the_job_back_is_not_part_of_the_figure() {
    let first = log(&[(100, GRANTED), (200, RUNNING)]);
    let second = log(&whole_start());
    let found = read(&[first, second]);
    assert_eq!((found.phases[&Phase::Leadership], found.grants), (4600, 2));
    assert_eq!(found.phases[&Phase::AllRunning], 5100, "one task of the first leader, and two of the second");
}

#[test]
fn the_leader_is_who_was_granted_last() {
    let (one, other) = (log(&[(100, GRANTED)]), log(&[(50, GRANTED)]));
    assert_eq!(leader(&[one.clone(), other.clone()], &TimeZone::UTC), Some(0));
    assert_eq!(leader(&[other, one], &TimeZone::UTC), Some(1));
    assert_eq!(leader(&["no line of Flink's".into()], &TimeZone::UTC), None);
}

#[test]
fn a_line_without_a_time_is_none() {
    assert_eq!(flink_time_ms("Starting standalonejob as a console application", &TimeZone::UTC), None);
    assert_eq!(flink_time_ms("", &TimeZone::UTC), None);
    assert_eq!(flink_time_ms("ééééééééééééééééé", &TimeZone::UTC), None);
    assert_eq!(flink_time_ms("2026-01-02 03:04:05,000 INFO x", &TimeZone::UTC), Some(KILL_MS));
}

#[test]
fn how_far_it_came_is_named() {
    let found = read(&[log(&[(100, GRANTED), (200, RUNNING)])]);
    assert!(!found.is_complete());
    assert_eq!(found.last_phase(), "the last phase reached was \"leadership\", 100 ms after the kill");
    assert_eq!(Timeline::default().last_phase(), "nothing was reached");
}
