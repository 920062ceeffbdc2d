//! A run as its runner tells it: reports, heartbeats, output, under a lease.

use futures::StreamExt;
use muster_domain::id::TaskId;
use muster_event_log::LogOffset;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{App, BOB, PARTITIONS};

struct Run {
    project_id: Value,
    task_id: TaskId,
    path: String,
    token: Value,
}

async fn claimed(app: &App, lease_duration_ms: u64) -> Run {
    let project = app.project().await;
    let task_id = app.task(project, "One").await;
    let body = json!({
        "session_id": Uuid::now_v7(), "session_key": "s", "roles": ["planner"],
        "lease_duration_ms": lease_duration_ms, "workspace_dir": "/w", "data_dir": "/d",
    });
    let order = app.post("/api/claims", &body).await.ok().body;
    let path = format!("/api/runs/{}", order["run_id"].as_str().unwrap());
    Run { project_id: order["project_id"].clone(), task_id, path, token: order["fencing_token"].clone() }
}

impl Run {
    async fn report(&self, app: &App, reports: Value) -> crate::support::Answer {
        let body = json!({ "task_id": self.task_id, "fencing_token": self.token, "reports": reports });
        app.post(&format!("{}/reports", self.path), &body).await
    }

    fn output(&self, first: u64, lines: &[&str]) -> Value {
        let line = |text: &&str| json!({ "timestamp": "2026-01-01T00:00:00Z", "stream": "stdout", "content": text });
        json!({
            "project_id": self.project_id, "task_id": self.task_id, "fencing_token": self.token,
            "first_line_number": first, "lines": lines.iter().map(line).collect::<Vec<_>>(),
        })
    }
}

#[tokio::test]
async fn a_planner_reports_and_its_plan_is_approved_once() {
    let app = App::start().await;
    let run = claimed(&app, 60_000).await;
    let harness = json!({ "kind": "rehearsal" });
    run.report(&app, json!([{ "type": "started", "iteration": 1, "harness_config": harness }])).await.ok();
    let plan = json!({ "type": "plan_ready", "plan": "# Plan", "chunks": [{ "title": "All" }] });
    let end = json!({ "type": "complete", "result": "succeeded", "total_iterations": 1, "duration_ms": 5 });
    run.report(&app, json!([plan, end])).await.ok();
    run.report(&app, json!([{ "type": "progress", "message": "late" }])).await.refused(409, "stale_fencing_token");
    let approve = format!("/api/tasks/{}/approve", run.task_id);
    app.post(&approve, &json!({ "digest": "0".repeat(64) })).await.refused(409, "plan_digest_mismatch");
    app.post(&approve, &json!({})).await.ok();
    app.post(&format!("/api/tasks/{}/reject", run.task_id), &json!({ "reason": "no" }))
        .await
        .refused(409, "already_decided");
}

#[tokio::test]
async fn a_heartbeat_moves_the_end_of_the_lease() {
    let app = App::start().await;
    let run = claimed(&app, 60_000).await;
    let path = format!("{}/heartbeat", run.path);
    let body = json!({ "task_id": run.task_id, "fencing_token": run.token, "lease_duration_ms": 120_000 });
    let later = app.post(&path, &body).await.ok();
    let ends: chrono::DateTime<chrono::Utc> = later.body["lease_expires_at"].as_str().unwrap().parse().unwrap();
    assert!(ends > chrono::Utc::now() + chrono::Duration::seconds(90));
    let stale = json!({ "task_id": run.task_id, "fencing_token": 99 });
    app.post(&path, &stale).await.refused(409, "stale_fencing_token");
    app.post_as(BOB, &path, &body).await.refused(403, "forbidden");
    app.post(&format!("/api/tasks/{}/cancel", run.task_id), &json!({})).await.ok();
    app.post(&path, &body).await.refused(409, "stale_fencing_token");
}

#[tokio::test]
async fn output_is_numbered_without_gap_or_repetition() {
    let app = App::start().await;
    let run = claimed(&app, 60_000).await;
    let path = format!("{}/output", run.path);
    let next = app.post(&path, &run.output(1, &["a", "b"])).await.ok();
    assert_eq!(next.body["next_line_number"], 3);
    app.post(&path, &run.output(1, &["a", "b"])).await.ok();
    assert_eq!(app.post(&path, &run.output(2, &["b", "c"])).await.ok().body["next_line_number"], 4);
    let gap = app.post(&path, &run.output(6, &["f"])).await;
    assert_eq!(gap.refused(409, "output_gap").body["expected_line_number"], 4);
    app.post(&path, &run.output(0, &["x"])).await.refused(400, "invalid_argument");
    // What comes next must be a number that can be sent.
    let most = (1_u64 << 53) - 1;
    for (first, lines) in [(most, &["x", "y", "z"][..]), (most, &["x"]), (most - 1, &["x", "y"])] {
        let answer = app.post(&path, &run.output(first, lines)).await;
        assert_eq!(answer.refused(400, "invalid_argument").body["field"], "first_line_number");
    }
    app.post(&path, &run.output(most - 1, &["x"])).await.refused(409, "output_gap");
    let mut stale = run.output(4, &["d"]);
    stale["fencing_token"] = json!(99);
    app.post(&path, &stale).await.refused(409, "stale_fencing_token");
    app.post_as(BOB, &path, &run.output(4, &["d"])).await.refused(403, "forbidden");
    let from = (0..PARTITIONS).map(|partition| (partition, LogOffset::START)).collect();
    let lines: Vec<_> = app.log.subscribe_output(from).await.unwrap().take(3).collect().await;
    let lines: Vec<_> = lines.into_iter().map(|line| line.unwrap().line).collect();
    let told: Vec<_> = lines.iter().map(|line| (line.line_number, line.content.as_str())).collect();
    assert_eq!(told, [(1, "a"), (2, "b"), (3, "c")]);
}
