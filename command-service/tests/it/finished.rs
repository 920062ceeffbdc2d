//! Finished tasks leave memory and return: nobody can tell, but by the time it takes.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use muster_command_service::Settings;
use muster_domain::id::ProjectId;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, Fault, FaultyLog, PATIENCE, assert_gapless};

fn keeping(finished_tasks_in_memory: usize) -> Settings {
    let lease_check_interval = Duration::from_millis(10);
    Settings { finished_tasks_in_memory, lease_check_interval, snapshot_every_events: 40, ..Settings::default() }
}

fn id(kind: u128, n: usize) -> Uuid {
    Uuid::from_u128((0xABCD << 64) | (kind << 32) | n as u128)
}

/// Sends commands under ids that are the same in every run, and keeps what of the answers is.
struct Caller {
    app: App,
    project: ProjectId,
    count: usize,
    answers: Vec<Value>,
}

impl Caller {
    async fn start(settings: Settings) -> Self {
        let app = App::with(Arc::new(MemoryLog::new(1)), settings).await;
        let settings = json!({ "max_concurrent_runs": 1000 });
        let body = json!({ "name": "Demo", "repository_path": "/repo", "settings": settings });
        let answer = app.post_with_key(id(9, 0), "/api/projects", &body).await.ok();
        let project = answer.body["project_id"].as_str().unwrap().parse().unwrap();
        Self { app, project, count: 0, answers: Vec::new() }
    }

    async fn send(&mut self, path: &str, body: &Value) -> Value {
        self.count += 1;
        self.send_again(id(1, self.count), path, body).await
    }

    async fn send_again(&mut self, key: Uuid, path: &str, body: &Value) -> Value {
        let answer = self.app.post_with_key(key, path, body).await;
        let replayed = answer.headers.contains_key("idempotency-replayed");
        let kept = ["code", "task_id", "sequence", "position", "command_id", "current_sequence"];
        let kept: Vec<_> = kept.iter().map(|name| answer.body[*name].clone()).collect();
        self.answers.push(json!({ "status": answer.status.as_u16(), "kept": kept, "replayed": replayed }));
        answer.body
    }

    async fn about(&mut self, task: usize, action: &str, body: &Value) -> Value {
        let path = format!("/api/tasks/{}/{action}", id(2, task));
        self.send(&path, body).await
    }

    async fn create(&mut self, task: usize, blocked_by: &[usize]) {
        let blocked_by: Vec<_> = blocked_by.iter().map(|task| id(2, *task)).collect();
        let tasks = format!("/api/projects/{}/tasks", self.project);
        let body = json!({ "task_id": id(2, task), "title": format!("Task {task}"), "blocked_by": blocked_by });
        self.send(&tasks, &body).await;
    }

    async fn claim(&mut self, n: usize) -> Value {
        let body = json!({
            "session_id": id(3, n), "session_key": "s", "roles": ["planner"],
            "lease_duration_ms": 600_000, "workspace_dir": "/w", "data_dir": "/d",
        });
        self.send("/api/claims", &body).await
    }

    /// A hundred finished tasks, then everything one may do with old ones.
    async fn live(&mut self) {
        self.create(0, &[]).await;
        let work = self.claim(0).await;
        for task in 1..=100 {
            self.create(task, &[]).await;
            self.about(task, "cancel", &json!({ "reason": "enough" })).await;
        }
        for task in [1, 50, 99, 100, 2, 1] {
            self.about(task, "cancel", &json!({})).await;
            self.about(task, "prompt", &json!({ "message": "mind the gap", "expected_sequence": 1 })).await;
            self.about(task, "prompt", &json!({ "message": "mind the gap" })).await;
            self.about(task, "retry", &json!({})).await;
            self.about(task, "approve", &json!({})).await;
            self.create(task, &[]).await;
        }
        // The second command was the first cancel: its answer is remembered, whatever became of the task.
        let cancel = format!("/api/tasks/{}/cancel", id(2, 1));
        self.send_again(id(1, 4), &cancel, &json!({ "reason": "enough" })).await;
        self.send_again(id(1, 4), &cancel, &json!({ "reason": "changed" })).await;
        self.create(201, &[60]).await;
        self.create(202, &[1, 3]).await;
        for n in 1..5 {
            self.claim(n).await;
        }
        let output = format!("/api/runs/{}/output", work["run_id"].as_str().unwrap());
        self.about(0, "cancel", &json!({})).await;
        for task in 301..=305 {
            self.create(task, &[]).await;
            self.about(task, "cancel", &json!({})).await;
        }
        let line = json!({ "timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "content": "late" });
        for task in [0, 77, 400] {
            let body = json!({
                "project_id": self.project, "task_id": id(2, task), "fencing_token": 1, "first_line_number": 1, "lines": [line],
            });
            self.send(&output, &body).await;
        }
    }
}

#[tokio::test]
async fn a_hundred_of_them_answer_as_if_they_had_never_left() {
    let (mut all, mut few) = (Caller::start(keeping(0)).await, Caller::start(keeping(2)).await);
    all.live().await;
    few.live().await;
    assert_eq!(all.answers.len(), few.answers.len());
    for (index, (expected, answer)) in all.answers.iter().zip(&few.answers).enumerate() {
        assert_eq!(expected, answer, "answer {index}");
    }
    let types = async |caller: &Caller| {
        let events = caller.app.events().await;
        assert_gapless(&events);
        events.iter().map(|event| (event.task_id, event.event_type().to_owned())).collect::<Vec<_>>()
    };
    assert_eq!(types(&all).await, types(&few).await);

    // Also after a restart, from a snapshot and with most of them away.
    let before = few.answers.len();
    for caller in [&mut all, &mut few] {
        let settings = caller.app.service.settings().clone();
        let log = caller.app.log.clone();
        caller.app.stop_now().await;
        caller.app = App::with(log, settings).await;
        for task in [10, 50, 100, 300, 201] {
            caller.about(task, "retry", &json!({})).await;
            caller.about(task, "cancel", &json!({})).await;
        }
    }
    assert!(few.app.log.snapshot(0).await.unwrap().is_some());
    assert_eq!(all.answers[before..], few.answers[before..]);
    assert_eq!(types(&all).await, types(&few).await);
}

#[tokio::test]
async fn commands_about_one_wait_for_it_in_order_and_others_do_not() {
    let log = FaultyLog::new(1);
    let app = Arc::new(App::with(Arc::new(log.clone()), keeping(1)).await);
    let project = app.project().await;
    let mut tasks = Vec::new();
    for title in ["One", "Two", "Three"] {
        let task = app.task(project, title).await;
        app.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
        tasks.push(task);
    }
    let before = app.events().await.len();
    log.hold_reads(true);
    let send = |task: usize, action: &'static str, key: Uuid, body: Value| {
        let (app, path) = (Arc::clone(&app), format!("/api/tasks/{}/{action}", tasks[task]));
        tokio::spawn(async move { app.post_with_key(key, &path, &body).await })
    };
    let keys: Vec<_> = (0..4).map(|_| Uuid::now_v7()).collect();
    let retry = send(0, "retry", keys[0], json!({}));
    eventually(PATIENCE, || async { log.reads_held() == 1 }).await;
    let prompt = send(0, "prompt", keys[1], json!({ "message": "after the retry" }));
    let again = send(0, "retry", keys[0], json!({}));
    let other = send(1, "retry", keys[2], json!({}));
    eventually(PATIENCE, || async { log.reads_held() == 2 }).await;
    // What is not about them goes on.
    app.task(project, "Four").await;
    assert!(!retry.is_finished() && !prompt.is_finished());
    log.hold_reads(false);
    let answers = join_all([retry, prompt, again, other]).await;
    let answers: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().ok()).collect();
    assert_eq!(answers[0].body, answers[2].body);
    let events = app.events().await;
    assert_gapless(&events);
    let about: Vec<_> = events[before..].iter().filter(|event| event.task_id == Some(tasks[0])).collect();
    let (retried, prompted) = (about.first().unwrap(), about.last().unwrap());
    assert_eq!((retried.event_type(), prompted.event_type()), ("user.requested_retry", "user.injected_prompt"));
}

#[tokio::test]
async fn while_the_log_does_not_give_one_back_the_caller_is_told() {
    let log = FaultyLog::new(1);
    let settings = Settings { recovery_patience: Duration::from_millis(50), ..keeping(1) };
    let app = App::with(Arc::new(log.clone()), settings).await;
    let project = app.project().await;
    let (task, other) = (app.task(project, "One").await, app.task(project, "Two").await);
    for task in [task, other] {
        app.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
    }
    let path = format!("/api/tasks/{task}/retry");
    log.hold_reads(true);
    let key = Uuid::now_v7();
    let answer = app.post_with_key(key, &path, &json!({})).await;
    assert_eq!(answer.refused(503, "unavailable").body["in_doubt"], false);
    log.hold_reads(false);
    app.post_with_key(key, &path, &json!({})).await.ok();
}

#[tokio::test]
async fn one_that_returned_is_as_it_was_after_an_append_that_failed() {
    let log = FaultyLog::new(1);
    let app = Arc::new(App::with(Arc::new(log.clone()), keeping(1)).await);
    let project = app.project().await;
    let mut tasks = Vec::new();
    for title in ["One", "Two", "Three", "Four"] {
        let task = app.task(project, title).await;
        app.post(&format!("/api/tasks/{task}/cancel"), &json!({})).await.ok();
        tasks.push(task);
    }
    for fault in [Fault::LostUnwritten, Fault::WrittenButLost, Fault::Unavailable] {
        for task in &tasks {
            for action in ["retry", "cancel"] {
                log.fail_next(&[fault]).await;
                let (key, path) = (Uuid::now_v7(), format!("/api/tasks/{task}/{action}"));
                eventually(PATIENCE, || async {
                    let answer = app.post_with_key(key, &path, &json!({})).await;
                    assert!(answer.status == 200 || answer.status == 503, "{}", answer.body);
                    answer.status == 200
                })
                .await;
            }
        }
    }
    assert_gapless(&app.events().await);
}
