//! From a command to a subscriber, through the real program.

use std::path::PathBuf;

use muster_loadtest::Log;
use muster_loadtest::scenario::end_to_end;
use muster_test_kit::{fresh_database, shared_kafka};

use crate::support::{BOUNDS, check};

/// The program `muster`, which is built beside the tests.
fn muster() -> PathBuf {
    let tests = std::env::current_exe().expect("this program has a path");
    let muster = tests.with_file_name("../muster");
    assert!(muster.exists(), "{} is missing: build it with `cargo build -p muster-cli`", muster.display());
    muster
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_subscriber_with_the_embedded_log() {
    let url = fresh_database("loadtest").await;
    let broker = &shared_kafka().await.bootstrap;
    let figures = end_to_end::run(&muster(), Log::Embedded, broker, &url, &BOUNDS).await.unwrap();
    check(figures, &[1], &["Kafka round trip", "Postgres round trip"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_reaches_a_subscriber_through_kafka() {
    let url = fresh_database("loadtest").await;
    let broker = &shared_kafka().await.bootstrap;
    let figures = end_to_end::run(&muster(), Log::Kafka, broker, &url, &BOUNDS).await.unwrap();
    check(figures, &[1], &["Kafka round trip", "Postgres round trip"]);
}
