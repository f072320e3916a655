//! End-to-end tests with real Apache Flink, the real sidecar and `kill -9`.
//!
//! `make test` prepares what they need; a missing part fails the test and names the command that makes it. As many run at a
//! time as the machine has room for. A cluster takes long to start, so one function per Flink version runs several rules on
//! one cluster, and prints each.

mod behind_tls;
mod broken_snapshot;
mod every_backend;
mod flink_upgrade;
mod generations;
mod in_a_bucket;
mod kept_running;
mod latest_state;
mod one_pod;
mod prepared;
mod spared_main;
mod two_pods;
mod two_sidecars;

use harness::scenario::Failure;

/// The same tests for every supported Flink.
macro_rules! for_each_flink {
    ($($module:ident: $version:literal,)*) => {$(
        mod $module {
            use super::*;

            #[tokio::test]
            async fn a_job_outlives_its_job_manager_and_its_sidecar() -> Result<(), Failure> {
                one_pod::test($version).await
            }

            #[tokio::test]
            async fn a_job_manager_that_wakes_up_deposed_records_and_commits_nothing() -> Result<(), Failure> {
                two_pods::test($version).await
            }

            #[tokio::test]
            async fn a_failover_does_not_need_main() -> Result<(), Failure> {
                spared_main::test($version).await
            }
        }
    )*};
}

for_each_flink! {
    flink_1_20_5: "1.20.5",
    flink_2_2_1: "2.2.1",
    flink_2_3_0: "2.3.0",
}

#[tokio::test]
async fn a_job_manager_under_exec_is_back_at_once_however_it_goes() -> Result<(), Failure> {
    kept_running::test("2.2.1").await
}

#[tokio::test]
async fn after_any_end_the_next_generation_goes_on_from_the_newest_state() -> Result<(), Failure> {
    latest_state::test("2.2.1").await
}

#[tokio::test]
async fn a_rest_api_behind_tls_is_observed() -> Result<(), Failure> {
    behind_tls::test("2.2.1").await
}

#[tokio::test]
async fn whatever_happens_to_a_bucket_no_checkpoint_is_lost() -> Result<(), Failure> {
    in_a_bucket::test("2.2.1").await
}

#[tokio::test]
async fn a_newer_flink_goes_on_where_the_one_before_was() -> Result<(), Failure> {
    flink_upgrade::test("1.20.5", &["2.2.1", "2.3.0"]).await
}

#[tokio::test]
async fn no_file_of_a_snapshot_is_missing_unseen_whatever_wrote_it() -> Result<(), Failure> {
    every_backend::test("2.2.1").await
}

#[tokio::test]
async fn an_archive_can_be_made_when_an_image_is_built() -> Result<(), Failure> {
    prepared::test("2.2.1").await
}
