//! The projection's write path.

use muster_loadtest::scenario::project;
use muster_test_kit::fresh_database;

use crate::support::{BATCHES, BOUNDS, check};

#[tokio::test]
async fn projecting_stands_beside_copy() {
    let url = fresh_database("loadtest").await;
    let figures = project::run(&url, &url, &BATCHES, &BOUNDS).await.unwrap();
    check(figures, &BATCHES, &["COPY, same indexes", "COPY, no index"]);
}
