//! Batches: in their order whatever each command names, and safe to send again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_command_service::{Options, RepositoryProbe, Settings};
use muster_domain::model::VerificationCommand;
use muster_event_log::memory::MemoryLog;
use muster_service_kit::{Problem, Shutdown};
use muster_test_kit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, BOB, FaultyLog, PATIENCE, assert_gapless};

const BATCH: &str = "/api/commands/batch";

fn positions(answer: &Value) -> Vec<u64> {
    let position = |result: &Value| result["outcome"]["position"].as_u64().unwrap_or_else(|| panic!("{result}"));
    answer.as_array().unwrap().iter().map(position).collect()
}

#[tokio::test]
async fn commands_of_one_project_keep_their_order_whether_they_name_it_or_not() {
    let app = App::start().await;
    let project = app.project().await;
    let task = app.task(project, "Old").await;
    let new = Uuid::now_v7();
    let update = |id: Value, title: &str| json!({ "type": "update_task", "task_id": id, "title": title });
    let batch = json!([
        { "command": update(json!(task), "First") },
        { "project_id": project, "command": update(json!(task), "Second") },
        { "project_id": project, "command": { "type": "create_task", "task_id": new, "title": "New" } },
        { "command": update(json!(new), "Third") },
        { "project_id": project, "command": update(json!(new), "Fourth") },
    ]);
    let told = positions(&app.post(BATCH, &batch).await.ok().body);
    assert!(told.is_sorted(), "{told:?}");
    assert_gapless(&app.events().await);
}

/// Looks for a while, as git does.
struct Slow;

#[async_trait]
impl RepositoryProbe for Slow {
    async fn check_repository(&self, _: &str, _: &str) -> Result<(), Problem> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(())
    }

    async fn check_verification(&self, _: Option<&str>, _: &[VerificationCommand]) -> Result<(), Problem> {
        Ok(())
    }
}

#[tokio::test]
async fn who_creates_a_project_works_with_it_in_the_same_batch() {
    let options = Options { probe: Arc::new(Slow), alone: true, ..Options::default() };
    let app = App::with_options(Arc::new(MemoryLog::new(2)), options, Shutdown::new());
    eventually(PATIENCE, || async { app.service.is_recovered() }).await;
    let project = Uuid::now_v7();
    let create = json!({ "type": "create_project", "name": "New", "repository_path": "/repo" });
    let batch = json!([
        { "project_id": project, "command": create },
        { "project_id": project, "command": { "type": "create_task", "title": "At once" } },
    ]);
    let answer = app.send(BOB, http::Method::POST, BATCH, None, Some(&batch.to_string())).await.ok();
    assert!(positions(&answer.body).is_sorted());
}

#[tokio::test]
async fn a_batch_with_a_key_is_carried_out_once() {
    let app = App::start().await;
    let project = app.project().await;
    let create = |title: &str| json!({ "project_id": project, "command": { "type": "create_task", "title": title } });
    let (key, batch) = (Uuid::now_v7(), json!([create("One"), create("Two")]));
    let first = app.post_with_key(key, BATCH, &batch).await.ok();
    let again = app.post_with_key(key, BATCH, &batch).await.ok();
    assert_eq!(first.body, again.body);
    assert_ne!(first.body[0]["outcome"]["command_id"], first.body[1]["outcome"]["command_id"]);
    assert_eq!(app.events().await.len(), 5);
    let other = app.post_with_key(key, BATCH, &json!([create("One"), create("Other")])).await.ok();
    assert_eq!(other.body[1]["problem"]["code"], "idempotency_key_reused");
}

#[tokio::test]
async fn one_key_taken_by_two_projects_at_once_is_answered_to_both_again() {
    let log = FaultyLog::new(2);
    let app = Arc::new(App::over(Arc::new(log.clone())).await);
    let projects = [app.project_in(0).await, app.project_in(1).await];
    let gate = log.close_gate().await;
    let key = Uuid::now_v7();
    let send = |project| {
        let app = Arc::clone(&app);
        let path = format!("/api/projects/{project}/tasks");
        tokio::spawn(async move { app.post_with_key(key, &path, &json!({ "title": "One" })).await })
    };
    let under_way = projects.map(send);
    eventually(PATIENCE, || async { log.waiting() == 2 }).await;
    gate.add_permits(100);
    let mut told = Vec::new();
    for one in under_way {
        told.push(one.await.unwrap().ok().body);
    }
    for (project, told) in projects.into_iter().zip(told) {
        assert_eq!(send(project).await.unwrap().ok().body, told);
    }
}

#[tokio::test]
async fn who_may_be_a_member_soon_is_asked_to_come_again_when_nobody_can_look() {
    let log = FaultyLog::new(1);
    let settings = Settings { mailbox_capacity: 1, batch_max_events: 1, ..Settings::default() };
    let app = Arc::new(App::with(Arc::new(log.clone()), settings).await);
    let project = app.project().await;
    let gate = log.close_gate().await;
    let tasks = format!("/api/projects/{project}/tasks");
    let send = |user: &'static str| {
        let (app, tasks) = (Arc::clone(&app), tasks.clone());
        tokio::spawn(async move { app.post_as(user, &tasks, &json!({ "title": "x" })).await })
    };
    // One at the log, one behind it, one in the mailbox: one after the other, until there is no room for another.
    let mut taken = Vec::new();
    loop {
        let one = send(crate::support::ADA);
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        if one.is_finished() {
            one.await.unwrap().refused(429, "overloaded");
            break;
        }
        taken.push(one);
    }
    assert_eq!((taken.len(), log.waiting()), (3, 1));
    send(BOB).await.unwrap().refused(429, "overloaded");
    gate.add_permits(100);
    for one in taken {
        one.await.unwrap().ok();
    }
    send(BOB).await.unwrap().refused(403, "forbidden");
}
