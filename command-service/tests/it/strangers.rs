//! A user who asks as only instances ask each other: nobody but an instance may, whatever the user's token.

use std::sync::Arc;

use http::Method;
use muster_command_service::Settings;
use muster_event_log::memory::MemoryLog;
use muster_event_log::partition_of;
use serde_json::json;
use uuid::Uuid;

use crate::support::{ADA, INSTANCE_TOKEN, Instance, PATIENCE, Pair, SharedLog};

fn claim() -> serde_json::Value {
    json!({
        "session_id": Uuid::now_v7(), "session_key": "runner-1", "roles": ["planner"], "workspace_dir": "/w",
        "data_dir": "/d",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_cannot_claim_twice_with_one_key_by_asking_as_an_instance() {
    let pair = Pair::divided(Arc::new(MemoryLog::new(2))).await;
    for partition in [0, 1] {
        let project = pair.one.project_in(partition).await;
        pair.one.task(project, "Work").await;
    }
    // The key belongs to the second instance, which claims there; then the first is asked as the second would.
    let keys = std::iter::repeat_with(Uuid::now_v7);
    let key = keys.into_iter().find(|key| partition_of(&format!("{ADA}/{key}"), 2) == 1).unwrap();
    let mut body = claim();
    let as_second = [("muster-forwarded", pair.two.url.as_str()), ("idempotency-key", &key.to_string())];
    let offers = pair.one.with_headers(Method::POST, "/internal/offers", &as_second, &body).await;
    assert_eq!(offers.refused(403, "not_an_instance").body["ticket"], json!(null));
    body["wait_ms"] = json!(0);
    pair.two.post_with_key(key, "/api/claims", &body).await.ok();
    let claim = format!("/internal/claims?ticket={}", Uuid::now_v7());
    pair.one.with_headers(Method::POST, &claim, &as_second, &body).await.refused(403, "not_an_instance");
    let events = pair.one.events().await;
    assert_eq!(events.iter().filter(|event| event.event_type() == "work.assigned").count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_but_an_instance_asks_as_one() {
    let pair = Pair::divided(Arc::new(MemoryLog::new(2))).await;
    let project = pair.two.project_in(1).await;
    let task = pair.two.task(project, "One").await;
    let before = pair.one.events().await.len();
    let token = |token: &'static str| [("muster-forwarded", "http://127.0.0.1:1"), ("muster-instance-token", token)];
    let long = "x".repeat(8_000);
    let strangers: [&[(&str, &str)]; 6] = [
        &[],
        &[("muster-forwarded", &pair.two.url)],
        &token(""),
        &token("token-of-ada"),
        &token("token-of-the-instance"),
        &[("muster-instance-token", &long)],
    ];
    let internal = [
        (Method::GET, format!("/internal/tasks/{task}")),
        (Method::GET, format!("/internal/tasks/{}", Uuid::now_v7())),
        (Method::POST, "/internal/offers".to_owned()),
        (Method::POST, format!("/internal/claims?ticket={}", Uuid::now_v7())),
        (Method::POST, "/internal/work".to_owned()),
    ];
    for headers in strangers {
        for (method, path) in &internal {
            for app in pair.each() {
                let answer = app.with_headers(method.clone(), path, headers, &claim()).await;
                answer.refused(403, "not_an_instance");
            }
        }
    }
    // Nor is anyone told by a request that was "passed on" what only instances are told, here or at the owner.
    let tasks = format!("/api/projects/{project}/tasks");
    for app in pair.each() {
        let answer = app.with_headers(Method::POST, &tasks, &token("guessed"), &json!({ "title": "x" })).await;
        answer.refused(403, "not_an_instance");
    }
    assert_eq!(pair.one.events().await.len(), before);
    // An instance is refused what its user may not do, and told what the user may know.
    let path = format!("/internal/tasks/{task}");
    let told = pair.two.with_headers(Method::GET, &path, &token(INSTANCE_TOKEN), &json!(null)).await.ok();
    assert_eq!(told.body["project_id"], json!(project));
    let unknown = pair.two.send("", Method::GET, &path, None, None).await;
    assert_eq!(unknown.status, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn instances_of_other_secrets_do_not_work_for_each_other() {
    let handover_patience = std::time::Duration::from_millis(200);
    let settings = Settings { handover_patience, ..Settings::default() };
    let log = SharedLog::over(Arc::new(MemoryLog::new(1)));
    let board = Arc::clone(&log.board);
    let one = Instance::start(Arc::new(log.clone()), settings.clone()).await;
    let two = Instance::start_with_secret(Arc::new(log), settings, "another-secret-of-instances").await;
    for instance in [&one, &two] {
        board.wait_for(&instance.url).await;
    }
    board.give(0, &two.url).await;
    muster_test_kit::eventually(PATIENCE, || async { two.service.is_recovered() }).await;
    let create = json!({ "name": "Demo", "repository_path": "/repo" });
    let refused = one.post("/api/projects", &create).await;
    // Nothing was done, and nobody takes it for an answer of the owner's.
    assert_eq!(refused.refused(503, "unavailable").body["in_doubt"], false);
    two.post("/api/projects", &create).await.ok();
    assert_eq!(two.events().await.len(), 1);
}
