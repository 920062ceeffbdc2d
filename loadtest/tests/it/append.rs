//! Appends.

use muster_loadtest::scenario::{append_kafka, append_postgres};
use muster_test_kit::{fresh_database, shared_kafka};

use crate::support::{BATCHES, BOUNDS, check};

#[tokio::test(flavor = "multi_thread")]
async fn appends_to_kafka_stand_beside_a_bare_producer() {
    let figures = append_kafka::run(shared_kafka().await, &BATCHES, &BOUNDS).await.unwrap();
    check(figures, &BATCHES, &["bare producer"]);
}

#[tokio::test]
async fn appends_to_postgres_stand_beside_bare_inserts() {
    let url = fresh_database("loadtest").await;
    let figures = append_postgres::run(&url, &url, &BATCHES, &BOUNDS).await.unwrap();
    check(figures, &BATCHES, &["bare INSERT, same indexes", "bare INSERT, no index"]);
}
