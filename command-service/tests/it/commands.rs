//! Commands through every route, and what is refused.

use http::Method;
use serde_json::json;
use uuid::Uuid;

use crate::support::{ADA, App, BOB, assert_gapless};

#[tokio::test]
async fn a_board_is_made_and_worked_with() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "Add a page").await;
    let in_project = format!("/api/projects/{project}/tasks/{task}");
    let edited = app.send(ADA, Method::PATCH, &in_project, None, Some(r#"{"priority":"urgent"}"#)).await.ok();
    assert_eq!((edited.body["sequence"].as_u64(), edited.body["position"].as_u64()), (Some(3), Some(4)));
    app.send(ADA, Method::PATCH, &format!("/api/tasks/{task}"), None, Some(r#"{"title":"Other"}"#)).await.ok();
    app.post(&format!("/api/tasks/{task}/prompt"), &json!({ "message": "Mind the tests" })).await.ok();
    app.post(&format!("{in_project}/artifacts"), &json!({ "kind": "link", "path": "https://example.org" })).await.ok();
    app.send(ADA, Method::POST, &format!("/api/tasks/{task}/cancel"), None, None).await.ok();
    app.post(&format!("{in_project}/approve"), &json!({})).await.refused(409, "invalid_transition");
    let members = format!("/api/projects/{project}/members/bob");
    app.send(ADA, Method::PUT, &members, None, Some(r#"{"role":"viewer"}"#)).await.ok();
    app.post_as(BOB, &format!("{in_project}/retry"), &json!({})).await.refused(403, "forbidden");
    app.send(ADA, Method::DELETE, &members, None, None).await.ok();
    let settings = json!({ "settings": { "auto_dispatch": false } }).to_string();
    app.send(ADA, Method::PUT, &format!("/api/projects/{project}/settings"), None, Some(&settings)).await.ok();
    app.task(project, "Waits").await;
    let dispatched = app.send(ADA, Method::POST, &format!("/api/projects/{project}/dispatch"), None, None).await.ok();
    assert_eq!(dispatched.body["event_ids"].as_array().unwrap().len(), 1);
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn any_command_is_taken_as_it_is_and_finds_the_project_of_its_task() {
    let app = App::start().await;
    let project = app.project().await;
    let create = json!({ "project_id": project, "command": { "type": "create_task", "title": "One" } });
    let task = app.post("/api/commands", &create).await.ok().body["task_id"].clone();
    let prompt = json!({ "command": { "type": "inject_prompt", "task_id": task, "message": "Hm" } });
    assert_eq!(app.post("/api/commands", &prompt).await.ok().body["project_id"], json!(project));
    let without = json!({ "command": { "type": "create_task", "title": "Nowhere" } });
    assert_eq!(app.post("/api/commands", &without).await.refused(400, "invalid_body").body["field"], "project_id");
}

#[tokio::test]
async fn a_batch_is_answered_one_by_one() {
    let app = App::start().await;
    let project = app.project().await;
    let item = |title: &str| json!({ "project_id": project, "command": { "type": "create_task", "title": title } });
    let answer = app.post("/api/commands/batch", &json!([item("One"), item(" "), item("Two")])).await.ok();
    let results = answer.body.as_array().unwrap();
    assert_eq!(results[0]["outcome"]["position"], 3);
    assert_eq!(results[1]["problem"]["code"], "invalid_argument");
    assert_eq!(results[2]["outcome"]["position"], 5);
    let many = vec![item("x"); 1001];
    app.post("/api/commands/batch", &json!(many)).await.refused(422, "limit_exceeded");
}

#[tokio::test]
async fn bad_bodies_are_refused_by_name() {
    let app = App::start().await;
    let project = app.project().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let raw = async |body: &str| app.send(ADA, Method::POST, &tasks, None, Some(body)).await;
    raw("{\"title\":").await.refused(400, "malformed_json");
    raw("[1]").await.refused(400, "invalid_body");
    assert_eq!(raw(r#"{"titel":"x"}"#).await.refused(400, "unknown_field").body["field"], "titel");
    assert_eq!(raw("{}").await.refused(400, "invalid_body").body["field"], "title");
    raw(r#"{"title":""}"#).await.refused(400, "invalid_argument");
    raw(r#"{"title":"x","type":"cancel_task"}"#).await.refused(400, "invalid_argument");
    raw(r#"{"title":"x","expected_sequence":"three"}"#).await.refused(400, "invalid_body");
    let long = raw(&json!({ "title": "x".repeat(1_000_000) }).to_string()).await;
    assert_eq!(long.refused(422, "too_long").body["limit_bytes"], 500);
    raw(&json!({ "title": "x".repeat(2_000_000) }).to_string()).await.refused(413, "body_too_large");
    app.post("/api/commands", &json!({ "project_id": project, "command": { "type": "launch" } }))
        .await
        .refused(400, "invalid_body");
    let dependency = json!({ "title": "x", "blocked_by": [Uuid::now_v7()] });
    app.post(&tasks, &dependency).await.refused(422, "unknown_dependency");
    app.post(&format!("/api/tasks/{}/dance", Uuid::now_v7()), &json!({})).await.refused(404, "route_not_found");
    app.post("/api/tasks/7/approve", &json!({})).await.refused(400, "invalid_argument");
    let one = json!({ "title": "x" });
    let key = app.with_headers(Method::POST, &tasks, &[("idempotency-key", "seven")], &one).await;
    assert_eq!(key.refused(400, "invalid_argument").body["header"], "idempotency-key");
    app.with_headers(Method::POST, &tasks, &[("muster-source", "fax")], &one).await.refused(400, "invalid_argument");
    app.send("", Method::POST, &tasks, None, Some("{}")).await.refused(401, "unauthenticated");
    assert_eq!(app.events().await.len(), 1, "nothing that was refused is in the log");
}

#[tokio::test]
async fn an_expected_sequence_must_be_the_current_one() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "One").await;
    let prompt = |expected: u64| json!({ "message": "x", "expected_sequence": expected });
    let path = format!("/api/tasks/{task}/prompt");
    app.post(&path, &prompt(2)).await.ok();
    let late = app.post(&path, &prompt(2)).await;
    assert_eq!(late.refused(409, "sequence_mismatch").body["current_sequence"], 3);
    let early = app.post(&path, &prompt(9)).await;
    assert_eq!(early.refused(409, "sequence_from_future").body["current_sequence"], 3);
}

#[tokio::test]
async fn of_two_with_the_same_expectation_one_wins() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "One").await;
    let path = format!("/api/tasks/{task}/prompt");
    let body = json!({ "message": "x", "expected_sequence": 2 });
    let answers = futures::future::join_all((0..20).map(|_| app.post(&path, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        answer.refused(409, "sequence_mismatch");
    }
    assert_gapless(&app.events().await);
}
