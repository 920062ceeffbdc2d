//! A heartbeat that is sent again gets the end of the lease its own renewal gave, whatever became of the lease since.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use muster_command_service::Settings;
use muster_domain::id::{ProjectId, TaskId};
use muster_event_log::EventLog;
use muster_event_log::memory::MemoryLog;
use muster_test_kit::eventually;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, PATIENCE, Pair, assert_gapless};

/// A run, and the first answers to its heartbeats.
struct Beating {
    task_id: TaskId,
    path: String,
    body: Value,
    answers: Vec<(Uuid, Value)>,
}

impl Beating {
    async fn start(app: &App, project: ProjectId) -> Self {
        let task_id = app.task(project, "One").await;
        let claim = json!({
            "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"], "project_ids": [project],
            "lease_duration_ms": 600_000, "workspace_dir": "/w", "data_dir": "/d",
        });
        let order = app.post("/api/claims", &claim).await.ok().body;
        let path = format!("/api/runs/{}/heartbeat", order["run_id"].as_str().unwrap());
        let body = json!({ "task_id": task_id, "fencing_token": order["fencing_token"], "lease_duration_ms": 300_000 });
        Self { task_id, path, body, answers: Vec::new() }
    }

    async fn beat(&mut self, app: &App) {
        let key = Uuid::now_v7();
        let answer = app.post_with_key(key, &self.path, &self.body).await.ok().body;
        self.answers.push((key, answer));
    }

    async fn cancel(&self, app: &App) {
        app.post(&format!("/api/tasks/{}/cancel", self.task_id), &json!({})).await.ok();
    }

    fn ends(&self) -> Vec<DateTime<Utc>> {
        let end = |(_, answer): &(Uuid, Value)| answer["lease_expires_at"].as_str().unwrap().parse().unwrap();
        self.answers.iter().map(end).collect()
    }

    async fn assert_same_answers(&self, app: &App) {
        for (key, first) in &self.answers {
            assert_eq!(&app.post_with_key(*key, &self.path, &self.body).await.ok().body, first);
        }
    }
}

/// Two heartbeats and a cancel, with every answer asked for again in between.
async fn two_beats_and_a_cancel(app: &App) -> Beating {
    let mut beating = Beating::start(app, app.project().await).await;
    beating.beat(app).await;
    beating.beat(app).await;
    assert!(beating.ends().is_sorted_by(|one, next| one < next), "{:?}", beating.answers);
    beating.assert_same_answers(app).await;
    beating.cancel(app).await;
    beating.assert_same_answers(app).await;
    app.post(&beating.path, &beating.body).await.refused(409, "stale_fencing_token");
    beating
}

fn snapshots_every(snapshot_every_events: usize) -> Settings {
    Settings { snapshot_every_events, ..Settings::default() }
}

#[tokio::test]
async fn the_answer_is_the_first_after_another_after_a_cancel_and_after_a_restart() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let app = App::with(log, snapshots_every(0)).await;
    let beating = two_beats_and_a_cancel(&app).await;
    // The end is what the event says.
    let renewals = app.events().await;
    let renewals = renewals.iter().filter(|event| event.event_type() == "lease.renewed");
    let ends: Vec<_> = renewals.map(|event| event.timestamp.plus_ms(300_000).to_datetime()).collect();
    assert_eq!(beating.ends(), ends);

    let app = App::with(app.stop().await, snapshots_every(0)).await;
    assert!(app.log.snapshot(0).await.unwrap().is_none());
    beating.assert_same_answers(&app).await;
    assert_gapless(&app.events().await);
}

#[tokio::test]
async fn the_answer_is_the_first_after_a_restart_from_a_snapshot() {
    let log: Arc<dyn EventLog> = Arc::new(MemoryLog::new(1));
    let app = App::with(log, snapshots_every(60)).await;
    let beating = two_beats_and_a_cancel(&app).await;
    assert!(app.log.snapshot(0).await.unwrap().is_none(), "it is to be taken after the heartbeats");
    let project = app.project().await;
    eventually(PATIENCE, || {
        let app = &app;
        async move {
            app.task(project, "More").await;
            app.log.snapshot(0).await.unwrap().is_some()
        }
    })
    .await;
    let app = App::with(app.stop().await, snapshots_every(60)).await;
    beating.assert_same_answers(&app).await;
    assert_gapless(&app.events().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_answer_is_the_first_from_any_instance_also_when_everything_changes_hands() {
    let pair = Pair::divided(Arc::new(MemoryLog::new(2))).await;
    let mut beating = Beating::start(&pair.one, pair.one.project_in(1).await).await;
    for app in pair.each() {
        beating.beat(app).await;
    }
    for app in pair.each() {
        beating.assert_same_answers(app).await;
    }
    pair.board.give(1, &pair.one.url).await;
    beating.cancel(&pair.two).await;
    for app in pair.each() {
        beating.assert_same_answers(app).await;
    }
}
