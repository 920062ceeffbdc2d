//! The projection's write path.

use muster_loadtest::scenario::project;
use muster_test_kit::fresh_database;

use crate::support::{BOUNDS, check};

#[tokio::test]
async fn projecting_stands_beside_copy() {
    let url = fresh_database("loadtest").await;
    let figures = project::run(&url, &[1, 3], &BOUNDS).await.unwrap();
    check(figures, &["COPY, same indexes", "COPY, no index"]);
}
