//! A command that is sent again is carried out once.

use std::sync::Arc;

use futures::future::join_all;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::json;
use uuid::Uuid;

use crate::support::{App, BOB, FaultyLog, PARTITIONS, PATIENCE, assert_gapless};

#[tokio::test]
async fn the_same_key_gives_the_same_answer_also_after_a_restart() {
    let app = App::start().await;
    let key = Uuid::now_v7();
    let body = json!({ "name": "Demo", "repository_path": "/repo" });
    let first = app.post_with_key(key, "/api/projects", &body).await.ok();
    let again = app.post_with_key(key, "/api/projects", &body).await.ok();
    assert_eq!(first.body, again.body);
    assert!(!first.headers.contains_key("idempotency-replayed"));
    assert_eq!(again.headers["idempotency-replayed"], "true");

    let app = App::over(app.stop().await).await;
    assert_eq!(app.post_with_key(key, "/api/projects", &body).await.ok().body, first.body);
    assert_eq!(app.events().await.len(), 1);
}

#[tokio::test]
async fn another_command_under_the_same_key_is_refused() {
    let app = App::start().await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let key = Uuid::now_v7();
    app.post_with_key(key, &tasks, &json!({ "title": "One" })).await.ok();
    app.post_with_key(key, &tasks, &json!({ "title": "Two" })).await.refused(409, "idempotency_key_reused");
    for _ in 0..6 {
        // Wherever the other project lies.
        let other = format!("/api/projects/{}/tasks", app.project().await);
        app.post_with_key(key, &other, &json!({ "title": "One" })).await.refused(409, "idempotency_key_reused");
    }
    let log = app.stop().await;
    let app = App::over(log).await;
    app.post_with_key(key, &tasks, &json!({ "title": "Two" })).await.refused(409, "idempotency_key_reused");
    app.post_with_key(key, &tasks, &json!({ "title": "One" })).await.ok();
    // A key belongs to its caller.
    let own = json!({ "name": "Bob's", "repository_path": "/repo" });
    app.send(BOB, http::Method::POST, "/api/projects", Some(key), Some(&own.to_string())).await.ok();
}

#[tokio::test]
async fn two_at_once_with_the_same_key_get_one_answer() {
    let app = App::start().await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let key = Uuid::now_v7();
    let body = json!({ "title": "One" });
    let answers = join_all((0..10).map(|_| app.post_with_key(key, &tasks, &body))).await;
    let first = &answers[0].body;
    assert!(answers.iter().all(|answer| answer.status == 200 && &answer.body == first));
    assert_eq!(answers.iter().filter(|answer| !answer.headers.contains_key("idempotency-replayed")).count(), 1);
    assert_gapless(&app.events().await);
    assert_eq!(app.events().await.len(), 3);
}

#[tokio::test]
async fn one_that_is_still_being_written_is_waited_for() {
    let log = FaultyLog::new(PARTITIONS);
    let app = Arc::new(App::over(Arc::new(log.clone())).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let key = Uuid::now_v7();
    let send = |title: &'static str| {
        let (app, tasks) = (Arc::clone(&app), tasks.clone());
        tokio::spawn(async move { app.post_with_key(key, &tasks, &json!({ "title": title })).await })
    };
    let first = send("One");
    eventually(PATIENCE, || async { log.waiting() == 1 }).await;
    let other = send("Two");
    let second = send("One");
    gate.add_permits(100);
    other.await.unwrap().refused(409, "idempotency_key_reused");
    assert_eq!(first.await.unwrap().ok().body, second.await.unwrap().ok().body);
    assert_eq!(app.events().await.len(), 3);
}

#[tokio::test]
async fn beyond_the_window_a_key_is_forgotten() {
    let settings = muster_command_service::Settings { idempotency_window: 2, ..Default::default() };
    let app = App::with(Arc::new(MemoryLog::new(1)), settings).await;
    let project = app.project().await;
    let task = app.task(project, "One").await;
    let path = format!("/api/tasks/{task}/prompt");
    let keys: Vec<Uuid> = (0..3).map(|_| Uuid::now_v7()).collect();
    for key in &keys {
        app.post_with_key(*key, &path, &json!({ "message": "x" })).await.ok();
    }
    let before = app.events().await.len();
    app.post_with_key(keys[2], &path, &json!({ "message": "x" })).await.ok();
    app.post_with_key(keys[1], &path, &json!({ "message": "x" })).await.ok();
    assert_eq!(app.events().await.len(), before);
    app.post_with_key(keys[0], &path, &json!({ "message": "x" })).await.ok();
    assert_eq!(app.events().await.len(), before + 1);
}
