//! The same over the log in Postgres: what is acknowledged is there after a restart, and so is its answer.

use std::sync::Arc;

use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{EventLog, LogConfig};
use muster_test_kit::fresh_database;
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, assert_gapless};

async fn log(url: &str) -> Arc<dyn EventLog> {
    let config = PostgresConfig { partitions: 2, ..PostgresConfig::new(url) };
    Arc::new(PostgresLog::connect(&config).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_keeps_every_answer() {
    let url = fresh_database("command").await;
    let app = App::over(log(&url).await).await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let keys: Vec<Uuid> = (0..50).map(|_| Uuid::now_v7()).collect();
    let send = async |app: &App, n: usize| {
        app.post_with_key(keys[n], &tasks, &json!({ "title": format!("Task {n}") })).await.ok().body
    };
    let first = futures::future::join_all((0..50).map(|n| send(&app, n))).await;
    drop(app.stop().await);

    let app = App::over(log(&url).await).await;
    for (n, answer) in first.iter().enumerate() {
        assert_eq!(&send(&app, n).await, answer);
    }
    app.post_with_key(keys[0], &tasks, &json!({ "title": "Other" })).await.refused(409, "idempotency_key_reused");
    let events = app.events().await;
    assert_gapless(&events);
    assert_eq!(events.len(), 1 + 50 * 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_over_one_database_lose_nothing_when_one_leaves() {
    let url = fresh_database("command").await;
    crate::instances::two_divide_a_log_and_one_leaves(|| log(&url)).await;
}

#[tokio::test]
async fn the_factory_makes_the_same_log() {
    let url = fresh_database("command").await;
    let log = muster_event_log::connect(&LogConfig::Postgres(PostgresConfig::new(url))).await.unwrap();
    let app = App::over(log).await;
    app.project().await;
    assert_eq!(app.events().await.len(), 1);
}
