//! Claims: each card once, the most urgent first, at once or when there is one.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use http::Method;
use muster_test_kit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{ADA, App, BOB, assert_gapless};

fn claim_body(wait_ms: u64) -> Value {
    json!({
        "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"], "lease_duration_ms": 60_000,
        "workspace_dir": "/w", "data_dir": "/d", "wait_ms": wait_ms,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_claims_for_ten_cards_give_ten() {
    let app = App::start().await;
    let project = app.project().await;
    for n in 0..10 {
        app.task(project, &format!("Task {n}")).await;
    }
    let bodies: Vec<Value> = (0..100).map(|_| claim_body(0)).collect();
    let answers = join_all(bodies.iter().map(|body| app.post("/api/claims", body))).await;
    let claimed: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(claimed.len(), 10);
    assert_eq!(answers.iter().filter(|answer| answer.status == 204).count(), 90);
    let distinct = |name: &str| claimed.iter().map(|a| a.body[name].to_string()).collect::<HashSet<_>>().len();
    assert_eq!((distinct("task_id"), distinct("run_id"), distinct("fencing_token")), (10, 10, 10));
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn the_most_urgent_of_all_projects_goes_first() {
    let app = App::start().await;
    let mut order = Vec::new();
    for (n, priority) in ["low", "high", "urgent", "medium"].iter().enumerate() {
        let project = app.project().await;
        let body = json!({ "title": format!("Task {n}"), "priority": priority });
        app.post(&format!("/api/projects/{project}/tasks"), &body).await.ok();
    }
    for _ in 0..4 {
        let answer = app.post("/api/claims", &claim_body(0)).await.ok();
        order.push(answer.body["title"].as_str().unwrap().to_owned());
    }
    assert_eq!(order, ["Task 2", "Task 1", "Task 3", "Task 0"]);
}

#[tokio::test]
async fn a_waiting_claim_gets_the_card_that_comes() {
    let app = Arc::new(App::start().await);
    let project = app.project().await;
    let waiting = {
        let app = Arc::clone(&app);
        tokio::spawn(async move { app.post("/api/claims", &claim_body(20_000)).await })
    };
    let quick = app.post("/api/claims", &claim_body(5)).await;
    assert_eq!(quick.status, 204);
    let task = app.task(project, "Late").await;
    let claimed = tokio::time::timeout(Duration::from_secs(10), waiting).await.unwrap().unwrap().ok();
    assert_eq!(claimed.body["task_id"], json!(task));
}

#[tokio::test]
async fn the_same_key_claims_once_also_at_the_same_time_and_after_a_restart() {
    let app = App::start().await;
    for n in 0..4 {
        let project = app.project().await;
        app.task(project, &format!("Task {n}")).await;
    }
    let key = Uuid::now_v7();
    let body = claim_body(0);
    let answers = join_all((0..8).map(|_| app.post_with_key(key, "/api/claims", &body))).await;
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.body == answers[0].body));
    app.post_with_key(key, "/api/claims", &claim_body(0)).await.refused(409, "idempotency_key_reused");
    let app = App::over(app.stop().await).await;
    assert_eq!(app.post_with_key(key, "/api/claims", &body).await.ok().body, answers[0].body);
    assert_eq!(app.events().await.iter().filter(|event| event.event_type() == "work.assigned").count(), 1);
}

#[tokio::test]
async fn a_lease_that_ends_gives_the_work_back_once_and_its_claim_is_stale() {
    let app = App::start().await;
    let project = app.project().await;
    app.task(project, "One").await;
    let key = Uuid::now_v7();
    let mut body = claim_body(0);
    body["lease_duration_ms"] = json!(50);
    let first = app.post_with_key(key, "/api/claims", &body).await.ok();
    let second = app.post("/api/claims", &claim_body(20_000)).await.ok();
    assert_eq!(first.body["task_id"], second.body["task_id"]);
    assert!(first.body["fencing_token"].as_u64() < second.body["fencing_token"].as_u64());
    app.post_with_key(key, "/api/claims", &body).await.refused(409, "stale_fencing_token");
    let released = app.events().await.iter().filter(|event| event.event_type() == "work.released").count();
    assert_eq!(released, 1);
    assert!(app.events().await.iter().any(|event| event.actor == "orchestrator"));
}

#[tokio::test]
async fn nobody_claims_where_they_may_not_work() {
    let app = App::start().await;
    let project = app.project().await;
    app.task(project, "One").await;
    assert_eq!(app.post_as(BOB, "/api/claims", &claim_body(0)).await.status, 204);
    let mut body = claim_body(0);
    body["project_ids"] = json!([project]);
    let foreign = app.post_as(BOB, "/api/claims", &body).await;
    body["project_ids"] = json!([Uuid::now_v7()]);
    let unknown = app.post_as(BOB, "/api/claims", &body).await;
    assert_eq!(foreign.refused(403, "forbidden").body, unknown.refused(403, "forbidden").body);
    let members = format!("/api/projects/{project}/members/bob");
    app.send(ADA, Method::PUT, &members, None, Some(r#"{"role":"viewer"}"#)).await.ok();
    assert_eq!(app.post_as(BOB, "/api/claims", &claim_body(0)).await.status, 204);
    app.send(ADA, Method::PUT, &members, None, Some(r#"{"role":"operator"}"#)).await.ok();
    app.post_as(BOB, "/api/claims", &claim_body(0)).await.ok();
    body = claim_body(0);
    body["lease_duration_ms"] = json!(0);
    app.task(project, "Two").await;
    app.post("/api/claims", &body).await.refused(400, "invalid_argument");
}

#[tokio::test]
async fn waiting_claims_end_when_the_service_stops() {
    let app = App::start().await;
    let service = app.service.clone();
    let actor = muster_domain::decide::Actor { user: ADA.to_owned(), admin: false };
    let who = muster_command_service::Who::new(actor, muster_domain::model::Source::Cli);
    let request = serde_json::from_value(claim_body(25_000)).unwrap();
    let waiting =
        tokio::spawn(async move { service.claim(&who, muster_domain::id::CommandId(Uuid::now_v7()), &request).await });
    app.stop().await;
    eventually(Duration::from_secs(5), || async { waiting.is_finished() }).await;
    assert_eq!(waiting.await.unwrap().unwrap(), None);
}
