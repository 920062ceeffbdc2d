//! Alive, ready, measured.

use std::time::Duration;

use muster_service_kit::{Readiness, health};

use crate::support::get;

#[tokio::test]
async fn a_process_without_checks_is_alive_and_ready() {
    let router = health::router(Readiness::new());

    assert_eq!(get(&router, "/healthz").await.json()["status"], "alive");
    assert_eq!(get(&router, "/readyz").await.json()["status"], "ready");
}

#[tokio::test]
async fn readiness_names_what_fails_and_recovers() {
    let readiness = Readiness::new();
    readiness.register("store", || async { Ok(()) });
    let log = readiness.flag("log");
    let router = health::router(readiness);

    let starting = get(&router, "/readyz").await;
    assert_eq!(starting.status, 503);
    assert_eq!(starting.header("retry-after"), "1");
    assert_eq!(
        starting.problem("unavailable")["failing"],
        serde_json::json!([{ "name": "log", "reason": "starting" }])
    );
    assert_eq!(get(&router, "/healthz").await.status, 200);

    log.ready();
    assert_eq!(get(&router, "/readyz").await.status, 200);

    log.not_ready("broker unreachable");
    let detail = get(&router, "/readyz").await.problem("unavailable")["detail"].clone();
    assert_eq!(detail, "Not ready: log: broker unreachable.");
}

#[tokio::test]
async fn a_check_that_hangs_counts_as_failed() {
    let readiness = Readiness::with_check_timeout(Duration::from_millis(20));
    readiness.register("store", std::future::pending);

    let failing = readiness.failing().await;

    assert_eq!(failing, [("store".to_owned(), "no answer within 20 ms".to_owned())]);
}
