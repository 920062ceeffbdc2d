//! The same over the log in Postgres: what is acknowledged is there after a restart, and so is its answer.

use std::sync::Arc;

use muster_command_service::Settings;
use muster_event_log::postgres::{PostgresConfig, PostgresLog};
use muster_event_log::{EventLog, LogConfig};
use muster_test_kit::postgres::Binaries;
use muster_test_kit::{eventually, fresh_database};
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, PATIENCE, assert_gapless};

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

/// A lock keeps the log's table from everybody for a while: reads of finished tasks are under way when an append fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finished_tasks_that_are_read_leave_a_takeover_its_connection() {
    let url = fresh_database("command").await;
    let config = PostgresConfig {
        partitions: 1,
        max_connections: 4,
        request_timeout_ms: 1_000,
        ..PostgresConfig::new(url.clone())
    };
    let log = Arc::new(PostgresLog::connect(&config).await.unwrap());
    let app = Arc::new(App::with(log, Settings { finished_tasks_in_memory: 1, ..Settings::default() }).await);
    let project = app.project().await;
    let mut tasks = Vec::new();
    for n in 0..8 {
        let task = app.task(project, &format!("Task {n}")).await;
        app.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
        tasks.push(task);
    }

    let lock = "begin; lock table muster_log.events in access exclusive mode; select pg_sleep(3); commit";
    let psql = move |sql: &str| Binaries::find().unwrap().psql(&url, sql).unwrap();
    let (locks, sees) = (psql.clone(), psql);
    let locked = tokio::task::spawn_blocking(move || locks(lock));
    let holds = "select count(*) from pg_locks l join pg_database d on d.oid = l.database
        where d.datname = current_database() and l.granted and l.mode = 'AccessExclusiveLock'
            and l.relation = 'muster_log.events'::regclass";
    eventually(PATIENCE, || async { sees(holds).trim() == "1" }).await;
    let retries = tasks.iter().map(|task| {
        let (app, path) = (Arc::clone(&app), format!("/api/tasks/{task}/retry"));
        tokio::spawn(async move { app.post(&path, &json!({})).await })
    });
    let retries: Vec<_> = retries.collect();
    let path = format!("/api/projects/{project}/tasks");
    while !locked.is_finished() {
        app.post(&path, &json!({ "title": "Meanwhile" })).await;
    }

    eventually(PATIENCE, || async { app.post(&path, &json!({ "title": "Afterwards" })).await.status == 200 }).await;
    for (task, retry) in std::iter::zip(tasks, retries) {
        retry.await.unwrap();
        app.post(&format!("/api/tasks/{task}/retry"), &json!({})).await;
    }
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn the_factory_makes_the_same_log() {
    let url = fresh_database("command").await;
    let log = muster_event_log::connect(&LogConfig::Postgres(PostgresConfig::new(url))).await.unwrap();
    let app = App::over(log).await;
    app.project().await;
    assert_eq!(app.events().await.len(), 1);
}
